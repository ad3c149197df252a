package neigh

import "slices"

// An Event tells of a change of an entry, for `ip monitor neigh`.
type Event struct {
	Info
	// Deleted: the entry is gone; Info is what it was until then.
	Deleted bool
}

type watcher struct{ f func(Event) }

// Watch calls f for every later change until undo is called, in the goroutine
// that made the change and after it. Changes of one entry by two goroutines may
// come in either order. f may call into the table and must not block.
func (t *Table) Watch(f func(Event)) (undo func()) {
	w := &watcher{f}
	t.watchers.Update(func(ws []*watcher) []*watcher { return append(slices.Clone(ws), w) })
	return func() {
		t.watchers.Update(func(ws []*watcher) []*watcher {
			return slices.DeleteFunc(slices.Clone(ws), func(x *watcher) bool { return x == w })
		})
	}
}

func (t *Table) notify(e Event) {
	for _, w := range *t.watchers.Load() {
		w.f(e)
	}
}
