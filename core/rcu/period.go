// Package rcu lets a writer wait until no packet is still inside what it has
// just unhooked, and holds the read-mostly tables that packets look at.
//
// The pattern is Linux's read-copy-update: a packet's walk is bracketed by
// Period.Enter and Walk.Exit, a writer publishes a new table (Value.Update),
// waits with Period.Wait, and only then frees what the old table led to.
package rcu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/stat"
)

// A stripe counts the walks of two generations. It fills two cache lines,
// because processors fetch lines in pairs.
type stripe struct {
	n [2]atomic.Int64
	_ [112]byte
}

// A Period counts the walks that are under way, in stripes so that walkers on
// different processors seldom share a cache line. The zero Period is ready to
// use. All methods may be called concurrently. It must not be copied.
type Period struct {
	gen     atomic.Uint32 // its lowest bit chooses the counter of new walks
	_       [124]byte     // gen is read by every walk: keep it off the counters' lines
	stripes [stat.Stripes]stripe

	// waiting lets one Wait run at a time. The others wait on a condition, not
	// on the lock, which nobody holds for long (testing/synctest lets virtual
	// time run on only then).
	waiting struct {
		sync.Mutex
		turn sync.Cond
		busy bool
	}
}

// A Walk is one packet's, or one batch's, way through the kernel. It must end
// with exactly one Exit; which goroutine calls that does not matter. The zero
// Walk is not a walk and its Exit panics.
type Walk struct{ n *atomic.Int64 }

// Enter begins a walk. It never blocks and does not allocate. Walks nest: a
// walk may begin inside another one of the same goroutine.
func (p *Period) Enter() Walk { return p.enter(p.gen.Load()) }

// enter counts a walk in generation g. If a Wait has begun since g was read,
// it may have looked at the counter already, so the walk must be counted in
// the new generation instead.
func (p *Period) enter(g uint32) Walk {
	s := &p.stripes[stat.Stripe()]
	for {
		n := &s.n[g&1]
		n.Add(1)
		now := p.gen.Load()
		if now == g {
			return Walk{n}
		}
		n.Add(-1)
		g = now
	}
}

// Exit ends the walk.
func (w Walk) Exit() { w.n.Add(-1) }

// Wait returns when every walk that began before the call has ended: a grace
// period. Walks that begin later are not waited for, so Wait ends under steady
// traffic. It must never be called inside a walk: it would wait for itself.
//
// Callers that come while a Wait runs share the next one.
func (p *Period) Wait() {
	seen := p.gen.Load()
	p.takeTurn()
	defer p.passTurn()
	if p.gen.Load() != seen {
		// A whole period has begun and ended since the call.
		return
	}
	old := (p.gen.Add(1) - 1) & 1
	for i := range p.stripes {
		drain(&p.stripes[i].n[old])
	}
}

func (p *Period) takeTurn() {
	w := &p.waiting
	w.Lock()
	defer w.Unlock()
	w.turn.L = &w.Mutex
	for w.busy {
		w.turn.Wait()
	}
	w.busy = true
}

func (p *Period) passTurn() {
	w := &p.waiting
	w.Lock()
	defer w.Unlock()
	w.busy = false
	w.turn.Signal()
}

// drain waits until n is zero: first by letting others run, because most walks
// last microseconds, then with sleeps that grow to a millisecond.
func drain(n *atomic.Int64) {
	const spins, longest = 64, time.Millisecond
	pause := 10 * time.Microsecond
	for i := 0; n.Load() != 0; i++ {
		if i < spins {
			runtime.Gosched()
			continue
		}
		time.Sleep(pause)
		pause = min(2*pause, longest)
	}
}
