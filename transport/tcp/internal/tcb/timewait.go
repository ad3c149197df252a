package tcb

import (
	"github.com/knitnet/knit/core/clock"
)

// A TimeWaitBlock is all that is needed of a connection in TIME-WAIT (RFC 9293
// §3.6.1), in place of its TCB: what tells a late segment from one of a new
// connection, and what the answer says. TCB.TimeWait makes it. All methods need
// the same lock held.
type TimeWaitBlock struct {
	guard
	cfg        *Config
	ends       clock.Time
	sndNxt     Seq
	tsOffset   uint32
	window     uint16 // of the header
	timestamps bool
	begun      clock.Time
}

// TimeWait returns what is left of the connection, which must be in TIME-WAIT. The
// shell lets go of the TCB with Discard when the last Output was sent.
func (t *TCB) TimeWait(now clock.Time) TimeWaitBlock {
	window := t.advertise()
	return TimeWaitBlock{
		guard: t.guard, cfg: t.cfg, begun: now, ends: now.Add(t.cfg.TimeWait), sndNxt: t.nxt,
		tsOffset: t.tsOffset, window: window, timestamps: t.has(flagTimestamps),
	}
}

// Ends returns when TIME-WAIT is over: 2*MSL after the last FIN.
func (b *TimeWaitBlock) Ends() clock.Time { return b.ends }

// Input takes a segment that CanReuse has not taken (RFC 9293 §3.10.7.4), and
// returns the answer if there is one.
func (b *TimeWaitBlock) Input(now clock.Time, seg *Segment) (answer Segment, ok bool) {
	data := seg.Len > 0 || seg.Flags&FIN != 0
	switch {
	case seg.Flags&RST != 0:
		// RFC 1337 §3, fix F1: the connection is over, and what TIME-WAIT guards
		// against is still on its way.
		return answer, false
	case b.timestamps && seg.Has&HasTimestamps == 0 && seg.Flags&SYN == 0:
		return answer, false // RFC 7323 §3.2
	case b.timestamps && seg.Has&HasTimestamps != 0 && b.tooOld(now, seg): // PAWS
	case !b.inWindow(seg):
		if seg.Flags&FIN != 0 {
			// "The only thing that can arrive in this state is a retransmission
			// of the remote FIN. Acknowledge it, and restart the 2 MSL timeout."
			b.ends = now.Add(b.cfg.TimeWait)
		}
	case seg.Flags&SYN != 0, seg.Flags&ACK != 0 && seg.Ack != b.sndNxt:
		data = false // RFC 5961 §4.2, §5.2: a challenge ACK
	default:
		b.recent(now, seg)
		return answer, false
	}
	// As in TCB.answerOld: two confused ends must not keep each other busy.
	if !data && !b.mayChallenge(now, b.cfg.ChallengeInterval) {
		return answer, false
	}
	return b.ack(now), true
}

// recent keeps TS.Recent, from which CanReuse tells old from new.
func (b *TimeWaitBlock) recent(now clock.Time, seg *Segment) {
	if b.timestamps && seg.Has&HasTimestamps != 0 {
		b.tsRecent, b.tsRecentAt = seg.TSVal, now
	}
}

func (b *TimeWaitBlock) ack(now clock.Time) Segment {
	seg := Segment{Seq: b.sndNxt, Ack: b.rcvNxt, Flags: ACK, Window: b.window}
	if b.timestamps {
		seg.Has = HasTimestamps
		seg.TSVal, seg.TSEcr = timestamp(now, b.tsOffset), b.tsRecent
	}
	return seg
}

// CanReuse decides whether a SYN may open a new connection in place of the old one:
// when its timestamp or else its sequence number shows that it is later than all
// that the old one sent (RFC 6191 §2, RFC 9293 §3.6.1). The new connection's ISS
// must then be after minISS.
func (b *TimeWaitBlock) CanReuse(syn *Segment) (minISS Seq, ok bool) {
	if syn.Flags&(SYN|ACK|RST|FIN) != SYN {
		return 0, false
	}
	later := !syn.Seq.Before(b.rcvNxt)
	if b.timestamps && syn.Has&HasTimestamps != 0 {
		d := int32(syn.TSVal - b.tsRecent)
		return b.sndNxt, d > 0 || d == 0 && later
	}
	return b.sndNxt, later
}

// reuseAfter is how old a TIME-WAIT must be for a connection of ours to take its
// place: our timestamps are larger then, by more than their tick.
const reuseAfter = 1e9

// CanConnect decides whether we may open a new connection in place of the old one:
// with timestamps, PAWS lets no old segment through to the new one (RFC 6191 §1).
// The new connection's ISS must then be after minISS.
func (b *TimeWaitBlock) CanConnect(now clock.Time) (minISS Seq, ok bool) {
	return b.sndNxt, b.timestamps && now.Sub(b.begun) >= reuseAfter
}
