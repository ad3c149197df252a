package module

import (
	"sync"
	"time"
)

// stopGrace is how long goroutines get to end by themselves, once their
// context has ended, before the things the module still owns are taken from
// under them. It only costs time when a goroutine waits for such a thing.
const stopGrace = 100 * time.Millisecond

// A scope is all that one loaded module has to be undone.
type scope struct {
	m        *loaded
	cleanups undoList // unregister
	owned    undoList // resources, by kind
	frees    undoList // after the grace period

	mu       sync.Mutex
	gauges   []gauge
	onDrain  []func()
	onResume []func()
	drained  bool
	running  int           // goroutines
	stopped  bool          // no new goroutines
	idle     chan struct{} // closed when stopped and none runs
}

type gauge struct {
	kind string
	n    func() int
}

func (s *scope) init(m *loaded) {
	s.m = m
	s.idle = make(chan struct{})
}

// drain tells the module, once, that it is to finish its work.
func (s *scope) drain() {
	s.mu.Lock()
	fs := s.onDrain
	if s.drained {
		fs = nil
	}
	s.drained = true
	s.mu.Unlock()
	for _, f := range fs {
		s.m.contain("a drain callback", f)
	}
}

// skipDrain makes drain do nothing: a module that was never live has no work.
func (s *scope) skipDrain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = true
}

// resume tells the module that drain was given up.
func (s *scope) resume() {
	s.mu.Lock()
	s.drained = false
	fs := s.onResume
	s.mu.Unlock()
	for _, f := range fs {
		s.m.contain("a resume callback", f)
	}
}

// spawn starts a counted goroutine, unless they are being stopped.
func (s *scope) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.running++
	go func() {
		defer s.exited()
		s.m.contain("a goroutine", f)
	}()
	return true
}

func (s *scope) exited() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if s.stopped && s.running == 0 {
		close(s.idle)
	}
}

// stop refuses new goroutines; idle is closed when the present ones have ended.
func (s *scope) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.running == 0 {
		close(s.idle)
	}
}

// idleWithin waits until no goroutine runs, at most for d.
func (s *scope) idleWithin(d time.Duration) bool {
	select {
	case <-s.idle:
		return true
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.idle:
		return true
	case <-timer.C:
		return false
	}
}

// remaining reads the gauges.
func (s *scope) remaining() tally {
	s.mu.Lock()
	gauges := s.gauges
	s.mu.Unlock()
	t := tally{}
	for _, g := range gauges {
		s.m.contain("a gauge", func() { t[g.kind] += g.n() })
	}
	return t
}

func (s *scope) goroutines() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}
