package control

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/knitnet/knit/netfilter"
)

var conntrackOptions = []option{
	{'L', "dump", noArg}, {'G', "get", noArg}, {'D', "delete", noArg}, {'I', "create", noArg}, {'A', "add", noArg}, {'U', "update", noArg},
	{'E', "event", noArg}, {'F', "flush", noArg}, {'C', "count", noArg}, {'S', "stats", noArg},
	{'s', "src", needArg}, {0, "orig-src", needArg}, {'d', "dst", needArg}, {0, "orig-dst", needArg},
	{'r', "reply-src", needArg}, {'q', "reply-dst", needArg}, {'p', "protonum", needArg}, {0, "proto", needArg},
	{'f', "family", needArg}, {'t', "timeout", needArg}, {'u', "status", needArg}, {'w', "zone", needArg}, {'i', "id", needArg},
	{'n', "src-nat", noArg}, {'g', "dst-nat", noArg}, {'j', "any-nat", noArg}, {'m', "mark", needArg},
	{'e', "event-mask", needArg}, {'o', "output", needArg}, {0, "state", needArg}, {'z', "zero", noArg},
	{'l', "label", needArg}, {0, "label-add", needArg}, {0, "label-del", needArg}, {0, "mask-src", needArg}, {0, "mask-dst", needArg},
	{0, "sport", needArg}, {0, "dport", needArg}, {0, "orig-port-src", needArg}, {0, "orig-port-dst", needArg},
	{0, "reply-port-src", needArg}, {0, "reply-port-dst", needArg},
	{0, "srckey", needArg}, {0, "orig-key-src", needArg}, {0, "dstkey", needArg}, {0, "orig-key-dst", needArg},
	{0, "reply-key-src", needArg}, {0, "reply-key-dst", needArg}, {0, "orig-vtag", needArg}, {0, "reply-vtag", needArg},
	{0, "icmp-type", needArg}, {0, "icmp-code", needArg}, {0, "icmp-id", needArg},
	{0, "icmpv6-type", needArg}, {0, "icmpv6-code", needArg}, {0, "icmpv6-id", needArg}, {'h', "help", noArg}, {'V', "version", noArg},
}

var conntrackOps = map[string]string{
	"dump": "list", "get": "get", "delete": "delete", "create": "create", "add": "add", "update": "update", "event": "event",
	"flush": "flush", "count": "count", "stats": "stats",
}

// conntrackPlace is where in a filter's arrays an option belongs.
var conntrackPlace = map[string]int{
	"src": 0, "orig-src": 0, "dst": 1, "orig-dst": 1, "reply-src": 2, "reply-dst": 3,
	"sport": 0, "orig-port-src": 0, "icmp-id": 0, "icmpv6-id": 0, "dport": 1, "orig-port-dst": 1, "reply-port-src": 2, "reply-port-dst": 3,
	"srckey": 0, "orig-key-src": 0, "dstkey": 1, "orig-key-dst": 1, "reply-key-src": 2, "reply-key-dst": 3,
}

func parseConntrack(_ *Console, args []string) (q ConntrackRequest, err error) {
	given, rest, err := getopt("conntrack", 2, conntrackOptions, args)
	if err != nil {
		return q, conntrackMisspelt(args, asError(err))
	}
	for _, o := range given {
		switch o.name {
		case "help":
			return q, ErrHelp
		case "version":
			return q, &Error{Text: strings.TrimSuffix(conntrackName, ": "), help: true}
		}
		if op, ok := conntrackOps[o.name]; ok {
			if q.Op != "" {
				return q, conntrackError(o.word, "Invalid commands combination")
			}
			q.Op = op
			continue
		}
		if err := q.option(o); err != nil {
			return q, err
		}
	}
	if len(given) == 0 {
		return q, ErrHelp
	}
	if rest, err = q.Filter.translated(given, rest); err != nil {
		return q, err
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
	if err := q.legal(given); err != nil {
		return q, err
	}
	return q, q.check()
}

// translated takes the words that may follow -n, -g and -j: an address.
func (f *ConntrackFilter) translated(given []setting, rest []operand) (left []operand, err error) {
	at := map[int]string{}
	for _, o := range given {
		if o.name == "src-nat" || o.name == "dst-nat" || o.name == "any-nat" {
			at[o.word+1] = o.name
		}
	}
	for _, o := range rest {
		name, ok := at[o.word]
		if !ok || o.text == "conntrack" || o.text == "expect" {
			left = append(left, o)
			continue
		}
		a, err := netip.ParseAddr(o.text)
		if err != nil {
			return nil, conntrackError(o.word, "Invalid IP address `%s'", o.text)
		}
		switch name {
		case "src-nat":
			f.SrcNATAddr = a
		case "dst-nat":
			f.DstNATAddr = a
		default:
			f.AnyNATAddr = a
		}
	}
	return left, nil
}

// conntrackMisspelt says in the tool's words what getopt found wrong with a word.
func conntrackMisspelt(args []string, err *Error) error {
	word := ""
	if err.Word > 0 && err.Word <= len(args) {
		word = args[err.Word-1]
	}
	if strings.Contains(err.Text, "requires an argument") {
		return conntrackError(err.Word, "option `%s' requires an argument", word)
	}
	return conntrackError(err.Word, "unknown option `%s'", word)
}

func conntrackError(word int, format string, args ...any) error {
	return WordErrorf(word, 2, conntrackName+format+"\nTry `conntrack -h' or 'conntrack --help' for more information.", args...)
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
	case "sport", "dport", "orig-port-src", "orig-port-dst", "reply-port-src", "reply-port-dst", "icmp-id", "icmpv6-id",
		"srckey", "orig-key-src", "dstkey", "orig-key-dst", "reply-key-src", "reply-key-dst":
		n := uint16(number(16))
		f.Ports[conntrackPlace[o.name]] = &n
	case "icmp-type", "icmpv6-type":
		n := uint8(number(8))
		f.ICMPType = &n
	case "icmp-code", "icmpv6-code":
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
		n := uint32(number(32))
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
		if f.State = o.value; o.value == "LISTEN" {
			f.State = "SYN_SENT2" // its old name
		}
	case "orig-vtag", "reply-vtag":
		n := uint32(number(32))
		f.Tags[map[string]int{"orig-vtag": 0, "reply-vtag": 1}[o.name]] = &n
	case "mask-src", "mask-dst":
		return f.mask(o)
	case "label":
		f.Label, err = labelBits(o)
	case "label-add":
		f.LabelAdd, err = labelBits(o)
	case "label-del":
		f.LabelDel, err = labelBits(o)
	case "zero":
		q.Zero = true
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
		case "timestamp":
			q.show.Timestamp = true
		case "ktimestamp":
			q.show.KernelTimestamp = true
		case "save":
			q.save = true
		case "labels":
			q.show.Labels = true
		case "xml":
			q.show.XML = true
		default:
			return conntrackError(o.word, "Bad parameter `%s'", name)
		}
	}
	if q.save && q.show != (netfilter.ViewOptions{}) {
		return WordErrorf(o.word, 1, conntrackName+"cannot combine save output with any other output type, use -o save only")
	}
	return nil
}
