package clock_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
)

const ms = time.Millisecond

func TestTimeAddSaturates(t *testing.T) {
	if got := (clock.Never - 5).Add(time.Second); got != clock.Never {
		t.Errorf("Never-5 + 1s = %d, want Never", got)
	}
	if got := clock.Time(5).Add(-7); got != -2 {
		t.Errorf("5 - 7 = %d", got)
	}
}

func TestVirtualStandsStill(t *testing.T) {
	c := clock.NewVirtual()
	boot := c.Wall()
	if c.Now() != 0 {
		t.Fatalf("a new clock shows %d", c.Now())
	}
	c.Advance(36 * time.Hour)
	if got := c.Now().Sub(0); got != 36*time.Hour {
		t.Errorf("Now = %v after 36h", got)
	}
	if got := c.Wall().Sub(boot); got != 36*time.Hour {
		t.Errorf("Wall moved by %v in 36h", got)
	}
	c.AdvanceTo(5)
	if got := c.Now().Sub(0); got != 36*time.Hour {
		t.Errorf("AdvanceTo the past moved the clock to %v", got)
	}
}

// recorder arms timers that write down their name and the time.
type recorder struct {
	c   *clock.Clock
	log []string
}

func (r *recorder) timer(t *testing.T, name string, at clock.Time) *clock.Timer {
	tm := new(clock.Timer)
	tm.Init(r.c, func(now clock.Time) {
		if now != r.c.Now() {
			t.Errorf("%s: called with %d at %d", name, now, r.c.Now())
		}
		if now < at {
			t.Errorf("%s: early: %d before %d", name, now, at)
		}
		r.log = append(r.log, name)
	})
	tm.Reset(at)
	return tm
}

func (r *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.log, want) {
		t.Fatalf("timers ran as %q, want %q", r.log, want)
	}
	r.log = nil
}

func TestVirtualOrder(t *testing.T) {
	r := &recorder{c: clock.NewVirtual()}
	hour := clock.Time(time.Hour)
	r.timer(t, "hour+1ns", hour+1) // same tick, so only the order in the tick tells them apart
	r.timer(t, "first at hour", hour)
	r.timer(t, "zero", 0)
	r.timer(t, "second at hour", hour)
	moved := r.timer(t, "moved to hour", 7)
	moved.Reset(hour)
	r.timer(t, "last at hour", hour)
	r.timer(t, "3ns", 3)

	r.c.AdvanceTo(0)
	r.expect(t, "zero")
	r.c.AdvanceTo(2)
	r.expect(t)
	r.c.AdvanceTo(hour)
	r.expect(t, "3ns", "first at hour", "second at hour", "moved to hour", "last at hour")
	r.c.Advance(1)
	r.expect(t, "hour+1ns")
}

// Timers that a function arms within the window of an Advance run in it, in
// their place among the others.
func TestVirtualArmedByCallback(t *testing.T) {
	r := &recorder{c: clock.NewVirtual()}
	var again clock.Timer
	again.Init(r.c, func(now clock.Time) {
		r.log = append(r.log, "again")
		if now < 40 {
			again.Reset(now + 10)
		}
	})
	again.Reset(10)
	r.timer(t, "25", 25)
	r.timer(t, "40", 40)
	r.c.Advance(ms)
	r.expect(t, "again", "again", "25", "again", "40", "again")
	if r.c.Pending() != 0 || again.Active() {
		t.Error("something is still armed")
	}
}

func TestOverdueTimerRunsAtNow(t *testing.T) {
	c := clock.NewVirtual()
	c.Advance(time.Second)
	var ranAt clock.Time
	var tm clock.Timer
	tm.Init(c, func(now clock.Time) { ranAt = now })
	tm.Reset(5)
	if ranAt != 0 {
		t.Fatal("Reset ran the function itself")
	}
	c.Advance(0)
	if ranAt.Sub(0) != time.Second {
		t.Fatalf("ran at %d, want the time of the advance: a clock does not go back", ranAt)
	}
}

func TestRunStopsAtLastTimer(t *testing.T) {
	r := &recorder{c: clock.NewVirtual()}
	r.timer(t, "a", 10)
	r.timer(t, "b", 2000)
	r.timer(t, "c", 5000)
	if at := r.c.Run(3000); at != 2000 || r.c.Now() != 2000 {
		t.Errorf("Run(3000) = %d, Now = %d, want the last timer's 2000", at, r.c.Now())
	}
	r.expect(t, "a", "b")
	if at := r.c.Run(clock.Never); at != 5000 {
		t.Errorf("Run(Never) = %d, want 5000", at)
	}
	r.expect(t, "c")
}

func TestNext(t *testing.T) {
	r := &recorder{c: clock.NewVirtual()}
	if at, ok := r.c.Next(); ok {
		t.Fatalf("empty clock: next at %d", at)
	}
	r.timer(t, "far", clock.Time(100*time.Hour))
	near := r.timer(t, "near", clock.Time(time.Second))
	check := func(want time.Duration) {
		t.Helper()
		if at, ok := r.c.Next(); !ok || at.Sub(0) != want {
			t.Fatalf("Next = %v, %v, want %v", at.Sub(0), ok, want)
		}
	}
	check(time.Second)
	near.Reset(clock.Time(time.Minute)) // its entry in the wheel stays: Next must not see it
	check(time.Minute)
	near.Stop()
	check(100 * time.Hour)
	// Next has looked far ahead; earlier timers must still find their place.
	r.timer(t, "late comer", clock.Time(3*ms))
	check(3 * ms)
	r.c.Advance(time.Second)
	r.expect(t, "late comer")
}

