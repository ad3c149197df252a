package lang

import (
	"fmt"
	"slices"

	"github.com/knitnet/knit/netfilter/rule"
)

// A scope is what a rule has said so far: its statements, and what they say about the
// protocols of the packets that come so far.
type scope struct {
	ev     *evaluator
	family rule.Family
	table  string
	at     Span // of the statement
	stmts  []rule.Stmt
	// link, net and trans are the headers that are known, by nft's names; "" is not.
	link, net, trans string
	// transports are others that were said before, without being taken back.
	transports []string
	// icmp is the type of an ICMP message and 1; 0: it is not known.
	icmp int
	// ended is the place of a statement behind which nothing counts.
	ended *Span
	left  *Span // the left side of the relation that is checked
	// netAt is the expression that told of net.
	netAt Span
	// transAt is what told of trans.
	transAt Span
	// first: what is depended on goes in front of all other statements.
	first bool
	// late is what the kernel refuses, after all that nft itself finds.
	late error
	elem bool // an element of a set, not a rule: no dependencies
}

func (ev *evaluator) scope(f rule.Family, table string) *scope {
	sc := &scope{ev: ev, family: f, table: table}
	switch f {
	case rule.IP, rule.IP6, rule.ARP:
		sc.net = f.String()
	case rule.Bridge:
		sc.link = "ether"
	}
	return sc
}

func (sc *scope) add(s rule.Stmt) { sc.stmts = append(sc.stmts, s) }

// depend adds the match that a header needs.
func (sc *scope) depend(left rule.Expr, v uint64, at Span) {
	if sc.elem {
		return
	}
	m := sc.ev.impliedMatch(left, v)
	sc.learn(m, at)
	if sc.first {
		sc.stmts = append([]rule.Stmt{m}, sc.stmts...)
		return
	}
	sc.add(m)
}

// impliedMatch returns the match that a header needs.
func (ev *evaluator) impliedMatch(left rule.Expr, v uint64) *rule.Match {
	meta, ok := left.(*rule.Meta)
	if !ok {
		return &rule.Match{Left: left, Right: number(left.Type(), left.Bits(), v)}
	}
	k := implied{meta.Key, v}
	m := ev.implied[k]
	if m == nil {
		m = &rule.Match{Left: left, Right: number(left.Type(), left.Bits(), v)}
		ev.implied[k] = m
	}
	return m
}

// need makes sure that a header is there: by what is known, or by a match.
func (sc *scope) need(f *rule.Field, at Span) error {
	h := f.Header
	switch f.Base {
	case rule.LinkHeader:
		return sc.needLink(h, at)
	case rule.NetworkHeader:
		return sc.needNet(h, at)
	case rule.TransportHeader:
		if err := sc.needTrans(h, at); err != nil {
			return err
		}
		return sc.needICMP(f, at)
	}
	return nil
}

// anyICMP: it is known that a message has a type, of several.
const anyICMP = -1

func isICMPType(e rule.Expr) bool {
	p, ok := e.(*rule.Payload)
	return ok && p.Field != nil && p.Field.Name == "type" && (p.Field.Header == "icmp" || p.Field.Header == "icmpv6")
}

// needICMP makes sure that a message has the field, by its type.
func (sc *scope) needICMP(f *rule.Field, at Span) error {
	if f.Header[0] != 'i' { // icmp or icmpv6
		return nil
	}
	types := icmpTypes[f.Header+" "+f.Name]
	switch {
	case len(types) == 0 || sc.icmp == anyICMP || sc.elem:
		return nil
	case sc.icmp > 0 && !slices.Contains(types, uint64(sc.icmp-1)):
		return &Error{At: at, Msg: fmt.Sprintf("incompatible icmp match: rule has %d, need %d", sc.icmp-1, types[0])}
	case sc.icmp > 0:
		return nil
	}
	left := &rule.Payload{Field: rule.HeaderByName(f.Header).Field("type")}
	m := &rule.Match{Left: left, Right: number(left.Type(), 8, types[0])}
	if len(types) > 1 {
		lit := &rule.SetLit{Key: left.Type()}
		for _, v := range types {
			lit.Elems = append(lit.Elems, rule.Elem{Key: number(left.Type(), 8, v)})
		}
		slices.SortFunc(lit.Elems, func(a, b rule.Elem) int { return compareKeys(a.Key, b.Key) })
		m.Right = lit
	}
	sc.add(m)
	sc.icmp = int(types[0]) + 1
	return nil
}

// icmpTypes are the types of the messages that have a field, the request in front of
// the reply (RFC 792, RFC 4443).
var icmpTypes = map[string][]uint64{
	"icmp id": {8, 0}, "icmp sequence": {8, 0}, "icmp gateway": {5}, "icmp mtu": {3},
	"icmpv6 id": {128, 129}, "icmpv6 sequence": {128, 129}, "icmpv6 mtu": {2}, "icmpv6 parameter-problem": {4},
	"icmpv6 max-delay": {130},
}

func conflict(at Span, a, b string) error {
	return &Error{At: at, Msg: fmt.Sprintf("conflicting protocols specified: %s vs. %s", a, b)}
}

func (sc *scope) needLink(h string, at Span) error {
	switch sc.link {
	case unknown:
		return conflict(at, sc.link, "ether")
	case "":
		sc.depend(&rule.Meta{Key: rule.MetaIiftype}, 1, at)
		sc.link = "ether"
	}
	if h == "vlan" && sc.link != "vlan" {
		if sc.net != "" && sc.family == rule.Bridge {
			return conflict(at, sc.link, h)
		}
		sc.depend(&rule.Payload{Field: rule.HeaderByName("ether").Field("type")}, 0x8100, at)
		sc.link, sc.net = "vlan", ""
	}
	return nil
}

