package conntrack

import (
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
)

// room reports whether another connection may begin, and makes room by ending one
// that nobody will miss: not Assured or over, in one of a few buckets near the new one.
func (t *tracker) room(tuple *netfilter.Tuple, now clock.Time) bool {
	limit := t.max.Load()
	if limit == 0 || t.table.count.Load() < limit {
		return true
	}
	var victim *entry
	t.table.walk(int(t.table.hash(tuple)), earlyDropBuckets, func(x *node) bool {
		if e := x.e; !e.Is(netfilter.Dying) && (!e.Is(netfilter.Assured) || e.dead(now)) {
			victim = e
		}
		return victim == nil
	})
	if victim == nil || !t.kill(victim) {
		return false
	}
	if clock.Time(victim.Deadline.Load()).After(now) {
		t.stats.earlyDrop.Inc()
	}
	return true
}

// earlyDropBuckets is how many buckets are searched for a victim.
const earlyDropBuckets = 8

// kill ends a connection and reports whether this call took it out of the table.
func (t *tracker) kill(e *entry) bool {
	if e.abandon() || !t.table.remove(e) {
		return false
	}
	t.orphan(e)
	t.tell(netfilter.EventDestroy, e)
	return true
}

// Every gcEvery a part of the table is searched for connections that are over, so
// that all of it was searched after gcParts times as long.
const (
	gcEvery = time.Second
	gcParts = 16
)

// armGC starts the search if it does not run: an empty table has no timer.
func (t *tracker) armGC() {
	if !t.closed.Load() && t.gcArmed.CompareAndSwap(false, true) {
		t.gc.ResetAfter(gcEvery)
	}
}

func (t *tracker) collect(now clock.Time) {
	var over []*entry
	t.gcAt = t.table.each(t.gcAt, len(t.table.buckets)/gcParts, func(e *entry) bool {
		if e.dead(now) {
			over = append(over, e)
		}
		return true
	})
	for _, e := range over {
		t.kill(e)
	}
	if t.table.count.Load() > 0 && !t.closed.Load() {
		t.gc.ResetAfter(gcEvery)
		return
	}
	t.gcArmed.Store(false)
	if t.table.count.Load() > 0 { // one came meanwhile and saw the timer armed
		t.armGC()
	}
}
