package ip6

import (
	"hash/maphash"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/wire"
)

// cut makes the packets of q fit into mtu bytes. Only the source of a packet does
// so (RFC 8200 §5), so this is not for what is forwarded.
func (p *ip6) cut(s *network.Send, mtu int, q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		switch {
		case sentLen(pkt) <= mtu:
			q.Push(pkt)
		case s.Fragment == network.FragmentDo, s.Fragment == network.FragmentProbe, mtu < wire.IPv6MinMTU:
			p.mib.fragFails.Inc()
			pkt.Drop(stat.PktTooBig)
		case pkt.GSO != packet.GSONone:
			p.cutSegments(pkt, mtu, q)
		default:
			p.fragment(pkt, mtu, q)
		}
	}
}

// cutSegments cuts a packet of segments that are too large: the path MTU shrank
// after the transport had chosen their size.
func (p *ip6) cutSegments(pkt *packet.Packet, mtu int, q *packet.Queue) {
	segments := new(packet.Queue)
	p.offload.Segment(pkt, segments)
	for x := segments.Pop(); x != nil; x = segments.Pop() {
		if x.Len() <= mtu {
			q.Push(x)
		} else {
			p.fragment(x, mtu, q)
		}
	}
}

// fragment cuts one packet into fragments.
func (p *ip6) fragment(pkt *packet.Packet, mtu int, q *packet.Queue) {
	unfrag, named, ok := unfragmentable(pkt)
	if !ok || !link.CompleteChecksum(pkt) {
		p.mib.fragFails.Inc()
		pkt.Drop(stat.IPv6BadExthdr)
		return
	}
	h, _ := wire.ParseIPv6(pkt.Head())
	src, dst := h.Src16(), h.Dst16()
	before := q.Len()
	frag.Split6(pkt, unfrag, named, mtu, p.fragmentID(&src, &dst), q)
	if n := q.Len() - before; n > 0 {
		p.mib.fragOKs.Inc()
		p.mib.fragCreates.Add(uint64(n))
	} else {
		p.mib.fragFails.Inc()
	}
}

// fragmentID returns an identification that others cannot foresee and that does
// not repeat soon for one destination (RFC 7739 §5.3: a hash of the addresses and
// a counter).
func (p *ip6) fragmentID(src, dst *[16]byte) uint32 {
	return uint32(maphash.Bytes(p.seed, src[:])^maphash.Bytes(p.seed, dst[:])*3) + p.ident.Add(1)
}

// unfragmentable returns the length of what goes into every fragment, "all headers
// up to and including the Routing header if present, else the Hop-by-Hop Options
// header if present" (RFC 8200 §4.5), and the offset of the octet that names what
// follows.
func unfragmentable(pkt *packet.Packet) (n, named int, ok bool) {
	n, named = wire.IPv6Len, 6
	if !wire.IsIPv6Ext(pkt.Head()[6]) {
		return n, named, true
	}
	if !ensureHeaders(pkt) {
		return 0, 0, false
	}
	w := walk(pkt)
	for {
		x, more := w.Next()
		if !more {
			err, _ := w.Err()
			return n, named, err == wire.IPv6ExtFine
		}
		switch x.Type() {
		case wire.ProtoHopByHop, wire.ProtoRouting:
			n, named = x.Offset()+len(x.Bytes()), x.Offset()
		case wire.ProtoFragment:
			return 0, 0, false
		}
	}
}
