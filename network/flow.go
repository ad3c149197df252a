package network

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// FlowVaries reports whether packets of one pair of addresses may go different ways:
// rules or the multipath policy look at more.
func (l *Layer) FlowVaries(v Version) bool {
	return l.Needs(v == V6) != 0 || l.Multipath[v].Policy.Load() != policyL3
}

// FlowOf4 returns the flow of a received IPv4 packet, which begins with its header h:
// its addresses, and of the rest what rules and the multipath policy look at. It is
// for the packet path.
func (l *Layer) FlowOf4(pkt *packet.Packet, h wire.IPv4) Flow {
	f := Flow{Dst: h.Dst(), Src: h.Src(), In: pkt.In}
	needs := l.Needs(false)
	if needs&route.NeedMark != 0 {
		f.Mark = pkt.Mark
	}
	if policy := l.Multipath[V4].Policy.Load(); needs&route.NeedUpper != 0 || policy != policyL3 {
		f.TOS, f.Proto = h.TOS(), h.Protocol()
		if !h.IsFragment() {
			f.readPorts(pkt, h.HeaderLen())
		}
		if policy == policyInner {
			f.Hash = l.innerHash(pkt, f.Proto, h.HeaderLen())
		}
	}
	if h.Protocol() == wire.ProtoICMP && h.FragOffset() == 0 {
		f.Hash = l.aboutHash4(pkt, h.HeaderLen())
	}
	return f
}

// FlowOf6 is FlowOf4 of IPv6.
func (l *Layer) FlowOf6(pkt *packet.Packet, h wire.IPv6) Flow {
	f := Flow{Dst: h.Dst(), Src: h.Src(), In: pkt.In}
	needs := l.Needs(true)
	if needs&route.NeedMark != 0 {
		f.Mark = pkt.Mark
	}
	policy := l.Multipath[V6].Policy.Load()
	if policy == policyL3 {
		f.Label = h.FlowLabel()
	}
	if needs&route.NeedUpper == 0 && policy == policyL3 {
		return f
	}
	exts := h.WalkExts()
	fragmented := false
	for x, more := exts.Next(); more; x, more = exts.Next() {
		fragmented = fragmented || x.Type() == wire.ProtoFragment
	}
	proto, at := exts.Upper()
	f.TOS, f.Proto = h.TrafficClass(), proto
	if !fragmented {
		f.readPorts(pkt, at) // all fragments go the same way
	}
	if policy == policyInner {
		f.Hash = l.innerHash(pkt, proto, at)
	}
	return f
}

// readPorts reads the ports of the protocols that begin with them.
func (f *Flow) readPorts(pkt *packet.Packet, at int) {
	var b [4]byte
	if f.hasPorts() && pkt.CopyOut(at, b[:]) == len(b) {
		f.SrcPort, f.DstPort = binary.BigEndian.Uint16(b[0:2]), binary.BigEndian.Uint16(b[2:4])
	}
}

// hasPorts reports whether f's protocol begins with two ports.
func (f *Flow) hasPorts() bool {
	switch f.Proto {
	case wire.ProtoTCP, wire.ProtoUDP, wire.ProtoSCTP, wire.ProtoUDPLite, protoDCCP:
		return true
	}
	return false
}

// protoDCCP is the Datagram Congestion Control Protocol's number (RFC 4340 §19).
const protoDCCP = 33
