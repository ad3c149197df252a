package ip6

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// runOutput asks the Output hooks, and finds another path for the packets for which
// they want one, as Linux's ip6_route_me_harder does.
func (p *ip6) runOutput(s *network.Send, q *packet.Queue) {
	p.run(&p.hooks.Output, q)
	moved := network.TakeRerouted(q)
	if !q.Empty() {
		p.send(s, q)
	}
	for pkt := moved.Pop(); pkt != nil; pkt = moved.Pop() {
		p.reroute(s, pkt)
	}
}

// reroute sends a packet along a path of its own.
func (p *ip6) reroute(s *network.Send, pkt *packet.Packet) {
	h, _ := wire.ParseIPv6(pkt.Head())
	f := p.net.FlowOf6(pkt, h)
	f.In, f.Index = 0, s.Path.Bound
	if s.Socket != nil {
		f.UID = s.Socket.UID
	}
	if f.Index == 0 && (f.Dst.IsMulticast() || f.Dst.IsLinkLocalUnicast()) {
		f.Index = s.Path.Device.Index() // such an address means nothing on another link
	}
	if !p.net.IsLocalTo(f.Src, s.Path.Device.Index()) {
		f.Src = netip.Addr{}
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
