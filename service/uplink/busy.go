package uplink

import "sync"

// A busyList is a queue of flows, oldest first, for workers that wait for them.
// init makes it ready; it is safe for concurrent use.
type busyList struct {
	mu     sync.Mutex
	cond   sync.Cond
	flows  []*flow
	closed bool
}

func (l *busyList) init() { l.cond.L = &l.mu }

// push adds f, which must not be in the list.
func (l *busyList) push(f *flow) {
	l.mu.Lock()
	l.flows = append(l.flows, f)
	l.mu.Unlock()
	l.cond.Signal()
}

// pop waits for a flow; nil means that the list is closed.
func (l *busyList) pop() *flow {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.flows) == 0 && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return nil
	}
	f := l.flows[0]
	l.flows[0] = nil
	l.flows = l.flows[1:]
	return f
}

// close lets all workers end.
func (l *busyList) close() {
	l.mu.Lock()
	l.closed, l.flows = true, nil
	l.mu.Unlock()
	l.cond.Broadcast()
}
