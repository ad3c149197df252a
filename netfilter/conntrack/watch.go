package conntrack

import (
	"sync"
	"sync/atomic"
)

// watchers are who wants to hear of events. Telling takes no lock: the list is
// copied when it changes.
type watchers[E any] struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*func(E)]
}

func (w *watchers[E]) add(f func(E)) (undo func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &f
	next := []*func(E){p}
	if old := w.list.Load(); old != nil {
		next = append(next, *old...)
	}
	w.list.Store(&next)
	return func() { w.remove(p) }
}

func (w *watchers[E]) remove(p *func(E)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var next []*func(E)
	for _, x := range *w.list.Load() {
		if x != p {
			next = append(next, x)
		}
	}
	w.list.Store(&next)
}

// any reports whether anybody wants to hear.
func (w *watchers[E]) any() bool {
	list := w.list.Load()
	return list != nil && len(*list) > 0
}

func (w *watchers[E]) tell(e E) {
	list := w.list.Load()
	if list == nil {
		return
	}
	for _, f := range *list {
		(*f)(e)
	}
}
