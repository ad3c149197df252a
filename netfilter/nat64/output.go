package nat64

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter/nat64/internal/xlat"
	"github.com/knitnet/knit/network"
)

// maxEncap is how often a packet may be translated: a packet that is routed in a
// circle would go on for ever, since the device gives back the hop that it costs.
const maxEncap = 8

// Open implements link.Driver. The module is not in use by its own device.
func (x *translator) Open(*link.Device) error { return nil }

// Close implements link.Driver.
func (x *translator) Close(*link.Device) {}

// StateChanged implements link.StateFollower: the routes went when the device went down.
func (x *translator) StateChanged(dev *link.Device) {
	if !x.ready.Load() || !dev.Up() {
		return
	}
	if err := x.addRoutes(); err != nil {
		x.log.Warn("%v", err)
	}
}

// MadeByModule implements link.ModuleDriver.
func (x *translator) MadeByModule() {}

// Transmit implements link.Driver: what comes out of the translation is received by
// the device.
func (x *translator) Transmit(_ *link.Device, q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		x.translate(pkt, pkt.In != 0, q)
	}
	x.inject(q)
}

// inject gives translated packets to the device.
func (x *translator) inject(q *packet.Queue) {
	if !q.Empty() {
		x.way.Receive(x.dev, q)
	}
}

// translate translates a packet, which it owns, and pushes what comes of it to out.
// routed says that the packet has cost a hop: it gets it back, because this host
// takes one off again when it forwards the result, and is one router (RFC 7915 §4.1,
// §5.1).
func (x *translator) translate(pkt *packet.Packet, routed bool, out *packet.Queue) {
	pkt.L3 = uint16(pkt.Offset())
	if pkt.Encap++; pkt.Encap > maxEncap {
		x.drop(pkt, x.reasons.loop)
		return
	}
	if !xlat.Ensure(pkt) {
		x.drop(pkt, stat.HdrTrunc)
		return
	}
	if pkt.Head()[0]>>4 == 6 {
		x.six(pkt, routed, out)
	} else {
		x.four(pkt, routed, out)
	}
}

// emit pushes a translated packet. What the other IP version noted on it is
// forgotten; the mark stays, so that rules can tell what they have marked before.
func (x *translator) emit(pkt *packet.Packet, out *packet.Queue) {
	mark, priority := pkt.Mark, pkt.Priority
	pkt.Scrub()
	pkt.Mark, pkt.Priority = mark, priority
	out.Push(pkt)
}

func (x *translator) drop(pkt *packet.Packet, why stat.Reason) {
	x.counters.dropped.Inc()
	pkt.Drop(why)
}

// refuse drops a packet and tells its sender.
func (x *translator) refuse(v network.Version, pkt *packet.Packet, kind network.ErrorKind, why stat.Reason) {
	x.net.SendError(v, kind, pkt)
	x.drop(pkt, why)
}

// problem drops a packet that cannot be translated, with the error that the RFCs ask
// for.
func (x *translator) problem(v network.Version, pkt *packet.Packet, p xlat.Problem, pointer uint32) {
	switch p {
	case xlat.SourceRoute:
		// Source Route Failed (RFC 7915 §4.1), or a Parameter Problem with a pointer to
		// the first octet of the Segments Left field (§5.1).
		if v == network.V4 {
			x.refuse(v, pkt, network.SourceRouteFailed, x.reasons.sourceRoute)
			return
		}
		x.net.SendErrorDetail(v, network.ParameterProblem, 0, 0, pointer, pkt)
		x.drop(pkt, x.reasons.sourceRoute)
	case xlat.Protocol:
		// RFC 6146 §3.5: Protocol Unreachable, or of IPv6 Port Unreachable.
		kind := network.ProtoUnreachable
		if v == network.V6 {
			kind = network.PortUnreachable
		}
		x.refuse(v, pkt, kind, x.reasons.protocol)
	case xlat.TooLong:
		x.drop(pkt, stat.PktTooBig)
	case xlat.Truncated:
		x.drop(pkt, stat.HdrTrunc)
	default:
		x.drop(pkt, x.reasons.untranslatable)
	}
}

// rejected drops a packet for which there is no session.
func (x *translator) rejected(v network.Version, pkt *packet.Packet, o outcome) {
	switch o {
	case usedUp, full:
		// Address Unreachable (RFC 6146 §3.5.1).
		why := x.reasons.full
		if o == usedUp {
			why = x.reasons.usedUp
		}
		if v == network.V6 {
			x.refuse(v, pkt, network.HostUnreachable, why)
			return
		}
		x.drop(pkt, why)
	case filtered: // Communication Administratively Prohibited (RFC 6146 §3.5.1)
		x.refuse(v, pkt, network.AdminProhibited, x.reasons.filtered)
	case unbound: // Host Unreachable (RFC 6146 §3.5.1)
		x.refuse(v, pkt, network.HostUnreachable, x.reasons.noBinding)
	case stray:
		// Silently (RFC 6146 §3.5.2.2), a SYN from outside too: it is policy here that
		// nobody opens what the inside has not opened.
		x.drop(pkt, x.reasons.noBinding)
	default:
		x.drop(pkt, stat.ModuleUnload)
	}
}
