package nft

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

// A loader writes the value of an expression to dst, whose length is that of the
// value in whole bytes, and reports whether there is one: a rule ends where there
// is none.
type loader func(ev *eval, dst []byte) bool

func bytesFor(bits int) int { return (bits + 7) / 8 }

// load compiles an expression.
func (c *compiler) load(e rule.Expr) (loader, error) {
	switch x := e.(type) {
	case *rule.Value:
		return loadValue(x), nil
	case *rule.Payload:
		if x.Bits() > maxBits {
			return nil, syscall.EOVERFLOW
		}
		return loadPayload(x), nil
	case *rule.Exthdr:
		return loadExthdr(x)
	case *rule.Meta:
		return c.loadMeta(x)
	case *rule.CT:
		return c.loadCT(x)
	case *rule.Binary:
		return c.loadBinary(x)
	case *rule.Concat:
		return c.loadConcat(x)
	case *rule.MapExpr:
		return c.loadMap(x)
	case *rule.Numgen:
		return c.loadNumgen(x), nil
	case *rule.Hash:
		return c.loadHash(x)
	case *rule.FIB:
		return c.loadFIB(x)
	case *rule.RT:
		return c.loadRT(x)
	case *rule.Socket:
		return loadSocket(x)
	}
	return nil, fmt.Errorf("%T cannot be computed", e)
}

func loadValue(v *rule.Value) loader {
	data := v.Data
	return func(_ *eval, dst []byte) bool { copy(dst, data); return true }
}

// place is where a field is.
func place(x *rule.Payload) (base rule.Base, off, bits int) {
	if f := x.Field; f != nil {
		return f.Base, f.Offset, f.Bits
	}
	return x.Base, x.Offset, x.N
}

// loadPayload compiles a header field. Most fields are whole bytes.
func loadPayload(x *rule.Payload) loader {
	base, off, bits := place(x)
	if off%8 == 0 && bits%8 == 0 {
		off, n := off/8, bits/8
		return func(ev *eval, dst []byte) bool {
			b := ev.header(base, off, n)
			if b == nil {
				return ev.copyOut(base, off, dst[:n])
			}
			copy(dst, b)
			return true
		}
	}
	first, n := off/8, bytesFor(off%8+bits)
	return func(ev *eval, dst []byte) bool {
		b := ev.header(base, first, n)
		if b == nil {
			var far [maxField]byte
			if b = far[:n]; !ev.copyOut(base, first, b) {
				return false
			}
		}
		cutBits(dst, b, off%8, bits)
		return true
	}
}

// maxBits is the longest field in bits, maxField in bytes: it may begin inside one.
const (
	maxBits  = 128
	maxField = maxBits/8 + 1
)

// cutBits writes bits of b from bit off on to dst, right aligned.
func cutBits(dst, b []byte, off, bits int) {
	shift := len(b)*8 - off - bits
	n := bytesFor(bits)
	for i := range n { // from the last byte of dst
		at := len(b)*8 - shift - 8*(i+1) // bit offset of this byte in b
		dst[n-1-i] = byteAt(b, at)
	}
	if r := bits % 8; r != 0 {
		dst[0] &= 1<<r - 1
	}
}

// byteAt returns the 8 bits of b from bit offset at on, which may begin before b.
func byteAt(b []byte, at int) byte {
	var v uint16
	i := at >> 3
	if i >= 0 && i < len(b) {
		v = uint16(b[i]) << 8
	}
	if i+1 >= 0 && i+1 < len(b) {
		v |= uint16(b[i+1])
	}
	return byte(v >> (8 - at&7))
}

// putBits writes the right aligned src into bits of b from bit off on.
func putBits(b, src []byte, off, bits int) {
	for i := range bits {
		from := len(src)*8 - bits + i
		bit := src[from/8] >> (7 - from%8) & 1
		at := off + i
		mask := byte(1) << (7 - at%8)
		if bit != 0 {
			b[at/8] |= mask
		} else {
			b[at/8] &^= mask
		}
	}
}

// loadConcat writes the parts beside each other, each in whole words of 4 bytes
// with what is left over behind, as Linux's registers.
func (c *compiler) loadConcat(x *rule.Concat) (loader, error) {
	type part struct {
		load   loader
		at, n  int
		padded int
	}
	var parts []part
	at := 0
	for _, e := range x.Parts {
		l, err := c.load(e)
		if err != nil {
			return nil, err
		}
		n := bytesFor(e.Bits())
		parts = append(parts, part{l, at, n, (n + 3) &^ 3})
		at += (n + 3) &^ 3
	}
	if at > maxKey {
		return nil, fmt.Errorf("a concatenation of %d bytes is too long, the most is %d", at, maxKey)
	}
	return func(ev *eval, dst []byte) bool {
		for i := range parts {
			p := &parts[i]
			if !p.load(ev, dst[p.at:p.at+p.n]) {
				return false
			}
			clear(dst[p.at+p.n : p.at+p.padded])
		}
		return true
	}, nil
}

// keyLen is the length in bytes of an expression used as a key.
func keyLen(e rule.Expr) int {
	if x, ok := e.(*rule.Concat); ok {
		n := 0
		for _, p := range x.Parts {
			n += (bytesFor(p.Bits()) + 3) &^ 3
		}
		return n
	}
	return bytesFor(e.Bits())
}

// loadBinary compiles bitwise operations. The right side of a shift is constant.
func (c *compiler) loadBinary(x *rule.Binary) (loader, error) {
	left, err := c.load(x.Left)
	if err != nil {
		return nil, err
	}
	n := bytesFor(x.Bits())
	if x.Op == '<' || x.Op == '>' {
		v, ok := x.Right.(*rule.Value)
		if !ok {
			return nil, fmt.Errorf("a shift needs a constant")
		}
		at, err := c.scratch(n)
		return loadShift(left, x.Op, int(number(v.Data)), at, n), err
	}
	right, err := c.load(x.Right)
	if err != nil {
		return nil, err
	}
	rn := bytesFor(x.Right.Bits())
	if rn > n || n > maxKey {
		return nil, fmt.Errorf("operands of %d and %d bytes do not fit", n, rn)
	}
	at, err := c.scratch(n)
	if err != nil {
		return nil, err
	}
	op := x.Op
	return func(ev *eval, dst []byte) bool {
		r := ev.scratch[at : at+n]
		clear(r)
		if !left(ev, dst[:n]) || !right(ev, r[n-rn:]) {
			return false
		}
		combine(op, dst[:n], r)
		return true
	}, nil
}

func combine(op byte, dst, r []byte) {
	for i := range dst {
		switch op {
		case '&':
			dst[i] &= r[i]
		case '|':
			dst[i] |= r[i]
		case '^':
			dst[i] ^= r[i]
		}
	}
}

func loadShift(left loader, op byte, by, at, n int) loader {
	if op == '>' {
		by = -by
	}
	return func(ev *eval, dst []byte) bool {
		v := ev.scratch[at : at+n]
		if !left(ev, v) {
			return false
		}
		for i := range n {
			dst[i] = byteAt(v, i*8+by)
		}
		return true
	}
}

// putNumber writes v right aligned.
func putNumber(dst []byte, v uint64) {
	switch len(dst) {
	case 1:
		dst[0] = byte(v)
	case 2:
		binary.BigEndian.PutUint16(dst, uint16(v))
	case 4:
		binary.BigEndian.PutUint32(dst, uint32(v))
	case 8:
		binary.BigEndian.PutUint64(dst, v)
	default:
		for i := len(dst) - 1; i >= 0; i-- {
			dst[i] = byte(v)
			v >>= 8
		}
	}
}
