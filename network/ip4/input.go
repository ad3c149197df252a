package ip4

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Input takes IPv4 packets from the link layer and owns them.
func (p *ip4) Input(dev *link.Device, q *packet.Queue) {
	p.mib.inReceives.Add(uint64(q.Len()))
	var good packet.Queue
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		if p.check(dev, pkt) {
			good.Push(pkt)
		}
	}
	p.hooks.Prerouting.RunBatch(&good)
	var local packet.Queue
	for pkt := good.Pop(); pkt != nil; pkt = good.Pop() {
		p.route(dev, pkt, &local)
	}
	p.deliver(&local)
}

// check holds the packet against RFC 1122 §3.2.1 and cuts link padding off.
func (p *ip4) check(dev *link.Device, pkt *packet.Packet) bool {
	if pkt.Kind == packet.OtherHost {
		pkt.Drop(stat.OtherHost)
		return false
	}
	if !pkt.Ensure(wire.IPv4Len) {
		return p.bad(pkt, stat.PktTooSmall)
	}
	h, ok := wire.ParseIPv4(pkt.Head())
	if !ok {
		if len(pkt.Head()) >= wire.IPv4Len && pkt.Ensure(int(pkt.Head()[0]&0xf)*4) {
			h, ok = wire.ParseIPv4(pkt.Head())
		}
		if !ok {
			return p.bad(pkt, stat.IPInHdr)
		}
	}
	switch {
	case h.TotalLen() > pkt.Len():
		return p.bad(pkt, stat.PktTooSmall)
	case !h.ChecksumOK():
		return p.bad(pkt, stat.IPCsum)
	case martian(dev, h):
		p.mib.inAddrErrors.Inc()
		pkt.Drop(stat.IPInAddrErrors)
		return false
	}
	pkt.TrimTo(h.TotalLen())
	return true
}

func (p *ip4) bad(pkt *packet.Packet, why stat.Reason) bool {
	p.mib.inHdrErrors.Inc()
	pkt.Drop(why)
	return false
}

// martian reports addresses that no packet from this link can have: a source
// that is a group or a broadcast, and loopback addresses on any other link
// (RFC 1122 §3.2.1.3).
func martian(dev *link.Device, h wire.IPv4) bool {
	src, dst := h.Src4(), h.Dst4()
	if src[0] >= 224 {
		return true
	}
	return (src[0] == 127 || dst[0] == 127) && dev.Type() != link.Loopback
}

// route finds out whether pkt is for this host: then it goes to local; else it
// is forwarded or dropped.
func (p *ip4) route(dev *link.Device, pkt *packet.Packet, local *packet.Queue) {
	h, ok := wire.ParseIPv4(pkt.Head()) // a hook may have rewritten it
	if !ok {
		p.bad(pkt, stat.IPInHdr)
		return
	}
	dst := h.Dst()
	if r := p.net.Local.Lookup(dst); r != nil && (r.Type == route.Local || r.Type == route.Broadcast) {
		local.Push(pkt)
		return
	}
	if dst.IsMulticast() || dst == limitedBroadcast {
		local.Push(pkt)
		return
	}
	pkt.Drop(stat.IPInNoRoute)
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// deliver runs the Input hooks and gives runs of packets of one protocol to
// their handler.
func (p *ip4) deliver(q *packet.Queue) {
	p.hooks.Input.RunBatch(q)
	for !q.Empty() {
		proto := q.Front().At(q.Front().L3)[9]
		var run packet.Queue
		for pkt := q.Front(); pkt != nil && pkt.At(pkt.L3)[9] == proto; pkt = q.Front() {
			run.Push(p.strip(q.Pop()))
		}
		p.mib.inDelivers.Add(uint64(run.Len()))
		if h := p.net.Handler(network.V4, proto); h != nil {
			h.Input(&run)
			continue
		}
		p.mib.inUnknownProtos.Add(uint64(run.Len()))
		run.Drop(stat.IPNoProto)
	}
}

func (p *ip4) strip(pkt *packet.Packet) *packet.Packet {
	pkt.Pull(int(pkt.Head()[0]&0xf) * 4)
	pkt.L4 = uint16(pkt.Offset())
	return pkt
}
