package flowtable

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Add implements netfilter.Flowtable.
func (t *table) Add(pkt *packet.Packet, c *netfilter.Conn, info netfilter.Info) {
	if info != netfilter.Established && info != netfilter.EstablishedReply {
		return
	}
	d := info.Dir()
	if c.Is(netfilter.Offload) {
		t.renew(pkt, c, d)
		return
	}
	if !t.fit(pkt, c) {
		return
	}
	n := t.flows.net
	path := t.wayOf(pkt, c, d)
	if path == nil || path.Device.Index() != pkt.Out {
		return
	}
	var in [2]int32
	in[d], in[1-d] = pkt.In, pkt.Out
	f := newFlow(c, in, n.Clock.Now())
	f.halves[d].path.Store(path)
	back := t.imagine(c, 1-d, pkt)
	f.halves[1-d].path.Store(t.wayOf(back, c, 1-d))
	back.Consume()
	t.insert(f)
}

// fit reports whether a packet at FORWARD shows that those of its connection can skip
// the rules. Where the next hop is on the link that the packet came by, its sender is
// to be told, which is the slow way's affair.
func (t *table) fit(pkt *packet.Packet, c *netfilter.Conn) bool {
	v := c.Tuples[0].Version
	if !t.cfg.Versions[v] || !t.watches(pkt.In) || pkt.In == pkt.Out || pkt.Out == 0 {
		return false
	}
	b := pkt.Head()
	l4 := wire.IPv6Len
	if v == network.V4 {
		l4 = wire.IPv4Len
		if b[0] != 4<<4|wire.IPv4Len/4 {
			return false // options
		}
	} else if b[6] != c.Tuples[0].Proto {
		return false // extension headers
	}
	if c.Tuples[0].Proto != wire.ProtoTCP {
		return c.Tuples[0].Proto == wire.ProtoUDP
	}
	return pkt.Ensure(l4+wire.TCPLen) && pkt.Head()[l4+13]&(wire.TCPFin|wire.TCPSyn|wire.TCPRst) == 0
}

// renew gives the half of a packet that had to take the slow way its path of now. A
// connection that is in another flowtable, or comes in by another device, stays as it
// is.
func (t *table) renew(pkt *packet.Packet, c *netfilter.Conn, d netfilter.Dir) {
	k := keyOf(&c.Tuples[d], pkt.In)
	h := t.index.find(&k)
	if h == nil || h.flow.conn != c {
		return
	}
	h.flow.touch(t.flows.net.Clock.Now())
	if p := h.path.Load(); (p == nil || !p.Valid()) && t.fit(pkt, c) {
		h.path.Store(t.wayOf(pkt, c, d))
	}
}

// wayOf returns the path of a packet as it is at FORWARD, or nil if it has none that a
// flow can keep: NAT drops what leaves by another device than that whose address its
// connection was given.
func (t *table) wayOf(pkt *packet.Packet, c *netfilter.Conn, d netfilter.Dir) *network.Path {
	path, err := t.flows.net.ForwardPath(c.Tuples[0].Version, pkt)
	if err == nil && d == netfilter.Original && c.MasqIndex != 0 && path.Device.Index() != c.MasqIndex {
		return nil
	}
	if err != nil || path.Type != route.Unicast || path.Device == t.flows.net.Loopback() {
		return nil
	}
	return path
}

// imagine returns the headers of a packet of the direction in which none is at hand,
// as it is at FORWARD: its destination is translated. It comes in by the device that
// pkt leaves by, and has its mark.
func (t *table) imagine(c *netfilter.Conn, d netfilter.Dir, pkt *packet.Packet) *packet.Packet {
	in, out := &c.Tuples[d], leaving(c, d)
	p := t.flows.net.Pool.Get()
	p.In, p.Mark = pkt.Out, pkt.Mark
	if in.Version == network.V4 {
		p.Proto = wire.EtherTypeIPv4
		b := p.Extend(wire.IPv4Len + wire.UDPLen)
		wire.PutIPv4(b, &wire.IPv4Fields{
			TotalLen: uint16(len(b)), TTL: 64, Protocol: in.Proto, Src: [4]byte(in.Src[:4]), Dst: [4]byte(out.Dst[:4]),
		})
	} else {
		p.Proto = wire.EtherTypeIPv6
		b := p.Extend(wire.IPv6Len + wire.UDPLen)
		wire.PutIPv6(b, &wire.IPv6Fields{
			PayloadLen: wire.UDPLen, NextHeader: in.Proto, HopLimit: 64, Src: in.Src, Dst: out.Dst,
		})
	}
	p.L3 = uint16(p.Offset())
	l4 := p.Head()[p.Len()-wire.UDPLen:]
	p.L4 = p.L3 + uint16(p.Len()-wire.UDPLen)
	clear(l4)
	binary.BigEndian.PutUint32(l4, ports(in.SrcPort, out.DstPort))
	return p
}
