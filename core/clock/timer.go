package clock

import (
	"sync/atomic"
	"time"
)

// disarmed is the stored form of "no time". A Time is stored plus one, so
// that the zero Timer is disarmed and yet time zero can be a deadline.
const disarmed = 0

// lazyStop is how far ahead the wheel entry of a stopped timer may be for it
// to stay there until its time comes. It covers the timers of a connection
// that moves data, which are stopped and armed again all the time; those
// further away would keep what they point to from being freed for too long.
const lazyStop = 2 * time.Second

// A Timer calls a function once at a point in time. It is meant to be embedded
// by value and armed again and again; no method allocates. Call Init before
// anything else; the zero value can only be asked Active, Stop and StopWait. A
// Timer must not be copied after Init, nor be initialised again while armed.
//
// The function never runs before the deadline. A real clock runs it up to a
// millisecond late, plus what the machine adds; a virtual one on time. All
// methods are safe for concurrent use, also from the timer's own function
// (except StopWait).
type Timer struct {
	clock *Clock
	fn    func(now Time)

	// deadline is when fn is due, and entry when the wheel looks at this
	// timer; both in stored form. Moving a deadline to later leaves the entry
	// alone: when its time comes the wheel finds the deadline moved and
	// queues the timer anew. So a TCP connection that moves its
	// retransmission timer with each segment touches no lock.
	//
	// It is correct because Reset writes deadline before it reads entry,
	// whereas the wheel clears entry before it reads deadline: one of them
	// sees the other.
	deadline atomic.Int64
	entry    atomic.Int64 // written under clock.mu
	seq      atomic.Uint64
	far      atomic.Bool // entry was beyond lazyStop when it was made; written under clock.mu

	// The place in the wheel, under clock.mu.
	next, prev *Timer
	order      uint64 // seq when the entry was made
	place      int    // see wheel.insert
}

// Init ties t to a clock and the function that it calls. The function gets
// the current time. It must not block: it delays all other timers.
func (t *Timer) Init(c *Clock, fn func(now Time)) {
	t.clock, t.fn = c, fn
}

// Reset arms t for time at, or moves it there if it is armed. A time in the
// past makes it due at once; with a real clock the function then still runs
// on another goroutine, and with a virtual one not before it is advanced.
// Reset(Never) is Stop. On a closed clock Reset does nothing.
//
// Moving an armed or lately stopped timer to a later time costs a few
// nanoseconds.
func (t *Timer) Reset(at Time) {
	if at == Never {
		t.Stop()
		return
	}
	d := int64(max(at, 0)) + 1
	if t.clock.virtual {
		t.seq.Store(t.clock.seq.Add(1))
	}
	t.deadline.Store(d)
	if e := t.entry.Load(); e != disarmed && e <= d {
		return
	}
	t.clock.enqueue(t)
}

// ResetAfter is Reset to the time d from now.
func (t *Timer) ResetAfter(d time.Duration) {
	t.Reset(t.clock.Now().Add(d))
}

// Stop disarms t and reports whether it was armed: if so, that arming will not
// call the function. Stop does not wait for a function that is running. The
// clock may keep a reference to t for up to two seconds.
func (t *Timer) Stop() bool {
	armed := t.deadline.Swap(disarmed) != disarmed
	if t.far.Load() {
		t.clock.dequeue(t)
	}
	return armed
}

// StopWait disarms t and returns when its function is not running. It must not
// be called from that function, nor while holding a lock which it takes.
// Unless somebody else arms t again, the function will not run any more and
// the clock keeps no reference to t.
func (t *Timer) StopWait() {
	if t.clock == nil {
		return
	}
	t.clock.stopWait(t)
}

// Active reports whether t is armed. It is false while the function runs,
// unless it was armed again.
func (t *Timer) Active() bool { return t.deadline.Load() != disarmed }

// Deadline returns the time for which t is armed.
func (t *Timer) Deadline() (at Time, armed bool) {
	d := t.deadline.Load()
	return Time(d - 1), d != disarmed
}
