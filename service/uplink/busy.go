package uplink

import "sync"

// A busyList is a queue of flows, oldest first, for workers that wait for them. It
// is linked through the flows, so that a datagram costs no memory. init makes it
// ready; it is safe for concurrent use.
type busyList struct {
	mu          sync.Mutex
	cond        sync.Cond
	first, last *flow
	closed      bool
}

func (l *busyList) init() { l.cond.L = &l.mu }

// push adds f, which must not be in the list.
func (l *busyList) push(f *flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return
	case l.last == nil:
		l.first = f
	default:
		l.last.nextBusy = f
	}
	l.last = f
	l.cond.Signal()
}

// pop waits for a flow; nil means that the list is closed.
func (l *busyList) pop() *flow {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.first == nil && !l.closed {
		l.cond.Wait()
	}
	f := l.first
	if f == nil {
		return nil
	}
	l.first, f.nextBusy = f.nextBusy, nil
	if l.first == nil {
		l.last = nil
	}
	return f
}

// close lets all workers end.
func (l *busyList) close() {
	l.mu.Lock()
	l.closed, l.first, l.last = true, nil, nil
	l.mu.Unlock()
	l.cond.Broadcast()
}
