package tcb

import (
	"github.com/knitnet/knit/core/clock"
)

// out are the segments that are due, beside data and retransmissions.
type out uint8

const (
	outAck   out = 1 << iota // an acknowledgement, on its own or with data
	outSyn                   // SYN or SYN-ACK
	outRst                   // the reset of Abort
	outReply                 // a reset that answers one segment: TCB.reply
	outProbe                 // of a zero window or of an idle peer
)

// Output returns the next segment to send now. ok is false when there is none;
// the shell then need not call again before something happened.
func (t *TCB) Output(now clock.Time) (seg Segment, ok bool) {
	if t.out&^outAck != 0 || !t.state.synchronized() {
		if ok = t.outputSpecial(now, &seg); ok {
			return seg, true
		}
	}
	if t.state.sends() {
		ok = t.phase != open && t.rexmit(now, &seg) || t.outputNew(now, &seg) ||
			t.phase == recovery && t.rexmitMore(now, &seg)
		if ok {
			return seg, true
		}
	}
	if t.out&outAck != 0 && t.state >= SynReceived {
		t.make(now, &seg, t.nxt, 0, ACK)
		return seg, true
	}
	return seg, false
}

// outputSpecial makes the segments that are not part of the flow.
func (t *TCB) outputSpecial(now clock.Time, seg *Segment) bool {
	switch {
	case t.out&outReply != 0:
		t.out &^= outReply
		*seg = Segment{Seq: t.reply, Flags: RST}
		t.stat.segsOut++
		return true
	case t.out&outRst != 0:
		t.out = 0
		*seg = Segment{Seq: t.nxt, Ack: t.rcvNxt, Flags: RST | ACK}
		t.stat.segsOut++
		return true
	case t.out&outSyn != 0:
		t.out &^= outSyn | outAck
		t.outputSyn(now, seg)
		return true
	case t.out&outProbe != 0:
		t.out &^= outProbe
		if !t.state.synchronized() {
			return false
		}
		// RFC 9293 §3.8.6.1 speaks of an octet of new data. A number that is
		// already acknowledged commits us to nothing and gets the same answer,
		// because whatever is not acceptable has to be acknowledged (§3.10.7.4).
		t.make(now, seg, t.una-1, 0, ACK)
		return true
	}
	return false
}

// outputSyn makes the SYN or SYN-ACK, the first time and when it was lost.
func (t *TCB) outputSyn(now clock.Time, seg *Segment) {
	o := Options{Has: HasMSS, MSS: t.ourMSS}
	answer := t.state == SynReceived
	if !t.cfg.NoWindowScale && (!answer || t.has(flagWScale)) {
		o.Has |= HasWScale
		o.WScale = t.rcvShift
	}
	if !t.cfg.NoSACK && (!answer || t.has(flagSACK)) {
		o.Has |= HasSACKPermitted
	}
	if !t.cfg.NoTimestamps && (!answer || t.has(flagTimestamps)) {
		o.Has |= HasTimestamps
		o.TSVal = t.tsNow(now)
	}
	*seg = Segment{Seq: t.iss, Flags: SYN, Window: uint16(t.synWindow()), Options: o}
	if answer {
		seg.Flags |= ACK
		seg.Ack = t.rcvNxt
		if o.Has&HasTimestamps != 0 {
			seg.TSEcr = t.tsRecent
		}
		t.rcvAcked = t.rcvNxt
	}
	if t.nxt == t.iss {
		t.nxt++
		t.rcvAdv = t.rcvNxt.Add(int(seg.Window)) // means nothing yet in SYN-SENT
		t.flags |= flagTiming
		t.rttAt, t.rttSeq = now, t.nxt
		t.progress = now
	} else {
		t.flags &^= flagTiming
		seg.Rexmit = true
		t.stat.rexmits++
	}
	t.stat.segsOut++
	if t.rtoAt == 0 {
		t.armRTO(now)
	}
}

// outputNew makes a segment of octets, or a FIN, that were never sent.
func (t *TCB) outputNew(now clock.Time, seg *Segment) bool {
	if t.nxt == t.end && t.flags&flagFin == 0 || t.nxt.After(t.end) {
		return false // nothing queued, or the FIN is out
	}
	if t.una == t.nxt {
		t.restart(now)
	}
	n, fin, ok := t.allowed()
	if !ok {
		if t.una == t.nxt && t.rtoAt == 0 {
			t.armPersist(now)
		}
		return false
	}
	f := ACK
	if t.nxt.Add(n) == t.end {
		f |= PSH
	}
	if fin {
		f |= FIN
	}
	if !t.has(flagTiming) && (t.phase == open || t.has(flagSACK)) {
		t.flags |= flagTiming
		t.rttAt, t.rttSeq = now, t.nxt.Add(n)
	}
	if t.una == t.nxt {
		t.progress = now
	}
	t.make(now, seg, t.nxt, n, f)
	t.nxt = seg.End()
	if n < int(t.mss) {
		t.smallEnd = t.nxt
		t.flags |= flagSmall
	}
	t.sent(now, n)
	if t.rtoAt == 0 || t.has(flagPersist) {
		t.armRTO(now)
	}
	return true
}

// sent keeps the accounts of n octets that leave, new or again.
func (t *TCB) sent(now clock.Time, n int) {
	t.lastSend = now
	t.flags &^= flagForce
	if t.quick > 0 && t.stat.bytesReceived > 0 && now.Sub(t.lastRecv) < t.cfg.DelayedAck {
		// A conversation: the answers carry the acknowledgements, and one at
		// once for each request would double the segments.
		t.quick = 0
	}
	t.stat.bytesSent += uint64(n)
	t.stat.dataOut++
}

// make fills in a segment that carries an acknowledgement.
func (t *TCB) make(now clock.Time, seg *Segment, seq Seq, n int, f Flags) {
	seg.Seq = seq
	seg.Ack = t.rcvNxt
	seg.Len = n
	seg.Flags = f
	seg.Window = t.advertise()
	if t.has(flagTimestamps) {
		seg.Has = HasTimestamps
		seg.TSVal = t.tsNow(now)
		seg.TSEcr = t.tsRecent
	}
	size := int(t.mss)
	if t.rx != nil && t.has(flagSACK) {
		size -= t.rx.report(seg, t.sackRoom())
	}
	if n > size {
		seg.Cut = uint16(size)
	}
	t.stat.segsOut += uint32(seg.count())
	t.rcvAcked = t.rcvNxt
	t.ackAt = 0
	t.out &^= outAck
}

// sackRoom is how many SACK blocks fit beside our other options.
func (t *TCB) sackRoom() int {
	if t.has(flagTimestamps) {
		return 3
	}
	return MaxSACK
}
