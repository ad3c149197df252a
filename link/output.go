package link

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// PushHeader puts the link header for dst in front of pkt; a device without
// headers takes none. Meta.Proto must be set.
func (dev *Device) PushHeader(pkt *packet.Packet, dst wire.MAC) {
	if dev.info.Type == Ether {
		wire.PutEthernet(pkt.Push(wire.EthernetLen), dst, dev.MAC(), pkt.Proto)
		pkt.L2 = uint16(pkt.Offset())
	}
}

// Transmit sends a batch, whose packets have their link header and Meta.Proto,
// and owns it.
func (dev *Device) Transmit(q *packet.Queue) {
	w := dev.layer.Walks.Enter()
	dev.transmit(q)
	w.Exit()
}

func (dev *Device) transmit(q *packet.Queue) {
	if !dev.Up() {
		dev.tx.Dropped.Add(uint64(q.Len()))
		q.Drop(stat.DevReady)
		return
	}
	if !dev.layer.Egress.Empty() {
		for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
			pkt.Out = dev.index
		}
		dev.layer.Egress.RunBatch(q)
	}
	if f := dev.Features(); f&AllTx != AllTx {
		dev.prepare(q, f)
	}
	dev.emit(q)
}

// emit gives q, which is empty afterwards, to the driver.
func (dev *Device) emit(q *packet.Queue) {
	if q.Empty() {
		return
	}
	if taps := dev.taps.Load(); taps != nil {
		tapAll(*taps, q, true)
	}
	dev.countBatch(&dev.tx, q)
	dev.driver.Transmit(dev, q)
	*q = packet.Queue{}
}

// NotSent ends a packet of Transmit that the driver, which owns it, could not send:
// it counts as dropped and, as on Linux, not as sent.
func (dev *Device) NotSent(pkt *packet.Packet, why stat.Reason) {
	dev.tx.Packets.Add(^uint64(0))
	dev.tx.Bytes.Add(-uint64(pkt.Len()))
	dev.tx.Dropped.Inc()
	pkt.Drop(why)
}

// maxBurst is how many packets wait for the driver while others are cut: a batch of
// large packets from a stranger, to be cut into small pieces, becomes a million.
const maxBurst = 1024

// prepare does in software what the driver cannot do. Past maxBurst packets it emits
// what is ready.
func (dev *Device) prepare(q *packet.Queue, f Features) {
	// q itself takes what comes out, because what is passed to an Offload is
	// allocated.
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if pkt.GSO != packet.GSONone && f&gsoFeature(pkt.GSO) == 0 {
			dev.segment(pkt, q)
		} else {
			q.Push(pkt)
		}
		if q.Len() > maxBurst && !in.Empty() {
			dev.finish(q, f)
			dev.emit(q)
		}
	}
	dev.finish(q, f)
}

// finish completes checksums if the driver does not.
func (dev *Device) finish(q *packet.Queue, f Features) {
	if f&TxCsum == 0 {
		dev.completeChecksums(q)
	}
}

func (dev *Device) completeChecksums(q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if !CompleteChecksum(pkt) {
			dev.tx.Dropped.Inc()
			pkt.Drop(stat.SkbCsum)
			continue
		}
		q.Push(pkt)
	}
}

func gsoFeature(t packet.GSOType) Features {
	switch t {
	case packet.GSOTCP4:
		return TSO4
	case packet.GSOTCP6:
		return TSO6
	default:
		return USO
	}
}

func (dev *Device) segment(pkt *packet.Packet, out *packet.Queue) {
	p := dev.layer.protocol(pkt.Proto)
	if p == nil || p.Offload == nil {
		dev.tx.Dropped.Inc()
		pkt.Drop(stat.SkbGSOSeg)
		return
	}
	p.Offload.Segment(pkt, out)
}

// CompleteChecksum puts the checksum into a packet that has CsumPartial, so that
// it can leave the process; others stay as they are. The packet's fragments are
// only read. It reports false when the checksum's place is no longer in the head,
// as when a packet from outside was cut to the length its IP header gives.
func CompleteChecksum(pkt *packet.Packet) bool {
	if pkt.Csum != packet.CsumPartial {
		return true
	}
	from := int(pkt.CsumStart) - pkt.Offset()
	field := from + int(pkt.CsumOffset)
	if from < 0 || field+2 > pkt.HeadLen() {
		return false
	}
	sum := ChecksumFrom(pkt, from, 0)
	binary.BigEndian.PutUint16(pkt.Head()[field:], sum.FinishAt(int(pkt.CsumOffset)))
	pkt.Csum = packet.CsumUnnecessary
	return true
}

// ChecksumFrom returns initial plus the sum of pkt's bytes from offset from (from
// the start of the data) to the end.
func ChecksumFrom(pkt *packet.Packet, from int, initial wire.PartialSum) wire.PartialSum {
	sum := initial
	done := 0
	if h := pkt.Head(); from < len(h) {
		sum = wire.Sum(h[from:], sum)
		done = len(h) - from
		from = 0
	} else {
		from -= len(h)
	}
	for i := range pkt.Frags() {
		b := pkt.Frag(i)
		if from >= len(b) {
			from -= len(b)
			continue
		}
		b = b[from:]
		from = 0
		sum = sum.Combine(wire.Sum(b, 0), done)
		done += len(b)
	}
	return sum
}
