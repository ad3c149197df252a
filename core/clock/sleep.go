package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// AfterFunc returns a timer of its own, armed to call fn after d.
func (c *Clock) AfterFunc(d time.Duration, fn func(now Time)) *Timer {
	t := new(Timer)
	t.Init(c, fn)
	t.ResetAfter(d)
	return t
}

// Sleep waits for d to pass. It returns early with ctx's error when ctx is
// done, or with ErrClosed when the clock is closed. On a virtual clock another
// goroutine has to advance it.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	over := make(chan struct{})
	t := c.AfterFunc(d, func(Time) { close(over) })
	defer t.StopWait()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		return ErrClosed
	}
}

// A Ticker calls a function at a fixed interval. It is made by Clock.Every.
type Ticker struct {
	timer   Timer
	stopped atomic.Bool
}

// Every returns a ticker that calls fn after d, 2d, 3d and so on, until it is
// stopped. Ticks that a slow machine misses are left out, not made up for. It
// panics if d is not positive.
func (c *Clock) Every(d time.Duration, fn func(now Time)) *Ticker {
	if d <= 0 {
		panic("clock: interval of a ticker is not positive")
	}
	k := new(Ticker)
	next := c.Now().Add(d)
	k.timer.Init(c, func(now Time) {
		next = next.Add(d * (1 + now.Sub(next)/d))
		k.timer.Reset(next)
		if k.stopped.Load() {
			k.timer.Stop() // a Stop that came before the Reset
			return
		}
		fn(now)
	})
	k.timer.Reset(next)
	return k
}

// Stop ends the calls; it does not wait for one that is running. Stopping
// twice is allowed.
func (k *Ticker) Stop() {
	k.stopped.Store(true)
	k.timer.Stop()
}

// StopWait ends the calls and waits for one that is running. It must not be
// called from the ticker's function.
func (k *Ticker) StopWait() {
	k.stopped.Store(true)
	k.timer.StopWait()
}
