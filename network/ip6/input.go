package ip6

import (
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Input takes IPv6 packets from the link layer and owns them.
//
// All along, q itself holds the batch that goes on: what is passed to a function
// that is not known here (a hook, a handler, a driver) would be allocated.
func (p *ip6) Input(dev *link.Device, q *packet.Queue) {
	p.mib.inReceives.Add(uint64(q.Len()))
	octets := 0
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if p.check(dev, pkt) {
			octets += pkt.Len()
			q.Push(pkt)
		}
	}
	p.mib.inOctets.Add(uint64(octets))
	p.received(dev, q)
}

// received takes packets that have passed check, or are copies of our own.
func (p *ip6) received(dev *link.Device, q *packet.Queue) {
	p.run(&p.hooks.Prerouting, q)
	p.enterVRF(dev, q)
	var forward packet.Queue
	p.route(dev, q, &forward)
	p.deliver(q)
	if !forward.Empty() {
		*q = forward
		p.forward(q)
	}
}

// enterVRF shows packets to the hooks once more, as those of dev's VRF. What is of the
// link itself, as neighbour discovery is, stays with the link.
func (p *ip6) enterVRF(dev *link.Device, q *packet.Queue) {
	if dev.Master() == nil || p.net.VRF(dev.Index()) == 0 {
		return
	}
	var own packet.Queue
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		h, _ := wire.ParseIPv6(pkt.Head()) // it is sound
		if dst := h.Dst(); !dst.IsMulticast() && !dst.IsLinkLocalUnicast() && !h.Src().IsLinkLocalUnicast() {
			q.Push(pkt)
		} else {
			own.Push(pkt)
		}
	}
	if p.net.EnterVRF(network.V6, dev, q) {
		p.dropMangled(q)
	}
	q.Append(&own)
}

// check holds the packet against RFC 8200 §3 and RFC 4291, obeys a hop-by-hop
// header and cuts link padding off.
func (p *ip6) check(dev *link.Device, pkt *packet.Packet) bool {
	switch {
	case pkt.Kind == packet.OtherHost:
		pkt.Drop(stat.OtherHost)
		return false
	case p.conf.Of(dev.Index()).DisableIPv6.Load() != 0:
		p.mib.inDiscards.Inc()
		pkt.Drop(p.disabled)
		return false
	case !pkt.Ensure(wire.IPv6Len):
		p.mib.inTruncatedPkts.Inc()
		pkt.Drop(stat.PktTooSmall)
		return false
	}
	h, ok := wire.ParseIPv6(pkt.Head())
	switch {
	case !ok:
		return p.bad(pkt, stat.IPInHdr)
	case h.TotalLen() > pkt.Len():
		p.mib.inTruncatedPkts.Inc()
		pkt.Drop(stat.PktTooSmall)
		return false
	case p.martian(dev, h):
		p.mib.inAddrErrors.Inc()
		pkt.Drop(stat.IPInAddrErrors)
		return false
	}
	if h.Dst16()[0] == 0xff {
		p.mib.inMcastPkts.Inc()
		p.mib.inMcastOctets.Add(uint64(h.TotalLen()))
	}
	pkt.TrimTo(h.TotalLen())
	return h.NextHeader() != wire.ProtoHopByHop || p.hopByHop(pkt)
}

func (p *ip6) bad(pkt *packet.Packet, why stat.Reason) bool {
	p.mib.inHdrErrors.Inc()
	pkt.Drop(why)
	return false
}

// run asks the hooks of a point, and drops packets whose header they have left in a state
// that the code behind them cannot rely on.
func (p *ip6) run(at *hook.Point, q *packet.Queue) {
	if !at.RunBatch(q) {
		p.dropMangled(q)
	}
}

func (p *ip6) dropMangled(q *packet.Queue) {
	network.DropMangled(network.V6, q, func(pkt *packet.Packet) { p.bad(pkt, stat.IPInHdr) })
}

// martian reports addresses that no packet from this link can have:
//
//   - "Multicast addresses must not be used as source addresses" (RFC 4291 §2.7);
//   - the unspecified address "must not be used as the destination" (§2.5.2);
//   - "a packet received on an interface with a destination address of loopback
//     must be dropped" (§2.5.3);
//   - interface-local groups mean nothing outside a node, and "nodes must not
//     originate a packet to a multicast address whose scop field contains the
//     reserved value 0" (§2.7);
//   - IPv4-mapped addresses, which stand for IPv4 inside of a node: on the wire they
//     could pass for ::ffff:127.0.0.1.
func (p *ip6) martian(dev *link.Device, h wire.IPv6) bool {
	src, dst := h.Src16(), h.Dst16()
	if src[0] == 0xff || dst == [16]byte{} || mapped(&src) || mapped(&dst) {
		return true
	}
	if dst[0] == 0xff && dst[1]&0xf == 0 {
		return true
	}
	if p.net.IsInner(dev) {
		return false
	}
	return src == loopback16 || dst == loopback16 || dst[0] == 0xff && dst[1]&0xf == 1
}

