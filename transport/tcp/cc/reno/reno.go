package reno

import (
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// A reno is slow start, congestion avoidance and the halving of RFC 5681, on
// bytes (RFC 3465).
type reno struct {
	// credit counts acknowledged bytes that have not grown the window yet.
	credit uint32
}

var _ cc.Algorithm = (*reno)(nil)

// New returns an instance for one connection.
func New() cc.Algorithm { return new(reno) }

func (*reno) Name() string { return "reno" }

func (r *reno) Init(clock.Time, *cc.Window) { r.credit = 0 }

func (r *reno) OnAck(_ clock.Time, w *cc.Window, a cc.Ack) {
	if !a.Limited {
		return
	}
	n := a.Bytes
	if w.SlowStart() {
		n = w.GrowSlowStart(n)
	}
	if n > 0 {
		w.GrowLinear(&r.credit, n)
	}
}

func (r *reno) OnCongestion(now clock.Time, w *cc.Window, inflight uint32) {
	r.OnRTO(now, w, inflight)
	w.Set(w.Ssthresh)
}

func (r *reno) OnRTO(_ clock.Time, w *cc.Window, inflight uint32) {
	w.Ssthresh = w.Half(inflight)
	r.credit = 0
}

func (*reno) OnRecoveryExit(clock.Time, *cc.Window)        {}
func (*reno) OnIdle(clock.Time, *cc.Window, time.Duration) {}
func (r *reno) Undo(clock.Time, *cc.Window)                { r.credit = 0 }
