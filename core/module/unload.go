package module

import (
	"context"
	"fmt"
	"syscall"

	"github.com/knitnet/knit/core/klog"
)

// Unload unloads one module, as rmmod. It fails with a *NotLoadedError; with
// an *InUseError that says who holds it, and then nothing has changed; with
// EBUSY while it is being loaded or unloaded; with EDEADLK if ctx belongs to
// the module itself; and with ErrStuck if its goroutines do not end.
func (r *Registry) Unload(ctx context.Context, name string) error {
	m, err := r.retireByName(ctx, canonical(name))
	if err != nil {
		return err
	}
	return r.takeDown(m)
}

// retireByName finds a module and moves it from Live to Unloading.
func (r *Registry) retireByName(ctx context.Context, key string) (*loaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.live[key]
	if m == nil {
		return nil, &NotLoadedError{key}
	}
	if err := m.notFrom(ctx); err != nil {
		return nil, err
	}
	return m, m.retire()
}

// notFrom refuses an unload that would wait for the goroutine it is called on.
func (m *loaded) notFrom(ctx context.Context) error {
	if f, _ := ctx.Value(frameKey{}).(*frame); f != nil && f.m == m {
		return fmt.Errorf("module %s: cannot unload itself: %w", m.spec.Name, syscall.EDEADLK)
	}
	return nil
}

// retire moves m from Live to Unloading, provided that nobody holds it. From
// then on it belongs to the caller. r.mu is held.
func (m *loaded) retire() error {
	if m.state != Live || m.draining {
		return m.busy()
	}
	if len(m.holders) > 0 || m.pins > 0 || !m.uses.close() {
		return m.inUse()
	}
	m.setState(Unloading)
	return nil
}

// busy is the error for a module that another call is changing.
func (m *loaded) busy() error {
	return fmt.Errorf("module %s is being loaded or unloaded: %w", m.spec.Name, syscall.EBUSY)
}

// takeDown undoes a module that is Unloading, in the order that the package
// comment gives, and takes it out of the table.
func (r *Registry) takeDown(m *loaded) error {
	s := &m.scope
	s.drain()
	s.cleanups.runAll(func(f func()) { m.contain("a cleanup", f) })
	r.cfg.Grace()
	s.stop()
	m.cancel()
	ended := s.idleWithin(min(stopGrace, r.cfg.StopTimeout))
	reclaimed := s.owned.runAll(func(f func()) { m.contain("a release", f) })
	if text := reclaimed.String(); text != "" {
		m.log().Warn("reclaimed %s", text)
	}
	if !ended && !s.idleWithin(r.cfg.StopTimeout) {
		m.log().Err("%s not end within %v; the module stays %s", goroutinesDo(s.goroutines()), r.cfg.StopTimeout, Unloading)
		go func() {
			<-s.idle
			r.finish(m)
			m.log().Notice("goroutines have ended; unloaded")
		}()
		return fmt.Errorf("module %s: %w", m.spec.Name, ErrStuck)
	}
	r.finish(m)
	return nil
}

// goroutinesDo returns the beginning of a sentence about n goroutines.
func goroutinesDo(n int) string {
	if n == 1 {
		return "1 goroutine does"
	}
	return count(n, "goroutine") + " do"
}

// finish is the part of taking a module down that must wait for its
// goroutines.
func (r *Registry) finish(m *loaded) {
	m.scope.frees.runAll(func(f func()) { m.contain("a free", f) })
	if text := m.scope.remaining().String(); text != "" {
		m.r.cfg.Log.Printk(klog.Warning, m.spec.Name, "left behind %s", text)
	}
	r.unlink(m)
}