func TestStop(t *testing.T) {
	for _, d := range []time.Duration{1, ms, time.Second, time.Minute, 100 * time.Hour} {
		c := clock.NewVirtual()
		var tm clock.Timer
		if tm.Stop() || tm.Active() {
			t.Fatal("the zero timer was armed")
		}
		tm.StopWait()
		ran := 0
		tm.Init(c, func(clock.Time) { ran++ })
		tm.ResetAfter(d)
		if at, ok := tm.Deadline(); !ok || at.Sub(0) != d {
			t.Errorf("%v: Deadline = %v, %v", d, at.Sub(0), ok)
		}
		if !tm.Active() || c.Pending() != 1 {
			t.Errorf("%v: armed, but Active = %v, Pending = %d", d, tm.Active(), c.Pending())
		}
		if !tm.Stop() {
			t.Errorf("%v: Stop of an armed timer said it was not", d)
		}
		if tm.Stop() || tm.Active() || c.Pending() != 0 {
			t.Errorf("%v: still armed after Stop", d)
		}
		c.Advance(2 * d)
		tm.ResetAfter(d)
		tm.Reset(clock.Never)
		c.Advance(2 * d)
		if ran != 0 {
			t.Errorf("%v: a stopped timer ran %d times", d, ran)
		}
		tm.ResetAfter(d)
		c.Advance(d)
		if ran != 1 || tm.Stop() {
			t.Errorf("%v: armed after Stop: ran %d times, want 1", d, ran)
		}
	}
}

func TestNestedAdvancePanics(t *testing.T) {
	c := clock.NewVirtual()
	c.AfterFunc(ms, func(clock.Time) { c.Advance(ms) })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a timer function advanced the clock and nobody complained")
			}
		}()
		c.Advance(ms)
	}()
	// The panic must not leave the clock locked or busy.
	ran := false
	c.AfterFunc(ms, func(clock.Time) { ran = true })
	c.Advance(ms)
	if !ran {
		t.Error("the clock is dead after a panic in a timer function")
	}
}

func TestClose(t *testing.T) {
	for name, c := range map[string]*clock.Clock{"real": clock.NewReal(), "virtual": clock.NewVirtual()} {
		near := c.AfterFunc(time.Minute, func(clock.Time) { t.Error(name, "timer ran after Close") })
		far := c.AfterFunc(time.Hour, func(clock.Time) { t.Error(name, "timer ran after Close") })
		slept := make(chan error)
		go func() { slept <- c.Sleep(context.Background(), time.Hour) }()
		for c.Pending() != 3 {
			runtime.Gosched() // until the sleeper lies down
		}
		c.Close()
		c.Close()
		if err := <-slept; !errors.Is(err, clock.ErrClosed) {
			t.Errorf("%s: Sleep on a closed clock: %v", name, err)
		}
		near.Reset(c.Now())
		if near.Active() || far.Active() || far.Stop() || c.Pending() != 0 {
			t.Errorf("%s: a timer is armed on a closed clock", name)
		}
		if c.Virtual() {
			c.Advance(2 * time.Hour)
		}
		if err := c.Sleep(context.Background(), time.Hour); !errors.Is(err, clock.ErrClosed) {
			t.Errorf("%s: Sleep after Close: %v", name, err)
		}
	}
}

func TestSleepVirtual(t *testing.T) {
	c := clock.NewVirtual()
	ctx, cancel := context.WithCancel(context.Background())
	slept := make(chan error)
	sleep := func() {
		go func() { slept <- c.Sleep(ctx, time.Hour) }()
		for c.Pending() == 0 {
			runtime.Gosched() // until the sleeper lies down
		}
	}
	sleep()
	c.Advance(time.Hour - 1)
	if c.Pending() != 1 {
		t.Fatal("woke up early")
	}
	c.Advance(1)
	if err := <-slept; err != nil {
		t.Fatal(err)
	}
	sleep()
	cancel()
	if err := <-slept; !errors.Is(err, context.Canceled) || c.Pending() != 0 {
		t.Fatalf("cancelled Sleep: %v, %d timers left", err, c.Pending())
	}
	if err := c.Sleep(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Sleep(0) with a cancelled context: %v", err)
	}
}

func TestTicker(t *testing.T) {
	c := clock.NewVirtual()
	var at []clock.Time
	var k *clock.Ticker
	k = c.Every(10, func(now clock.Time) {
		if at = append(at, now); len(at) == 4 {
			k.Stop()
		}
	})
	c.Advance(25)
	c.Advance(1000)
	if want := []clock.Time{10, 20, 30, 40}; !slices.Equal(at, want) {
		t.Errorf("ticks at %v, want %v", at, want)
	}
	k.StopWait()
	if c.Pending() != 0 {
		t.Error("a stopped ticker is armed")
	}
}

// TestOops: with Oops a panicking timer function is reported and the next ones run;
// without, the panic comes out of Advance.
func TestOops(t *testing.T) {
	for _, contained := range []bool{true, false} {
		c := clock.NewVirtual()
		var reported any
		if contained {
			c.Oops = func(reason any) { reported = reason }
		}
		ran := false
		c.AfterFunc(ms, func(clock.Time) { panic("oops") })
		c.AfterFunc(2*ms, func(clock.Time) { ran = true })
		func() {
			defer func() {
				if r := recover(); (r == nil) != contained {
					t.Errorf("contained=%v: Advance panicked with %v", contained, r)
				}
			}()
			c.Advance(2 * ms)
		}()
		if contained && (reported != "oops" || !ran) {
			t.Errorf("reported %v, the next timer ran: %v", reported, ran)
		}
		c.Advance(2 * ms) // the clock is not stuck
		if !ran {
			t.Error("the timer behind the one that panicked never ran")
		}
	}
}
