// Package cctest is the conformance kit of package cc: what every congestion
// control must keep to, whatever its idea.
package cctest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// A flow plays the part of TCP for one algorithm.
type flow struct {
	t   *testing.T
	rnd *rand.Rand
	alg cc.Algorithm
	now clock.Time
	w   cc.Window
}

// Run drives instances that build returns through random histories of
// acknowledgements, losses, timeouts and pauses.
func Run(t *testing.T, name string, build func() cc.Algorithm) {
	t.Helper()
	if got := build().Name(); got != name {
		t.Errorf("Name is %q, want %q", got, name)
	}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 5))
		f := &flow{t: t, rnd: r, alg: build()}
		mss := []uint32{88, 536, 1448, 8948, 65000}[r.IntN(5)]
		f.w = cc.Window{Cwnd: 10 * mss, Ssthresh: cc.NoThreshold, MSS: mss, Initial: 10 * mss}
		f.now = clock.Time(r.Int64N(int64(time.Hour)))
		f.init()
		for range 2000 {
			f.step()
		}
	}
	allocations(t, build())
}

// init checks that Init keeps the window, which an algorithm that takes over a
// living connection must not touch.
func (f *flow) init() {
	before := f.w
	f.alg.Init(f.now, &f.w)
	if f.w != before {
		f.t.Fatalf("Init changed the window from %+v to %+v", before, f.w)
	}
}

func (f *flow) step() {
	w := &f.w
	f.now = f.now.Add(time.Duration(f.rnd.Int64N(int64(50 * time.Millisecond))))
	w.SRTT = time.Duration(1 + f.rnd.Int64N(int64(time.Second)))
	before := *w
	switch n := f.rnd.IntN(100); {
	case n < 90:
		a := cc.Ack{Bytes: 1 + f.rnd.Uint32N(4*w.MSS), Inflight: w.Cwnd, RTT: w.SRTT, Limited: f.rnd.IntN(4) > 0}
		f.alg.OnAck(f.now, w, a)
		// No faster than slow start, but for a step to another curve (RFC 9438
		// §4.3 and §4.4: at most by half); RFC 7661 §4.3: an unused window does
		// not grow.
		if w.Cwnd > before.Cwnd+max(a.Bytes, w.MSS, before.Cwnd/2) || !a.Limited && w.Cwnd > before.Cwnd {
			f.t.Fatalf("%+v took cwnd from %d to %d", a, before.Cwnd, w.Cwnd)
		}
	case n < 95:
		f.alg.OnCongestion(f.now, w, w.Cwnd)
		// RFC 5033 §3: a response to congestion is a reduction.
		if w.Cwnd > max(before.Cwnd, 2*w.MSS) || w.Ssthresh < 2*w.MSS {
			f.t.Fatalf("congestion: %+v from %+v", *w, before)
		}
		if f.rnd.IntN(3) == 0 {
			w.Cwnd, w.Ssthresh = before.Cwnd, before.Ssthresh
			f.alg.Undo(f.now, w)
		}
		f.alg.OnRecoveryExit(f.now, w)
	case n < 97:
		f.alg.OnRTO(f.now, w, w.Cwnd)
		if w.Ssthresh < 2*w.MSS || w.Ssthresh > max(before.Cwnd, 2*w.MSS) {
			f.t.Fatalf("timeout: ssthresh %d from %+v", w.Ssthresh, before)
		}
		w.Cwnd = w.MSS
	case n < 99:
		idle := time.Duration(f.rnd.Int64N(int64(time.Minute)))
		f.now = f.now.Add(idle)
		w.Cwnd = min(w.Cwnd, w.Initial)
		f.alg.OnIdle(f.now, w, idle)
	default:
		f.init()
	}
	if w.Cwnd < w.MSS || w.Cwnd > cc.MaxWindow || w.MSS != before.MSS || w.Initial != before.Initial {
		f.t.Fatalf("%+v from %+v", *w, before)
	}
}

// allocations checks that an acknowledgement costs none.
func allocations(t *testing.T, alg cc.Algorithm) {
	w := cc.Window{Cwnd: 100_000, Ssthresh: 50_000, MSS: 1000, Initial: 10_000, SRTT: time.Millisecond}
	alg.Init(0, &w)
	now := clock.Time(0)
	n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Millisecond)
		alg.OnAck(now, &w, cc.Ack{Bytes: 1000, Inflight: 100_000, Limited: true})
	})
	if n != 0 {
		t.Errorf("%v allocations for an acknowledgement, want 0", n)
	}
}
