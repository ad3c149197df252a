package control

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// An IPRule is a rule of the routing policy, in commands that add or remove one, in
// filters and in answers. Zero fields match everything.
type IPRule struct {
	Family string `json:"family,omitempty"` // "inet" or "inet6"
	// Priority nil is the next free one, of delete any.
	Priority *uint32      `json:"priority,omitempty"`
	Not      bool         `json:"not,omitempty"`
	Src      netip.Prefix `json:"src,omitzero"` // host bits stay
	Dst      netip.Prefix `json:"dst,omitzero"`
	TOS      uint8        `json:"tos,omitempty"`
	// Mark counts in the bits of Mask. Unmasked says that no mask was given: a filter
	// then shows rules of any mask.
	Mark     uint32 `json:"fwmark,omitempty"`
	Mask     uint32 `json:"fwmask,omitempty"`
	Unmasked bool   `json:"unmasked,omitempty"`
	In       string `json:"iif,omitempty"`
	Out      string `json:"oif,omitempty"`
	// InGone and OutGone: there is no such device.
	InGone   bool    `json:"iif_detached,omitempty"`
	OutGone  bool    `json:"oif_detached,omitempty"`
	L3MDev   bool    `json:"l3mdev,omitempty"`
	UIDs     *IPSpan `json:"uidrange,omitempty"`
	Proto    uint8   `json:"ipproto,omitempty"`
	SrcPorts *IPSpan `json:"sport,omitempty"`
	DstPorts *IPSpan `json:"dport,omitempty"`
	// Action is "lookup", "goto", "nop", "blackhole", "unreachable" or "prohibit"; ""
	// is lookup, of delete any.
	Action string `json:"action,omitempty"`
	Table  string `json:"table,omitempty"` // by name where it has one; "" is main
	Target uint32 `json:"target,omitempty"`
	// Unresolved: there is no rule of priority Target.
	Unresolved     bool    `json:"unresolved,omitempty"`
	SuppressPrefix *uint32 `json:"suppress_prefixlen,omitempty"`
	SuppressGroup  *uint32 `json:"suppress_ifgroup,omitempty"`
	Realms         uint32  `json:"realms,omitempty"`
	Origin         uint8   `json:"protocol,omitempty"` // of routes' numbers
}

// An IPSpan is a range of numbers, both ends included.
type IPSpan struct {
	First uint32 `json:"first"`
	Last  uint32 `json:"last"`
}

func (p *ipParser) rule() error {
	command, err := p.command("show|list|lst", "add", "delete", "flush", "save", "restore")
	if err != nil {
		return err
	}
	r := &IPRule{}
	p.q.Rule = r
	switch command {
	case "add", "delete":
		if !p.more() {
			word := map[string]string{"add": "add", "delete": "del"}[command]
			return p.fail(1, "\"ip rule %s\" requires arguments.", word)
		}
		return p.ruleChange(r, command == "add")
	case "show", "flush":
		return p.ruleFilter(r)
	}
	return p.fail(2, "ip rule %s: Operation not supported", command)
}

func (p *ipParser) ruleChange(r *IPRule, add bool) error {
	for p.more() {
		word := p.next()
		ok, err := p.ruleSelector(r, word, "invalid table ID")
		if !ok {
			err = p.ruleAction(r, word)
		}
		if err != nil {
			return err
		}
	}
	r.Family = p.ruleFamily()
	if r.L3MDev && r.Table != "" {
		return p.fail(22, "table can not be specified for l3mdev rules")
	}
	if add && r.Table == "" && !r.L3MDev && (r.Action == "" || r.Action == "lookup") {
		r.Table = "main"
	}
	return nil
}

// ruleAction reads what a rule does, or its protocol and what suppresses its answer.
func (p *ipParser) ruleAction(r *IPRule, word string) (err error) {
	switch {
	case abbreviates(word, "realms"):
		r.Realms, err = p.realms()
	case abbreviates(word, "suppress_prefixlength"), word == "sup_pl":
		r.SuppressPrefix, err = p.ruleBound("suppress_prefixlength value is invalid\n")
	case abbreviates(word, "suppress_ifgroup"), word == "sup_group":
		if p.skip("default") {
			r.SuppressGroup = new(uint32)
			return nil
		}
		r.SuppressGroup, err = p.ruleBound("Invalid \"suppress_ifgroup\" value\n")
	case word == "goto":
		var n *uint32
		if n, err = p.ruleNumber("invalid target\n"); err == nil {
			r.Action, r.Target = "goto", *n
		}
	case abbreviates(word, "help") && len(word) > 1:
		return p.usage("rule")
	default:
		if word == "type" {
			if word, err = p.arg(); err != nil {
				return err
			}
		}
		return p.ruleType(r, word)
	}
	return err
}

