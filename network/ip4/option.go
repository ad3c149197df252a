package ip4

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// What acting on a packet's options led to.
type outcome uint8

const (
	optionsDone outcome = iota
	optionsOn           // a source route leads on: the destination was changed
	optionsBad          // the packet is gone
)

// checkOptions looks through the options of pkt before anything is written. A
// malformed one is answered with a Parameter Problem (RFC 1122 §3.2.1.8), a source
// route dropped unless the device and "all" accept them.
func (p *ip4) checkOptions(cf *conf, pkt *packet.Packet) bool {
	h, _ := wire.ParseIPv4(pkt.Head())
	if len(h.Options()) == 0 {
		return true
	}
	w := h.WalkOptions()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		if pointer, fine := o.Check(); !fine {
			return p.badOption(pkt, pointer)
		}
		if isSourceRoute(o) && !both(&p.conf.All.acceptSourceRoute, &cf.acceptSourceRoute) {
			p.mib.inHdrErrors.Inc()
			pkt.Drop(stat.IPOptions)
			return false
		}
	}
	if pointer, bad := w.Bad(); bad {
		return p.badOption(pkt, pointer)
	}
	return true
}

func (p *ip4) badOption(pkt *packet.Packet, pointer int) bool {
	p.mib.inHdrErrors.Inc()
	p.net.SendErrorDetail(network.V4, network.ParameterProblem, wire.ICMP4BadOctet, 0, uint32(pointer), pkt)
	pkt.Drop(stat.IPOptions)
	return false
}

func isSourceRoute(o wire.IPv4Option) bool {
	return o.Type() == wire.IPv4OptLooseRoute || o.Type() == wire.IPv4OptStrictRoute
}

// localOptions acts on the options of a packet whose destination is this host.
func (p *ip4) localOptions(cf *conf, pkt *packet.Packet, f fate) outcome {
	if !p.checkOptions(cf, pkt) {
		return optionsBad
	}
	h, _ := wire.ParseIPv4(pkt.Head())
	if len(h.Options()) == 0 {
		return optionsDone
	}
	w := h.WalkOptions()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		if isSourceRoute(o) && !o.Full() {
			return p.sourceRouted(pkt, f)
		}
	}
	ip := h.Dst4()
	if f != host {
		ip = [4]byte{}
		if a, ok := p.SelectSource(h.Src(), p.net.Link.Device(pkt.In)); ok {
			ip = a.As4()
		}
	}
	if pointer, ok := p.record(h, ip); !ok {
		p.badOption(pkt, pointer)
		return optionsBad
	}
	return optionsDone
}

// sourceRouted takes a packet that this host is a waypoint of. The next address
// becomes the destination when it is forwarded, which records ours in its place
// (RFC 791 §3.1).
func (p *ip4) sourceRouted(pkt *packet.Packet, f fate) outcome {
	if f != host || pkt.Kind != packet.Host {
		p.mib.inHdrErrors.Inc()
		pkt.Drop(stat.IPOptions)
		return optionsBad
	}
	return optionsOn
}

// nextWaypoint returns the address a source route leads to from here, and whether
// it must be a neighbour's.
func nextWaypoint(h wire.IPv4) (hop netip.Addr, strict, ok bool) {
	w := h.WalkOptions()
	for o, more := w.Next(); more; o, more = w.Next() {
		if isSourceRoute(o) && !o.Full() {
			return o.Hop(), o.Type() == wire.IPv4OptStrictRoute, true
		}
	}
	return netip.Addr{}, false, false
}

// takeWaypoint makes hop the destination and ip, ours, the recorded address.
func takeWaypoint(h wire.IPv4, hop netip.Addr, ip [4]byte) {
	w := h.WalkOptions()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		if isSourceRoute(o) {
			o.Record(ip)
			break
		}
	}
	h.SetDst4(hop.As4())
	h.UpdateHeaderChecksum()
}

// record writes ip into route and timestamp options. It is not ok when a
// timestamp's overflow count is full, which is a parameter problem at pointer.
func (p *ip4) record(h wire.IPv4, ip [4]byte) (pointer int, ok bool) {
	defer h.UpdateHeaderChecksum()
	w := h.WalkOptions()
	for o, more := w.Next(); more; o, more = w.Next() {
		switch o.Type() {
		case wire.IPv4OptRecordRoute:
			o.Record(ip)
		case wire.IPv4OptTimestamp:
			if !o.Stamp(ip, p.milliseconds()) {
				return o.Offset() + 3, false
			}
		}
	}
	return 0, true
}
