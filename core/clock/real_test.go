package clock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit/core/clock"
)

// In a bubble the machine adds no delay, so the promise can be tested to the
// nanosecond: never early, and at most one tick late.
func TestRealKeepsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewReal()
		defer c.Close()
		rng := rand.New(rand.NewPCG(1, 2))
		var fired [3000]bool
		for i := range fired {
			at := clock.Time(rng.Int64N(1 << (1 + rng.IntN(46)))) // up to 19 hours
			var tm clock.Timer
			tm.Init(c, func(now clock.Time) {
				if late := now.Sub(at); late < 0 || late > ms {
					t.Errorf("timer for %v ran %v after it", at.Sub(0), late)
				}
				fired[i] = true
			})
			tm.Reset(clock.Time(rng.Int64N(int64(at) + 1))) // most of them are postponed
			tm.Reset(at)
		}
		time.Sleep(30 * time.Hour)
		for i, ok := range fired {
			if !ok {
				t.Errorf("timer %d did not run", i)
			}
		}
	})
}

func TestRealFollowsBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewReal()
		wall := c.Wall()
		time.Sleep(time.Hour)
		if c.Now().Sub(0) != time.Hour || c.Wall().Sub(wall) != time.Hour {
			t.Fatalf("after an hour: Now = %v, Wall = %v later", c.Now().Sub(0), c.Wall().Sub(wall))
		}
		if err := c.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := c.Now().Sub(0); got != time.Hour+time.Minute {
			t.Errorf("slept a minute until %v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Sleep(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sleep beyond the context's deadline: %v", err)
		}
		n := 0
		k := c.Every(time.Minute, func(clock.Time) { n++ })
		time.Sleep(time.Hour + time.Second)
		k.StopWait()
		if n != 60 {
			t.Errorf("%d ticks of a minute in an hour", n)
		}
		// No Close: an idle clock must not keep the bubble from ending.
	})
}

// An armed timer costs no goroutine, whatever their number.
func TestRealHasNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	c := clock.NewReal()
	defer c.Close()
	for i := range 1000 {
		c.AfterFunc(time.Hour+time.Duration(i)*ms, func(clock.Time) {})
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines for 1000 timers, want 0", after-before)
	}
}

// A clock without timers has no runtime timer and holds on to nothing; after
// Stop of a timer that was near, within two seconds.
func TestIdleClockIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewReal()
		idle := func(when string) {
			t.Helper()
			if n := c.Entries(); n != 0 || c.AlarmSet() {
				t.Errorf("%s: %d timers in the wheel, alarm set: %v", when, n, c.AlarmSet())
			}
		}
		idle("new clock")
		var tm clock.Timer
		tm.Init(c, func(clock.Time) {})
		for _, d := range []time.Duration{10 * time.Second, 5 * time.Minute, 200 * time.Hour} {
			tm.ResetAfter(d)
			if !c.AlarmSet() {
				t.Error("a timer is armed and the alarm is not set")
			}
			tm.Stop()
			idle("far timer stopped")
		}
		tm.ResetAfter(time.Second)
		tm.StopWait()
		idle("near timer stopped for good")
		tm.ResetAfter(2 * time.Second)
		tm.Stop()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		idle("two seconds after a near timer was stopped")
		tm.ResetAfter(time.Hour)
		time.Sleep(2 * time.Hour)
		idle("timer ran")
		for range 100 {
			c.AfterFunc(70*ms, func(clock.Time) {})
			c.AfterFunc(time.Hour, func(clock.Time) {}).Stop()
		}
		time.Sleep(time.Second)
		idle("a slot was emptied in part by Stop")
		tm.ResetAfter(time.Hour)
		c.Close()
		idle("closed")
	})
}

// A ticker whose function takes too long keeps its beat and leaves out ticks.
func TestTickerLeavesOutTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewReal()
		var at []time.Duration
		k := c.Every(10*time.Second, func(now clock.Time) {
			if at = append(at, now.Sub(0)); len(at) == 1 {
				time.Sleep(35 * time.Second)
			}
		})
		time.Sleep(65 * time.Second)
		k.StopWait()
		want := []time.Duration{10 * time.Second, 45 * time.Second, 50 * time.Second, 60 * time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("ticks at %v, want %v", at, want)
		}
	})
}

func TestStopWaitWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewReal()
		var tm clock.Timer
		var leave bool
		tm.Init(c, func(now clock.Time) {
			tm.ResetAfter(time.Millisecond) // StopWait must undo this too
			time.Sleep(time.Minute)
			leave = true
		})
		tm.ResetAfter(time.Second)
		time.Sleep(2 * time.Second)
		if tm.StopWait(); !leave {
			t.Error("StopWait returned while the function was running")
		}
		if tm.Active() || c.Pending() != 0 {
			t.Error("StopWait left the timer armed")
		}
		time.Sleep(time.Minute)
		if c.Now().Sub(0) != 2*time.Minute+time.Second {
			t.Errorf("the function ran again: %v", c.Now().Sub(0))
		}
	})
}

func TestAdvanceOfRealPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a real clock was advanced and nobody complained")
		}
	}()
	clock.NewReal().Advance(1)
}