func (p *ipParser) ruleType(r *IPRule, word string) error {
	switch word {
	case "unicast":
		r.Action = "lookup"
	case "nop", "blackhole", "unreachable", "prohibit":
		if r.Action == "goto" {
			return p.fail(2, "Error: Unexpected goto.")
		}
		r.Action = word
	case "nat", "map-to", "local", "broadcast", "anycast", "multicast", "throw", "xresolve":
		return p.fail(2, "RTNETLINK answers: Operation not supported\nWant: lookup, goto, nop, blackhole, unreachable or prohibit")
	default:
		return p.invalid(word, "Failed to parse rule type")
	}
	return nil
}

// ruleSelector reads what rules and filters have in common; ok is false for other
// words.
func (p *ipParser) ruleSelector(r *IPRule, word, badTable string) (ok bool, err error) {
	switch {
	case word == "not":
		r.Not = true
	case word == "from":
		r.Src, err = p.rulePrefix()
	case word == "to":
		r.Dst, err = p.rulePrefix()
	case abbreviates(word, "preference"), abbreviates(word, "order"), abbreviates(word, "priority"):
		r.Priority, err = p.ruleNumber("preference value is invalid\n")
	case abbreviates(word, "tos"), abbreviates(word, "dsfield"):
		r.TOS, err = p.tos("TOS value is invalid\n")
	case abbreviates(word, "fwmark"):
		err = p.ruleMark(r)
	case abbreviates(word, "protocol"):
		var name string
		if name, err = p.proto("\"protocol\" value is invalid\n"); err == nil {
			r.Origin, _ = ProtoNumber(name)
		}
	case abbreviates(word, "table"), abbreviates(word, "lookup"):
		r.Table, err = p.table(badTable+"\n", true)
	case word == "dev", word == "iif":
		r.In, err = p.ruleDevice("\"iif\"/\"dev\" not a valid ifname")
	case word == "oif":
		r.Out, err = p.ruleDevice("\"oif\" not a valid ifname")
	case word == "l3mdev":
		r.L3MDev = true
	case word == "uidrange":
		r.UIDs, err = p.span("invalid UID range\n", 1<<32-1)
	case word == "ipproto":
		r.Proto, err = p.ipProto()
	case word == "sport":
		r.SrcPorts, err = p.span("invalid port range\n", 1<<16-1)
	case word == "dport":
		r.DstPorts, err = p.span("invalid dport range\n", 1<<16-1)
	default:
		return false, nil
	}
	return true, err
}

// ruleFilter reads which rules show and flush are about. Any other word is where they
// lead to, and table 0 is any.
func (p *ipParser) ruleFilter(r *IPRule) error {
	for p.more() {
		word := p.next()
		if word == "help" {
			return p.usage("rule")
		}
		ok, err := p.ruleSelector(r, word, "table id value is invalid")
		if !ok {
			r.Dst, err = p.prefix(word, p.ruleFamily())
		}
		if err != nil {
			return err
		}
	}
	if r.Table == "0" {
		r.Table = ""
	}
	r.Family = p.ruleFamily()
	return nil
}

func (p *ipParser) ruleFamily() string {
	if p.q.Family == "" {
		return "inet"
	}
	return p.q.Family
}

func (p *ipParser) rulePrefix() (netip.Prefix, error) {
	arg, err := p.arg()
	if err != nil {
		return netip.Prefix{}, err
	}
	return p.prefix(arg, p.q.Family)
}

// ruleBound takes what bounds a rule's answer, up to Linux's largest signed number.
func (p *ipParser) ruleBound(complaint string) (*uint32, error) {
	v, err := p.number(1<<31-1, complaint)
	n := uint32(v)
	return &n, err
}

func (p *ipParser) ruleNumber(complaint string) (*uint32, error) {
	n, err := p.u32(complaint)
	return &n, err
}

// ruleDevice takes a name, which needs not be that of a device.
func (p *ipParser) ruleDevice(complaint string) (string, error) {
	arg, err := p.arg()
	if err != nil {
		return "", err
	}
	if arg == "" || len(arg) > 15 || strings.ContainsAny(arg, "/ \t\n\v\f\r") {
		return "", p.invalid(arg, complaint)
	}
	return arg, nil
}

func (p *ipParser) ruleMark(r *IPRule) error {
	arg, err := p.arg()
	if err != nil {
		return err
	}
	mark, mask, masked := strings.Cut(arg, "/")
	n, err := strconv.ParseUint(mark, 0, 32)
	if err != nil {
		return p.invalid(mark, "fwmark value is invalid\n")
	}
	r.Mark, r.Unmasked = uint32(n), !masked
	if n != 0 {
		r.Mask = 1<<32 - 1
	}
	if masked {
		m, err := strconv.ParseUint(mask, 0, 32)
		if err != nil {
			return p.invalid(mask, "fwmask value is invalid\n")
		}
		r.Mask = uint32(m)
	}
	return nil
}

