package ip6

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// runOutput asks the Output hooks, and finds another path for packets whose
// destination or mark they have changed, as Linux's ip6_route_me_harder does.
func (p *ip6) runOutput(s *network.Send, q *packet.Queue) {
	to := s.Path.Dst.As16()
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		pkt.Seq, pkt.End = pkt.Mark, p.mixDst(&to, pkt)
	}
	p.hooks.Output.RunBatch(q)
	var moved packet.Queue
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		switch {
		case pkt.HeadLen() < wire.IPv6Len: // a hook has left no header
			p.mib.outDiscards.Inc()
			pkt.Drop(stat.IPInHdr)
		case pkt.Seq == pkt.Mark && pkt.End == p.mixDst(&to, pkt):
			q.Push(pkt)
		default:
			moved.Push(pkt)
		}
	}
	if !q.Empty() {
		p.send(s, q)
	}
	for pkt := moved.Pop(); pkt != nil; pkt = moved.Pop() {
		p.reroute(s, pkt)
	}
}

// mixDst is 0 for a packet that goes to an address, and else tells destinations
// apart: only packets that brought their header along go elsewhere than their path.
func (p *ip6) mixDst(to *[16]byte, pkt *packet.Packet) uint32 {
	dst := pkt.Head()[24:40]
	if [16]byte(dst) == *to {
		return 0
	}
	return max(mix(be64(dst[:8]), be64(dst[8:])), 1)
}

// reroute sends a packet along a path of its own.
func (p *ip6) reroute(s *network.Send, pkt *packet.Packet) {
	h, ok := wire.ParseIPv6(pkt.Head())
	if !ok {
		p.mib.outDiscards.Inc()
		pkt.Drop(stat.IPInHdr)
		return
	}
	f := p.net.FlowOf6(pkt, h)
	f.In, f.Index = 0, s.Path.Bound
	if !p.net.IsLocalTo(f.Src, s.Path.Device.Index()) {
		f.Src = network.Flow{}.Src
	}
	path, err := p.paths.Resolve(f)
	if err != nil {
		p.mib.outNoRoutes.Inc()
		pkt.Drop(stat.IPOutNoRoutes)
		return
	}
	pkt.Out = path.Device.Index()
	own := *s
	own.Path = path
	var q packet.Queue
	q.Push(pkt)
	p.send(&own, &q)
}
