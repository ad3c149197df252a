package module

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// A frame says that a context belongs to a module, and from inside which
// other module's Init that module was loaded. It is how a load that Init
// starts is told from one that comes from outside.
type frame struct {
	m      *loaded
	parent *frame
}

type frameKey struct{}

// A flow is a load that came from outside together with all the loads that
// the Inits it runs start themselves. Flows wait for each other's modules;
// a circle of waiting flows would never end.
type flow struct {
	waiting map[*flow]int // guarded by Registry.mu
}

// frameOf returns the innermost frame of ctx whose Init is running, or nil.
// A module that is live already does not make anything wait. r.mu is held.
func (r *Registry) frameOf(ctx context.Context) *frame {
	f, _ := ctx.Value(frameKey{}).(*frame)
	for f != nil && (f.m.r != r || f.m.state != Loading) {
		f = f.parent
	}
	return f
}

// reaches reports whether a waits, directly or not, for b.
func (a *flow) reaches(b *flow) bool {
	seen := map[*flow]bool{}
	var visit func(*flow) bool
	visit = func(f *flow) bool {
		if f == b {
			return true
		}
		if seen[f] {
			return false
		}
		seen[f] = true
		for next := range f.waiting {
			if visit(next) {
				return true
			}
		}
		return false
	}
	return visit(a)
}

// mayWait returns an error if o, waiting for m to leave Loading, would never
// end. r.mu is held.
func (o *op) mayWait(m *loaded) error {
	path := []string{m.spec.Name}
	for f := o.frame; f != nil; f = f.parent {
		path = append([]string{f.m.spec.Name}, path...)
		if f.m == m {
			return cycleError(m.spec.Name, path)
		}
	}
	if m.flow != o.flow && m.flow.reaches(o.flow) {
		return fmt.Errorf("module %s: %w: its load waits for this one", m.spec.Name, ErrCycle)
	}
	return nil
}

// wait blocks until ch is closed. Loads of modules that wait for m's flow are
// known while it does. r.mu is held before and after, but not meanwhile.
func (o *op) wait(m *loaded, ch <-chan struct{}) error {
	r := o.r
	if m.flow != o.flow {
		o.flow.waiting[m.flow]++
		defer o.flow.leave(m.flow)
	}
	r.mu.Unlock()
	defer r.mu.Lock()
	timer := time.NewTimer(r.cfg.LoadTimeout)
	defer timer.Stop()
	select {
	case <-ch:
		return nil
	case <-o.ctx.Done():
		return o.ctx.Err()
	case <-timer.C:
		return &LoadError{m.spec.Name, syscall.EBUSY}
	}
}

// leave ends one wait. r.mu is held.
func (f *flow) leave(other *flow) {
	if f.waiting[other]--; f.waiting[other] == 0 {
		delete(f.waiting, other)
	}
}
