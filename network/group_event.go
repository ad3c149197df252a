package network

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/knitnet/knit/link"
)

// A GroupEvent tells that this host listens differently to a group on a device:
// what routers have to hear of (RFC 3376 §5.1, RFC 3810 §6.1).
type GroupEvent struct {
	Device   *link.Device
	Group    netip.Addr
	Old, New Filter // both are read only
}

type groupWatcher struct{ f func(GroupEvent) }

// groupEvents delivers events in the order of the changes, with no lock held: an
// event that comes while others are delivered, from a watcher or from another
// goroutine, waits for its turn.
type groupEvents struct {
	mu       sync.Mutex
	waiting  []GroupEvent
	busy     bool // a goroutine is delivering
	watchers []*groupWatcher
}

// WatchGroups calls f for every later change until undo is called, in order and
// one at a time. f may join and leave groups.
func (l *Layer) WatchGroups(f func(GroupEvent)) (undo func()) {
	w := &groupWatcher{f}
	e := &l.groups.events
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watchers = append(slices.Clone(e.watchers), w)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.watchers = slices.DeleteFunc(slices.Clone(e.watchers), func(x *groupWatcher) bool { return x == w })
	}
}

func (e *groupEvents) add(ev GroupEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = append(e.waiting, ev)
}

// deliver tells the watchers of what waits, unless another goroutine is at it.
func (e *groupEvents) deliver() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.busy {
		return
	}
	e.busy = true
	for len(e.waiting) > 0 {
		ev, ws := e.waiting[0], e.watchers
		e.waiting = e.waiting[1:]
		e.mu.Unlock()
		for _, w := range ws {
			w.f(ev)
		}
		e.mu.Lock()
	}
	e.busy, e.waiting = false, nil
}