// span takes FIRST-LAST, or one number.
func (p *ipParser) span(complaint string, limit uint64) (*IPSpan, error) {
	arg, err := p.arg()
	if err != nil {
		return nil, err
	}
	first, last, ranged := strings.Cut(arg, "-")
	if !ranged {
		last = first
	}
	a, err := strconv.ParseUint(first, 10, 32)
	b, err2 := strconv.ParseUint(last, 10, 32)
	if err != nil || err2 != nil || a > limit || b > limit || !ranged && limit > 1<<16 {
		return nil, p.invalid(arg, complaint)
	}
	return &IPSpan{uint32(a), uint32(b)}, nil
}

// realms takes [SRC/]DST into the high and low 16 bits.
func (p *ipParser) realms() (uint32, error) {
	arg, err := p.arg()
	if err != nil {
		return 0, err
	}
	var n uint64
	parts := strings.Split(arg, "/")
	for _, s := range parts {
		v, err := strconv.ParseUint(s, 0, 16)
		if err != nil || len(parts) > 2 {
			return 0, p.invalid(arg, "invalid realms\n")
		}
		n = n<<16 | v
	}
	return uint32(n), nil
}

// tosNames are those of /etc/iproute2/rt_dsfield.
var tosNames = []struct {
	n    uint8
	name string
}{
	{0, "default"}, {0x28, "AF11"}, {0x30, "AF12"}, {0x38, "AF13"}, {0x48, "AF21"}, {0x50, "AF22"}, {0x58, "AF23"},
	{0x68, "AF31"}, {0x70, "AF32"}, {0x78, "AF33"}, {0x88, "AF41"}, {0x90, "AF42"}, {0x98, "AF43"}, {0x20, "CS1"},
	{0x40, "CS2"}, {0x60, "CS3"}, {0x80, "CS4"}, {0xa0, "CS5"}, {0xc0, "CS6"}, {0xe0, "CS7"}, {0xb8, "EF"},
}

// tos takes a name, or a number in hexadecimal.
func (p *ipParser) tos(complaint string) (uint8, error) {
	arg, err := p.arg()
	if err != nil {
		return 0, err
	}
	for _, t := range tosNames {
		if t.name == arg {
			return t.n, nil
		}
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(arg, "0x"), 16, 8)
	if err != nil {
		return 0, p.invalid(arg, complaint)
	}
	return uint8(n), nil
}

func tosName(n uint8) string {
	for _, t := range tosNames {
		if t.n == n {
			return t.name
		}
	}
	return "0x" + string("0123456789abcdef"[n>>4]) + string("0123456789abcdef"[n&15])
}

// ipProtos are names of /etc/protocols.
var ipProtos = []struct {
	n    uint8
	name string
}{
	{1, "icmp"}, {2, "igmp"}, {4, "ipencap"}, {6, "tcp"}, {17, "udp"}, {33, "dccp"}, {41, "ipv6"}, {46, "rsvp"}, {47, "gre"},
	{50, "esp"}, {51, "ah"}, {58, "ipv6-icmp"}, {88, "eigrp"}, {89, "ospf"}, {94, "ipip"}, {98, "encap"}, {103, "pim"},
	{108, "ipcomp"}, {112, "vrrp"}, {115, "l2tp"}, {124, "isis"}, {132, "sctp"}, {136, "udplite"}, {139, "hip"},
}

func (p *ipParser) ipProto() (uint8, error) {
	arg, err := p.arg()
	if err != nil {
		return 0, err
	}
	n, ok := ipProtoNumber(arg)
	if !ok {
		return 0, p.invalid(arg, "Invalid \"ipproto\" value\n")
	}
	return n, nil
}

// ipProtoNumber returns the number of an IP protocol, by name, which may be in
// capitals as /etc/protocols has them too, or in digits.
func ipProtoNumber(name string) (uint8, bool) {
	for _, x := range ipProtos {
		if strings.EqualFold(x.name, name) {
			return x.n, true
		}
	}
	n, err := strconv.ParseUint(name, 10, 8)
	return uint8(n), err == nil
}

func ipProtoName(n uint8) string {
	at := slices.IndexFunc(ipProtos, func(x struct {
		n    uint8
		name string
	}) bool {
		return x.n == n
	})
	if at < 0 {
		return "ipproto-" + strconv.Itoa(int(n))
	}
	return ipProtos[at].name
}
