package ip4

import (
	"encoding/binary"
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Output puts an IPv4 header in front of each packet and sends them; see
// network.Family.
func (p *ip4) Output(s *network.Send, q *packet.Queue) {
	p.mib.outRequests.Add(uint64(q.Len()))
	mtu := s.Path.MTU()
	if s.Fragment == network.FragmentProbe {
		mtu = s.Path.Device.MTU()
	}
	if s.HeaderIncluded {
		p.completeHeaders(s, q)
	} else {
		p.pushHeaders(s, q, mtu)
	}
	if !p.hooks.Output.Empty() {
		p.runOutput(s, mtu, q)
		return
	}
	p.send(s, mtu, q)
}

// send transmits packets that keep the path they were sent with.
func (p *ip4) send(s *network.Send, mtu int, q *packet.Queue) {
	if s.Path.Type != route.Unicast && s.Path.Type != route.Local {
		p.castOut(s.Path, s.NoLoop, q)
	}
	p.egress(s.Path, mtu, q)
}

func (p *ip4) pushHeaders(s *network.Send, q *packet.Queue, mtu int) {
	f := wire.IPv4Fields{
		TOS: s.TOS, TTL: s.TTL, Protocol: s.Proto, Src: s.Path.Src.As4(), Dst: s.Path.Dst.As4(), Options: s.Options,
	}
	if f.TTL == 0 && !s.NoHops {
		f.TTL = uint8(p.settings.ttl.Load())
		if s.Path.Type == route.Multicast {
			f.TTL = 1 // RFC 1112 §6.1
		}
	}
	n := f.HeaderLen()
	tooLong := false
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		total := pkt.Len() + n
		if total > wire.IPv4MaxTotal {
			tooLong, pkt.L3 = true, 0
			continue
		}
		f.TotalLen = uint16(total)
		f.DF = dontFragment(s, total <= mtu || pkt.GSO != packet.GSONone)
		f.ID = 0
		if !f.DF {
			f.ID = p.idents.take(f.Src, f.Dst, f.Protocol, uint32(max(pkt.GSOSegs, 1)))
		}
		pkt.L4 = uint16(pkt.Offset())
		wire.PutIPv4(pkt.Push(n), &f)
		pkt.L3 = uint16(pkt.Offset())
		pkt.Proto = wire.EtherTypeIPv4
		pkt.Out = s.Path.Device.Index()
	}
	if n > wire.IPv4Len {
		p.originOptions(q, f.Src)
	}
	if tooLong {
		p.dropTooLong(q)
	}
}

// dontFragment reports whether DF is set in a packet that fits or does not.
func dontFragment(s *network.Send, fits bool) bool {
	switch s.Fragment {
	case network.FragmentDont:
		return false
	case network.FragmentWant:
		return fits && !s.Path.MTULocked()
	}
	return true
}

// dropTooLong drops the packets that got no header, because no IPv4 packet can be
// as long.
func (p *ip4) dropTooLong(q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if pkt.L3 != 0 && pkt.Len() <= wire.IPv4MaxTotal {
			q.Push(pkt)
			continue
		}
		p.discard(pkt, stat.PktTooBig)
	}
}

// originOptions makes this host the first in the route and timestamp options of
// its packets.
func (p *ip4) originOptions(q *packet.Queue, src [4]byte) {
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		h, ok := wire.ParseIPv4(pkt.Head())
		if ok && optionsFine(h) {
			p.record(h, src)
		}
	}
}

func optionsFine(h wire.IPv4) bool {
	w := h.WalkOptions()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		if _, fine := o.Check(); !fine {
			return false
		}
	}
	_, bad := w.Bad()
	return !bad
}

// completeHeaders fills in what the kernel decides about packets that have their
// header: length and checksum always, source and identification where they are
// zero (raw(7)). They are never fragmented.
func (p *ip4) completeHeaders(s *network.Send, q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if why, ok := p.completeHeader(s, pkt); !ok {
			p.discard(pkt, why)
			continue
		}
		q.Push(pkt)
	}
}

func (p *ip4) completeHeader(s *network.Send, pkt *packet.Packet) (why stat.Reason, ok bool) {
	if !pkt.Ensure(wire.IPv4Len) {
		return stat.PktTooSmall, false
	}
	n := int(pkt.Head()[0]&0xf) * 4
	switch {
	case n < wire.IPv4Len || !pkt.Ensure(n):
		return stat.IPInHdr, false
	case pkt.Len() > min(s.Path.Device.MTU(), wire.IPv4MaxTotal):
		p.mib.fragFails.Inc()
		return stat.PktTooBig, false
	}
	b := pkt.Head()
	binary.BigEndian.PutUint16(b[2:4], uint16(pkt.Len()))
	h, ok := wire.ParseIPv4(b)
	if !ok {
		return stat.IPInHdr, false
	}
	if h.Src4() == [4]byte{} {
		*(*[4]byte)(b[12:16]) = s.Path.Src.As4()
	}
	if h.ID() == 0 {
		binary.BigEndian.PutUint16(b[4:6], p.idents.take(h.Src4(), h.Dst4(), h.Protocol(), 1))
	}
	h.UpdateHeaderChecksum()
	pkt.L3 = uint16(pkt.Offset())
	pkt.L4 = pkt.L3 + uint16(n)
	pkt.Proto = wire.EtherTypeIPv4
	pkt.Out = s.Path.Device.Index()
	return 0, true
}

// discard drops a packet of this host that cannot be sent.
func (p *ip4) discard(pkt *packet.Packet, why stat.Reason) {
	p.mib.outDiscards.Inc()
	pkt.Drop(why)
}

// runOutput asks the Output hooks, and finds another path for the packets for which
// they want one, as Linux's ip_route_me_harder does.
func (p *ip4) runOutput(s *network.Send, mtu int, q *packet.Queue) {
	p.run(&p.hooks.Output, q)
	moved := network.TakeRerouted(q)
	if !q.Empty() {
		p.send(s, mtu, q)
	}
	for pkt := moved.Pop(); pkt != nil; pkt = moved.Pop() {
		q.Push(pkt)
		p.reroute(s, q)
	}
}

// reroute sends the one packet of q along a path of its own.
func (p *ip4) reroute(s *network.Send, q *packet.Queue) {
	pkt := q.Front()
	h, _ := wire.ParseIPv4(pkt.Head())
	f := p.net.FlowOf4(pkt, h)
	f.In, f.Index = 0, s.Path.Bound
	if s.Socket != nil {
		f.UID = s.Socket.UID
	}
	if !p.net.IsLocalTo(f.Src, s.Path.Device.Index()) {
		f.Src = netip.Addr{}
	}
	path, err := p.paths.Resolve(f)
	if err != nil {
		p.mib.outNoRoutes.Inc()
		q.Drop(stat.IPOutNoRoutes)
		return
	}
	pkt.Out = path.Device.Index()
	if path.Type != route.Unicast && path.Type != route.Local {
		p.castOut(path, s.NoLoop, q)
	}
	p.egress(path, path.MTU(), q)
}
