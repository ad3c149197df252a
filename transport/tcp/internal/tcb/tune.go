package tcb

import (
	"time"

	"github.com/knitnet/knit/core/clock"
)

// A drs measures how much the application reads in a round trip, for a receive
// buffer of the right size (dynamic right-sizing).
type drs struct {
	at     clock.Time // when copied began
	copied uint32
	space  uint32        // the most that was read in one round trip
	ecr    uint32        // the last timestamp that the peer echoed
	rtt    time.Duration // by those echoes, in whole ticks
}

// measureRcv estimates the round trip at a receiver that sends nothing: the age
// of the acknowledgement that new data answers. A sender that had nothing to
// send makes it look longer, so the smallest counts most.
func (t *TCB) measureRcv(now clock.Time, seg *Segment) {
	d := &t.tune
	d.ecr = seg.TSEcr
	age := time.Duration(t.tsNow(now)-seg.TSEcr) * tick
	switch {
	case age > maxSample || seg.Len < int(t.rmss):
	case d.rtt == 0 || age < d.rtt:
		d.rtt = age
	default:
		d.rtt += (age - d.rtt) / 8
	}
}

// tuneRcv grows the receive buffer to twice what the application read in a
// round trip, and more while that grows: a sender in slow start doubles.
func (t *TCB) tuneRcv(now clock.Time, n int) {
	d := &t.tune
	d.copied += uint32(n)
	rtt := max(d.rtt, t.win.SRTT)
	if rtt == 0 || now.Sub(d.at) < rtt {
		return
	}
	if d.copied > d.space && !t.has(flagRcvBufFixed) {
		want := 2*uint64(d.copied) + 16*uint64(t.ourMSS)
		if d.space > 0 {
			want += want * uint64(d.copied-d.space) / uint64(d.space)
		}
		d.space = d.copied
		t.rcvBuf = max(t.rcvBuf, uint32(min(want, uint64(t.cfg.RcvBuf.Max))))
	}
	d.copied = 0
	d.at = now
}
