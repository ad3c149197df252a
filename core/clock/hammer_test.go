package clock_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
)

// TestHammer has goroutines arm, postpone and stop the same timers while they
// fire. Whatever came before, a timer armed last must run, and not early.
func TestHammer(t *testing.T) {
	t.Run("real", func(t *testing.T) { hammer(t, clock.NewReal(), runtime.Gosched) })
	t.Run("virtual", func(t *testing.T) {
		c := clock.NewVirtual()
		hammer(t, c, func() { c.Advance(ms / 2) })
	})
}

func hammer(t *testing.T, c *clock.Clock, step func()) {
	defer c.Close()
	const timers, workers, rounds = 16, 4, 5000
	var (
		tm    [timers]clock.Timer
		last  [timers]atomic.Int64 // a deadline before which the timer must not run
		final [timers]chan struct{}
	)
	for i := range tm {
		final[i] = make(chan struct{})
		tm[i].Init(c, func(now clock.Time) {
			if at := last[i].Load(); at > 0 {
				if now < clock.Time(at) {
					t.Errorf("timer %d ran at %d, before %d", i, now, at)
				}
				close(final[i])
			}
		})
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			for range rounds {
				i := rng.IntN(timers)
				switch rng.IntN(8) {
				case 0:
					tm[i].Stop()
				case 1:
					tm[i].StopWait()
				case 2:
					tm[i].ResetAfter(time.Hour) // beyond what Stop leaves in the wheel
				default:
					tm[i].ResetAfter(time.Duration(rng.Int64N(int64(2 * ms))))
				}
			}
		})
	}
	stopped := make(chan struct{})
	go func() { wg.Wait(); close(stopped) }()
	for done := false; !done; step() {
		select {
		case <-stopped:
			done = true
		default:
		}
	}
	for i := range tm {
		tm[i].StopWait()
		at := c.Now().Add(time.Duration(i) * ms)
		last[i].Store(int64(at) + 1)
		tm[i].Reset(at + 1)
	}
	for i := range tm {
		for done := false; !done; step() {
			select {
			case <-final[i]:
				done = true
			default:
			}
		}
	}
	if n := c.Pending(); n != 0 {
		t.Errorf("%d timers left", n)
	}
}

// TestRacesLoseNoTimer lets two goroutines and the clock meet at one timer
// again and again, and looks after each meeting whether the wheel knows of the
// timer if it is armed, and lets go of it if it is stopped.
func TestRacesLoseNoTimer(t *testing.T) {
	c := clock.NewVirtual()
	var tm clock.Timer
	tm.Init(c, func(clock.Time) {})
	rng := rand.New(rand.NewPCG(5, 6))
	op := func(kind int, at clock.Time) {
		switch kind {
		case 0:
			tm.Stop()
		case 1:
			tm.StopWait()
		case 2:
			tm.Reset(at + clock.Time(time.Hour))
		default:
			tm.Reset(at)
		}
	}
	var turn, done atomic.Int64
	var kind int
	var at clock.Time
	const rounds = 30_000
	go func() {
		for i := range int64(rounds) {
			for turn.Load() <= i {
				runtime.Gosched()
			}
			op(kind, at)
			done.Add(1)
		}
	}()
	for i := range int64(rounds) {
		now := c.Now()
		op(1+rng.IntN(3), now+5) // no entry, or one near or far, for the others to fight about
		kind, at = rng.IntN(4), now+clock.Time(rng.IntN(10))
		mine, at := rng.IntN(6), now+clock.Time(rng.IntN(10))
		turn.Add(1)
		for range rng.IntN(60) {
			turn.Load() // a few nanoseconds, to vary where they meet
		}
		if mine < 4 {
			op(mine, at)
		} else {
			c.AdvanceTo(now + 5)
		}
		for done.Load() <= i {
			runtime.Gosched()
		}
		if !tm.Known() {
			t.Fatalf("round %d: after %d on one side and %d on the other the timer is armed and will never run, or stopped and kept", i, kind, mine)
		}
	}
}

func TestManyTimers(t *testing.T) {
	const n = 100_000
	c := clock.NewVirtual()
	tm := make([]clock.Timer, n)
	rng := rand.New(rand.NewPCG(3, 4))
	var prev clock.Time
	ran := 0
	for i := range tm {
		tm[i].Init(c, func(now clock.Time) {
			if now < prev {
				t.Errorf("went back from %d to %d", prev, now)
			}
			prev = now
			ran++
		})
		tm[i].Reset(clock.Time(rng.Int64N(int64(2 * time.Hour))))
	}
	if got := c.Pending(); got != n {
		t.Fatalf("Pending = %d", got)
	}
	for i := 0; i < n; i += 2 {
		tm[i].Stop()
	}
	c.Advance(2 * time.Hour)
	if ran != n/2 || c.Pending() != 0 {
		t.Errorf("%d ran and %d are left, want %d and 0", ran, c.Pending(), n/2)
	}
}

func TestNoAllocation(t *testing.T) {
	for _, c := range []*clock.Clock{clock.NewReal(), clock.NewVirtual()} {
		defer c.Close()
		var tm, far clock.Timer
		tm.Init(c, func(clock.Time) {})
		far.Init(c, func(clock.Time) {})
		far.ResetAfter(time.Hour) // sets the alarm, which is made only once
		n := testing.AllocsPerRun(1000, func() {
			now := c.Now()
			tm.Reset(now.Add(time.Minute))
			tm.Reset(now.Add(time.Hour)) // later
			tm.Reset(now.Add(time.Second))
			tm.Stop()
			far.Stop()
			far.Reset(now.Add(time.Hour))
			if c.Virtual() {
				c.Advance(ms)
			}
		})
		if n != 0 {
			t.Errorf("virtual=%v: %v allocations, want 0", c.Virtual(), n)
		}
	}
}