var etherTypes = map[string]uint64{"ip": 0x800, "ip6": 0x86dd, "arp": 0x806}

func (sc *scope) needNet(h string, at Span) error {
	switch {
	case sc.net == h:
		return nil
	case sc.net != "":
		return conflict(at, sc.net, h)
	case sc.link == unknown && (sc.family == rule.Inet || sc.family == rule.Netdev):
		return conflict(at, sc.link, h)
	case sc.family == rule.Inet:
		switch h {
		case "ip":
			sc.depend(&rule.Meta{Key: rule.MetaNFProto}, 2, at)
		case "ip6":
			sc.depend(&rule.Meta{Key: rule.MetaNFProto}, 10, at)
		default:
			return conflict(at, "inet", h)
		}
	case sc.link == "vlan":
		sc.depend(&rule.Payload{Field: rule.HeaderByName("vlan").Field("type")}, etherTypes[h], at)
	default:
		sc.depend(&rule.Meta{Key: rule.MetaProtocol}, etherTypes[h], at)
	}
	sc.net, sc.netAt = h, at
	return nil
}

var transports = map[string]uint64{"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "dccp": 33, "esp": 50, "ah": 51, "icmpv6": 58, "comp": 108,
	"sctp": 132, "udplite": 136}

func (sc *scope) needTrans(h string, at Span) error {
	switch {
	case h == "th":
		return nil
	case sc.trans != "":
		if said := sc.otherTransport(h); said != "" {
			return conflict(at, said, h)
		}
		return nil
	case sc.net == "arp":
		return conflict(at, sc.net, h)
	}
	if sc.net == "" {
		var err error
		switch h {
		case "icmp", "igmp":
			err = sc.needNet("ip", at)
		case "icmpv6":
			err = sc.needNet("ip6", at)
		}
		if err != nil {
			return err
		}
	}
	sc.depend(&rule.Meta{Key: rule.MetaL4Proto}, transports[h], at)
	sc.trans, sc.transAt = h, at
	return nil
}

// learn takes over what a match at a place says about headers.
func (sc *scope) learn(m *rule.Match, at Span) {
	v, ok := m.Right.(*rule.Value)
	if isICMPType(m.Left) && (m.Op == rule.Implicit || m.Op == rule.Eq) {
		sc.icmp = anyICMP
		if ok {
			sc.icmp = int(v.Data[0]) + 1
		}
	}
	if !ok || m.Op != rule.Implicit && m.Op != rule.Eq || v.Wild {
		return
	}
	if x, ok := m.Left.(*rule.Meta); ok && x.Key == rule.MetaProtocol && sc.family == rule.Inet {
		return
	}
	link, net, trans := known(m.Left, v)
	if link != "" && (sc.family != rule.Bridge || link == "vlan") {
		sc.link = link
	}
	if net != "" && net != sc.net && sc.family != rule.IP && sc.family != rule.IP6 && sc.family != rule.ARP {
		sc.net, sc.netAt = net, at
	}
	if trans != "" && trans != sc.trans {
		sc.transports = said(sc.transports, sc.trans)
		sc.trans, sc.transAt = trans, at
	}
}

// said adds a header to those that were said.
func said(list []string, h string) []string {
	if h == "" || slices.Contains(list, h) {
		return list
	}
	return append(list, h)
}

// otherTransport returns a transport that was said and is not h, or nothing.
func (sc *scope) otherTransport(h string) string {
	for _, s := range sc.transports {
		if s != h {
			return s
		}
	}
	if sc.trans == h {
		return ""
	}
	return sc.trans
}

// learnSet takes over what a set of protocols says.
func (sc *scope) learnSet(left rule.Expr, n *node, at Span) {
	if left.Bits() > 16 || left.Bits() == 0 {
		return
	}
	for _, k := range n.kids {
		if v, err := sc.value(sized(left), left.Bits(), keyNode(k)); err == nil {
			sc.learn(&rule.Match{Left: left, Right: v}, at)
		}
	}
}

// unknown is a header that nft has no name for.
const unknown = "unknown"

// known returns the headers that an expression with a value tells of.
func known(left rule.Expr, v *rule.Value) (link, net, trans string) {
	if len(v.Data) > 8 {
		return "", "", ""
	}
	n := toUint(v)
	switch e := left.(type) {
	case *rule.Meta:
		switch e.Key {
		case rule.MetaIiftype:
			if link = unknown; n == 1 {
				link = "ether"
			}
		case rule.MetaNFProto:
			net = familyHeader(n)
		case rule.MetaProtocol:
			net = byNumber(etherTypes, n)
		case rule.MetaL4Proto:
			if trans = transportHeader(n); trans == "" {
				trans = unknown
			}
		}
	case *rule.CT:
		if e.Key == rule.CTL3Proto {
			net = familyHeader(n)
		}
	case *rule.Payload:
		if e.Field == nil {
			break
		}
		switch f := e.Field; {
		case f.Type == rule.EtherType && f.Base == rule.LinkHeader:
			net = byNumber(etherTypes, n)
			if n == 0x8100 || n == 0x88a8 {
				link = "vlan"
			}
		case nextProtocol(e):
			trans = transportHeader(n)
		}
	}
	return link, net, trans
}

// familyHeader returns the header of an address family.
func familyHeader(n uint64) string {
	switch n {
	case 2:
		return "ip"
	case 10:
		return "ip6"
	}
	return unknown
}

// transportHeader returns the header of an IP protocol.
func transportHeader(n uint64) string {
	if n == 6 { // most rules ask for it
		return "tcp"
	}
	return byNumber(transports, n)
}

func byNumber(m map[string]uint64, n uint64) string {
	for name, v := range m {
		if v == n {
			return name
		}
	}
	return ""
}
