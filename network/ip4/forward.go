package ip4

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// mayForward refuses what must not be sent on: anything, if this host is no router
// (RFC 1122 §3.3.1), and what came in a frame for many (RFC 1812 §5.3.4).
func (p *ip4) mayForward(cf *conf, pkt *packet.Packet) bool {
	switch {
	case pkt.Kind != packet.Host:
		p.mib.inDiscards.Inc()
		pkt.Drop(stat.UnicastInL2Multicast)
	case !cf.forwarding.Load():
		p.mib.inAddrErrors.Inc()
		pkt.Drop(stat.IPInAddrErrors)
	default:
		return p.checkOptions(cf, pkt)
	}
	return false
}

// forward sends packets on that are for other hosts. Runs of packets of one flow
// are routed once and stay together.
func (p *ip4) forward(dev *link.Device, q *packet.Queue) {
	for !q.Empty() {
		rest := *q
		*q = packet.Queue{}
		path := p.nextRun(dev, &rest, q)
		if !q.Empty() {
			p.run(&p.hooks.Forward, q)
		}
		if !q.Empty() {
			p.mib.forwDatagrams.Add(uint64(q.Len()))
			p.egress(path, p.forwardMTU(path), q)
		}
		*q = rest
	}
}

// nextRun moves packets from in to out that go the same way, which it returns. It
// ends those that go nowhere.
func (p *ip4) nextRun(dev *link.Device, in, out *packet.Queue) (path *network.Path) {
	var flow network.Flow
	var last addrs
	varies := p.net.FlowVaries(network.V4)
	for pkt := in.Front(); pkt != nil; pkt = in.Front() {
		a := addrsOf(pkt.Head())
		if path != nil && (a != last || (varies || protocolOf(pkt) == wire.ProtoICMP) && p.flowOf(pkt) != flow) {
			return path
		}
		in.Pop()
		if path == nil {
			last, flow = a, p.flowOf(pkt)
			if path = p.routeForward(pkt, flow); path == nil {
				continue
			}
		}
		if p.prepareForward(dev, path, pkt) {
			out.Push(pkt)
		}
	}
	return path
}

// flowOf is what the way of a packet depends on.
func (p *ip4) flowOf(pkt *packet.Packet) network.Flow {
	h, _ := wire.ParseIPv4(pkt.Head())
	f := p.net.FlowOf4(pkt, h)
	if len(h.Options()) > 0 && p.net.IsLocalTo(f.Dst, pkt.In) {
		f.Dst, _, _ = nextWaypoint(h)
	}
	return f
}

// ForwardPath implements network.Forwarder.
func (p *ip4) ForwardPath(pkt *packet.Packet) (*network.Path, error) {
	if _, ok := wire.ParseIPv4(pkt.Head()); !ok {
		return nil, syscall.EINVAL
	}
	return p.paths.Resolve(p.flowOf(pkt))
}

// routeForward finds the way of a packet, or answers it and drops it.
func (p *ip4) routeForward(pkt *packet.Packet, f network.Flow) *network.Path {
	path, err := p.paths.Resolve(f)
	if err == nil {
		return path
	}
	p.mib.inNoRoutes.Inc()
	switch {
	case errors.Is(err, syscall.EINVAL): // a blackhole
	case errors.Is(err, syscall.EACCES):
		p.net.SendError(network.V4, network.AdminProhibited, pkt)
	case errors.Is(err, syscall.ENETUNREACH):
		p.net.SendError(network.V4, network.NetUnreachable, pkt)
	default:
		p.net.SendError(network.V4, network.HostUnreachable, pkt)
	}
	pkt.Drop(stat.IPInNoRoute)
	return nil
}

// prepareForward does with one packet what a router has to do before its Forward
// hooks (RFC 1812 §5.2.1, §5.3.1), or ends it.
func (p *ip4) prepareForward(dev *link.Device, path *network.Path, pkt *packet.Packet) bool {
	h, _ := wire.ParseIPv4(pkt.Head())
	if h.TTL() <= 1 {
		p.mib.inHdrErrors.Inc()
		p.net.SendError(network.V4, network.TimeExceeded, pkt)
		pkt.Drop(stat.TTLExceeded)
		return false
	}
	if mtu := p.forwardMTU(path); h.DF() && !fits(pkt, mtu) {
		p.tooBig(pkt, mtu)
		return false
	}
	if path.Device == dev {
		p.redirect(dev, path, pkt, h)
	}
	if len(h.Options()) > 0 && !p.forwardOptions(path, pkt, h) {
		return false
	}
	h.DecrementTTL()
	pkt.Priority = tosPriority[h.TOS()>>1&0xf]
	pkt.Out = path.Device.Index()
	return true
}

// tosPriority is the class for queueing of packets on their way through, by the four
// bits of RFC 1349's type of service: the table of tc-prio(8).
var tosPriority = [16]uint32{0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4}

// forwardOptions records this router in the options of a packet.
func (p *ip4) forwardOptions(path *network.Path, pkt *packet.Packet, h wire.IPv4) bool {
	var ip [4]byte
	if a, ok := p.SelectSource(path.NextHop, path.Device); ok {
		ip = a.As4()
	}
	if pointer, ok := p.record(h, ip); !ok {
		return p.badOption(pkt, pointer)
	}
	hop, strict, more := nextWaypoint(h)
	if !more {
		return true
	}
	atWaypoint := p.net.IsLocalTo(h.Dst(), pkt.In)
	if strict && path.NextHop != hop || strict && !atWaypoint {
		p.net.SendError(network.V4, network.SourceRouteFailed, pkt) // RFC 1812 §5.2.7.1
		pkt.Drop(stat.IPOptions)
		return false
	}
	if atWaypoint {
		takeWaypoint(h, hop, ip)
	}
	return true
}

// redirect tells a neighbour on dev's link that the next hop is one of its own
// neighbours, too (RFC 1812 §5.2.7.2).
func (p *ip4) redirect(dev *link.Device, path *network.Path, pkt *packet.Packet, h wire.IPv4) {
	if !either(&p.conf.All.sendRedirects, &p.conf.Of(dev.Index()).sendRedirects) || path.NextHop == h.Src() {
		return
	}
	if _, _, routed := nextWaypoint(h); routed || !p.sameSubnet(dev, h.Src(), path.NextHop) {
		return
	}
	p.net.SendRedirect(network.V4, path.NextHop, pkt)
}

func (p *ip4) sameSubnet(dev *link.Device, a, b netip.Addr) bool {
	for _, x := range p.net.Addrs(dev.Index()) {
		if x.Prefix.Contains(a) && x.Prefix.Contains(b) {
			return true
		}
	}
	return false
}

// forwardMTU is the largest packet that is sent on whole. Path MTUs that ICMP
// errors told of do not count, because anybody can send these.
func (p *ip4) forwardMTU(path *network.Path) int {
	if p.settings.fwdUsePMTU.Load() {
		return path.MTU()
	}
	mtu := path.Device.MTU()
	if path.Route != nil && path.Route.MTU != 0 {
		mtu = min(mtu, path.Route.MTU)
	}
	return mtu
}

// tooBig answers and drops a packet that must not be fragmented (RFC 1191 §4).
func (p *ip4) tooBig(pkt *packet.Packet, mtu int) {
	p.mib.fragFails.Inc()
	p.net.SendErrorDetail(network.V4, network.PacketTooBig, 0, mtu, 0, pkt)
	pkt.Drop(stat.PktTooBig)
}
