package control

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/knitnet/knit/netfilter"
)

var conntrackOptions = []option{
	{'L', "dump", noArg}, {'G', "get", noArg}, {'D', "delete", noArg}, {'I', "create", noArg}, {'U', "update", noArg},
	{'E', "event", noArg}, {'F', "flush", noArg}, {'C', "count", noArg}, {'S', "stats", noArg},
	{'s', "src", needArg}, {0, "orig-src", needArg}, {'d', "dst", needArg}, {0, "orig-dst", needArg},
	{'r', "reply-src", needArg}, {'q', "reply-dst", needArg}, {'p', "protonum", needArg}, {0, "proto", needArg},
	{'f', "family", needArg}, {'t', "timeout", needArg}, {'u', "status", needArg}, {'w', "zone", needArg}, {'i', "id", needArg},
	{'n', "src-nat", noArg}, {'g', "dst-nat", noArg}, {'j', "any-nat", noArg}, {'m', "mark", needArg},
	{'e', "event-mask", needArg}, {'o', "output", needArg}, {0, "state", needArg},
	{0, "sport", needArg}, {0, "dport", needArg}, {0, "orig-port-src", needArg}, {0, "orig-port-dst", needArg},
	{0, "reply-port-src", needArg}, {0, "reply-port-dst", needArg},
	{0, "icmp-type", needArg}, {0, "icmp-code", needArg}, {0, "icmp-id", needArg}, {'h', "help", noArg},
}

var conntrackOps = map[string]string{
	"dump": "list", "get": "get", "delete": "delete", "create": "create", "update": "update", "event": "event",
	"flush": "flush", "count": "count", "stats": "stats",
}

// conntrackPlace is where in a filter's arrays an option belongs.
var conntrackPlace = map[string]int{
	"src": 0, "orig-src": 0, "dst": 1, "orig-dst": 1, "reply-src": 2, "reply-dst": 3,
	"sport": 0, "orig-port-src": 0, "icmp-id": 0, "dport": 1, "orig-port-dst": 1, "reply-port-src": 2, "reply-port-dst": 3,
}

func parseConntrack(_ *Console, args []string) (q ConntrackRequest, err error) {
	given, rest, err := getopt("conntrack", 2, conntrackOptions, args)
	if err != nil {
		return q, err
	}
	for _, o := range given {
		if o.name == "help" {
			return q, ErrHelp
		}
		if op, ok := conntrackOps[o.name]; ok {
			if q.Op != "" {
				return q, conntrackError(o.word, "Can't use multiple commands")
			}
			q.Op = op
			continue
		}
		if err := q.option(o); err != nil {
			return q, err
		}
	}
	for _, o := range rest {
		switch o.text {
		case "conntrack":
		case "expect":
			q.Expect = true
		default:
			return q, conntrackError(o.word, "unknown type `%s'", o.text)
		}
	}
	return q, q.check()
}

func conntrackError(word int, format string, args ...any) error {
	return WordErrorf(word, 2, conntrackName+format+"\nTry `conntrack -h' or 'conntrack --help' for more information.", args...)
}

// check finds what is missing.
func (q *ConntrackRequest) check() error {
	f := &q.Filter
	switch {
	case q.Op == "":
		return conntrackError(0, "You need to supply a command")
	case q.Op == "get" || q.Op == "create":
		if !f.Prefixes[0].IsValid() || !f.Prefixes[1].IsValid() {
			return conntrackError(0, "you have to specify `--src' and `--dst'")
		}
		if f.Proto == 0 {
			return conntrackError(0, "you have to specify `-p'")
		}
		if q.Op == "create" && f.Timeout == nil {
			return conntrackError(0, "You need to supply the `--timeout' option for this command")
		}
		if q.Op == "create" && f.Proto == 6 && f.State == "" {
			return conntrackError(0, "you have to specify `--state'")
		}
	}
	return nil
}

