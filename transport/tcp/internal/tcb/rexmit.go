package tcb

import "github.com/knitnet/knit/core/clock"

// rexmit makes the next retransmission of what is lost: NextSeg rule (1) of
// RFC 6675 §4.
func (t *TCB) rexmit(now clock.Time, seg *Segment) bool {
	size := t.segSize()
	room := int(t.win.Cwnd) - int(t.pipe())
	// "The TCP MUST retransmit the first data segment presumed dropped",
	// whatever the pipe (RFC 6675 §5, step 4.3).
	if !t.has(flagFirstRexmit) && room < int(t.mss) {
		t.flags |= flagCwndLimited
		return false
	}
	t.flags &^= flagFirstRexmit
	left, right, bounded := t.sb.hole(maxSeq(t.highRxt, t.una))
	if !bounded || right.After(t.lostTo) {
		right = t.lostTo
	}
	n := right.Sub(left)
	if n <= 0 {
		return false
	}
	if most := min(t.burst(size), max(room, size)); n > most {
		n = max(most-most%size, size)
	}
	n = min(n, right.Sub(left))
	t.resend(now, seg, left, n)
	t.highRxt = seg.End()
	t.rtxOut += uint32(n)
	return true
}

// rexmitMore makes a retransmission when nothing is known to be lost and no new
// data can go out: NextSeg rules (3) and (4) of RFC 6675 §4.
func (t *TCB) rexmitMore(now clock.Time, seg *Segment) bool {
	if !t.has(flagSACK) || int(t.win.Cwnd)-int(t.pipe()) < int(t.mss) {
		return false
	}
	top, ok := t.sb.highest()
	if !ok {
		top = t.una
	}
	size := t.segSize()
	if left, right, bounded := t.sb.hole(maxSeq(t.highRxt, t.una)); bounded && left.Before(top) {
		n := min(right.Sub(left), size)
		t.resend(now, seg, left, n)
		t.highRxt = seg.End()
		t.rtxOut += uint32(n)
		return true
	}
	if !top.Before(t.nxt) || t.has(flagRescue) && !t.una.After(t.rescued) {
		return false
	}
	// The rescue: the highest octets, once, "HighRxt MUST NOT be updated".
	t.flags |= flagRescue
	t.rescued = t.recover
	left := maxSeq(top, t.nxt.Add(-size))
	t.resend(now, seg, left, t.nxt.Sub(left))
	return true
}

// resend makes the segment of n sequence numbers from left on, which were sent
// before. The last one may be the FIN's.
func (t *TCB) resend(now clock.Time, seg *Segment, left Seq, n int) {
	f := ACK
	if left.Add(n).After(t.end) {
		f |= FIN
		n--
	}
	if left.Add(n) == t.end {
		f |= PSH
	}
	t.make(now, seg, left, n, f)
	if t.has(flagTiming) && (!t.has(flagSACK) || left.Before(t.rttSeq) && !seg.End().Before(t.rttSeq)) {
		// Karn: what was sent twice measures nothing. Without SACK neither does
		// what is behind it, as it is acknowledged only together with it.
		t.flags &^= flagTiming
	}
	seg.Rexmit = true
	t.stat.rexmits += uint32(seg.count())
	t.stat.bytesRexmit += uint64(n)
	t.sent(now, n)
	if t.rtoAt == 0 {
		t.armRTO(now)
	}
}
