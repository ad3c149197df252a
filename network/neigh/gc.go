package neigh

import (
	"cmp"
	"slices"
	"time"

	"github.com/knitnet/knit/core/clock"
)

const (
	// gcInterval is the time between collections of a table above Thresh1
	// (gc_interval).
	gcInterval = 30 * time.Second
	// grace is how long a table may stay above Thresh2, and how old an entry in
	// use must be to be given up for another.
	grace = 5 * time.Second
)

// collectStale removes what nobody has used for StaleTime, while the table has
// more than Thresh1 entries.
func (t *Table) collectStale(now clock.Time) {
	var gone []removed
	t.mu.Lock()
	t.each(func(e *Entry) {
		s := e.State()
		unused := s == None || s == Stale || s == Failed
		if int64(t.n) > t.thresh.keep.Load() && unused && now.Sub(e.changedAt()) >= t.cfg.StaleTime {
			t.remove(e, &gone)
		}
	})
	if int64(t.n) > t.thresh.keep.Load() && !t.closed {
		t.gcTimer.ResetAfter(gcInterval)
	}
	t.mu.Unlock()
	t.bury(gone)
}

func (e *Entry) changedAt() clock.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.updated
}

// makeRoom reports whether one more entry may be made, and removes others for it
// when the table is full or has been above Thresh2 for long. t.mu is held.
func (t *Table) makeRoom(gone *[]removed) bool {
	now := t.cfg.Clock.Now()
	n, hard := int64(t.n), t.thresh.hard.Load()
	if n < hard && (n < t.thresh.soft.Load() || now.Sub(t.flushed) < grace) {
		return true
	}
	t.flushed = now
	t.shrink(now, gone)
	return int64(t.n) < hard
}

// A candidate is an entry that may be given up; lower ranks go first.
type candidate struct {
	*Entry
	rank int
	at   clock.Time
}

// shrink gives up entries until Thresh2 are left, first those of least worth,
// then the oldest. A device keeps its fair share: only from those that have more
// is anything taken, so a scan of one link cannot push out the others. Entries set
// by hand always stay. t.mu is held.
func (t *Table) shrink(now clock.Time, gone *[]removed) {
	held := map[int32]int{}
	var cs []candidate
	t.each(func(e *Entry) {
		held[e.dev.Index()]++
		e.mu.Lock()
		c := candidate{e, 0, e.updated}
		rank, ok := worth(e.State(), e.confirmed != 0, now.Sub(e.updated))
		e.mu.Unlock()
		if c.rank = rank; ok {
			cs = append(cs, c)
		}
	})
	slices.SortFunc(cs, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.at, b.at))
	})
	soft := int(max(min(t.thresh.soft.Load(), t.thresh.hard.Load()-1), 0))
	share := soft / max(len(held), 1)
	for _, c := range cs {
		if t.n <= soft {
			return
		}
		if i := c.dev.Index(); held[i] > share {
			held[i]--
			t.remove(c.Entry, gone)
		}
	}
}

// worth ranks the states; not ok means that the entry stays. Unanswered questions
// and those who only said that they are there go before what has worked: a flood of
// them must not cost anybody else.
func worth(s State, worked bool, age time.Duration) (rank int, ok bool) {
	switch {
	case s&fixed != 0:
		return 0, false
	case s == Failed || s == None:
		return 0, true
	case s == Stale && (!worked || age >= grace):
		return 1, true
	case s == Incomplete:
		return 2, true
	}
	return 3, age >= grace
}
