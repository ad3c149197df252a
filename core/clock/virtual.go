package clock

import "time"

// Advance moves a virtual clock d ahead and runs the timers that come due on
// the way, also those which they arm, on the calling goroutine. They run in
// the order of their deadlines, those with equal deadlines in the order in
// which they were armed, and Now is the deadline meanwhile (or later, if the
// deadline was past when the timer was armed).
//
// Only one goroutine may advance a clock at a time, and timer functions must
// not; it panics otherwise, and on a real clock.
func (c *Clock) Advance(d time.Duration) { c.AdvanceTo(c.Now().Add(d)) }

// AdvanceTo is Advance to the time t; a time in the past only runs the timers
// that are overdue.
func (c *Clock) AdvanceTo(t Time) { c.run(max(t, c.Now()), true) }

// Run runs timers as Advance does until none is pending or the earliest is
// after until. Unlike AdvanceTo it leaves the clock at the last timer that
// ran. It returns that time.
func (c *Clock) Run(until Time) Time {
	c.run(max(until, c.Now()), false)
	return c.Now()
}

// Next returns the earliest deadline of a pending timer.
func (c *Clock) Next() (at Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.earliest(Never)
	if t == nil {
		return 0, false
	}
	return t.entryTime(), true
}

// run fires the timers due by until, and sets the clock to until if toEnd.
func (c *Clock) run(until Time, toEnd bool) {
	if !c.virtual {
		panic("clock: advance of a real clock")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy {
		panic("clock: advanced by two goroutines, or by a timer function")
	}
	c.busy = true
	defer func() { c.busy = false }()
	for {
		t, at := c.take(until)
		if t == nil {
			break
		}
		now := max(at, c.Now())
		c.now.Store(int64(now))
		c.call(t, now)
	}
	if toEnd {
		c.now.Store(int64(until))
	}
}
