package cubic

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/transport/tcp/cc"
	"github.com/knitnet/knit/transport/tcp/cc/cctest"
)

// run acknowledges full windows, segment by segment, for d with the round trip
// rtt, and returns the time at the end.
func run(c cc.Algorithm, w *cc.Window, now clock.Time, rtt, d time.Duration) clock.Time {
	w.SRTT = rtt
	for end := now.Add(d); now < end; {
		n := w.Cwnd / w.MSS
		step := rtt / time.Duration(n)
		for range n {
			now = now.Add(step)
			c.OnAck(now, w, cc.Ack{Bytes: w.MSS, Inflight: w.Cwnd, Limited: true})
		}
	}
	return now
}

// congested returns a flow that met congestion at a window of n segments.
func congested(n uint32) (*cubic, *cc.Window) {
	w := &cc.Window{Cwnd: n * 1000, Ssthresh: cc.NoThreshold, MSS: 1000}
	c := new(cubic)
	c.Init(0, w)
	c.OnCongestion(0, w, w.Cwnd)
	return c, w
}

// RFC 9438 §4.2: the window is back at W_max after K seconds, follows
// C*(t-K)^3 + W_max before and after, and is flat in between.
func TestCurve(t *testing.T) {
	c, w := congested(2000)
	if w.Cwnd != 1400_000 || w.Ssthresh != 1400_000 {
		t.Fatalf("cwnd %d, ssthresh %d: beta is 0.7 (§4.6)", w.Cwnd, w.Ssthresh)
	}
	k := math.Cbrt(2000 * 0.3 / 0.4)
	now := clock.Time(0)
	const rtt = 100 * time.Millisecond
	for _, at := range []float64{2, 4, 8, k, 14, 20} {
		now = run(c, w, now, rtt, time.Duration(at*1e9)-time.Duration(now))
		want := 0.4*math.Pow(at-k, 3) + 2000
		if got := float64(w.Cwnd) / 1000; math.Abs(got-want) > 0.02*want {
			t.Errorf("after %.1f s cwnd is %.0f, want %.0f", at, got, want)
		}
	}
}

// RFC 9438 §4.3: in short and slow networks it is no slower than Reno with its
// own decrease: alpha = 3*(1-beta)/(1+beta) segments a round trip.
func TestFriendly(t *testing.T) {
	c, w := congested(20)
	run(c, w, 0, 10*time.Millisecond, 100*time.Millisecond)
	want := 14 + 10*3*0.3/1.7
	if got := float64(w.Cwnd) / 1000; math.Abs(got-want) > 0.5 {
		t.Errorf("cwnd %.1f after 10 round trips, want %.1f", got, want)
	}
}

// RFC 9438 §4.7: a flow that meets congestion below its last maximum makes room.
func TestFastConvergence(t *testing.T) {
	c, w := congested(1000)
	c.OnCongestion(0, w, w.Cwnd)
	if want := 700 * 1.7 / 2; math.Abs(c.max-want) > 1e-9 {
		t.Errorf("W_max %.1f, want %.1f", c.max, want)
	}
}

// RFC 9438 §4.8: after a timeout the curve begins at its turning point.
func TestTimeout(t *testing.T) {
	c, w := congested(100)
	c.OnRTO(0, w, 70_000)
	if w.Ssthresh != 49_000 {
		t.Errorf("ssthresh %d", w.Ssthresh)
	}
	w.Cwnd = 1000
	now := run(c, w, 0, 100*time.Millisecond, 600*time.Millisecond)
	if w.SlowStart() || c.k != 0 || c.max > 50 {
		t.Errorf("cwnd %d at %v: K %v, W_max %v", w.Cwnd, now, c.k, c.max)
	}
}

// RFC 9438 §4.9: after a spurious reduction the old curve goes on.
func TestUndo(t *testing.T) {
	c, w := congested(1000)
	now := run(c, w, 0, 100*time.Millisecond, time.Second)
	before := c.curve
	c.OnCongestion(now, w, w.Cwnd)
	c.Undo(now, w)
	if c.curve != before {
		t.Errorf("%+v, want %+v", c.curve, before)
	}
}

// RFC 9438 §5.8: time in which the application does not fill the window does
// not count.
func TestUnusedTime(t *testing.T) {
	c, w := congested(1000)
	now := run(c, w, 0, 100*time.Millisecond, time.Second)
	cwnd := w.Cwnd
	for range 1000 {
		now = now.Add(100 * time.Millisecond)
		c.OnAck(now, w, cc.Ack{Bytes: 1000, Inflight: 1000})
	}
	c.OnIdle(now.Add(time.Minute), w, time.Minute)
	run(c, w, now.Add(time.Minute), 100*time.Millisecond, 100*time.Millisecond)
	if w.Cwnd < cwnd || float64(w.Cwnd) > 1.1*float64(cwnd) {
		t.Errorf("cwnd jumped from %d to %d", cwnd, w.Cwnd)
	}
}

// RFC 5681 §4.1: the restart window holds after a silence, whatever the estimate
// of Reno's window was before it.
func TestRestart(t *testing.T) {
	c, w := congested(1000)
	now := run(c, w, 0, 100*time.Millisecond, time.Second)
	w.Cwnd, w.Ssthresh = 10_000, 5_000
	c.OnIdle(now.Add(time.Minute), w, time.Minute)
	c.OnAck(now.Add(time.Minute), w, cc.Ack{Bytes: 1000, Limited: true})
	if w.Cwnd > 11_000 {
		t.Errorf("cwnd jumped from 10000 to %d", w.Cwnd)
	}
}

// What package cc asks of every congestion control.
func TestContract(t *testing.T) { cctest.Run(t, "cubic", New) }

// The module registers the algorithm while it is loaded, and is found by the
// alias under which TCP asks for it.
func TestModule(t *testing.T) {
	var table cc.Table
	r, err := module.New(module.Config{}, Module)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Provide(cc.Symbol, &table); err != nil {
		t.Fatal(err)
	}
	if err := r.Request(context.Background(), "tcp-cc-cubic"); err != nil {
		t.Fatal(err)
	}
	build, ok := table.Lookup("cubic")
	if !ok || build().Name() != "cubic" {
		t.Fatal("not registered")
	}
	if err := r.Unload(context.Background(), "tcp_cubic"); err != nil {
		t.Fatal(err)
	}
	if _, ok := table.Lookup("cubic"); ok {
		t.Error("still registered")
	}
}
