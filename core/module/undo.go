package module

import (
	"container/list"
	"sync"
)

// An undoList holds functions that undo something, to run last first. Each
// runs once: early, or with all that are left. The zero undoList is empty.
type undoList struct {
	mu    sync.Mutex
	items list.List // of *undo
	over  bool      // all have run; what comes now runs at once
}

type undo struct {
	kind string
	f    func()
}

// add appends f and returns a function that runs it early. When the list has
// been run already, f runs at once: nobody would run it later.
func (l *undoList) add(kind string, f func()) (early func()) {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		f()
		return func() {}
	}
	defer l.mu.Unlock()
	e := l.items.PushBack(&undo{kind, f})
	return func() {
		if l.take(e) {
			f()
		}
	}
}

// take removes e and reports whether it was still there.
func (l *undoList) take(e *list.Element) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Value == nil {
		return false
	}
	l.items.Remove(e)
	e.Value = nil
	return true
}

// pop removes the last one; nil means that the list is over.
func (l *undoList) pop() *undo {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.items.Back()
	if e == nil {
		l.over = true
		return nil
	}
	u := e.Value.(*undo)
	l.items.Remove(e)
	e.Value = nil
	return u
}

// runAll passes every function to call, last first, including those that are
// added meanwhile, and counts them by kind.
func (l *undoList) runAll(call func(f func())) tally {
	t := tally{}
	for u := l.pop(); u != nil; u = l.pop() {
		t[u.kind]++
		call(u.f)
	}
	return t
}

// count counts by kind what has not been undone.
func (l *undoList) count() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := tally{}
	for e := l.items.Front(); e != nil; e = e.Next() {
		t[e.Value.(*undo).kind]++
	}
	return t
}
