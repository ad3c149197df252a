package clock

import "time"

// enqueue gives t an entry not later than its deadline.
func (c *Clock) enqueue(t *Timer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := t.entry.Load(); e != disarmed {
		if d := t.deadline.Load(); d == disarmed || e <= d {
			return
		}
		c.unlink(t)
	}
	c.link(t)
	if !c.virtual && c.wheel.wake() < c.alarmAt {
		c.schedule()
	}
}

// dequeue removes the entry of t if t is still disarmed.
func (c *Clock) dequeue(t *Timer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.entry.Load() == disarmed {
		return
	}
	c.unlink(t)
	c.link(t) // in case it was armed again meanwhile
	if c.wheel.n == 0 {
		c.schedule()
	}
}

func (c *Clock) stopWait(t *Timer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		t.deadline.Store(disarmed)
		if t.entry.Load() != disarmed {
			c.unlink(t)
			c.link(t) // in case it was armed again meanwhile
		}
		if c.running != t {
			break
		}
		c.idle.Wait() // its function may arm it again, so look again
	}
	if c.wheel.n == 0 {
		c.schedule()
	}
}

// link makes an entry for t at its deadline, if it has one. It has no entry.
func (c *Clock) link(t *Timer) {
	for {
		t.order = t.seq.Load()
		d := t.deadline.Load()
		if d == disarmed {
			return
		}
		if c.dead {
			t.deadline.Store(disarmed)
			return
		}
		now := c.Now()
		c.wheel.advance(ticks(now))
		t.entry.Store(d)
		c.wheel.insert(t)
		far := Time(d-1).Sub(now) > lazyStop
		t.far.Store(far)
		if !far || t.Active() {
			return
		}
		c.unlink(t) // for a Stop that did not see far yet
	}
}

// unlink removes the entry of t. A Reset may have relied on the entry, so the
// deadline must be read again: a link has to follow, or a CompareAndSwap that
// disarms t.
func (c *Clock) unlink(t *Timer) {
	c.wheel.remove(t)
	t.entry.Store(disarmed)
	t.far.Store(false)
}

// earliest returns the earliest armed timer if it is due by limit. On the way
// it drops the entries of stopped timers and moves those of postponed ones.
func (c *Clock) earliest(limit Time) *Timer {
	for {
		t := c.wheel.peek(limit)
		if t == nil {
			return nil
		}
		if t.deadline.Load() == t.entry.Load() && t.seq.Load() == t.order {
			return t
		}
		c.unlink(t)
		c.link(t)
	}
}

// take disarms and returns the earliest timer that is due by limit, and its
// deadline.
func (c *Clock) take(limit Time) (t *Timer, at Time) {
	for {
		t = c.earliest(limit)
		if t == nil {
			return nil, 0
		}
		d := t.entry.Load()
		c.unlink(t)
		if t.deadline.CompareAndSwap(d, disarmed) {
			return t, Time(d - 1)
		}
		c.link(t) // it was stopped or armed again meanwhile
	}
}

// call runs the function of t. The lock is released meanwhile, and held again
// also if the function panics or ends its goroutine. See Clock.Oops.
func (c *Clock) call(t *Timer, now Time) {
	c.running = t
	c.mu.Unlock()
	defer func() {
		if c.Oops != nil {
			if reason := recover(); reason != nil {
				c.Oops(reason)
			}
		}
		c.mu.Lock()
		c.running = nil
		c.idle.Broadcast()
	}()
	t.fn(now)
}

// wakeUp runs the timers of a real clock that are due. The alarm calls it.
func (c *Clock) wakeUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alarmAt = Never
	if c.busy {
		return // the goroutine that fires them will set the alarm
	}
	c.busy = true
	defer func() {
		c.busy = false
		c.schedule()
	}()
	for {
		now := c.Now()
		t, _ := c.take(now)
		if t == nil {
			return
		}
		c.call(t, now)
	}
}

// schedule sets the alarm of a real clock to the earliest slot of the wheel,
// or stops it when the wheel is empty.
func (c *Clock) schedule() {
	if c.virtual || c.busy {
		return
	}
	at := c.wheel.wake()
	if at == c.alarmAt {
		return
	}
	c.alarmAt = at
	switch d := time.Duration(at - c.Now()); {
	case at == Never:
		c.alarm.Stop()
	case c.alarm == nil:
		c.alarm = time.AfterFunc(d, c.wakeUp)
	default:
		c.alarm.Reset(d)
	}
}
