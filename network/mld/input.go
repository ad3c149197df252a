package mld

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/wire"
)

// ignore ends what listeners need not know.
func ignore(pkt *packet.Packet) { pkt.Consume() }

// query takes a query of a router.
func (m *mld) query(pkt *packet.Packet) {
	dev, ok := m.fromLink(pkt)
	if !ok {
		pkt.Drop(stat.IPv6BadExthdr)
		return
	}
	b, release := msg6.Bytes(pkt)
	q, ok := wire.ParseMLDQuery(b)
	if ok && (q.Group().IsUnspecified() || q.Group().IsMulticast()) {
		m.mu.Lock()
		if p := m.ports[dev]; p != nil {
			p.configure()
			p.state.query(m.net.Clock.Now(), q)
			p.arm()
		}
		m.mu.Unlock()
	}
	release()
	if !ok {
		pkt.Drop(stat.PktTooSmall)
		return
	}
	pkt.Consume()
}

// report takes another listener's report of version 1.
func (m *mld) report(pkt *packet.Packet) {
	dev, ok := m.fromLink(pkt)
	if !ok {
		pkt.Drop(stat.IPv6BadExthdr)
		return
	}
	b, release := msg6.Bytes(pkt)
	if r, ok := wire.ParseMLD(b); ok {
		m.mu.Lock()
		if p := m.ports[dev]; p != nil {
			p.state.heard(m.net.Clock.Now(), r.Group())
			p.arm()
		}
		m.mu.Unlock()
	}
	release()
	pkt.Consume()
}

// fromLink checks that a message comes from a neighbour: "the node checks if the
// source address of the message is a valid link-local address, if the Hop Limit is
// set to 1, and if the Router Alert option is present in the Hop-By-Hop Options
// header of the IPv6 packet. If any of these checks fails, the packet is dropped"
// (RFC 3810 §6.2).
func (m *mld) fromLink(pkt *packet.Packet) (*link.Device, bool) {
	ip, ok := wire.ParseIPv6(pkt.At(pkt.L3))
	dev := m.net.Link.Device(pkt.In)
	if !ok || dev == nil || ip.HopLimit() != wire.MLDHopLimit || !ip.Src().IsLinkLocalUnicast() {
		return nil, false
	}
	w := ip.WalkExts()
	x, ok := w.Next()
	if !ok || x.Type() != wire.ProtoHopByHop {
		return nil, false
	}
	options := x.WalkOptions()
	for o, ok := options.Next(); ok; o, ok = options.Next() {
		if o.Type() == wire.IPv6OptRouterAlert {
			return dev, true
		}
	}
	return nil, false
}
