package bare

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// queueBytes is how much a queue holds before its writer waits: as little as
// fits a processor's second-level cache.
const queueBytes = 256 << 10

// A segment is a piece of the stream in a buffer from a pool.
type segment struct {
	buf  []byte
	data []byte // the part of buf not read yet
}

func newPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any { return &segment{buf: make([]byte, size)} }}
}

// A queue is one direction of a connection. It has one reader and one writer at
// a time; bytes are copied outside of the lock.
type queue struct {
	pool *sync.Pool

	mu       sync.Mutex
	changed  sync.Cond // segments came or went, or the queue was closed
	segments []*segment
	bytes    int
	waiting  int // goroutines in changed.Wait
	closed   bool

	filling []*segment // the writer's
	taken   []*segment // the reader's; those before next are nil
	next    int
}

func newQueue(pool *sync.Pool) *queue {
	q := &queue{pool: pool}
	q.changed.L = &q.mu
	return q
}

func (q *queue) write(b []byte) (n int, err error) {
	for len(b) > 0 {
		k := q.fill(b)
		if !q.push(k) {
			return n, io.ErrClosedPipe
		}
		n, b = n+k, b[k:]
	}
	return n, nil
}

// fill copies the first bytes of b into segments and returns how many.
func (q *queue) fill(b []byte) (n int) {
	const most = queueBytes / 4
	for n < len(b) && n < most {
		s := q.pool.Get().(*segment)
		k := copy(s.buf, b[n:])
		s.data = s.buf[:k]
		q.filling = append(q.filling, s)
		n += k
	}
	return n
}

// push appends what fill has filled, n bytes, once there is room. It reports
// false if the queue is closed.
func (q *queue) push(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes >= queueBytes && !q.closed {
		q.wait()
	}
	if q.closed {
		return false
	}
	q.segments = append(q.segments, q.filling...)
	q.filling = q.filling[:0]
	q.bytes += n
	q.wake()
	return true
}

func (q *queue) read(b []byte) (n int, err error) {
	if q.next == len(q.taken) && !q.take() {
		return 0, io.EOF
	}
	for n < len(b) && q.next < len(q.taken) {
		s := q.taken[q.next]
		k := copy(b[n:], s.data)
		s.data = s.data[k:]
		n += k
		if len(s.data) == 0 {
			q.taken[q.next] = nil
			q.next++
			q.pool.Put(s)
		}
	}
	return n, nil
}

// take waits for segments and takes all there are. It reports false at the end
// of the stream.
func (q *queue) take() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.segments) == 0 && !q.closed {
		q.wait()
	}
	q.taken, q.segments = q.segments, q.taken[:0]
	q.next, q.bytes = 0, 0
	q.wake()
	return len(q.taken) > 0
}

func (q *queue) wait() {
	q.waiting++
	q.changed.Wait()
	q.waiting--
}

func (q *queue) wake() {
	if q.waiting > 0 {
		q.changed.Broadcast()
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}

// A conn reads from one queue and writes to another.
type conn struct{ in, out *queue }

func newPair(pool *sync.Pool) (a, z net.Conn) {
	p, q := newQueue(pool), newQueue(pool)
	return conn{p, q}, conn{q, p}
}

func (c conn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c conn) Write(b []byte) (int, error) { return c.out.write(b) }

// Close ends both directions; what the peer has not read yet stays readable.
func (c conn) Close() error {
	c.in.close()
	c.out.close()
	return nil
}

func (conn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (conn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (conn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (conn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (conn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
