package tcp

import (
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/packet"
)

// Sizes of the buffers that the send queue is made of, by what is written.
const (
	smallWrite = 2 << 10
	mediumSend = 16 << 10
	largeBlock = 64 << 10
)

// copyLimit is up to how many bytes a segment's payload is copied into its
// packet's head. A reference would keep a whole buffer alive for little.
const copyLimit = 160

// sendBuffer holds the bytes that were written and not acknowledged yet, in
// buffers that segments refer to. One writer fills it; the owner of the
// connection takes segments from it and frees what was acknowledged.
type sendBuffer struct {
	writer sync.Mutex   // held by the one Send that runs
	queued atomic.Int64 // bytes in it, committed or not
	fresh  atomic.Int64 // bytes committed and not yet told to the machine
	limit  atomic.Int64
	// more: the running Send has not put all of its bytes in yet.
	more atomic.Bool

	mu     sync.Mutex // guards what follows; held for moments
	blocks []block
	head   int    // index of the first block in use
	base   uint64 // stream offset of the first byte
	closed bool   // writes are discarded
}

type block struct {
	buf *packet.Buf
	off int // where the block's bytes start in buf
	n   int
}

// room returns how many bytes may still be written.
func (s *sendBuffer) room() int64 { return s.limit.Load() - s.queued.Load() }

// roomFor returns how many of n bytes to take now: none rather than a few, since
// small pieces cost as much as large ones.
func (s *sendBuffer) roomFor(n int) int {
	room := s.room()
	if room < min(int64(n), s.limit.Load()/3) {
		return 0
	}
	return int(min(int64(n), room))
}

// fill copies a part of b behind the queue and returns its length. Only the
// writer calls it. It copies without the lock, so it holds a reference of its own.
func (s *sendBuffer) fill(pool *packet.Pool, b []byte) int {
	s.mu.Lock()
	buf, at := s.tail()
	s.mu.Unlock()
	if buf == nil {
		buf, at = pool.Buf(s.blockSize(len(b))), 0
	}
	n := copy(buf.Bytes()[at:min(buf.Cap(), largeBlock)], b)
	s.mu.Lock()
	s.commit(buf, at, n)
	s.mu.Unlock()
	return n
}

// tail returns the last buffer if it has room behind its bytes, with a reference
// for the caller. s.mu is held.
func (s *sendBuffer) tail() (buf *packet.Buf, at int) {
	if s.head == len(s.blocks) {
		return nil, 0
	}
	last := &s.blocks[len(s.blocks)-1]
	if at = last.off + last.n; at >= min(last.buf.Cap(), largeBlock) {
		return nil, 0
	}
	last.buf.Retain(1)
	return last.buf, at
}

// blockSize chooses a buffer for a write: a connection that sends little must
// not hold a large one.
func (s *sendBuffer) blockSize(n int) int {
	switch {
	case n > mediumSend || s.queued.Load() > mediumSend:
		return largeBlock
	case n > smallWrite || s.queued.Load() > 0:
		return mediumSend
	}
	return smallWrite
}

// commit puts n bytes at at of buf behind the queue and takes over the writer's
// reference. s.mu is held.
func (s *sendBuffer) commit(buf *packet.Buf, at, n int) {
	if s.closed {
		buf.Release(1)
		return
	}
	s.queued.Add(int64(n))
	s.fresh.Add(int64(n))
	if s.head < len(s.blocks) {
		// While the writer copied, the last block may have been acknowledged.
		if last := &s.blocks[len(s.blocks)-1]; last.buf == buf && last.off+last.n == at {
			last.n += n
			buf.Release(1)
			return
		}
	}
	s.blocks = append(s.blocks, block{buf, at, n})
}

// attach makes bytes [off, off+n) of the stream the payload of pkt. It reports
// false when they take more fragments than fit.
func (s *sendBuffer) attach(pkt *packet.Packet, off uint64, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	skip := int(off - s.base)
	for i := s.head; n > 0; i++ {
		if i >= len(s.blocks) {
			return false
		}
		b := &s.blocks[i]
		if skip >= b.n {
			skip -= b.n
			continue
		}
		m := min(n, b.n-skip)
		if m <= copyLimit && pkt.Tailroom() >= m {
			copy(pkt.Extend(m), b.buf.Bytes()[b.off+skip:])
		} else {
			b.buf.Retain(1)
			if !pkt.AddFrag(b.buf, b.off+skip, m) {
				b.buf.Release(1)
				return false
			}
		}
		n -= m
		skip = 0
	}
	return true
}

// free forgets the first n bytes.
func (s *sendBuffer) free(n int) {
	s.queued.Add(-int64(n))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base += uint64(n)
	for n > 0 && s.head < len(s.blocks) {
		b := &s.blocks[s.head]
		m := min(n, b.n)
		b.off += m
		b.n -= m
		n -= m
		if b.n > 0 {
			return
		}
		b.buf.Release(1)
		*b = block{}
		s.head++
	}
	s.tidy()
}

// tidy keeps the slice of blocks short. s.mu is held.
func (s *sendBuffer) tidy() {
	switch {
	case s.head == len(s.blocks):
		s.blocks, s.head = s.blocks[:0], 0
		if cap(s.blocks) > 8 {
			s.blocks = nil
		}
	case s.head >= 32:
		n := copy(s.blocks, s.blocks[s.head:])
		clear(s.blocks[n:])
		s.blocks, s.head = s.blocks[:n], 0
	}
}

// close releases everything; later writes are discarded.
func (s *sendBuffer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, b := range s.blocks[s.head:] {
		s.queued.Add(-int64(b.n))
		b.buf.Release(1)
	}
	s.blocks, s.head = nil, 0
}
