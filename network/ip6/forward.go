package ip6

import (
	"errors"
	"syscall"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// forward sends packets on that are for others. Runs of packets that go the same way
// stay together.
func (p *ip6) forward(q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	var last *network.Path
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		path := p.mayForward(pkt)
		if path == nil {
			continue
		}
		if path != last {
			p.sendOn(last, q)
		}
		last = path
		q.Push(pkt)
	}
	p.sendOn(last, q)
}

// sendOn runs the hooks of forwarded packets of one path and sends them. What hooks
// change of them does not change their way, as on Linux.
func (p *ip6) sendOn(path *network.Path, q *packet.Queue) {
	for _, at := range [...]*hook.Point{&p.hooks.Forward, &p.hooks.Postrouting} {
		if !q.Empty() {
			p.run(at, q)
		}
	}
	if q.Empty() {
		return
	}
	p.mib.outForwDatagrams.Add(uint64(q.Len()))
	p.countOut(q)
	p.refragment(q)
	if !q.Empty() {
		path.Transmit(q)
		*q = packet.Queue{}
	}
}

// refragment cuts the packets of q that came in fragments again. That is no
// fragmentation by a router: each fits the path as its sender has made it.
func (p *ip6) refragment(q *packet.Queue) {
	whole := true
	for pkt := q.Front(); pkt != nil && whole; pkt = pkt.Next() {
		whole = pkt.FragMax == 0
	}
	if whole {
		return
	}
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if largest := int(pkt.FragMax); largest != 0 && pkt.Len() > largest {
			pkt.FragMax = 0
			p.fragment(pkt, largest, q)
			continue
		}
		q.Push(pkt)
	}
}

// ForwardPath implements network.Forwarder.
func (p *ip6) ForwardPath(pkt *packet.Packet) (*network.Path, error) {
	h, ok := wire.ParseIPv6(pkt.Head())
	if !ok {
		return nil, syscall.EINVAL
	}
	return p.paths.Resolve(p.net.FlowOf6(pkt, h))
}

// mayForward checks a packet, finds its way and takes one hop off it. It returns nil if
// the packet goes nowhere and has been ended.
func (p *ip6) mayForward(pkt *packet.Packet) *network.Path {
	h, _ := wire.ParseIPv6(pkt.Head())
	src, dst := h.Src(), h.Dst()
	switch {
	case src.IsUnspecified(), src.IsLoopback(), dst.IsLoopback(), dst.IsUnspecified():
		// Neither must ever be forwarded by a router (RFC 4291 §2.5.2, §2.5.3).
		p.mib.inAddrErrors.Inc()
		pkt.Drop(stat.IPInAddrErrors)
		return nil
	case dst.IsLinkLocalUnicast():
		// "Routers must not forward any packets with link-local source or
		// destination addresses to other links" (RFC 4291 §2.5.6).
		p.mib.inAddrErrors.Inc()
		pkt.Drop(stat.IPInAddrErrors)
		return nil
	case h.HopLimit() <= 1:
		// RFC 8200 §3: discarded "when decremented to zero".
		p.mib.inHdrErrors.Inc()
		p.net.SendError(network.V6, network.TimeExceeded, pkt)
		pkt.Drop(stat.TTLExceeded)
		return nil
	}
	path, err := p.paths.Resolve(p.net.FlowOf6(pkt, h))
	if err == nil && !p.leadsOn(path) {
		err = syscall.ENETUNREACH
	}
	if err != nil {
		p.noRoute(pkt, err)
		return nil
	}
	if !p.fits(pkt, h, path) {
		return nil
	}
	return path
}

// leadsOn reports whether packets may be sent on by a path: to another host, or into a
// VRF whose address they are to.
func (p *ip6) leadsOn(path *network.Path) bool {
	if path.Type == route.Local {
		return path.Device.Type() != link.Loopback
	}
	return path.Type == route.Unicast && path.Device != p.net.Loopback()
}

// fits checks what depends on the way, and takes one hop off.
func (p *ip6) fits(pkt *packet.Packet, h wire.IPv6, path *network.Path) bool {
	sameLink := path.Device.Index() == pkt.In
	if h.Src().IsLinkLocalUnicast() && !sameLink {
		// The destination is beyond the scope of the source address: code 2 of
		// RFC 4443 §3.1.
		p.net.SendError(network.V6, network.BeyondScope, pkt)
		p.mib.inAddrErrors.Inc()
		pkt.Drop(stat.IPInAddrErrors)
		return false
	}
	size := sentLen(pkt)
	if pkt.FragMax != 0 {
		size = int(pkt.FragMax) // its fragments will be no larger again
	}
	if mtu := p.forwardMTU(path); size > mtu {
		p.mib.inTooBigErrors.Inc()
		p.mib.fragFails.Inc()
		p.net.SendErrorDetail(network.V6, network.PacketTooBig, 0, mtu, 0, pkt)
		pkt.Drop(stat.PktTooBig)
		return false
	}
	if sameLink {
		p.redirect(path, h, pkt)
	}
	h.SetHopLimit(h.HopLimit() - 1)
	pkt.Out = path.Device.Index()
	return true
}

// redirect tells the neighbour that sent a packet of a better first hop on its own
// link: "A router SHOULD send a redirect message [...] whenever it forwards a packet
// that is not explicitly addressed to itself [...] in which the Source Address field
// of the packet identifies a neighbor" (RFC 4861 §8.2).
func (p *ip6) redirect(path *network.Path, h wire.IPv6, pkt *packet.Packet) {
	src := h.Src()
	neighbour := src.IsLinkLocalUnicast()
	for _, a := range p.net.Addrs(pkt.In) {
		neighbour = neighbour || a.IP().Is6() && a.Prefix.Contains(src)
	}
	if neighbour && src != path.NextHop {
		p.net.SendRedirect(network.V6, path.NextHop, pkt)
	}
}

// forwardMTU is the MTU of the next link. What errors told of the rest of the way
// was told about packets of this host.
func (p *ip6) forwardMTU(path *network.Path) int {
	mtu := min(path.Device.MTU(), p.LinkMTU(path.Device))
	if path.Route != nil && path.Route.MTU != 0 {
		mtu = min(mtu, path.Route.MTU)
	}
	return mtu
}

// noRoute answers a packet that cannot be forwarded.
func (p *ip6) noRoute(pkt *packet.Packet, err error) {
	p.mib.inNoRoutes.Inc()
	switch {
	case errors.Is(err, syscall.EINVAL): // blackhole
	case errors.Is(err, syscall.EACCES):
		p.net.SendError(network.V6, network.AdminProhibited, pkt)
	case errors.Is(err, syscall.EHOSTUNREACH):
		p.net.SendError(network.V6, network.HostUnreachable, pkt)
	default:
		p.net.SendError(network.V6, network.NetUnreachable, pkt)
	}
	pkt.Drop(stat.IPInNoRoute)
}
