package module

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"syscall"
)

// Borrow returns the symbol name as Import does, of a module that need not be a
// declared dependency: a module that uses another one only at times has it only
// then. Until release is called, which may be called more than once, the owner
// cannot be unloaded, and lsmod names the borrower. It fails with EBUSY when the owner
// or the borrower is on its way out; ask for the owner with Request before.
func Borrow[T any](c *Context, name string) (v T, release func(), err error) {
	m := c.m
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	s, ok := m.r.symbols[name]
	if !ok {
		return v, nil, fmt.Errorf("borrow: %w", &symbolError{name})
	}
	if v, ok = s.value.(T); !ok {
		return v, nil, fmt.Errorf("borrow %s: %w: it is a %T, not a %v", name, syscall.ENOEXEC, s.value, reflect.TypeFor[T]())
	}
	o := s.owner
	if o == nil || o == m || slices.Contains(m.deps, o) && m.borrowed[o] == 0 {
		return v, func() {}, nil
	}
	if m.state == Unloading { // nobody would give it back
		return v, nil, fmt.Errorf("borrow %s: %w", name, m.busy())
	}
	if o.state != Live || o.draining {
		return v, nil, fmt.Errorf("borrow %s: %w", name, o.busy())
	}
	m.borrow(o)
	return v, sync.OnceFunc(func() { m.giveBack(o) }), nil
}

// borrow makes o a dependency of m. r.mu is held.
func (m *loaded) borrow(o *loaded) {
	if m.borrowed == nil {
		m.borrowed = map[*loaded]int{}
	}
	if m.borrowed[o]++; m.borrowed[o] == 1 {
		m.deps = append(slices.Clip(m.deps), o)
		o.holders[m] = struct{}{}
	}
}

// giveBack ends one borrow of o.
func (m *loaded) giveBack(o *loaded) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.borrowed[o]--; m.borrowed[o] > 0 {
		return
	}
	delete(m.borrowed, o)
	m.deps = slices.DeleteFunc(slices.Clone(m.deps), func(d *loaded) bool { return d == o })
	delete(o.holders, m)
	o.uses.wake()
}
