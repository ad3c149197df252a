package packet

import "sync/atomic"

// bufSizes are the sizes buffers come in: a frame of an Ethernet, a small write,
// and the largest IP packet with its link header or a full TCP super-segment.
var bufSizes = [...]int{2 << 10, 16 << 10, 65<<10 + 512}

// MaxBuf is the size of the largest buffer in bytes.
const MaxBuf = 65<<10 + 512

// A Buf is memory that packets refer to by fragments. It goes back to its pool
// when the last reference is released. Bytes that a fragment covers must not
// change while another reference may see them.
type Buf struct {
	refs  atomic.Int32
	class uint8
	pool  *Pool
	b     []byte
}

// Buf returns a buffer of at least n bytes (at most MaxBuf) with one reference,
// which the caller owns.
func (p *Pool) Buf(n int) *Buf {
	class := 0
	for bufSizes[class] < n {
		class++
	}
	p.liveBufs.Add(1)
	b, _ := p.bufs[class].Get().(*Buf)
	if b == nil {
		b = &Buf{class: uint8(class), pool: p, b: make([]byte, bufSizes[class])}
	}
	b.refs.Store(1)
	return b
}

// Bytes returns the whole memory of b.
func (b *Buf) Bytes() []byte { return b.b }

// Cap returns the size of b in bytes.
func (b *Buf) Cap() int { return len(b.b) }

// Retain adds n references.
func (b *Buf) Retain(n int) { b.refs.Add(int32(n)) }

// Release gives back n references; with the last one b returns to its pool.
func (b *Buf) Release(n int) {
	switch left := b.refs.Add(-int32(n)); {
	case left == 0:
		b.pool.liveBufs.Add(-1)
		b.pool.bufs[b.class].Put(b)
	case left < 0:
		panic("packet: buffer released twice")
	}
}

// Shared reports whether somebody else holds a reference too.
func (b *Buf) Shared() bool { return b.refs.Load() > 1 }
