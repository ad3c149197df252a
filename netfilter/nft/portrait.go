package nft

import (
	"fmt"
	"strings"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/lang"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// What a trace says of headers, in nft's order.
var (
	traced4    = []string{"saddr", "daddr", "dscp", "ecn", "ttl", "id", "protocol", "length"}
	traced6    = []string{"saddr", "daddr", "dscp", "ecn", "hoplimit", "flowlabel", "nexthdr", "length"}
	tracedARP  = []string{"htype", "ptype", "hlen", "plen", "operation"}
	tracedTCP  = []string{"sport", "dport", "flags", "window"}
	tracedUDP  = []string{"sport", "dport", "length"}
	tracedICMP = []string{"type", "code", "id", "sequence"}
)

// tracedBytes is how much of a transport header a trace looks at.
const tracedBytes = 20

// A portrait describes a packet as `nft monitor trace` does: a list of matches that it
// would meet, each followed by a space.
type portrait struct {
	ev     *eval
	family rule.Family
	list   lang.Listing
	text   strings.Builder
}

func (ev *eval) portrait(f rule.Family) string {
	ev.parse()
	p := &portrait{ev: ev, family: f, list: ev.m.listing(&netfilter.NFTRequest{})}
	if ev.in != 0 {
		fmt.Fprintf(&p.text, "iif %q ", ev.m.deviceName(ev.in))
	}
	if ev.out != 0 {
		fmt.Fprintf(&p.text, "oif %q ", ev.m.deviceName(ev.out))
	}
	if ev.linkHeader(0, wire.EthernetLen) != nil && ev.in != 0 {
		p.fields("ether", "saddr", "daddr")
	}
	known := ev.hasL4 && !ev.notHead
	switch ev.net {
	case wire.EtherTypeIPv4:
		p.network("ip", traced4, "protocol", known && f == rule.IP)
	case wire.EtherTypeIPv6:
		p.network("ip6", traced6, "nexthdr", known && f == rule.IP6)
	case wire.EtherTypeARP:
		p.fields("arp", tracedARP...)
	}
	if known {
		p.transport()
	}
	return p.text.String()
}

// network writes a network header; without its protocol if what follows says it.
func (p *portrait) network(header string, names []string, protocol string, said bool) {
	for _, name := range names {
		if name != protocol || !said {
			p.fields(header, name)
		}
	}
}

func (p *portrait) transport() {
	done := 0
	switch p.ev.l4Proto {
	case wire.ProtoTCP:
		p.fields("tcp", tracedTCP...)
		return
	case wire.ProtoUDP:
		p.fields("udp", tracedUDP...)
		done = wire.UDPLen
	case wire.ProtoICMP:
		done = p.icmp("icmp", 8, 0)
	case wire.ProtoICMPv6:
		done = p.icmp("icmpv6", 128, 129)
	}
	n := min(p.ev.pkt.Len()-p.ev.l4Off, tracedBytes) - done
	if n <= 0 {
		return
	}
	if b := p.ev.header(rule.TransportHeader, done, n); b != nil {
		digits := strings.TrimLeft(fmt.Sprintf("%x", b), "0")
		fmt.Fprintf(&p.text, "@th,%d,%d 0x%s ", done*8, n*8, max(digits, "0"))
	}
}

// icmp writes an ICMP header: the identifier and the sequence are those of echoes.
func (p *portrait) icmp(header string, request, reply byte) (done int) {
	b := p.ev.header(rule.TransportHeader, 0, 1)
	if b == nil || b[0] != request && b[0] != reply {
		p.fields(header, tracedICMP[:2]...)
		return 4
	}
	p.fields(header, tracedICMP...)
	return wire.ICMPLen
}

// fields writes fields of a header as matches.
func (p *portrait) fields(header string, names ...string) {
	for _, name := range names {
		f := rule.HeaderByName(header).Field(name)
		load, data := loadPayload(&rule.Payload{Field: f}), make([]byte, bytesFor(f.Bits))
		if !load(p.ev, data) {
			continue
		}
		m := &rule.Match{Left: &rule.Payload{Field: f}, Right: &rule.Value{T: f.Type, Data: data, N: f.Bits}}
		if f.Type.Bitmask() {
			m.Op = rule.Eq
		}
		p.text.WriteString(strings.TrimSpace(p.list.Rule(p.family, &rule.Rule{Stmts: []rule.Stmt{m}})) + " ")
	}
}
