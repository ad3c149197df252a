package tcb

import (
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/stat"
)

// A guard is what decides whether a segment is acceptable, in a connection and in
// what is left of it in TIME-WAIT.
type guard struct {
	rcvNxt Seq
	rcvAdv Seq // right edge of the window that was advertised

	tsRecent   uint32     // TS.Recent of RFC 7323 §4.3
	challenges uint32     // challenge ACKs sent
	tsRecentAt clock.Time // when TS.Recent was set
	challenge  clock.Time // last challenge ACK
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
	}
	return stat.TCPInvalidSequence, true
}

// pawsIdle is how long TS.Recent stays valid: "more than 24 days" (RFC 7323
// §5.5), after which a clock of 1 ms may have wrapped its sign.
const pawsIdle = 24 * 24 * 3600 * 1e9

func (g *guard) tooOld(now clock.Time, seg *Segment) bool {
	return int32(seg.TSVal-g.tsRecent) < 0 && now.Sub(g.tsRecentAt) <= pawsIdle
}

// inWindow is the table of RFC 9293 §3.4. A segment that begins exactly at
// RCV.NXT is let through even if the window is closed, without its payload:
// "special allowance should be made to accept valid ACKs, URGs, and RSTs".
func (g *guard) inWindow(seg *Segment) bool {
	wnd := g.rcvAdv.Sub(g.rcvNxt)
	first := seg.Seq.Sub(g.rcvNxt)
	n := seg.End().Sub(seg.Seq)
	if n == 0 {
		return first == 0 || first > 0 && first < wnd
	}
	last := first + n - 1
	return first == 0 || first > 0 && first < wnd || first < 0 && last >= 0
}

// mayChallenge reports whether a challenge ACK may be sent now, so that there is
// one each interval at most, and counts it.
func (g *guard) mayChallenge(now clock.Time, interval time.Duration) bool {
	if g.challenges > 0 && now.Sub(g.challenge) < interval {
		return false
	}
	g.challenge = now
	g.challenges++
	return true
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
	if t.mayChallenge(now, t.cfg.ChallengeInterval) {
		t.out |= outAck
	}
}
