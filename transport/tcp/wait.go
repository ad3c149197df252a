package tcp

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// reuseAfter is how old a TIME-WAIT must be to be given up for a new connection.
const reuseAfter = time.Second

// waitList bounds the connections in TIME-WAIT (net.ipv4.tcp_max_tw_buckets):
// the oldest goes when there are too many.
type waitList struct {
	max atomic.Int64

	mu   sync.Mutex
	list list.List // of *conn, oldest first
}

// add puts c at the end. c.mu is held.
func (w *waitList) add(c *conn) {
	w.mu.Lock()
	c.waiting = w.list.PushBack(c)
	var oldest *conn
	if int64(w.list.Len()) > w.max.Load() {
		oldest = w.list.Front().Value.(*conn)
	}
	w.mu.Unlock()
	if oldest != nil {
		oldest.kick(workDiscard)
	}
}

// remove takes c out if it is in. c.mu is held.
func (w *waitList) remove(c *conn) {
	if c.waiting == nil {
		return
	}
	w.mu.Lock()
	w.list.Remove(c.waiting)
	w.mu.Unlock()
	c.waiting = nil
}
