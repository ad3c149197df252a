package tcb

import (
	"time"

	"github.com/knitnet/knit/core/clock"
)

// tick is the unit of our timestamps (RFC 7323 §5.4 allows 1 ms to 1 s).
const tick = time.Millisecond

// tsNow returns the timestamp clock.
func (t *TCB) tsNow(now clock.Time) uint32 { return timestamp(now, t.tsOffset) }

func timestamp(now clock.Time, offset uint32) uint32 { return uint32(now/clock.Time(tick)) + offset }

// ackRTT takes the round trip that an acknowledgement measures and returns it,
// or 0. One segment is timed at a time (RFC 6298 §3), with the precision of
// the clock; what was retransmitted is never timed (Karn). While that leaves
// nothing to time, the timestamp that the peer echoes tells (RFC 7323 §4.1):
// its value is that of the very transmission that is acknowledged.
func (t *TCB) ackRTT(now clock.Time, seg *Segment) time.Duration {
	if t.has(flagTiming) && !t.una.Before(t.rttSeq) {
		return t.timed(now)
	}
	if t.phase == open || !t.has(flagTimestamps) || seg.TSEcr == 0 {
		return 0
	}
	d := time.Duration(t.tsNow(now)-seg.TSEcr) * tick
	if d > maxSample {
		return 0
	}
	// A tick may have just begun or nearly ended, so add one half.
	d += tick / 2
	t.sample(d)
	return d
}

// timed ends the timing of a segment that has arrived.
func (t *TCB) timed(now clock.Time) time.Duration {
	t.flags &^= flagTiming
	d := max(now.Sub(t.rttAt), 1)
	t.sample(d)
	return d
}

// maxSample is more than any round trip; what is larger is a broken echo.
const maxSample = 10 * time.Minute

// granularity is G, the clock's (RFC 6298 §2).
const granularity = time.Millisecond

// sample folds in one measurement and sets the timeout (RFC 6298 §2.2, §2.3).
func (t *TCB) sample(r time.Duration) {
	w := &t.win
	if w.SRTT == 0 {
		w.SRTT, t.rttvar = r, r/2
		w.MinRTT = r
	} else {
		diff := w.SRTT - r
		if diff < 0 {
			diff = -diff
		}
		t.rttvar += (diff - t.rttvar) / 4
		w.SRTT += (r - w.SRTT) / 8
		w.MinRTT = min(w.MinRTT, r)
	}
	t.rto = min(max(w.SRTT+max(granularity, 4*t.rttvar), t.cfg.MinRTO), t.cfg.MaxRTO)
}

// armRTO starts the retransmission timer (RFC 6298 §5.1, §5.3). It fires
// earlier when the user timeout does.
func (t *TCB) armRTO(now clock.Time) {
	t.flags &^= flagPersist
	t.rtoAt = now.Add(t.rto)
	if t.opt != nil {
		t.capByUserTimeout()
	}
}

func (t *TCB) capByUserTimeout() {
	if d := t.opt.userTimeout; d > 0 {
		t.rtoAt = min(t.rtoAt, t.progress.Add(d))
	}
}

// userTimedOut reports whether the oldest octet waits longer than the user
// timeout allows.
func (t *TCB) userTimedOut(now clock.Time) bool {
	return t.opt != nil && t.opt.userTimeout > 0 && now.Sub(t.progress) >= t.opt.userTimeout
}
