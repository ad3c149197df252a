package neigh

import (
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/wire"
)

// lookEvery is into how many parts the reachable time is cut: so often the timer
// looks whether an upper layer has vouched, and so much, at most, is a neighbour
// believed for too long.
const lookEvery = 4

// fire is the entry's timer.
func (e *Entry) fire(now clock.Time) {
	if w := e.table.cfg.Walks; w != nil {
		defer w.Enter().Exit()
	}
	var f effect
	e.mu.Lock()
	switch w := e.word.Load(); State(w >> stateShift) {
	case Reachable:
		e.fireReachable(now, &f)
	case Delay:
		e.setState(Probe, &f)
		e.probes = 0
		e.ask(&f, unpack(w))
	case Probe:
		e.askAgain(&f, unpack(w), e.table.Params(e.dev).Unicast)
	case Incomplete:
		e.askAgain(&f, wire.MAC{}, e.table.Params(e.dev).Multicast)
	}
	e.mu.Unlock()
	e.do(&f)
}

// fireReachable moves the end of Reachable when somebody has vouched since the
// last look, and makes the entry stale at the end.
func (e *Entry) fireReachable(now clock.Time, f *effect) {
	if e.vouched.Load() {
		e.vouched.Store(false)
		e.confirmed = now
		e.reachable = now.Add(e.table.reachable(e.dev))
	}
	if now < e.reachable {
		e.look(now)
		return
	}
	e.setState(Stale, f)
}

// look arms the timer for the next look at a reachable neighbour. e.mu is held.
func (e *Entry) look(now clock.Time) {
	part := e.table.Params(e.dev).BaseReachable / lookEvery
	e.timer.Reset(min(now.Add(max(part, time.Millisecond)), e.reachable))
}

// askAgain asks once more, or gives up after most questions. e.mu is held.
func (e *Entry) askAgain(f *effect, to wire.MAC, most int) {
	if e.probes < most {
		e.ask(f, to)
		return
	}
	e.fail(f)
}

// fail gives the neighbour up and its waiting packets back (RFC 4861 §7.2.2). The
// address is forgotten. e.mu is held.
func (e *Entry) fail(f *effect) {
	w := e.word.Load()
	e.set(w&^(macBits|0xff<<stateShift)|uint64(Failed)<<stateShift, f)
	f.fail.Append(&e.waiting)
	e.bytes = 0
}

// confirm is Confirm for a neighbour that is not Reachable.
func (e *Entry) confirm() {
	var f effect
	e.mu.Lock()
	if e.State()&(Reachable|Stale|Delay|Probe) != 0 {
		e.reach(&f)
	}
	e.mu.Unlock()
	e.do(&f)
}

// reach makes the neighbour reachable from now on. e.mu is held.
func (e *Entry) reach(f *effect) {
	now := e.table.cfg.Clock.Now()
	e.vouched.Store(false)
	e.confirmed = now
	e.probes = 0
	e.reachable = now.Add(e.table.reachable(e.dev))
	e.setState(Reachable, f)
	e.look(now)
}
