package tcb

import (
	"github.com/knitnet/knit/core/clock"
)

// A phase is what the sender does about loss.
type phase uint8

const (
	open     phase = iota // nothing is known to be lost
	recovery              // fast recovery (RFC 6675, RFC 6582)
	loss                  // after a timeout, or when all in flight is sent anew
)

func (p phase) String() string { return [...]string{"open", "recovery", "loss"}[p] }

// pipe estimates the octets in flight (RFC 6675 §4): what was sent, less what
// arrived or was lost, plus what was retransmitted.
func (t *TCB) pipe() uint32 {
	n := t.nxt.Sub(t.una) - int(t.sacked) - int(t.lost) + int(t.rtxOut)
	return uint32(max(n, 0))
}

// refresh recomputes what pipe needs from the scoreboard.
func (t *TCB) refresh() {
	t.lostTo = maxSeq(t.lostTo, t.una)
	t.highRxt = maxSeq(t.highRxt, t.una)
	t.lost = uint32(t.lostTo.Sub(t.una)) - t.sb.below(t.lostTo)
	t.rtxOut = uint32(t.highRxt.Sub(t.una)) - t.sb.below(t.highRxt)
}

// forget drops what SND.UNA has passed.
func (t *TCB) forget() {
	if t.has(flagSACK) {
		gone := t.sb.trim(t.una)
		t.sacked -= gone
		t.stat.delivered -= uint64(gone) // it was counted when it was SACKed
	}
	if t.phase != open {
		t.refresh()
	}
}

// lossStep follows an acknowledgement: of acked octets, or a duplicate one, or
// one whose SACK blocks report news.
func (t *TCB) lossStep(now clock.Time, acked int, isDup bool, news uint32) {
	switch t.phase {
	case open:
		t.countDup(acked, isDup, news)
		t.detectLoss(now)
	case recovery:
		if !t.una.Before(t.recover) {
			t.leave(now)
			return
		}
		if t.has(flagSACK) {
			t.lostTo = maxSeq(t.lostTo, t.sb.lostTo(t.una, t.win.MSS))
		} else {
			t.partial(acked, isDup)
		}
		t.refresh()
	case loss:
		if !t.una.Before(t.recover) {
			t.leave(now)
			return
		}
		t.refresh()
	}
}

// countDup counts duplicate acknowledgements. Without SACK each of them tells
// that some segment arrived, so that the limited transmit of RFC 3042 and
// window inflation of RFC 5681 §3.2 come out of pipe by themselves.
func (t *TCB) countDup(acked int, isDup bool, news uint32) {
	if acked > 0 {
		t.dupAcks = 0
		if !t.has(flagSACK) {
			t.sacked = 0
		}
		return
	}
	if t.has(flagSACK) {
		isDup = news > 0 // RFC 6675 §2
	}
	if !isDup {
		return
	}
	t.dupAcks = min(t.dupAcks+1, 250)
	if !t.has(flagSACK) {
		t.guessArrived()
	}
}

// guessArrived counts one more segment as arrived, on a connection without
// SACK. The one at SND.UNA has not.
func (t *TCB) guessArrived() {
	t.sacked = min(t.sacked+t.win.MSS, uint32(max(t.nxt.Sub(t.una)-int(t.mss), 0)))
}

// detectLoss enters recovery when a segment is lost (RFC 6675 §5, RFC 6582
// §3.2).
func (t *TCB) detectLoss(now clock.Time) {
	if t.una == t.nxt {
		return
	}
	if t.has(flagSACK) {
		if t.sacked == 0 {
			return
		}
		if lostTo := t.sb.lostTo(t.una, t.win.MSS); lostTo.After(t.una) || t.dupAcks >= dupThresh {
			t.enterRecovery(now, lostTo)
		}
		return
	}
	// "If the cumulative acknowledgment does not cover more than recover", the
	// duplicates are echoes of what we sent twice.
	if t.dupAcks >= dupThresh && t.una != t.recover {
		t.enterRecovery(now, t.una)
	}
}

