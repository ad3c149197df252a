// Package clock is the only source of time in the kernel: a monotonic clock,
// real or virtual, and timers on a hierarchical timing wheel.
//
// A real clock follows the machine. A virtual clock stands still until
// somebody advances it, and runs the timers on the way in the order of their
// deadlines, so that a test of a two-minute timeout takes microseconds and
// gives the same result every time.
//
// Nothing runs while no timer is armed: no goroutine ever waits in this
// package, and the one runtime timer of a real clock is set only while the
// wheel holds entries. A clock made inside a testing/synctest bubble follows
// the bubble's time.
package clock

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by Sleep when its clock is closed meanwhile.
var ErrClosed = errors.New("clock: closed")

// A Time is a point on a kernel's monotonic clock: nanoseconds since that
// kernel booted. Times of two clocks cannot be compared.
type Time int64

// Never is later than every point in time a clock reaches; it stands for "no
// deadline".
const Never Time = math.MaxInt64

// Add returns t+d, at most Never.
func (t Time) Add(d time.Duration) Time {
	sum := t + Time(d)
	if d > 0 && sum < t {
		return Never
	}
	return sum
}

// Sub returns the duration t-u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Before reports whether t is before u.
func (t Time) Before(u Time) bool { return t < u }

// After reports whether t is after u.
func (t Time) After(u Time) bool { return t > u }

// A Clock tells the time since its kernel booted and runs the kernel's
// timers. It is made by NewReal or NewVirtual; the zero value is unusable.
// Its methods are safe for concurrent use except where they say otherwise.
//
// Timer functions run one at a time: those of a real clock on a goroutine
// that exists while there are timers due, those of a virtual clock on the
// goroutine that advances it. A function that blocks delays all the others.
type Clock struct {
	// Oops, unless it is nil, is told of timer functions that panic, and the clock
	// goes on. With nil the panic ends the program, or the call of Advance. It is
	// set before the first timer is armed.
	Oops func(reason any)

	virtual bool
	start   time.Time     // real: when the kernel booted
	closed  chan struct{} // closed by Close

	now atomic.Int64  // virtual: the current Time
	seq atomic.Uint64 // virtual: numbers the calls of Timer.Reset

	mu      sync.Mutex
	idle    sync.Cond // on mu; signals that running became nil
	wheel   wheel
	busy    bool   // a goroutine is firing timers
	running *Timer // the timer whose function runs now
	dead    bool   // Close was called

	// alarm wakes a real clock at alarmAt, the start of the earliest slot of
	// the wheel; alarmAt is Never while the alarm is not set.
	alarm   *time.Timer
	alarmAt Time
}

// NewReal returns a clock that follows the machine's monotonic clock and
// starts at zero. Inside a testing/synctest bubble it follows the bubble's
// clock, and only goroutines of that bubble may use it.
func NewReal() *Clock { return newClock(false) }

// NewVirtual returns a clock that stands at zero until it is advanced.
func NewVirtual() *Clock { return newClock(true) }

func newClock(virtual bool) *Clock {
	c := &Clock{virtual: virtual, start: time.Now(), closed: make(chan struct{}), alarmAt: Never}
	if virtual {
		// As in testing/synctest: an arbitrary date that does not change.
		c.start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	c.idle.L = &c.mu
	return c
}

// Now returns the time since boot. It costs what time.Since costs.
func (c *Clock) Now() Time {
	if c.virtual {
		return Time(c.now.Load())
	}
	return Time(time.Since(c.start))
}

// Wall returns the date and time of day. That of a virtual clock is midnight
// UTC of 2000-01-01 plus Now.
func (c *Clock) Wall() time.Time {
	if c.virtual {
		return c.start.Add(time.Duration(c.now.Load()))
	}
	return time.Now()
}

// Virtual reports whether c was made by NewVirtual.
func (c *Clock) Virtual() bool { return c.virtual }

// Pending returns the number of armed timers. It visits all of them: it is
// meant for leak checks and statistics.
func (c *Clock) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for t := range c.wheel.all() {
		if t.Active() {
			n++
		}
	}
	return n
}

// Close disarms all timers and waits for a timer function that is running;
// afterwards no function runs, arming a timer does nothing, and Sleep returns
// ErrClosed. Now keeps working. Closing twice is allowed; closing from a timer
// function is not: it would wait for itself.
func (c *Clock) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.dead = true
		close(c.closed)
	}
	for t := range c.wheel.all() {
		t.entry.Store(disarmed) // first, so that a Reset either sees it or is undone
		t.deadline.Store(disarmed)
	}
	c.wheel = wheel{}
	c.schedule()
	for c.running != nil {
		c.idle.Wait()
	}
}
