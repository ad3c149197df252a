package socket

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
)

// A waiter lets goroutines block until the protocol reports progress, the
// deadline passes, or the socket is closed. The zero waiter needs init.
type waiter struct {
	clock *clock.Clock
	state atomic.Uint32 // expired, shut; checked without the lock

	mu    sync.Mutex
	cond  sync.Cond
	ready bool
	timer *clock.Timer // made by the first deadline
	at    clock.Time   // the deadline; 0: none
}

const (
	expired uint32 = 1 << iota // the deadline has passed
	shut                       // the socket is closed
)

func (w *waiter) init(c *clock.Clock) {
	w.clock = c
	w.cond.L = &w.mu
}

// check returns why a call must fail at once, or nil.
func (w *waiter) check() error {
	switch s := w.state.Load(); {
	case s == 0:
		return nil
	case s&shut != 0:
		return net.ErrClosed
	default:
		return os.ErrDeadlineExceeded
	}
}

// failed is err, or net.ErrClosed when the call that failed met a Close.
func (w *waiter) failed(err error) error {
	if err != nil && w.state.Load()&shut != 0 {
		return net.ErrClosed
	}
	return err
}

// wait blocks until wake was called since the last wait, or check fails.
func (w *waiter) wait() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.ready {
		if err := w.check(); err != nil {
			return err
		}
		w.cond.Wait()
	}
	w.ready = false
	return nil
}

// wake lets those who wait look again.
func (w *waiter) wake() {
	w.mu.Lock()
	w.ready = true
	w.mu.Unlock()
	w.cond.Broadcast()
}

// close makes this and every later call fail with net.ErrClosed.
func (w *waiter) close() {
	w.mu.Lock()
	w.state.Or(shut)
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.cond.Broadcast()
}

// setDeadline sets when calls fail; the zero time means never. A deadline that
// has passed counts at once; a later one lets calls work again.
func (w *waiter) setDeadline(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.Load()&shut != 0 {
		return // the timer is not to outlive the socket
	}
	w.at = 0
	if w.timer != nil {
		w.timer.Stop()
	}
	w.state.And(^expired)
	if t.IsZero() {
		return
	}
	d := t.Sub(w.clock.Wall())
	if d <= 0 {
		w.state.Or(expired)
		w.cond.Broadcast()
		return
	}
	if w.timer == nil {
		w.timer = new(clock.Timer)
		w.timer.Init(w.clock, w.expire)
	}
	w.at = w.clock.Now().Add(d)
	w.timer.Reset(w.at)
}

func (w *waiter) expire(now clock.Time) {
	w.mu.Lock()
	if w.at != 0 && w.at <= now { // else the deadline was moved meanwhile
		w.state.Or(expired)
	}
	w.mu.Unlock()
	w.cond.Broadcast()
}
