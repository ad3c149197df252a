package conntrack

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// stripes is the number of locks of a table, a power of two.
const stripes = 1024

// A table holds the confirmed connections under both their tuples. Lookups take no
// lock: chains are changed by atomic stores, and the garbage collector keeps what a
// reader still looks at.
type table struct {
	seed    [4]uint64
	buckets []atomic.Pointer[node] // a power of two
	locks   [stripes]sync.Mutex
	count   atomic.Int64
}

func newTable(buckets int) *table {
	n := stripes
	for n < buckets {
		n *= 2
	}
	t := &table{buckets: make([]atomic.Pointer[node], n)}
	for i := range t.seed {
		t.seed[i] = rand.Uint64()
	}
	return t
}

// hash mixes a tuple with numbers that no stranger knows, so that nobody can fill one
// bucket. A product of 128 bits whose halves are added depends on every bit of both
// factors; general hashing of the tuple's bytes costs several times as much.
func (t *table) hash(x *netfilter.Tuple) uint32 {
	rest := uint64(x.SrcPort)<<48 | uint64(x.DstPort)<<32 | uint64(x.Zone)<<16 | uint64(x.Proto)<<8 | uint64(x.Version)
	src, dst := &x.Src, &x.Dst
	le := binary.LittleEndian
	if x.Version == network.V4 {
		h := mix(uint64(le.Uint32(src[:4]))<<32|uint64(le.Uint32(dst[:4]))^t.seed[0], rest^t.seed[1])
		return uint32(mix(h^t.seed[2], t.seed[3]))
	}
	h := mix(le.Uint64(src[:8])^t.seed[0], le.Uint64(src[8:])^t.seed[1])
	h = mix(le.Uint64(dst[:8])^h, le.Uint64(dst[8:])^t.seed[2])
	h = mix(rest^h, t.seed[0])
	return uint32(mix(h^t.seed[2], t.seed[3]))
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (t *table) bucket(hash uint32) *atomic.Pointer[node] {
	return &t.buckets[int(hash)&(len(t.buckets)-1)]
}

// find returns the node with a tuple, or nil. A connection whose time is up counts
// no more.
func (t *table) find(tuple *netfilter.Tuple, now clock.Time) *node {
	hash := t.hash(tuple)
	for n := t.bucket(hash).Load(); n != nil; n = n.next.Load() {
		if n.hash == hash && n.e.Tuples[n.dir] == *tuple && !n.e.dead(now) {
			return n
		}
	}
	return nil
}

func (e *entry) dead(now clock.Time) bool {
	return clock.Time(e.Deadline.Load()) <= now || e.Is(netfilter.Dying)
}

// insert adds e under both its tuples, unless it is over already. When one of them is
// taken it returns whose it is and adds nothing.
func (t *table) insert(e *entry, now clock.Time) (clash *node) {
	for d := range e.nodes {
		e.nodes[d].hash = t.hash(&e.Tuples[d])
	}
	i, j := t.lock(e)
	defer t.unlock(i, j)
	for d := range e.Tuples {
		if n := t.find(&e.Tuples[d], now); n != nil {
			return n
		}
	}
	if !e.confirm() {
		return nil
	}
	for d := range e.nodes {
		b := t.bucket(e.nodes[d].hash)
		e.nodes[d].next.Store(b.Load())
		b.Store(&e.nodes[d])
	}
	t.count.Add(1)
	return nil
}

// remove takes e out and reports whether this call did it.
func (t *table) remove(e *entry) bool {
	if !e.Is(netfilter.Confirmed) || !e.set(netfilter.Dying) {
		return false
	}
	i, j := t.lock(e)
	defer t.unlock(i, j)
	for d := range e.nodes {
		t.unlink(&e.nodes[d])
	}
	t.count.Add(-1)
	return true
}

// unlink takes a node out of its chain and leaves its next pointer as it is, for
// those who stand on it.
func (t *table) unlink(n *node) {
	at := t.bucket(n.hash)
	for x := at.Load(); x != nil; x = at.Load() {
		if x == n {
			at.Store(n.next.Load())
			return
		}
		at = &x.next
	}
}

// lock takes the locks of both chains of e, in an order that all agree on, and
// returns their numbers for unlock.
func (t *table) lock(e *entry) (i, j uint32) {
	const mask = uint32(stripes - 1)
	i, j = e.nodes[0].hash&mask, e.nodes[1].hash&mask
	if i > j {
		i, j = j, i
	}
	t.locks[i].Lock()
	if i != j {
		t.locks[j].Lock()
	}
	return i, j
}

func (t *table) unlock(i, j uint32) {
	if i != j {
		t.locks[j].Unlock()
	}
	t.locks[i].Unlock()
}

// each calls f for the entries of n buckets from the one with index from on,
// until f returns false, and returns the index to go on at.
func (t *table) each(from, n int, f func(*entry) bool) (next int) {
	return t.walk(from, n, func(x *node) bool { return x.dir != netfilter.Original || f(x.e) })
}

// walk is each for nodes: it meets a connection under each of its tuples.
func (t *table) walk(from, n int, f func(*node) bool) (next int) {
	for i := range n {
		at := (from + i) & (len(t.buckets) - 1)
		for x := t.buckets[at].Load(); x != nil; x = x.next.Load() {
			if !f(x) {
				return at
			}
		}
	}
	return (from + n) & (len(t.buckets) - 1)
}
