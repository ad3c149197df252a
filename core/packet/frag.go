package packet

// Frags returns the number of fragments.
func (p *Packet) Frags() int { return int(p.nfrags) }

// Frag returns the bytes of fragment i. Others may see them too: read only.
func (p *Packet) Frag(i int) []byte {
	f := &p.frags[i]
	return f.buf.b[f.off : f.off+f.n]
}

// AddFrag puts bytes [off, off+n) of buf behind the data and takes over one
// reference of the caller. A fragment that continues the last one is joined to it.
// It reports false, and takes nothing, when the packet has MaxFrags already.
func (p *Packet) AddFrag(buf *Buf, off, n int) bool {
	if p.nfrags > 0 {
		last := &p.frags[p.nfrags-1]
		if last.buf == buf && last.off+last.n == uint32(off) {
			last.n += uint32(n)
			p.fragLen += uint32(n)
			buf.Release(1)
			return true
		}
	}
	if p.nfrags == MaxFrags {
		return false
	}
	p.frags[p.nfrags] = frag{buf, uint32(off), uint32(n)}
	p.nfrags++
	p.fragLen += uint32(n)
	return true
}

// Share puts n bytes, from offset off of src on, behind p's data by reference.
// What lies in src's head is copied into p's, which must have room and no
// fragments then. It reports false, with p unchanged, when that is not so or
// the fragments do not fit.
func (p *Packet) Share(src *Packet, off, n int) bool {
	if h := src.HeadLen(); off < h {
		c := min(n, h-off)
		if p.Tailroom() < c {
			return false
		}
		copy(p.Extend(c), src.Head()[off:off+c])
		off, n = h, n-c
		if n > 0 && !p.shareFrags(src, 0, n) {
			p.TrimBack(c)
			return false
		}
		return true
	}
	return p.shareFrags(src, off-src.HeadLen(), n)
}

func (p *Packet) shareFrags(src *Packet, off, n int) bool {
	i := 0
	for i < int(src.nfrags) && off >= int(src.frags[i].n) {
		off -= int(src.frags[i].n)
		i++
	}
	had := p.fragLen
	for ; n > 0 && i < int(src.nfrags); i++ {
		f := &src.frags[i]
		c := min(n, int(f.n)-off)
		f.buf.Retain(1)
		if !p.AddFrag(f.buf, int(f.off)+off, c) {
			f.buf.Release(1)
			p.TrimBack(int(p.fragLen - had))
			return false
		}
		n -= c
		off = 0
	}
	return true
}

// Join moves all of src behind p's data by reference and ends src. It reports
// false, with both unchanged, when that needs a copy of more than fits: src has
// bytes in its head while p has fragments, or the fragments are too many.
func (p *Packet) Join(src *Packet) bool {
	h := src.HeadLen()
	if h > p.Tailroom() && h > 0 {
		return false
	}
	if !p.fragsFit(src) {
		return false
	}
	if h > 0 {
		copy(p.Extend(h), src.Head())
	}
	for i := range src.nfrags {
		f := &src.frags[i]
		p.AddFrag(f.buf, int(f.off), int(f.n))
		*f = frag{}
	}
	src.nfrags, src.fragLen = 0, 0
	src.Consume()
	return true
}

func (p *Packet) fragsFit(src *Packet) bool {
	n := int(p.nfrags) + int(src.nfrags)
	if p.nfrags > 0 && src.nfrags > 0 {
		last, first := &p.frags[p.nfrags-1], &src.frags[0]
		if last.buf == first.buf && last.off+last.n == first.off {
			n--
		}
	}
	return n <= MaxFrags
}

// Linearize brings everything behind the head into one private fragment, so that
// Frag(0) may be changed. It reports false when that is more than MaxBuf.
func (p *Packet) Linearize() bool {
	if p.nfrags == 0 || (p.nfrags == 1 && !p.frags[0].buf.Shared()) {
		return true
	}
	n := int(p.fragLen)
	if n > MaxBuf {
		return false
	}
	buf := p.pool.Buf(n)
	p.CopyOut(p.HeadLen(), buf.Bytes()[:n])
	p.releaseFrags()
	return p.AddFrag(buf, 0, n)
}
