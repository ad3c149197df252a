// Package datagram is what the datagram protocols share: the receive queue of a
// socket, its options and its memberships. It is no module.
package datagram

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/transport"
)

// overhead is what a queued packet counts for beside its bytes, so that small
// datagrams cannot make a buffer cost a multiple of its size (Linux's truesize).
const overhead = 512

// DefaultRecvBuffer is net.core.rmem_default, in bytes.
const DefaultRecvBuffer = 212992

// A Queue is the receive queue of a socket: packets whose data is the payload,
// bounded in bytes. Init makes it ready; it is safe for concurrent use.
type Queue struct {
	waker transport.Waker
	limit atomic.Int64
	drops atomic.Uint64
	err   atomic.Uint32 // pending error, an errno

	mu      sync.Mutex
	q       packet.Queue
	bytes   int64
	waiting bool // a Take found nothing and wants the Waker told
	closed  bool
}

// Init makes q ready. A limit of 0 means DefaultRecvBuffer.
func (q *Queue) Init(w transport.Waker, limit int) {
	q.waker = w
	q.SetLimit(limit)
}

// SetLimit sets the bound in bytes; 0 means DefaultRecvBuffer, and less than one
// full packet counts as that.
func (q *Queue) SetLimit(n int) {
	if n == 0 {
		n = DefaultRecvBuffer
	}
	q.limit.Store(int64(max(n, 2048+overhead)))
}

// Limit returns the bound in bytes.
func (q *Queue) Limit() int { return int(q.limit.Load()) }

// Drops returns how many packets did not fit.
func (q *Queue) Drops() uint64 { return q.drops.Load() }

// Len returns the bytes waiting.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int(q.bytes) - overhead*q.q.Len()
}

// Put queues pkt, which it owns, and reports whether it fit. Otherwise it is
// dropped for SOCKET_RCVBUFF.
func (q *Queue) Put(pkt *packet.Packet) bool {
	cost := int64(pkt.Len() + overhead)
	q.mu.Lock()
	if q.closed || q.bytes+cost > q.limit.Load() && q.bytes > 0 {
		q.mu.Unlock()
		q.drops.Add(1)
		pkt.Drop(stat.SocketRcvBuff)
		return false
	}
	q.bytes += cost
	q.q.Push(pkt)
	wake := q.waiting
	q.waiting = false
	q.mu.Unlock()
	if wake {
		q.waker.Wake(transport.Readable)
	}
	return true
}

// Fail sets the pending error, which the next Take returns once.
func (q *Queue) Fail(errno syscall.Errno) {
	q.err.Store(uint32(errno))
	q.waker.Wake(transport.Readable | transport.Writable)
}

// TakeError returns the pending error and forgets it.
func (q *Queue) TakeError() error {
	if q.err.Load() == 0 {
		return nil
	}
	if e := q.err.Swap(0); e != 0 {
		return syscall.Errno(e)
	}
	return nil
}

// Take returns the oldest packet, which the caller then owns, or the pending
// error, or ErrWouldBlock; net.ErrClosed when the socket, or the protocol under it,
// is gone.
func (q *Queue) Take() (*packet.Packet, error) {
	if err := q.TakeError(); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	pkt := q.q.Pop()
	switch {
	case pkt != nil:
		q.bytes -= int64(pkt.Len() + overhead)
		return pkt, nil
	case q.closed:
		return nil, net.ErrClosed
	}
	q.waiting = true
	return nil, transport.ErrWouldBlock
}

// Return puts back in front what Take returned, after a part was read.
func (q *Queue) Return(pkt *packet.Packet) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		pkt.Consume()
		return
	}
	q.bytes += int64(pkt.Len() + overhead)
	q.q.InsertAfter(nil, pkt)
	wake := q.waiting // another reader found nothing meanwhile
	q.waiting = false
	q.mu.Unlock()
	if wake {
		q.waker.Wake(transport.Readable)
	}
}

// Close drops what is queued and what comes.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.q.Consume()
	q.bytes = 0
	q.mu.Unlock()
	q.waker.Wake(transport.Readable | transport.Writable)
}

// Read copies the payload of pkt into b, ends or returns the packet, and says in
// m what was read. A packet of several datagrams (GRO) gives one at a time.
func (q *Queue) Read(pkt *packet.Packet, b []byte, m *transport.Message) int {
	size := pkt.Len()
	if pkt.GSO == packet.GSOUDP {
		size = min(size, int(pkt.GSOSize))
	}
	n := pkt.CopyOut(0, b[:min(len(b), size)])
	m.Truncated = n < size
	if size < pkt.Len() {
		pkt.TrimFront(size)
		q.Return(pkt)
		return n
	}
	pkt.Consume()
	return n
}

// Unmap returns a without the mapping of IPv4 into IPv6.
func Unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
