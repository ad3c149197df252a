package nft

import (
	"encoding/binary"
	"math/bits"
)

// A hash64 finds values by numbers: open addressing over one array, so that a lookup
// among ten thousand costs about one cache line more than one among few. It is filled
// once and read by many. The zero hash64 is empty.
type hash64[T any] struct {
	slots []slot64[T]
	shift uint8
}

type slot64[T any] struct {
	key  uint64
	val  T
	used bool
}

// newHash64 returns a table with room for n values.
func newHash64[T any](n int) *hash64[T] {
	if n == 0 {
		return new(hash64[T])
	}
	size := bits.Len(uint(n + n/2))
	return &hash64[T]{slots: make([]slot64[T], 1<<size), shift: uint8(64 - size)}
}

// spread is 2^64 divided by the golden ratio: multiplying by it sends numbers in a row
// far apart (Knuth, The Art of Computer Programming 3, §6.4).
const spread = 0x9e3779b97f4a7c15

// at returns the slot of a key, or the free one where it belongs.
func (h *hash64[T]) at(key uint64) *slot64[T] {
	mask := uint64(len(h.slots) - 1)
	for i := key * spread >> h.shift; ; i++ {
		s := &h.slots[i&mask]
		if !s.used || s.key == key {
			return s
		}
	}
}

// put sets the value of a key; there must be room.
func (h *hash64[T]) put(key uint64, v T) { *h.at(key) = slot64[T]{key, v, true} }

// get returns the value of a key, the zero value if there is none.
func (h *hash64[T]) get(key uint64) (v T) {
	if len(h.slots) == 0 {
		return v
	}
	return h.at(key).val
}

// number reads up to 8 bytes.
func number(b []byte) (v uint64) {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}
