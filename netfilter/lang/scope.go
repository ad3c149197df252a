package lang

import (
	"fmt"

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
	// icmpType: the type of an ICMP message is known.
	icmpType bool
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
func (sc *scope) depend(left rule.Expr, v uint64) {
	if sc.elem {
		return
	}
	m := &rule.Match{Left: left, Right: number(left.Type(), left.Bits(), v)}
	sc.learn(m)
	if sc.first {
		sc.stmts = append([]rule.Stmt{m}, sc.stmts...)
		return
	}
	sc.add(m)
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
		sc.needICMP(f)
	}
	return nil
}

// needICMP makes sure that a message has the field, by its type.
func (sc *scope) needICMP(f *rule.Field) {
	types := icmpTypes[f.Header+" "+f.Name]
	if len(types) == 0 || sc.icmpType || sc.elem {
		return
	}
	left := &rule.Payload{Field: rule.HeaderByName(f.Header).Field("type")}
	m := &rule.Match{Left: left, Right: number(left.Type(), 8, types[0])}
	if len(types) > 1 {
		lit := &rule.SetLit{Key: left.Type()}
		for _, v := range types {
			lit.Elems = append(lit.Elems, rule.Elem{Key: number(left.Type(), 8, v)})
		}
		m.Right = lit
	}
	sc.add(m)
	sc.icmpType = true
}

// icmpTypes are the types of the messages that have a field (RFC 792, RFC 4443).
var icmpTypes = map[string][]uint64{
	"icmp id": {0, 8}, "icmp sequence": {0, 8}, "icmp gateway": {5}, "icmp mtu": {3},
	"icmpv6 id": {128, 129}, "icmpv6 sequence": {128, 129}, "icmpv6 mtu": {2}, "icmpv6 parameter-problem": {4},
	"icmpv6 max-delay": {130},
}

func conflict(at Span, a, b string) error {
	return &Error{At: at, Msg: fmt.Sprintf("conflicting protocols specified: %s vs. %s", a, b)}
}

func (sc *scope) needLink(h string, at Span) error {
	if sc.link == "" {
		sc.depend(&rule.Meta{Key: rule.MetaIiftype}, 1)
		sc.link = "ether"
	}
	if h == "vlan" && sc.link != "vlan" {
		if sc.net != "" && sc.family == rule.Bridge {
			return conflict(at, sc.link, h)
		}
		sc.depend(&rule.Payload{Field: rule.HeaderByName("ether").Field("type")}, 0x8100)
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
	case sc.family == rule.Inet:
		switch h {
		case "ip":
			sc.depend(&rule.Meta{Key: rule.MetaNFProto}, 2)
		case "ip6":
			sc.depend(&rule.Meta{Key: rule.MetaNFProto}, 10)
		default:
			return conflict(at, "inet", h)
		}
	case sc.link == "vlan":
		sc.depend(&rule.Payload{Field: rule.HeaderByName("vlan").Field("type")}, etherTypes[h])
	default:
		sc.depend(&rule.Meta{Key: rule.MetaProtocol}, etherTypes[h])
	}
	sc.net, sc.netAt = h, at
	return nil
}

var transports = map[string]uint64{"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "dccp": 33, "esp": 50, "ah": 51, "icmpv6": 58, "comp": 108,
	"sctp": 132, "udplite": 136}

func (sc *scope) needTrans(h string, at Span) error {
	switch {
	case h == "th" || sc.trans == h:
		return nil
	case sc.trans != "":
		return conflict(at, sc.trans, h)
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
	sc.depend(&rule.Meta{Key: rule.MetaL4Proto}, transports[h])
	sc.trans, sc.transAt = h, at
	return nil
}

// learn takes over what a match says about headers.
func (sc *scope) learn(m *rule.Match) {
	if p, ok := m.Left.(*rule.Payload); ok && p.Field != nil && p.Field.Name == "type" && (p.Field.Header == "icmp" || p.Field.Header == "icmpv6") {
		sc.icmpType = true
	}
	v, ok := m.Right.(*rule.Value)
	if !ok || m.Op != rule.Implicit && m.Op != rule.Eq || v.Wild {
		return
	}
	link, net, trans := known(m.Left, v)
	if link != "" {
		sc.link = link
	}
	if net != "" {
		sc.net = net
	}
	if trans != "" && sc.trans == "" {
		sc.trans = trans
	}
}

// learnSet takes over what a set of protocols says: nft takes the last for all.
func (sc *scope) learnSet(left rule.Expr, n *node) {
	if left.Bits() > 16 || left.Bits() == 0 {
		return
	}
	for _, k := range n.kids {
		if v, err := sc.value(sized(left), left.Bits(), keyNode(k)); err == nil {
			if _, _, trans := known(left, v); trans != "" {
				sc.trans = ""
			}
			sc.learn(&rule.Match{Left: left, Right: v})
		}
	}
}

// known returns the headers that an expression with a value tells of.
func known(left rule.Expr, v *rule.Value) (link, net, trans string) {
	if len(v.Data) > 8 {
		return "", "", ""
	}
	n := toUint(v)
	switch e := left.(type) {
	case *rule.Meta:
		switch e.Key {
		case rule.MetaIiftype, rule.MetaOiftype:
			if n == 1 {
				link = "ether"
			}
		case rule.MetaNFProto:
			net = map[uint64]string{2: "ip", 10: "ip6"}[n]
		case rule.MetaProtocol:
			net = byNumber(etherTypes, n)
		case rule.MetaL4Proto:
			trans = byNumber(transports, n)
		}
	case *rule.Payload:
		if e.Field == nil {
			break
		}
		switch e.Field.Header + " " + e.Field.Name {
		case "ether type", "vlan type":
			net = byNumber(etherTypes, n)
			if n == 0x8100 || n == 0x88a8 {
				link = "vlan"
			}
		case "ip protocol", "ip6 nexthdr":
			trans = byNumber(transports, n)
		}
	}
	return link, net, trans
}

func byNumber(m map[string]uint64, n uint64) string {
	for name, v := range m {
		if v == n {
			return name
		}
	}
	return ""
}