// option takes one option in.
func (q *ConntrackRequest) option(o setting) (err error) {
	f, bad := &q.Filter, conntrackError(o.word, "invalid value `%s' of `--%s'", o.value, o.name)
	number := func(bits int) uint64 {
		var n uint64
		if n, err = strconv.ParseUint(o.value, 0, bits); err != nil {
			err = bad
		}
		return n
	}
	switch o.name {
	case "src", "orig-src", "dst", "orig-dst", "reply-src", "reply-dst":
		p, ok := prefixOf(o.value)
		if !ok {
			return conntrackError(o.word, "Invalid IP address `%s'", o.value)
		}
		f.Prefixes[conntrackPlace[o.name]] = p
	case "sport", "dport", "orig-port-src", "orig-port-dst", "reply-port-src", "reply-port-dst", "icmp-id":
		n := uint16(number(16))
		f.Ports[conntrackPlace[o.name]] = &n
	case "icmp-type":
		n := uint8(number(8))
		f.ICMPType = &n
	case "icmp-code":
		n := uint8(number(8))
		f.ICMPCode = &n
	case "protonum", "proto":
		f.Proto, err = conntrackProto(o)
	case "family":
		f.Family = map[string]int{"ipv4": 4, "ipv6": 6}[o.value]
		if f.Family == 0 {
			return conntrackError(o.word, "`%s' unsupported protocol", o.value)
		}
	case "timeout":
		n := int64(number(31))
		f.Timeout = &n
	case "status":
		return f.status(o)
	case "zone":
		n := uint16(number(16))
		f.Zone = &n
	case "id":
		n := uint32(number(32))
		f.ID = &n
	case "state":
		f.State = o.value
	case "src-nat":
		f.SrcNAT = true
	case "dst-nat":
		f.DstNAT = true
	case "any-nat":
		f.AnyNAT = true
	case "mark":
		return f.mark(o, bad)
	case "event-mask":
		return q.events(o)
	case "output":
		return q.output(o)
	}
	return err
}

func prefixOf(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

func conntrackProto(o setting) (uint8, error) {
	n, ok := map[string]uint8{
		"icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "icmpv6": 58, "sctp": 132, "udplite": 136,
	}[strings.ToLower(o.value)]
	if ok {
		return n, nil
	}
	v, err := strconv.ParseUint(o.value, 10, 8)
	if err != nil || v == 0 {
		return 0, conntrackError(o.word, "`%s' unsupported protocol", o.value)
	}
	return uint8(v), nil
}

func (f *ConntrackFilter) status(o setting) error {
	for _, name := range strings.Split(o.value, ",") {
		switch strings.ToUpper(name) {
		case "ASSURED":
			f.Status |= netfilter.Assured
		case "SEEN_REPLY":
			f.Status |= netfilter.SeenReply
		case "FIXED_TIMEOUT":
			f.Status |= netfilter.Fixed
		case "EXPECTED":
			f.Status |= netfilter.Expected
		case "OFFLOAD":
			f.Status |= netfilter.Offload
		case "CONFIRMED":
			f.Status |= netfilter.Confirmed
		case "UNSET":
		default:
			return conntrackError(o.word, "Bad parameter `%s'", name)
		}
	}
	return nil
}

func (f *ConntrackFilter) mark(o setting, bad error) error {
	value, mask, masked := strings.Cut(o.value, "/")
	v, err := strconv.ParseUint(value, 0, 32)
	if err != nil {
		return bad
	}
	mark := uint32(v)
	f.Mark, f.MarkMask = &mark, 0xffffffff
	if masked {
		m, err := strconv.ParseUint(mask, 0, 32)
		if err != nil {
			return bad
		}
		f.MarkMask = uint32(m)
	}
	return nil
}

// Which events conntrack's classes are.
const (
	conntrackNew     = netfilter.EventNew | netfilter.EventRelated
	conntrackDestroy = netfilter.EventDestroy
	conntrackUpdates = ^(conntrackNew | conntrackDestroy)
)

func (q *ConntrackRequest) events(o setting) error {
	for _, name := range strings.Split(o.value, ",") {
		switch strings.ToUpper(name) {
		case "ALL":
			q.Kinds = ^netfilter.EventKind(0)
		case "NEW":
			q.Kinds |= conntrackNew
		case "UPDATES":
			q.Kinds |= conntrackUpdates
		case "DESTROY":
			q.Kinds |= conntrackDestroy
		default:
			return conntrackError(o.word, "Bad parameter `%s'", name)
		}
	}
	return nil
}

func (q *ConntrackRequest) output(o setting) error {
	for _, name := range strings.Split(o.value, ",") {
		switch name {
		case "extended":
			q.show.Extended = true
		case "id":
			q.show.ID = true
		case "timestamp", "ktimestamp":
			q.show.Timestamp = true
		case "labels":
			q.show.Labels = true
		default:
			return conntrackError(o.word, "Bad parameter `%s'", name)
		}
	}
	return nil
}
