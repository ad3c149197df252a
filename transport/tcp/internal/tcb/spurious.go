package tcb

import "github.com/knitnet/knit/core/clock"

// An undo is what the last reduction of the window replaced, until the first
// acknowledgement tells whether it was right (RFC 3522).
type undo struct {
	cwnd, ssthresh uint32
	ts             uint32 // timestamp of the first retransmission
}

// keepUndo notes what to restore if the loss was none.
func (t *TCB) keepUndo(now clock.Time) {
	t.undo = undo{t.win.Cwnd, t.win.Ssthresh, t.tsNow(now)}
	t.setFlag(flagUndo, t.has(flagTimestamps))
}

// detectSpurious is the Eifel algorithm (RFC 3522 §3.2): the first
// acknowledgement after a retransmission echoes the timestamp of what caused
// it. An older one means that the original had arrived and nothing was lost.
func (t *TCB) detectSpurious(now clock.Time, seg *Segment) {
	if !t.has(flagUndo) {
		return
	}
	t.flags &^= flagUndo
	if seg.Has&HasTimestamps == 0 || seg.TSEcr == 0 || int32(seg.TSEcr-t.undo.ts) >= 0 {
		return
	}
	t.win.Set(max(t.win.Cwnd, t.undo.cwnd))
	t.win.Ssthresh = max(t.win.Ssthresh, t.undo.ssthresh)
	t.control().Undo(now, &t.win)
	t.calm()
}
