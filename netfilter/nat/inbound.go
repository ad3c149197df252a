package nat

import (
	"net/netip"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// A gate is what the filter of a mapping says to a packet from outside.
type gate uint8

const (
	noMapping gate = iota
	opened         // it may come in
	filtered       // it may not
)

// accept lets a new connection come in by a mapping whose filter allows it (RFC 4787
// §5). What it does not allow is none of this host's business either: to answer would
// tell strangers of the mapping, and RFC 5382 REQ-4 forbids it for SYN segments.
func (t *translator) accept(pkt *packet.Packet, c *netfilter.Conn) gate {
	o := &c.Tuples[netfilter.Original]
	if t.mappings.n.Load() == 0 || !portsOf(o.Proto) {
		return noMapping
	}
	var r netfilter.NATRange
	g := t.mappings.enter(t, pkt, c, &r)
	if g == opened && !t.Setup(pkt, c, netfilter.ManipDst, &r) {
		return filtered
	}
	return g
}

// enter asks the mapping that a connection goes to. If it may come in, r is where
// it goes.
func (m *mappings) enter(t *translator, pkt *packet.Packet, c *netfilter.Conn, r *netfilter.NATRange) gate {
	now := t.clock.Now()
	o := &c.Tuples[netfilter.Original]
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(now)
	x := m.byOut[outside{o.Dst, o.DstPort, o.Zone, o.Proto, o.Version}]
	if x == nil {
		return noMapping
	}
	from := far{o.Src, o.SrcPort}
	if x.hairpin(pkt) {
		from = m.ownFace(x, o, now)
	}
	if !x.lets(from, now) {
		return filtered
	}
	m.use(c, netfilter.ManipDst, use{x, from}, now)
	r.SetAddrs(x.source.addr[:], x.source.addr[:])
	r.SetPorts(x.source.port, x.source.port)
	return opened
}

// ownFace is what a host of the inside looks like to another one: its own outer
// address. That it has sent there opens its own filter.
func (m *mappings) ownFace(x *mapping, o *netfilter.Tuple, now clock.Time) far {
	y := m.bySrc[sourceOf(o, o.Dst, &x.rule)]
	if y == nil {
		return far{x.outside.addr, 0} // it will have the address, and a port that nobody knows
	}
	y.letIn(far{x.outside.addr, x.outside.port}, now)
	return far{y.outside.addr, y.outside.port}
}

// hairpin reports whether a packet to a mapping comes from inside.
func (x *mapping) hairpin(pkt *packet.Packet) bool { return x.by != 0 && pkt.In != x.by }

// turn gives a connection between two hosts of the inside that goes by the outer
// address of one the outer address of the other as its source: RFC 4787 REQ-9 wants
// "External source IP address and port". False: it is none, or no port is free.
func (t *translator) turn(pkt *packet.Packet, c *netfilter.Conn) bool {
	m := &t.mappings
	if m.n.Load() == 0 {
		return false
	}
	m.mu.Lock()
	all := m.uses[c]
	var r netfilter.NATRange
	found := all != nil && all[netfilter.ManipDst].mapping != nil && all[netfilter.ManipDst].hairpin(pkt)
	if found {
		r = all[netfilter.ManipDst].rule
	}
	m.mu.Unlock()
	return found && t.Setup(pkt, c, netfilter.ManipSrc, &r)
}

// ownSocket reports whether a socket of this host is bound to a tuple's source: a
// mapping must not take its place.
func (t *translator) ownSocket(x *netfilter.Tuple) bool {
	if !portsOf(x.Proto) {
		return false
	}
	from, to := netip.AddrPortFrom(x.DstAddr(), x.DstPort), netip.AddrPortFrom(x.SrcAddr(), x.SrcPort)
	_, state := t.net.FindSocket(x.Version, x.Proto, from, to, 0, network.AnySocket)
	return state != network.NoSocket
}
