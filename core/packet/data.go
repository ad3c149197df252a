package packet

import "fmt"

// Len returns the number of bytes from the current header to the end.
func (p *Packet) Len() int { return int(p.end-p.off) + int(p.fragLen) }

// Head returns the part of the data that lies in the head: all headers, and a
// small packet whole. It may be changed in place.
func (p *Packet) Head() []byte { return p.head[p.off:p.end] }

// HeadLen returns len(Head()).
func (p *Packet) HeadLen() int { return int(p.end - p.off) }

// Offset returns where the data starts, for Meta's offsets.
func (p *Packet) Offset() int { return int(p.off) }

// At returns the head from offset off (of Meta) to the end of the head's data,
// also when what is there was pulled already.
func (p *Packet) At(off uint16) []byte { return p.head[off:p.end] }

// Room returns how many bytes Push can still open.
func (p *Packet) Room() int { return int(p.off) }

// Push opens n bytes in front for a header and returns them. Their content is
// undefined. It panics when the headroom is used up, which is a mistake in the
// program: devices with large headers must check Room.
func (p *Packet) Push(n int) []byte {
	if n > int(p.off) {
		panic(fmt.Sprintf("packet: push of %d bytes with %d bytes of headroom", n, p.off))
	}
	p.off -= uint16(n)
	return p.head[p.off : int(p.off)+n]
}

// Pull removes n bytes from the front; they must be in the head (see Ensure).
// It reports false, and changes nothing, when they are not.
func (p *Packet) Pull(n int) bool {
	if n < 0 || n > p.HeadLen() {
		return false
	}
	p.off += uint16(n)
	return true
}

// Unpull takes n pulled bytes back.
func (p *Packet) Unpull(n int) { p.off -= uint16(n) }

// Ensure makes the first n bytes lie in the head. It reports false when the
// packet is shorter or n does not fit into the head.
func (p *Packet) Ensure(n int) bool { return n <= p.HeadLen() || p.ensure(n) }

func (p *Packet) ensure(n int) bool {
	if n > p.Len() || int(p.off)+n > HeadSize {
		return false
	}
	need := n - p.HeadLen()
	p.CopyOut(p.HeadLen(), p.head[p.end:int(p.end)+need])
	p.end += uint16(need)
	p.cutFragsFront(need)
	return true
}

// cutFragsFront removes the first n bytes of the fragments.
func (p *Packet) cutFragsFront(n int) {
	p.fragLen -= uint32(n)
	gone := 0
	for n > 0 {
		f := &p.frags[gone]
		if int(f.n) > n {
			f.off += uint32(n)
			f.n -= uint32(n)
			break
		}
		n -= int(f.n)
		f.buf.Release(1)
		gone++
	}
	if gone > 0 {
		copy(p.frags[:], p.frags[gone:p.nfrags])
		clear(p.frags[int(p.nfrags)-gone : p.nfrags])
		p.nfrags -= uint8(gone)
	}
}

// TrimFront removes n bytes from the front, wherever they lie. n must not be
// more than Len.
func (p *Packet) TrimFront(n int) {
	h := min(n, p.HeadLen())
	p.off += uint16(h)
	if n > h {
		p.cutFragsFront(n - h)
	}
}

// TrimBack removes n bytes from the end. n must not be more than Len.
func (p *Packet) TrimBack(n int) {
	f := min(n, int(p.fragLen))
	p.end -= uint16(n - f)
	p.fragLen -= uint32(f)
	for f > 0 {
		last := &p.frags[p.nfrags-1]
		if int(last.n) > f {
			last.n -= uint32(f)
			return
		}
		f -= int(last.n)
		last.buf.Release(1)
		*last = frag{}
		p.nfrags--
	}
}

// TrimTo cuts the packet to n bytes; a shorter one stays as it is.
func (p *Packet) TrimTo(n int) {
	if over := p.Len() - n; over > 0 {
		p.TrimBack(over)
	}
}

// CopyOut copies bytes from offset off on into b and returns how many.
func (p *Packet) CopyOut(off int, b []byte) (n int) {
	if h := p.Head(); off < len(h) {
		n = copy(b, h[off:])
		off = 0
	} else {
		off -= len(h)
	}
	for i := 0; i < int(p.nfrags) && n < len(b); i++ {
		f := p.Frag(i)
		if off >= len(f) {
			off -= len(f)
			continue
		}
		n += copy(b[n:], f[off:])
		off = 0
	}
	return n
}

// Append copies b behind the data: into the head while it has room and there are
// no fragments, else into new buffers. It reports false, with the packet
// unchanged, when MaxFrags would not do.
func (p *Packet) Append(b []byte) bool {
	if p.nfrags == 0 {
		n := copy(p.head[p.end:], b)
		if n == len(b) || len(b) <= MaxBuf {
			// All in the head or all in one buffer: half and half would cost a
			// fragment and save nothing.
			if n < len(b) {
				n = 0
			}
			p.end += uint16(n)
			b = b[n:]
		}
	}
	return len(b) == 0 || p.appendFrags(b)
}

func (p *Packet) appendFrags(b []byte) bool {
	if int(p.nfrags)+(len(b)+MaxBuf-1)/MaxBuf > MaxFrags {
		return false
	}
	for len(b) > 0 {
		buf := p.pool.Buf(min(len(b), MaxBuf))
		n := copy(buf.Bytes(), b)
		p.AddFrag(buf, 0, n)
		b = b[n:]
	}
	return true
}

// Extend makes the head's data n bytes longer and returns the new bytes, whose
// content is undefined. There must be no fragments, and room for n.
func (p *Packet) Extend(n int) []byte {
	old := p.end
	p.end += uint16(n)
	return p.head[old:p.end]
}

// Tailroom returns how many bytes Extend can add.
func (p *Packet) Tailroom() int {
	if p.nfrags > 0 {
		return 0
	}
	return HeadSize - int(p.end)
}
