package link

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// Receive takes a batch of frames from the driver and owns it. Ethernet frames
// begin with their header; packets of other devices begin with the network
// header and have Meta.Proto set.
func (dev *Device) Receive(q *packet.Queue) {
	w := dev.layer.Walks.Enter()
	dev.receive(q)
	w.Exit()
}

func (dev *Device) receive(q *packet.Queue) {
	if !dev.Up() {
		dev.rx.Dropped.Add(uint64(q.Len()))
		q.Drop(stat.DevReady)
		return
	}
	dev.countBatch(&dev.rx, q)
	if taps := dev.taps.Load(); taps != nil {
		tapAll(*taps, q, false)
	}
	dev.readHeaders(q)
	if !dev.layer.Ingress.Empty() {
		dev.layer.Ingress.RunBatch(q)
	}
	dev.deliver(q)
}

func (dev *Device) countBatch(t *Traffic, q *packet.Queue) {
	var n, bytes uint64
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		n++
		bytes += uint64(pkt.Len())
	}
	t.Packets.Add(n)
	t.Bytes.Add(bytes)
}

// readHeaders reads link headers, sets what Meta says of them, and drops what
// is damaged or for others.
func (dev *Device) readHeaders(q *packet.Queue) {
	if dev.info.Type != Ether {
		for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
			pkt.In = dev.index
			pkt.Kind = packet.Host
			pkt.L3 = uint16(pkt.Offset())
		}
		return
	}
	own := dev.MAC()
	promisc := dev.Flags()&Promisc != 0
	var good packet.Queue
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		if dev.readEthernet(pkt, own, promisc) {
			good.Push(pkt)
		}
	}
	*q = good
}

func (dev *Device) readEthernet(pkt *packet.Packet, own wire.MAC, promisc bool) bool {
	if !pkt.Ensure(wire.EthernetLen) {
		dev.rx.Errors.Inc()
		pkt.Drop(stat.DevHdr)
		return false
	}
	h, _ := wire.ParseEthernet(pkt.Head())
	pkt.In = dev.index
	pkt.Proto = h.EtherType()
	switch dst := h.Dst(); {
	case dst == own:
		pkt.Kind = packet.Host
	case dst.IsBroadcast():
		pkt.Kind = packet.Broadcast
	case dst.IsMulticast():
		pkt.Kind = packet.Multicast
		dev.rx.Multicast.Inc()
	default:
		pkt.Kind = packet.OtherHost
		if !promisc {
			pkt.Drop(stat.OtherHost)
			return false
		}
	}
	pkt.L2 = uint16(pkt.Offset())
	pkt.Pull(wire.EthernetLen)
	untag(pkt)
	pkt.L3 = uint16(pkt.Offset())
	return true
}

// untag takes off the tags that say no VLAN but a priority (IEEE 802.1Q §9.6): such a
// frame is for who has no VLANs, too.
func untag(pkt *packet.Packet) {
	for pkt.Proto == wire.EtherTypeVLAN || pkt.Proto == wire.EtherTypeQinQ {
		if !pkt.Ensure(wire.VLANLen) {
			return
		}
		tag, _ := wire.ParseVLAN(pkt.Head())
		if tag.ID() != 0 {
			return
		}
		pkt.Proto = tag.EtherType()
		pkt.Pull(wire.VLANLen)
	}
}

// deliver gives runs of packets with the same EtherType to their handler.
//
// The handlers get q itself and only the rest of a mixed batch waits in a variable:
// what is passed to an interface is allocated.
func (dev *Device) deliver(q *packet.Queue) {
	for !q.Empty() {
		rest := cutRun(q)
		dev.deliverRun(q)
		*q = rest
	}
}

func (dev *Device) deliverRun(q *packet.Queue) {
	p := dev.layer.protocol(q.Front().Proto)
	if p == nil || p.Handler == nil {
		dev.rx.Dropped.Add(uint64(q.Len()))
		q.Drop(stat.UnhandledProto)
		return
	}
	if p.Offload != nil && q.Len() > 1 && dev.Features()&GRO != 0 {
		p.Offload.Merge(q)
	}
	p.Handler.Input(dev, q)
}

// cutRun leaves in q the packets from the front that have the same EtherType, and
// returns the others.
func cutRun(q *packet.Queue) (rest packet.Queue) {
	proto := q.Front().Proto
	n := 0
	for pkt := q.Front(); pkt != nil && pkt.Proto == proto; pkt = pkt.Next() {
		n++
	}
	if n == q.Len() {
		return rest
	}
	rest, *q = *q, packet.Queue{}
	for range n {
		q.Push(rest.Pop())
	}
	return rest
}