func (t *TCB) enterRecovery(now clock.Time, lostTo Seq) {
	t.keepUndo(now)
	t.control().OnCongestion(now, &t.win, uint32(t.nxt.Sub(t.una)))
	t.phase = recovery
	t.recover = t.nxt
	t.flags &^= flagRescue
	t.flags |= flagFirstRexmit
	t.highRxt = t.una
	t.lostTo = maxSeq(lostTo, t.firstSegment())
	t.refresh()
	t.armRTO(now)
}

// firstSegment returns the end of the segment at SND.UNA.
func (t *TCB) firstSegment() Seq {
	end := minSeq(t.una.Add(int(t.mss)), t.nxt)
	if _, right, bounded := t.sb.hole(t.una); bounded {
		end = minSeq(end, right)
	}
	return end
}

// partial is the part of RFC 6582 §3.2 for a partial or duplicate
// acknowledgement: the first deflates the window by what it acknowledges less
// a segment, and brings the next retransmission.
func (t *TCB) partial(acked int, isDup bool) {
	switch {
	case acked > 0:
		t.sacked -= min(t.sacked, uint32(acked))
		t.guessArrived()
		t.highRxt = t.una
		t.lostTo = t.firstSegment()
		t.flags |= flagFirstRexmit
	case isDup:
		t.guessArrived()
	}
}

// leave ends recovery or loss: all that was outstanding has arrived.
func (t *TCB) leave(now clock.Time) {
	if t.phase == recovery && !t.has(flagSACK) {
		// Against a burst of all that the acknowledgement sets free (RFC 6582
		// §3.2, third step, option 1).
		flight := uint32(t.nxt.Sub(t.una))
		t.win.Set(min(t.win.Ssthresh, max(flight, t.win.MSS)+t.win.MSS))
	}
	t.calm()
	t.control().OnRecoveryExit(now, &t.win)
	t.detectLoss(now)
}

// calm returns to the open phase.
func (t *TCB) calm() {
	t.phase = open
	t.dupAcks = 0
	t.flags &^= flagFirstRexmit | flagUndo
	t.highRxt, t.lostTo = t.una, t.una
	t.lost, t.rtxOut = 0, 0
	if !t.has(flagSACK) {
		t.sacked = 0
	}
}

// enterLoss follows the expiry of the retransmission timer (RFC 6298 §5.4 to
// §5.6, RFC 5681 §3.1).
func (t *TCB) enterLoss(now clock.Time) {
	if t.phase != loss {
		// "When a TCP sender detects segment loss using the retransmission
		// timer and the given segment has not yet been resent"; otherwise
		// ssthresh "is held constant".
		if t.phase == open {
			t.keepUndo(now)
		}
		t.control().OnRTO(now, &t.win, uint32(t.nxt.Sub(t.una)))
	}
	t.win.Cwnd = t.win.MSS
	if t.sb != nil && t.reneged() {
		*t.sb = scoreboard{runs: t.sb.runs[:0]}
		t.sacked = 0
	}
	t.sendAnew()
}

// reneged reports whether the peer holds what it does not acknowledge: it has
// thrown away what it SACKed (RFC 2018 §8). Without that sign the scoreboard
// survives a timeout (RFC 6675 §5.1).
func (t *TCB) reneged() bool { return len(t.sb.runs) > 0 && t.sb.runs[0].Left == t.una }

// sendAnew declares all that is in flight and not SACKed lost.
func (t *TCB) sendAnew() {
	t.phase = loss
	t.flags &^= flagFirstRexmit
	t.recover, t.lostTo, t.highRxt = t.nxt, t.nxt, t.una
	t.dupAcks = 0
	if !t.has(flagSACK) {
		t.sacked = 0
	}
	t.refresh()
}
