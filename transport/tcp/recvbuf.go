package tcp

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/transport"
)

// recvBuffer holds what arrived in order and was not read yet. The owner of the
// connection fills it, one reader empties it.
type recvBuffer struct {
	reader sync.Mutex     // held by the one Recv that runs
	cur    *packet.Packet // partly read; the reader's

	consumed atomic.Int64 // bytes read that the machine does not know of yet

	// pos is how many bytes were read, modulo 2^32; mark, if it is not 0, is marked
	// and which octet is the last of urgent data.
	pos  atomic.Uint32
	mark atomic.Uint64

	mu      sync.Mutex // guards what follows; held for moments
	q       packet.Queue
	waiting bool  // a Recv found nothing and wants the Waker told
	end     error // io.EOF or why the connection died, behind q
	closed  bool  // nobody will read any more
}

const marked = 1 << 32

// toMark returns how many octets are in front of the urgent mark, 0 when the next
// octet is the one that is marked; ok is false when there is no mark ahead.
func (r *recvBuffer) toMark() (n int, ok bool) {
	m := r.mark.Load()
	if m == 0 {
		return 0, false
	}
	n = int(int32(uint32(m) - r.pos.Load()))
	return n, n >= 0
}

// put moves packets behind the queue and reports whether the reader waits. Small
// ones are copied together, so that a stranger's one-byte segments cannot make
// the buffer cost a multiple of its bytes.
func (r *recvBuffer) put(in *packet.Queue) (wake bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		in.Consume()
		return false
	}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if back := r.q.Back(); back == nil || pkt.Len() > back.Tailroom() || !back.Join(pkt) {
			r.q.Push(pkt)
		}
	}
	wake = r.waiting
	r.waiting = false
	return wake
}

// finish puts err behind the data; the first one counts. It reports whether the
// reader waits.
func (r *recvBuffer) finish(err error) (wake bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end == nil {
		r.end = err
	}
	wake = r.waiting
	r.waiting = false
	return wake
}

// next returns the packet to read from, or why there is none. r.reader is held.
func (r *recvBuffer) next() (*packet.Packet, error) {
	if r.cur != nil {
		return r.cur, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cur = r.q.Pop()
	switch {
	case r.cur != nil:
		return r.cur, nil
	case r.end != nil:
		return nil, r.end // first: the end of the kernel is no end of the stream
	case r.closed:
		return nil, io.EOF
	}
	r.waiting = true
	return nil, transport.ErrWouldBlock
}

// more returns the next packet if there is one, without asking to be woken.
func (r *recvBuffer) more() *packet.Packet {
	if r.cur == nil {
		r.mu.Lock()
		r.cur = r.q.Pop()
		r.mu.Unlock()
	}
	return r.cur
}

// read copies into b, from as many packets as it takes, but not past an urgent mark
// that is ahead: a reader could not find it otherwise.
func (r *recvBuffer) read(b []byte) (n int, err error) {
	pkt, err := r.next()
	if err != nil {
		return 0, err
	}
	if n, ok := r.toMark(); ok && n > 0 {
		b = b[:min(n, len(b))]
	}
	for pkt != nil && n < len(b) {
		m := pkt.CopyOut(0, b[n:])
		n += m
		r.advance(m)
		pkt = r.more()
	}
	return n, nil
}

// advance takes n bytes off the current packet.
func (r *recvBuffer) advance(n int) {
	r.pos.Add(uint32(n))
	if m := r.mark.Load(); m != 0 && int32(uint32(m)-r.pos.Load()) < 0 {
		r.mark.CompareAndSwap(m, 0) // unless there is a newer one
	}
	if n < r.cur.Len() {
		r.cur.TrimFront(n)
		return
	}
	r.cur.Consume()
	r.cur = nil
}

// close drops what is there and what comes.
func (r *recvBuffer) close() (wake bool) {
	r.mu.Lock()
	r.closed = true
	r.q.Consume()
	wake = r.waiting
	r.waiting = false
	r.mu.Unlock()
	r.sweep()
	return wake
}

// sweep ends the current packet once nobody reads any more: whoever comes last,
// close or the reader, does it.
func (r *recvBuffer) sweep() {
	if !r.reader.TryLock() {
		return
	}
	r.mu.Lock()
	gone := r.closed
	r.mu.Unlock()
	if gone && r.cur != nil {
		r.cur.Consume()
		r.cur = nil
	}
	r.reader.Unlock()
}
