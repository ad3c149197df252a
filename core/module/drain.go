package module

import (
	"context"
	"time"
)

// drain refuses new users and holders of a module, tells it to finish, waits
// until the present ones have left, and unloads it. After the deadline the
// module is as it was.
func (r *Registry) drain(ctx context.Context, key string, wait time.Duration) error {
	r.mu.Lock()
	m := r.live[key]
	if m == nil {
		r.mu.Unlock()
		return &NotLoadedError{key}
	}
	if err := m.beginDrain(ctx); err != nil {
		r.mu.Unlock()
		return err
	}
	r.mu.Unlock()

	m.scope.drain()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		if r.retireDrained(m) {
			return r.takeDown(m)
		}
		select {
		case <-m.uses.left:
		case <-m.done: // Shutdown was faster
			return &NotLoadedError{key}
		case <-ctx.Done():
			return r.giveUp(m)
		}
	}
}

// beginDrain refuses new users. r.mu is held.
func (m *loaded) beginDrain(ctx context.Context) error {
	if err := m.notFrom(ctx); err != nil {
		return err
	}
	if m.state != Live || m.draining {
		return m.busy()
	}
	m.draining = true
	m.uses.refuse()
	return nil
}

// retireDrained moves a draining module to Unloading if everybody has left.
func (r *Registry) retireDrained(m *loaded) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.state != Live {
		return false // Shutdown has taken it; giveUp will say so
	}
	if len(m.holders) > 0 || m.pins > 0 || m.uses.count() > 0 {
		return false
	}
	m.setState(Unloading)
	return true
}

// giveUp makes a module that did not drain in time live again.
func (r *Registry) giveUp(m *loaded) error {
	r.mu.Lock()
	if m.state != Live {
		r.mu.Unlock()
		return m.busy()
	}
	err := m.inUse()
	m.draining = false
	m.uses.reopen()
	r.mu.Unlock()
	m.scope.resume()
	return err
}
