package flowtable

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
)

// An index finds halves by their keys. Lookups take no lock and may run beside
// changes, which the owner serialises; one that runs while the index grows may find
// nothing, and its packet takes the slow way.
type index struct {
	seed    [4]uint64
	buckets atomic.Pointer[[]atomic.Pointer[half]] // a power of two
	n       int                                    // halves in it
}

// firstBuckets is the size of an empty index.
const firstBuckets = 256

func (x *index) init() {
	for i := range x.seed {
		x.seed[i] = rand.Uint64()
	}
	b := make([]atomic.Pointer[half], firstBuckets)
	x.buckets.Store(&b)
}

// hash mixes a key with numbers that no stranger knows, so that nobody can fill one
// bucket.
func (x *index) hash(k *key) uint64 {
	h := mix(k.addr[0]^x.seed[0], k.rest^x.seed[1])
	if k.tail > 0xff { // IPv6
		h = mix(k.addr[1]^h, k.addr[2]^x.seed[2])
		h = mix(k.addr[3]^h, x.seed[3])
	}
	return h + k.tail*0x9e3779b97f4a7c15
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// find returns the half of a key, or nil.
func (x *index) find(k *key) *half {
	hash := x.hash(k)
	b := *x.buckets.Load()
	for h := b[hash&uint64(len(b)-1)].Load(); h != nil; h = h.next.Load() {
		if h.hash == hash && h.key == *k {
			return h
		}
	}
	return nil
}

// insert adds a half whose key is not there.
func (x *index) insert(h *half) {
	h.hash = x.hash(&h.key)
	x.n++
	if b := *x.buckets.Load(); x.n > len(b) {
		x.grow(b)
	}
	b := *x.buckets.Load()
	push(b, h)
}

func push(b []atomic.Pointer[half], h *half) {
	at := &b[h.hash&uint64(len(b)-1)]
	h.next.Store(at.Load())
	at.Store(h)
}

// grow moves all halves into twice as many buckets. Who walks a chain meanwhile may
// lose its way into another one, but comes to an end: what was moved only leads to what
// was moved before.
func (x *index) grow(old []atomic.Pointer[half]) {
	b := make([]atomic.Pointer[half], 2*len(old))
	for i := range old {
		for h := old[i].Load(); h != nil; {
			next := h.next.Load()
			push(b, h)
			h = next
		}
	}
	x.buckets.Store(&b)
}

// remove takes a half out, and leaves its link as it is, for those who stand on it.
func (x *index) remove(h *half) {
	b := *x.buckets.Load()
	at := &b[h.hash&uint64(len(b)-1)]
	for y := at.Load(); y != nil; y = at.Load() {
		if y == h {
			at.Store(h.next.Load())
			x.n--
			return
		}
		at = &y.next
	}
}

// each calls f for every half in a part of the buckets, the part-th of parts.
func (x *index) each(part, parts int, f func(*half)) {
	b := *x.buckets.Load()
	for i := len(b) * part / parts; i < len(b)*(part+1)/parts; i++ {
		for h := b[i].Load(); h != nil; {
			next := h.next.Load()
			f(h)
			h = next
		}
	}
}
