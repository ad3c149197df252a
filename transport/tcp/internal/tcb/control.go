package tcb

import (
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// plain is slow start and congestion avoidance of RFC 5681 and nothing more:
// what a connection runs on when no congestion control module is loaded.
type plain struct{ credit uint32 }

var _ cc.Algorithm = (*plain)(nil)

func (*plain) Name() string                  { return "none" }
func (p *plain) Init(clock.Time, *cc.Window) { p.credit = 0 }

func (p *plain) OnAck(_ clock.Time, w *cc.Window, a cc.Ack) {
	n := a.Bytes
	if !a.Limited {
		return
	}
	if w.SlowStart() {
		n = w.GrowSlowStart(n)
	}
	if n > 0 {
		w.GrowLinear(&p.credit, n)
	}
}

func (p *plain) OnCongestion(_ clock.Time, w *cc.Window, inflight uint32) {
	w.Ssthresh = w.Half(inflight)
	w.Cwnd = w.Ssthresh
	p.credit = 0
}

func (p *plain) OnRTO(_ clock.Time, w *cc.Window, inflight uint32) {
	w.Ssthresh = w.Half(inflight)
	p.credit = 0
}

func (*plain) OnRecoveryExit(clock.Time, *cc.Window)        {}
func (*plain) OnIdle(clock.Time, *cc.Window, time.Duration) {}
func (*plain) Undo(clock.Time, *cc.Window)                  {}

// control returns the congestion control in use.
func (t *TCB) control() cc.Algorithm {
	if t.alg == nil {
		return &t.plain
	}
	return t.alg
}

func (t *TCB) ccName() string { return t.control().Name() }

// SetCC changes the congestion control; nil means the plain one of RFC 5681.
// The new one starts from the window and threshold that the old one reached.
func (t *TCB) SetCC(now clock.Time, a cc.Algorithm) {
	t.alg = a
	if t.state.synchronized() {
		t.control().Init(now, &t.win)
	}
}
