package nft

import (
	"math/rand/v2"
	"testing"
)

// TestHash64: it agrees with Go's map, for numbers in a row, multiples of powers of two,
// which a weak hash sends to one place, and any.
func TestHash64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, next := range []func(i int) uint64{
		func(i int) uint64 { return uint64(i) },
		func(i int) uint64 { return uint64(i) << 32 },
		func(i int) uint64 { return uint64(i) << 56 },
		func(int) uint64 { return r.Uint64() },
	} {
		for _, n := range []int{0, 1, 2, 3, 255, 1000} {
			h, m := newHash64[int](n), map[uint64]int{}
			for i := range n {
				k := next(i)
				h.put(k, i+1)
				m[k] = i + 1
			}
			for i := range 2 * n {
				k := next(i)
				if h.get(k) != m[k] {
					t.Fatalf("%d values: get(%#x) = %d, want %d", n, k, h.get(k), m[k])
				}
			}
			if h.get(1<<63) != m[1<<63] {
				t.Fatal("a key that is not there is found")
			}
		}
	}
}
