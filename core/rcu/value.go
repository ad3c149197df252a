package rcu

import (
	"sync"
	"sync/atomic"
)

// A Value holds a snapshot that is read for every packet and changed seldom:
// readers load a pointer, writers copy. The zero Value holds the zero T. All
// methods may be called concurrently. It must not be copied.
type Value[T any] struct {
	p  atomic.Pointer[T]
	mu sync.Mutex // serialises writers
}

// Load returns the current snapshot; it is never nil and must not be changed.
// After the first call it does not allocate.
func (v *Value[T]) Load() *T {
	if p := v.p.Load(); p != nil {
		return p
	}
	return v.first()
}

// first stores the zero T, so that all readers see the same one.
func (v *Value[T]) first() *T {
	v.p.CompareAndSwap(nil, new(T))
	return v.p.Load()
}

// Store replaces the snapshot.
func (v *Value[T]) Store(t T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.p.Store(&t)
}

// Update replaces the snapshot by what change makes of it. One Update runs at
// a time. change must leave what old leads to (the elements of a slice or map)
// as it is, because readers are looking at it, and must not call Store or
// Update of the same Value.
func (v *Value[T]) Update(change func(old T) T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := change(*v.Load())
	v.p.Store(&t)
}
