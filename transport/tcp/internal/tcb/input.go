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
	case Closed:
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
			t.die(uint16(syscall.ECONNREFUSED))
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

// unacceptable makes the PAWS check (RFC 7323 §5.3 R1) and the sequence number
// check (RFC 9293 §3.10.7.4, first), and prepares the answer.
func (t *TCB) unacceptable(now clock.Time, seg *Segment) (stat.Reason, bool) {
	if t.has(flagTimestamps) && seg.Flags&RST == 0 {
		if seg.Has&HasTimestamps == 0 {
			// "If a non-<RST> segment is received without a TSopt, a TCP
			// SHOULD silently drop the segment" (RFC 7323 §3.2). A SYN may
			// be of a new connection: RFC 5961 wants it answered.
			if seg.Flags&SYN == 0 {
				return stat.TCPFlags, true
			}
		} else if t.tooOld(now, seg) {
			t.answerOld(now, seg)
			return stat.TCPRFC7323PAWS, true
		}
	}
	if t.inWindow(seg) {
		return 0, false
	}
	if seg.Flags&RST == 0 {
		t.answerOld(now, seg)
		if t.state == TimeWait && seg.Flags&FIN != 0 {
			t.timeWait(now) // "Acknowledge it, and restart the 2 MSL timeout"
		}
	}
	return stat.TCPInvalidSequence, true
}

// pawsIdle is how long TS.Recent stays valid: "more than 24 days" (RFC 7323
// §5.5), after which a clock of 1 ms may have wrapped its sign.
const pawsIdle = 24 * 24 * 3600 * 1e9

func (t *TCB) tooOld(now clock.Time, seg *Segment) bool {
	return int32(seg.TSVal-t.tsRecent) < 0 && now.Sub(t.tsRecentAt) <= pawsIdle
}

// inWindow is the table of RFC 9293 §3.4. A segment that begins exactly at
// RCV.NXT is let through even if the window is closed, without its payload:
// "special allowance should be made to accept valid ACKs, URGs, and RSTs".
func (t *TCB) inWindow(seg *Segment) bool {
	wnd := t.rcvAdv.Sub(t.rcvNxt)
	first := seg.Seq.Sub(t.rcvNxt)
	n := seg.End().Sub(seg.Seq)
	if n == 0 {
		return first == 0 || first > 0 && first < wnd
	}
	last := first + n - 1
	return first == 0 || first > 0 && first < wnd || first < 0 && last >= 0
}

// answerOld acknowledges a segment that was not acceptable. A copy of data is
// answered at once, since the peer may need that to go on; anything else only
// as often as challenge ACKs are, lest two confused ends keep each other busy.
func (t *TCB) answerOld(now clock.Time, seg *Segment) {
	if seg.Len == 0 && seg.Flags&FIN == 0 {
		t.challengeAck(now)
		return
	}
	t.out |= outAck
	if seg.Len > 0 && seg.Seq.Before(t.rcvNxt) {
		t.duplicate(seg.Seq, minSeq(seg.Seq.Add(seg.Len), t.rcvNxt))
	}
}

// challengeAck answers a segment that may be an attack with an ACK, from which
// a peer that is honest will know what to do (RFC 5961 §3 to §5), within the
// limits of its §7.
func (t *TCB) challengeAck(now clock.Time) {
	if t.challenges > 0 && now.Sub(t.challenge) < t.cfg.ChallengeInterval {
		return
	}
	if t.cfg.AllowChallenge != nil && !t.cfg.AllowChallenge() {
		return
	}
	t.challenge = now
	t.challenges++
	t.out |= outAck
}

// inputReset takes a reset that is in the window (RFC 5961 §3.2): only one
// that hits RCV.NXT exactly counts. In TIME-WAIT none does (RFC 1337 §3 fix
// F1): the connection is over, and what it guards against is still on its way.
func (t *TCB) inputReset(now clock.Time, seg *Segment) {
	switch {
	case t.state == TimeWait:
	case seg.Seq != t.rcvNxt:
		t.challengeAck(now)
	case t.state == SynReceived && t.has(flagActive):
		t.die(uint16(syscall.ECONNREFUSED))
	case t.state == Closing || t.state == LastAck:
		t.finish()
	case t.state == CloseWait:
		// The peer closed and then reset: who writes has a broken pipe.
		t.die(uint16(syscall.EPIPE))
	default:
		t.die(uint16(syscall.ECONNRESET))
	}
}

// inputSyn takes a SYN that is in the window: a connection that was opened
// passively and is not established returns to LISTEN (RFC 9293 §3.10.7.4,
// fourth), all others send a challenge ACK (RFC 5961 §4.2).
func (t *TCB) inputSyn(now clock.Time) {
	if t.state == SynReceived && !t.has(flagActive) {
		t.die(uint16(syscall.ECONNRESET))
		return
	}
	t.challengeAck(now)
}
