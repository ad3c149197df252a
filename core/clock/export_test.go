package clock

// Known reports whether the wheel will look at t in time, if t is armed, and
// does not keep it for longer than lazyStop, if it is not.
func (t *Timer) Known() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	d, e := t.deadline.Load(), t.entry.Load()
	if d == disarmed {
		return e == disarmed || !t.far.Load()
	}
	return e != disarmed && e <= d
}

// Entries returns the number of timers that the wheel refers to.
func (c *Clock) Entries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wheel.n
}

// AlarmSet reports whether a runtime timer is set.
func (c *Clock) AlarmSet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alarmAt != Never
}
