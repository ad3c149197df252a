package nat64

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter/nat64/internal/xlat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/wire"
)

// four translates a packet from outside (RFC 6146 §3.5, RFC 7915 §4).
func (x *translator) four(pkt *packet.Packet, routed bool, out *packet.Queue) {
	s, p := xlat.Parse4(pkt.Head())
	id := s.Fragment.ID
	if p == xlat.Fine && s.Fragment.Is() {
		if pkt = x.frags[network.V4].Input4(pkt); pkt == nil {
			return
		}
		if !xlat.Ensure(pkt) {
			x.drop(pkt, stat.HdrTrunc)
			return
		}
		s, p = xlat.Parse4(pkt.Head())
	}
	switch {
	case p != xlat.Fine:
		x.problem(network.V4, pkt, p, 0)
		return
	case s.IsError4():
		x.error4(pkt, &s, routed, out)
		return
	case !x.mayEmbed(s.Src):
		x.drop(pkt, x.reasons.address)
		return
	}
	b := x.bound4(pkt, &s)
	if b == nil {
		return
	}
	n := xlat.New6{Src: x.prefix.Embed(s.Src), Dst: b.addr, SrcPort: s.SrcPort, DstPort: b.port}
	if routed {
		h, _ := wire.ParseIPv4(pkt.Head())
		h.SetTTL(h.TTL() + 1)
	}
	x.four6(pkt, &s, &n, id, out)
}

// bound4 returns the binding of a packet, or nil if that ends here.
func (x *translator) bound4(pkt *packet.Packet, s *xlat.Four) *binding {
	f := flow4{outside{s.Dst, s.DstPort, s.Proto}, peer{s.Src, s.SrcPort}}
	if s.Proto == wire.ProtoICMP {
		if f.peer.port = 0; s.Type != wire.ICMP4Echo && s.Type != wire.ICMP4EchoReply {
			x.drop(pkt, x.reasons.untranslatable)
			return nil
		}
	}
	b, o := x.session4(pkt, f, tcpFlags(pkt, s.L4, s.Proto))
	switch {
	case b != nil:
		return b
	case o != stored:
		x.rejected(network.V4, pkt, o)
	}
	return nil
}

// session4 returns the binding of a packet from outside, and keeps its session alive.
// With stored the packet is the session's.
func (x *translator) session4(pkt *packet.Packet, f flow4, flags uint8) (*binding, outcome) {
	t := &x.table
	syn := f.proto == wire.ProtoTCP && flags&(wire.TCPSyn|wire.TCPRst) == wire.TCPSyn
	if s := t.by4.get(f); s != nil && !s.waits() && s.touch(from4, flags) {
		return s.binding, found
	}
	if f.proto == wire.ProtoTCP && !syn {
		switch b := t.lookup4(f.outside); {
		case b == nil:
			return nil, stray
		case !t.allows(b, f.peer):
			return nil, filtered
		default:
			return b, found
		}
	}
	for range 2 { // a session that is found may be about to end
		s, o := t.accept(f, syn)
		switch {
		case s == nil && o == unbound && syn:
			return nil, stray
		case s == nil:
			return nil, o
		case o == stored || s.waits():
			if o := s.store(pkt); o != found {
				return nil, o
			}
		}
		if s.touch(from4, flags) {
			return s.binding, found
		}
	}
	return nil, stopped
}

// four6 translates a packet that is no ICMP error. id is its identification.
//
// An IPv4 packet that routers may fragment is fragmented here, into packets that pass
// every link of IPv6, because routers of IPv6 do not do it (RFC 7915 §4); one that
// came in fragments goes on in such.
func (x *translator) four6(pkt *packet.Packet, s *xlat.Four, n *xlat.New6, id uint32, out *packet.Queue) {
	if !s.DF && pkt.GSO != packet.GSONone {
		x.segments6(pkt, s, n, id, out)
		return
	}
	if p := xlat.To6(pkt, s, n); p != xlat.Fine {
		x.problem(network.V4, pkt, p, 0)
		return
	}
	x.counters.to6.Inc()
	most := 0
	if pkt.FragMax != 0 {
		most = int(pkt.FragMax) - s.L4 + wire.IPv6Len + wire.IPv6FragmentLen
	}
	if !s.DF && (most > x.lowest || most == 0 && pkt.Len() > x.lowest) {
		most = x.lowest
	}
	if most == 0 {
		x.emit(pkt, out)
		return
	}
	if !link.CompleteChecksum(pkt) {
		x.drop(pkt, stat.SkbCsum)
		return
	}
	most = max(most, wire.IPv6Len+wire.IPv6FragmentLen+8)
	x.emitPieces(pkt, out, func(pieces *packet.Queue) { frag.Split6(pkt, wire.IPv6Len, 6, most, id, pieces) })
}

// segments6 cuts a packet of segments that routers may fragment, and translates each.
func (x *translator) segments6(pkt *packet.Packet, s *xlat.Four, n *xlat.New6, id uint32, out *packet.Queue) {
	segments := x.queues.Get().(*packet.Queue)
	x.offload.Segment(pkt, segments)
	for p := segments.Pop(); p != nil; p = segments.Pop() {
		if p.GSO != packet.GSONone { // cannot be cut
			x.drop(p, stat.SkbGSOSeg)
			continue
		}
		x.four6(p, s, n, id, out)
		id++
	}
	x.queues.Put(segments)
}
