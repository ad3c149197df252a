package ip6

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Output puts an IPv6 header in front of each packet and sends them; see
// network.Family.
//
// A Send whose Proto is an extension header's says that the packets begin with
// that header.
func (p *ip6) Output(s *network.Send, q *packet.Queue) {
	p.mib.outRequests.Add(uint64(q.Len()))
	conf := p.conf.Of(s.Path.Device.Index())
	if conf.DisableIPv6.Load() != 0 {
		p.discard(q, p.disabled)
		return
	}
	if s.HeaderIncluded {
		p.markHeaders(s, q)
	} else {
		p.pushHeaders(s, uint8(conf.HopLimit.Load()), q)
	}
	if !p.hooks.Output.Empty() {
		p.runOutput(s, q)
		return
	}
	p.send(s, q)
}

// send sends packets along the path they were made for.
func (p *ip6) send(s *network.Send, q *packet.Queue) {
	p.run(&p.hooks.Postrouting, q)
	if q.Empty() {
		return
	}
	if s.Path.Type == route.Multicast && !p.loopBack(s, q) {
		q.Consume()
		return
	}
	p.finish(s, q)
}

func (p *ip6) pushHeaders(s *network.Send, hops uint8, q *packet.Queue) {
	f := wire.IPv6Fields{
		TrafficClass: s.TOS, NextHeader: s.Proto, HopLimit: s.TTL, FlowLabel: s.FlowLabel,
		Src: s.Path.Src.As16(), Dst: s.Path.Dst.As16(),
	}
	if f.HopLimit == 0 && !s.NoHops {
		f.HopLimit = hops
		if s.Path.Type == route.Multicast {
			f.HopLimit = 1 // RFC 3493 §5.2
		}
	}
	var addrs uint64
	if s.FlowLabel == 0 {
		addrs = maphash.Bytes(p.seed, f.Src[:]) ^ maphash.Bytes(p.seed, f.Dst[:])*3
	}
	out := s.Path.Device.Index()
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if pkt.Len() > wire.IPv6MaxPayload {
			p.mib.outDiscards.Inc()
			pkt.Drop(stat.PktTooBig)
			continue
		}
		if s.FlowLabel == 0 {
			f.FlowLabel = flowLabel(addrs, s.Proto, pkt.Head())
		}
		f.PayloadLen = uint16(pkt.Len())
		if !wire.IsIPv6Ext(s.Proto) {
			pkt.L4 = uint16(pkt.Offset())
		}
		wire.PutIPv6(pkt.Push(wire.IPv6Len), &f)
		pkt.L3 = uint16(pkt.Offset())
		pkt.Proto, pkt.Out = wire.EtherTypeIPv6, out
		q.Push(pkt)
	}
}

// markHeaders notes where the headers are that packets brought along.
func (p *ip6) markHeaders(s *network.Send, q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if !pkt.Ensure(wire.IPv6Len) || pkt.Len() > wire.IPv6Len+wire.IPv6MaxPayload || pkt.Head()[0]>>4 != 6 {
			p.mib.outDiscards.Inc()
			pkt.Drop(stat.IPInHdr)
			continue
		}
		pkt.L3 = uint16(pkt.Offset())
		pkt.Proto, pkt.Out = wire.EtherTypeIPv6, s.Path.Device.Index()
		q.Push(pkt)
	}
}

// flowLabel labels a flow by what distinguishes it (RFC 6437 §3): "It is therefore
// RECOMMENDED that source hosts support the flow label by setting the flow label
// field for all packets of a given flow to the same value chosen from an
// approximation to a discrete uniform distribution."
func flowLabel(addrs uint64, proto uint8, transport []byte) uint32 {
	var ports uint64
	switch proto {
	case wire.ProtoTCP, wire.ProtoUDP, wire.ProtoSCTP, wire.ProtoUDPLite:
		if len(transport) >= 4 {
			ports = uint64(binary.BigEndian.Uint32(transport))
		}
	}
	return max(mix(addrs, ports<<8|uint64(proto))&0xfffff, 1)
}

// mix hashes two words into one.
func mix(a, b uint64) uint32 {
	h := (a ^ b*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return uint32(h >> 32)
}

// finish cuts what is larger than the path MTU, as the mode allows, and sends.
func (p *ip6) finish(s *network.Send, q *packet.Queue) {
	mtu := s.Path.MTU()
	if s.Fragment == network.FragmentProbe {
		mtu = s.Path.Device.MTU()
	}
	p.countOut(q)
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		if sentLen(pkt) > mtu {
			p.cut(s, mtu, q)
			break
		}
	}
	if !q.Empty() {
		s.Path.Transmit(q)
	}
}

func (p *ip6) countOut(q *packet.Queue) {
	octets := uint64(0)
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		n := uint64(pkt.Len())
		octets += n
		if pkt.Head()[24] == 0xff {
			p.mib.outMcastPkts.Inc()
			p.mib.outMcastOctets.Add(n)
		}
	}
	p.mib.outOctets.Add(octets)
}

func (p *ip6) discard(q *packet.Queue, why stat.Reason) {
	p.mib.outDiscards.Add(uint64(q.Len()))
	q.Drop(why)
}

// sentLen is the length of the packet, or of each segment it will be cut into, in
// bytes. Both begin with the network header.
func sentLen(pkt *packet.Packet) int {
	if pkt.GSO == packet.GSONone {
		return pkt.Len()
	}
	at := int(pkt.L4) - pkt.Offset()
	if pkt.L4 == 0 || at < wire.IPv6Len || at > pkt.HeadLen() {
		at = wire.IPv6Len // forwarded: no extension headers, or GRO had not merged it
	}
	n := at + wire.UDPLen
	if pkt.GSO != packet.GSOUDP {
		n = at + wire.TCPLen
		if at+13 <= pkt.HeadLen() {
			n = at + int(pkt.Head()[at+12]>>4)*4
		}
	}
	return min(pkt.Len(), n+int(pkt.GSOSize))
}
