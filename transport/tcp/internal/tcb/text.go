package tcb

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// inputText takes the urgent pointer, the payload and the FIN of a segment
// that is acceptable (RFC 9293 §3.10.7.4, sixth to eighth).
func (t *TCB) inputText(now clock.Time, seg *Segment, pkt *packet.Packet) {
	if !t.state.receives() {
		// "This should not occur since a FIN has been received from the
		// remote side. Ignore the segment text."
		t.ignoreText(seg, pkt)
		return
	}
	if seg.Flags&URG != 0 {
		t.inputUrgent(seg)
	}
	if seg.Len == 0 && seg.Flags&FIN == 0 {
		if pkt != nil {
			pkt.Consume()
		}
		return
	}
	seq, n, fin := seg.Seq, seg.Len, seg.Flags&FIN != 0
	if old := t.rcvNxt.Sub(seq); old > 0 {
		old = min(old, n)
		t.duplicate(seq, seq.Add(old))
		if pkt != nil {
			pkt.TrimFront(old)
		}
		seq, n = seq.Add(old), n-old
	}
	if over := seq.Add(n).Sub(t.rcvAdv); over > 0 {
		over = min(over, n)
		if pkt != nil {
			pkt.TrimBack(over)
		}
		n, fin = n-over, false
		t.out |= outAck
	}
	if n == 0 {
		t.endEmpty(seg, pkt)
	}
	if fin && !t.has(flagFinSeen) {
		t.rcvFin = seq.Add(n)
		t.flags |= flagFinSeen
	}
	if n > 0 {
		t.accept(now, seg, seq, n, pkt)
	}
	t.inputFin()
}

// endEmpty ends the packet of a segment of which nothing was left.
func (t *TCB) endEmpty(seg *Segment, pkt *packet.Packet) {
	switch {
	case pkt == nil:
	case seg.Len == 0:
		pkt.Consume()
	case seg.Seq.Before(t.rcvNxt):
		pkt.Drop(stat.TCPOldData)
	default:
		pkt.Drop(stat.TCPZeroWindow)
	}
}

// ignoreText ends the packet of a segment in a state that takes none.
func (t *TCB) ignoreText(seg *Segment, pkt *packet.Packet) {
	switch {
	case pkt == nil:
	case seg.Len == 0:
		pkt.Consume()
	default:
		pkt.Drop(stat.TCPClose)
	}
}

// accept takes n > 0 octets in the window, of which none is before RCV.NXT.
func (t *TCB) accept(now clock.Time, seg *Segment, seq Seq, n int, pkt *packet.Packet) {
	if t.has(flagNoRead) {
		// "If data arrives after CLOSE, send a RST to show that data was
		// lost" (RFC 9293 §3.6.1).
		pkt.Drop(stat.TCPAbortOnData)
		t.Abort()
		return
	}
	if t.has(flagFinSeen) && seq.Add(n).After(t.rcvFin) {
		pkt.Drop(stat.TCPInvalidSequence) // data behind the FIN cannot be
		return
	}
	if seq == t.rcvNxt && !t.rx.pending() {
		t.deliver(n, pkt)
		t.ackLater(now, seg)
		return
	}
	t.reorder(seq, n, pkt)
}

// deliver gives the next n octets to the application.
func (t *TCB) deliver(n int, pkt *packet.Packet) {
	t.stat.dataIn++
	t.Ready.Push(pkt)
	t.advance(n)
}

// advance moves RCV.NXT over octets that were put into Ready.
func (t *TCB) advance(n int) {
	t.rcvNxt = t.rcvNxt.Add(n)
	t.unread += uint32(n)
	t.stat.bytesReceived += uint64(n)
	t.events |= EventReadable
}

// reorder takes octets that are out of order, or for which there are
// out-of-order neighbours. "An immediate ACK" tells the sender of the gap, and
// of its end (RFC 5681 §4.2).
func (t *TCB) reorder(seq Seq, n int, pkt *packet.Packet) {
	if t.rx == nil {
		t.rx = new(reassembly)
	}
	t.out |= outAck
	t.quick = uint8(min(t.cfg.QuickAcks, 255))
	t.stat.dataIn++
	t.rx.insert(Block{seq, seq.Add(n)}, pkt, t.maxPending(), seq == t.rcvNxt)
	if n := t.rx.release(t.rcvNxt, &t.Ready); n > 0 {
		t.advance(n)
	}
}

// duplicate notes octets that arrived twice, which the next acknowledgement
// reports (RFC 2883 §4).
func (t *TCB) duplicate(left, right Seq) {
	t.out |= outAck
	if !t.has(flagSACK) || !left.Before(right) {
		return
	}
	if t.rx == nil {
		t.rx = new(reassembly)
	}
	t.rx.setDup(Block{left, right})
}

// maxPending is how many packets may wait out of order: as many as a window of
// small segments needs, so that a peer that sends single octets cannot pin a
// buffer for each of them.
func (t *TCB) maxPending() int { return max(128, int(t.rcvBuf/512)) }

// ackLater decides when data that arrived in order is acknowledged (RFC 9293
// §3.8.6.3): "at least every second full-sized segment", else after
// Config.DelayedAck.
func (t *TCB) ackLater(now clock.Time, seg *Segment) {
	size := seg.Len
	if seg.Cut != 0 {
		size = min(size, int(seg.Cut))
	}
	if size > int(t.rmss) {
		t.rmss = uint16(min(size, int(t.ourMSS)))
	}
	switch {
	case t.rcvNxt.Sub(t.rcvAcked) >= 2*int(t.rmss):
		t.out |= outAck
	case t.quick > 0:
		t.quick--
		t.out |= outAck
	case t.ackAt == 0:
		t.ackAt = now.Add(t.cfg.DelayedAck)
	}
	if seg.TSEcr != t.tune.ecr {
		t.measureRcv(now, seg)
	}
}

// inputUrgent notes the urgent pointer: it points behind the last urgent octet
// (RFC 6093 §3.2), and the data stays in line.
func (t *TCB) inputUrgent(seg *Segment) {
	up := seg.Seq.Add(int(seg.Urgent))
	if up.After(t.rcvNxt) && (!t.has(flagUrgent) || up.After(t.rcvUp)) {
		t.rcvUp = up
		t.flags |= flagUrgent
		t.events |= EventUrgent
	}
}

// inputFin takes the peer's FIN when all before it has arrived.
func (t *TCB) inputFin() {
	if !t.has(flagFinSeen) || !t.state.receives() {
		return
	}
	if t.rcvNxt != t.rcvFin {
		t.out |= outAck // there is a gap
		return
	}
	t.rcvNxt++
	t.out |= outAck
	t.events |= EventPeerClosed | EventReadable
	switch t.state {
	case Established:
		t.state = CloseWait
	case FinWait1: // our FIN is not acknowledged, or it would be FIN-WAIT-2
		t.state = Closing
	case FinWait2:
		t.timeWait()
	}
}
