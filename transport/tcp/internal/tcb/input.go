package tcb

import (
	"syscall"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// predictMask are the bits that the fast path cares for.
const predictMask = FIN | SYN | RST | ACK | URG

// Input takes one segment (RFC 9293 §3.10.7) and with it pkt, the packet that
// holds its payload and nothing else; pkt may be nil when seg.Len is 0. seg is
// only read, and not kept.
func (t *TCB) Input(now clock.Time, seg *Segment, pkt *packet.Packet) {
	t.stat.segsIn += uint32(seg.count())
	if t.state == Established && seg.Flags&predictMask == ACK && seg.Seq == t.rcvNxt && t.predicted(now, seg, pkt) {
		return
	}
	switch t.state {
	case Closed, TimeWait:
		drop(pkt, stat.TCPClose)
	case SynSent:
		t.inputSynSent(now, seg, pkt)
	default:
		t.inputSynchronized(now, seg, pkt)
	}
}

// predicted handles what nearly every segment of a healthy connection is: the
// next data, or an acknowledgement of new data, with nothing else to think
// about. It reports false, having changed nothing, for everything else.
func (t *TCB) predicted(now clock.Time, seg *Segment, pkt *packet.Packet) bool {
	const unusual = flagFinSeen | flagNoRead | flagPersist
	if t.phase != open || t.flags&unusual != 0 || t.sacked != 0 || seg.SACKs != 0 ||
		t.rx.pending() || seg.Len > t.rcvAdv.Sub(t.rcvNxt) {
		return false
	}
	if t.has(flagTimestamps) != (seg.Has&HasTimestamps != 0) ||
		t.has(flagTimestamps) && int32(seg.TSVal-t.tsRecent) < 0 {
		return false
	}
	acks := seg.Ack.Sub(t.una)
	if acks < 0 || seg.Ack.After(t.nxt) || acks == 0 && seg.Len == 0 {
		return false
	}
	t.lastRecv = now
	if t.has(flagTimestamps) {
		t.recent(now, seg)
	}
	t.sndWnd = uint32(seg.Window) << t.sndShift
	t.maxWnd = max(t.maxWnd, t.sndWnd)
	t.wl1, t.wl2 = seg.Seq, seg.Ack
	if acks > 0 {
		t.newAck(now, seg)
	}
	if seg.Len > 0 {
		t.deliver(seg.Len, pkt)
		t.ackLater(now, seg)
	} else if pkt != nil {
		pkt.Consume()
	}
	return true
}

// recent is rule (2) of RFC 7323 §4.3: TS.Recent follows the segment that the
// next acknowledgement answers, the earliest one that is not acknowledged yet.
func (t *TCB) recent(now clock.Time, seg *Segment) {
	if !seg.Seq.After(t.rcvAcked) && int32(seg.TSVal-t.tsRecent) >= 0 {
		t.tsRecent, t.tsRecentAt = seg.TSVal, now
	}
}

// drop ends a packet that may be nil.
func drop(pkt *packet.Packet, why stat.Reason) {
	if pkt != nil {
		pkt.Drop(why)
	}
}

// inputSynSent is RFC 9293 §3.10.7.3.
func (t *TCB) inputSynSent(now clock.Time, seg *Segment, pkt *packet.Packet) {
	if seg.Flags&ACK != 0 && (!seg.Ack.After(t.iss) || seg.Ack.After(t.nxt)) {
		if seg.Flags&RST == 0 {
			t.out |= outReply
			t.reply = seg.Ack
		}
		drop(pkt, stat.TCPInvalidAckSequence)
		return
	}
	if seg.Flags&RST != 0 {
		// "If the ACK was acceptable, signal to the user 'error: connection
		// reset'"; without an ACK anybody could have sent it.
		if seg.Flags&ACK != 0 {
			t.die(uint32(syscall.ECONNREFUSED))
		}
		drop(pkt, stat.TCPReset)
		return
	}
	if seg.Flags&SYN == 0 {
		drop(pkt, stat.TCPFlags)
		return
	}
	t.lastRecv = now
	t.synIn(now, seg)
	if seg.Flags&ACK == 0 {
		// Simultaneous open. Data waits until the peer sends it again.
		t.state = SynReceived
		t.retries = 0
		t.out |= outSyn
		drop(pkt, stat.TCPFlags)
		return
	}
	t.synAcked(now, seg)
	t.out |= outAck
	rest := *seg
	rest.Seq++
	rest.Flags &^= SYN
	t.inputText(now, &rest, pkt)
}

// synAcked takes the acknowledgement of our SYN and establishes the
// connection.
func (t *TCB) synAcked(now clock.Time, seg *Segment) {
	if t.has(flagTiming) {
		t.timed(now)
	}
	t.una = t.iss + 1
	t.highRxt, t.lostTo = t.una, t.una
	t.rtoAt = 0
	t.progress = now
	t.wl1, t.wl2 = seg.Seq, seg.Ack
	t.establish(now)
}

// inputSynchronized is RFC 9293 §3.10.7.4, with the changes of RFC 5961 and
// RFC 7323.
func (t *TCB) inputSynchronized(now clock.Time, seg *Segment, pkt *packet.Packet) {
	if t.state == SynReceived && seg.Flags&(SYN|RST) == SYN && seg.Seq == t.irs {
		if seg.Flags&ACK == 0 {
			// The peer did not get our SYN-ACK.
			t.out |= outSyn
			t.flags |= flagSynRexmit
			drop(pkt, stat.TCPInvalidSyn)
			return
		}
		// The SYN-ACK of a simultaneous open (RFC 9293 figure 7): the SYN is
		// known, what it acknowledges is news.
		rest := *seg
		rest.Seq++
		rest.Flags &^= SYN
		seg = &rest
	}
	if why, bad := t.unacceptable(now, seg); bad {
		drop(pkt, why)
		return
	}
	if seg.Flags&RST != 0 {
		t.inputReset(now, seg)
		drop(pkt, stat.TCPReset)
		return
	}
	if seg.Flags&SYN != 0 {
		t.inputSyn(now)
		drop(pkt, stat.TCPInvalidSyn)
		return
	}
	if seg.Flags&ACK == 0 {
		drop(pkt, stat.TCPFlags)
		return
	}
	if t.has(flagTimestamps) {
		t.recent(now, seg)
	}
	t.lastRecv = now
	if why, bad := t.inputAck(now, seg); bad {
		drop(pkt, why)
		return
	}
	t.inputText(now, seg, pkt)
}

// inputReset takes a reset that is in the window (RFC 5961 §3.2): only one
// that hits RCV.NXT exactly counts.
func (t *TCB) inputReset(now clock.Time, seg *Segment) {
	switch {
	case seg.Seq != t.rcvNxt:
		t.challengeAck(now)
	case t.state == SynReceived && t.has(flagActive):
		t.die(uint32(syscall.ECONNREFUSED))
	case t.state == Closing || t.state == LastAck:
		t.finish()
	case t.state == CloseWait:
		// The peer closed and then reset: who writes has a broken pipe.
		t.die(uint32(syscall.EPIPE))
	default:
		t.die(uint32(syscall.ECONNRESET))
	}
}

// inputSyn takes a SYN that is in the window: a connection that was opened
// passively and is not established returns to LISTEN (RFC 9293 §3.10.7.4,
// fourth), all others send a challenge ACK (RFC 5961 §4.2).
func (t *TCB) inputSyn(now clock.Time) {
	if t.state == SynReceived && !t.has(flagActive) {
		t.die(uint32(syscall.ECONNRESET))
		return
	}
	t.challengeAck(now)
}
