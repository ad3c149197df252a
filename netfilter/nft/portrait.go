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
	tracedARP  = []string{"operation"}
	tracedVLAN = []string{"pcp", "dei", "id"}
)

// tracedTransports are the transport headers that a trace names, and their lengths: of
// ICMP, whatever the type, nft takes what is behind the code for this.
var tracedTransports = map[uint8]struct {
	header string
	fields []string
	length int
}{
	wire.ProtoTCP:    {"tcp", []string{"sport", "dport", "flags", "window"}, wire.TCPLen},
	wire.ProtoUDP:    {"udp", []string{"sport", "dport", "length"}, wire.UDPLen},
	wire.ProtoICMP:   {"icmp", []string{"type", "code", "id", "sequence"}, wire.ICMPLen},
	wire.ProtoICMPv6: {"icmpv6", []string{"type", "code", "parameter-problem"}, wire.ICMPLen},
	wire.ProtoESP:    {"esp", []string{"spi", "sequence"}, 8},
	wire.ProtoSCTP:   {"sctp", []string{"sport", "dport", "vtag"}, 12},
}

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
		if ev.pulled == wire.VLANLen {
			p.fields("vlan", tracedVLAN...)
		}
	}
	known := ev.hasL4 && !ev.notHead
	_, named := tracedTransports[ev.l4Proto]
	named = named && known
	switch ev.net {
	case wire.EtherTypeIPv4:
		p.network("ip", traced4, "protocol", named && f == rule.IP)
		if n := ev.l4Off - wire.IPv4Len; n > 0 {
			p.raw(rule.NetworkHeader, wire.IPv4Len, n)
		}
	case wire.EtherTypeIPv6:
		if ev.l4Off > wire.IPv6Len { // nft knows the header behind the fixed one alone
			p.network("ip6", traced6, "nexthdr", false)
			p.rest(0)
			return p.text.String()
		}
		p.network("ip6", traced6, "nexthdr", named && f == rule.IP6)
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
	h := tracedTransports[p.ev.l4Proto] // none: all of it is bytes
	p.fields(h.header, h.fields...)
	p.rest(h.length)
}

// rest writes what a trace looks at of a transport header behind the first bytes.
func (p *portrait) rest(done int) {
	if n := min(p.ev.pkt.Len()-p.ev.l4Off, tracedBytes) - done; n > 0 {
		p.raw(rule.TransportHeader, done, n)
	}
}

// raw writes bytes that are no field.
func (p *portrait) raw(base rule.Base, off, n int) {
	if b := p.ev.header(base, off, n); b != nil {
		digits := strings.TrimLeft(fmt.Sprintf("%x", b), "0")
		fmt.Fprintf(&p.text, "@%v,%d,%d 0x%s ", base, off*8, n*8, max(digits, "0"))
	}
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
			if _, one := f.Type.Symbol(number(data)); !one { // several bits are a number in a trace
				fmt.Fprintf(&p.text, "%s %s == %#x ", header, name, number(data))
				continue
			}
		}
		p.text.WriteString(strings.TrimSpace(p.list.Rule(p.family, &rule.Rule{Stmts: []rule.Stmt{m}})) + " ")
	}
}
