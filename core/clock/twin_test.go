package clock_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/knitnet/knit/core/clock"
)

// A slowClock is what a virtual clock should be: a list of armed timers,
// searched for the earliest each time.
type slowClock struct {
	now   clock.Time
	armed []slowTimer // in the order in which they were armed
}

type slowTimer struct {
	id int
	at clock.Time
}

func (s *slowClock) stop(id int) bool {
	n := len(s.armed)
	s.armed = slices.DeleteFunc(s.armed, func(t slowTimer) bool { return t.id == id })
	return len(s.armed) < n
}

func (s *slowClock) reset(id int, at clock.Time) {
	s.stop(id)
	s.armed = append(s.armed, slowTimer{id, at})
}

// earliest returns the index of the timer to run next, or -1.
func (s *slowClock) earliest() int {
	best := -1
	for i, t := range s.armed {
		if best < 0 || t.at < s.armed[best].at {
			best = i
		}
	}
	return best
}

func (s *slowClock) advance(to clock.Time, fire func(id int, now clock.Time)) {
	for {
		i := s.earliest()
		if i < 0 || s.armed[i].at > to {
			break
		}
		t := s.armed[i]
		s.armed = slices.Delete(s.armed, i, i+1)
		s.now = max(s.now, t.at)
		fire(t.id, s.now)
	}
	s.now = max(s.now, to)
}

// durations draws from all levels of the wheel and the edges between them.
func durations() *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		d := time.Duration(1) << rapid.IntRange(0, 54).Draw(t, "log2")
		unit := rapid.SampledFrom([]time.Duration{1, ms, 64 * ms, 4096 * ms}).Draw(t, "unit")
		return max(0, d+unit*time.Duration(rapid.IntRange(-2, 2).Draw(t, "edge")))
	})
}

// TestWheelAgainstTwin lets a clock and its slow twin do the same things and
// compares which timer runs when.
func TestWheelAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const timers = 12
		fast, slow := clock.NewVirtual(), new(slowClock)
		var got, want []string
		// rearm[id] > 0: the function of id arms it again so many times, which
		// the twin must mirror.
		var period [timers]time.Duration
		var left, slowLeft [timers]int
		var tm [timers]clock.Timer
		for id := range tm {
			period[id] = durations().Draw(t, "period")
			left[id] = rapid.IntRange(0, 2).Draw(t, "again")
			slowLeft[id] = left[id]
			tm[id].Init(fast, func(now clock.Time) {
				got = append(got, fmt.Sprintf("%d at %d", id, now))
				if left[id] > 0 {
					left[id]--
					tm[id].Reset(now.Add(period[id]))
				}
			})
		}
		fire := func(id int, now clock.Time) {
			want = append(want, fmt.Sprintf("%d at %d", id, now))
			if slowLeft[id] > 0 {
				slowLeft[id]--
				slow.reset(id, now.Add(period[id]))
			}
		}
		anyID := rapid.IntRange(0, timers-1)
		t.Repeat(map[string]func(*rapid.T){
			"reset": func(t *rapid.T) {
				id, at := anyID.Draw(t, "id"), slow.now.Add(durations().Draw(t, "d"))
				tm[id].Reset(at)
				slow.reset(id, at)
			},
			"postpone": func(t *rapid.T) {
				id := anyID.Draw(t, "id")
				if at, ok := tm[id].Deadline(); ok {
					at = at.Add(durations().Draw(t, "d"))
					tm[id].Reset(at)
					slow.reset(id, at)
				}
			},
			"stop": func(t *rapid.T) {
				id := anyID.Draw(t, "id")
				if a, b := tm[id].Stop(), slow.stop(id); a != b {
					t.Fatalf("Stop = %v, want %v", a, b)
				}
			},
			"stopwait": func(t *rapid.T) {
				id := anyID.Draw(t, "id")
				tm[id].StopWait()
				slow.stop(id)
			},
			"advance": func(t *rapid.T) {
				to := slow.now.Add(durations().Draw(t, "d"))
				fast.AdvanceTo(to)
				slow.advance(to, fire)
			},
			"next": func(t *rapid.T) {
				at, ok := fast.Next()
				if i := slow.earliest(); ok != (i >= 0) || ok && at != slow.armed[i].at {
					t.Fatalf("Next = %d, %v", at, ok)
				}
			},
			"": func(t *rapid.T) {
				if !slices.Equal(got, want) {
					t.Fatalf("ran %q,\nwant %q", got, want)
				}
				if fast.Now() != slow.now || fast.Pending() != len(slow.armed) {
					t.Fatalf("at %d with %d timers, want %d with %d",
						fast.Now(), fast.Pending(), slow.now, len(slow.armed))
				}
			},
		})
	})
}