var loopback16 = [16]byte{15: 1}

// mapped reports whether a is in ::ffff:0:0/96.
func mapped(a *[16]byte) bool { return [12]byte(a[:12]) == [12]byte{10: 0xff, 11: 0xff} }

// route leaves in q what is for this host, moves what is to be forwarded, and
// drops the rest.
func (p *ip6) route(dev *link.Device, q, forward *packet.Queue) {
	router := p.Forwarding(dev.Index())
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		h, ok := wire.ParseIPv6(pkt.Head()) // a hook may have rewritten it
		if !ok {
			p.bad(pkt, stat.IPInHdr)
			continue
		}
		dst := h.Dst()
		switch {
		case dst.IsMulticast():
			p.routeGroup(dev, h, pkt, q)
		case p.isLocal(dev, h, pkt):
			if p.isTentative(dev, dst) {
				// "Packets addressed to the tentative address should be silently
				// discarded" (RFC 4862 §5.4).
				pkt.Drop(stat.IPInAddrErrors)
				continue
			}
			q.Push(pkt)
		case router && pkt.Kind == packet.Host:
			forward.Push(pkt)
		default:
			p.mib.inAddrErrors.Inc()
			pkt.Drop(stat.IPInNoRoute)
		}
	}
}

// routeGroup keeps a packet to a group that this host listens to.
func (p *ip6) routeGroup(dev *link.Device, h wire.IPv6, pkt *packet.Packet, q *packet.Queue) {
	if !p.net.Accepts(dev.Index(), h.Dst(), h.Src()) && !p.net.IsInner(dev) {
		pkt.Drop(stat.IPInAddrErrors)
		return
	}
	q.Push(pkt)
}

// isLocal reports whether a packet that came by dev is for this host. A link-local
// address is so on its own link only (RFC 4007 §5).
func (p *ip6) isLocal(dev *link.Device, h wire.IPv6, pkt *packet.Packet) bool {
	dst := h.Dst()
	if !dst.IsLinkLocalUnicast() || p.net.IsInner(dev) {
		f := p.net.FlowOf6(pkt, h)
		f.In = dev.Index()
		t, _ := p.net.Inbound(&f)
		return t == route.Local
	}
	for _, a := range p.net.Addrs(dev.Index()) {
		if a.IP() == dst {
			return true
		}
	}
	return false
}

// deliver puts fragments together, runs the Input hooks, obeys the extension
// headers and gives runs of packets of one protocol to their handler.
func (p *ip6) deliver(q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if wire.IsIPv6Ext(pkt.Head()[6]) {
			if pkt = p.reassemble(pkt); pkt == nil {
				continue
			}
		}
		q.Push(pkt)
	}
	p.run(&p.hooks.Input, q)
	in = *q
	*q = packet.Queue{}
	var last uint8
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		proto, ok := p.obey(pkt)
		if !ok {
			continue
		}
		if proto != last {
			p.handOver(last, q)
		}
		last = proto
		q.Push(pkt)
	}
	p.handOver(last, q)
}

// handOver gives packets, which begin with their transport header, to raw sockets
// and to the handler of proto.
func (p *ip6) handOver(proto uint8, q *packet.Queue) {
	if q.Empty() {
		return
	}
	wanted := false
	if p.net.HasRaw(network.V6, proto) {
		for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
			wanted = p.net.RawInput(network.V6, proto, pkt) || wanted
		}
	}
	if h := p.net.Handler(network.V6, proto); h != nil {
		p.mib.inDelivers.Add(uint64(q.Len()))
		h.Input(q)
		return
	}
	switch {
	case proto == wire.ProtoNoNext: // "there is nothing following" (RFC 8200 §4.7)
		q.Consume()
	case wanted:
		p.mib.inDelivers.Add(uint64(q.Len()))
		q.Consume()
	default:
		p.unknown(q)
	}
}

// unknown answers packets of a protocol that nobody handles: "it should discard
// the packet and send an ICMP Parameter Problem message to the source of the
// packet, with an ICMP Code value of 1" (RFC 8200 §4).
func (p *ip6) unknown(q *packet.Queue) {
	p.mib.inUnknownProtos.Add(uint64(q.Len()))
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		p.parameterProblem(pkt, wire.ICMP6BadNextHeader, namedAt(pkt))
		pkt.Drop(stat.IPNoProto)
	}
}
