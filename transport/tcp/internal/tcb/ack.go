package tcb

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// inputAck takes the ACK field and the window (RFC 9293 §3.10.7.4, fifth). It
// reports a reason when the whole segment is to be dropped.
func (t *TCB) inputAck(now clock.Time, seg *Segment) (stat.Reason, bool) {
	if t.state == SynReceived {
		if !seg.Ack.After(t.iss) || seg.Ack.After(t.nxt) {
			t.out |= outReply // "form a reset segment <SEQ=SEG.ACK><CTL=RST>"
			t.reply = seg.Ack
			return stat.TCPInvalidAckSequence, true
		}
		t.synAcked(now, seg)
		t.setWindow(seg)
	}
	switch {
	case seg.Ack.After(t.nxt):
		t.challengeAck(now)
		return stat.TCPAckUnsentData, true
	case seg.Ack.Before(t.una.Add(-int(t.maxWnd))):
		// "MAX.SND.WND" (RFC 5961 §5.2).
		t.challengeAck(now)
		return stat.TCPTooOldAck, true
	}
	if t.sndWnd == 0 {
		t.retries = 0 // the peer is there, and has its reason not to take more
	}
	if seg.Ack.Before(t.una) {
		return 0, false // a late one: what it says is known
	}
	isDup := t.isDuplicate(seg)
	if t.wl1.Before(seg.Seq) || t.wl1 == seg.Seq && !seg.Ack.Before(t.wl2) {
		t.setWindow(seg)
	}
	news := t.takeSACK(now, seg)
	acked := seg.Ack.Sub(t.una)
	if acked > 0 {
		if t.phase != open || t.has(flagUndo) {
			t.detectSpurious(now, seg)
		}
		t.newAck(now, seg)
	}
	t.lossStep(now, acked, isDup, news)
	t.finAcked(now)
	return 0, false
}

// isDuplicate is the definition of RFC 5681 §2.
func (t *TCB) isDuplicate(seg *Segment) bool {
	return seg.Ack == t.una && t.nxt != t.una && seg.Len == 0 && seg.Flags&(SYN|FIN) == 0 &&
		uint32(seg.Window)<<t.sndShift == t.sndWnd
}

// setWindow is the update of SND.WND (RFC 9293 §3.10.7.4).
func (t *TCB) setWindow(seg *Segment) {
	wnd := uint32(seg.Window)
	if seg.Flags&SYN == 0 {
		wnd <<= t.sndShift
	}
	if t.has(flagPersist) && wnd > t.sndWnd {
		t.rtoAt = 0 // the window opened: Output decides anew
		t.flags &^= flagPersist
		t.backoff = 0
	}
	t.sndWnd = wnd
	t.maxWnd = max(t.maxWnd, wnd)
	t.wl1, t.wl2 = seg.Seq, seg.Ack
}

// newAck advances SND.UNA to seg.Ack, which is after it.
func (t *TCB) newAck(now clock.Time, seg *Segment) {
	n := seg.Ack.Sub(t.una)
	inflight := t.pipe()
	octets := uint32(n)
	if seg.Ack.After(t.end) { // our FIN is in it
		octets--
	}
	t.una = seg.Ack
	t.acked += octets
	t.stat.bytesAcked += uint64(octets)
	t.stat.delivered += uint64(octets)
	t.events |= EventWritable
	t.retries, t.dupAcks, t.soft = 0, 0, 0
	t.progress = now
	rtt := t.ackRTT(now, seg)
	if t.phase != open || t.sacked != 0 {
		t.forget()
	}
	if t.una == t.nxt {
		t.rtoAt = 0
	} else {
		t.armRTO(now) // RFC 6298 §5.3
	}
	if t.phase != recovery {
		t.control().OnAck(now, &t.win, cc.Ack{Bytes: octets, Inflight: inflight, RTT: rtt, Limited: t.limited(inflight)})
	}
}

// limited reports whether the congestion window held the sender back before
// this acknowledgement. In slow start a window of which half is used may
// grow, or it would stop at every pause of the application (RFC 7661 §4.3).
func (t *TCB) limited(inflight uint32) bool {
	return t.has(flagCwndLimited) || t.win.SlowStart() && t.win.Cwnd < 2*inflight
}

// finAcked moves on when the peer has acknowledged our FIN.
func (t *TCB) finAcked(now clock.Time) {
	if !t.has(flagFin) || !t.una.After(t.end) {
		return
	}
	switch t.state {
	case FinWait1:
		t.state = FinWait2
		if t.has(flagNoRead) {
			t.closeAt = now.Add(t.cfg.FinWait2)
		}
	case Closing:
		t.timeWait()
	case LastAck:
		t.finish()
	}
}
