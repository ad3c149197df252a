package route

import (
	"math/bits"
	"sync/atomic"
)

// A direct is what a large table of IPv4 has of prefixes of 17 to 24 bits, which most of
// the Internet's are: runs of neighbouring /24 with the same route, in blocks of 32. A
// lookup reads a word of the block and the route, and branches nowhere, so that the
// processor goes on to the next packet's while it waits for memory.
type direct struct {
	blocks []block
	// routes has the runs' routes, nil for none. Runs of a block that is changed are
	// appended, since lookups may still look at the old ones; when it is full, all go into
	// a new one.
	routes []*Route
	used   int // of routes
}

// A block has 32 neighbouring /24.
type block struct {
	// runs has in its upper half a bit for each /24 that a run begins with, and in the
	// lower half the index in routes before that of the first run; 0: there is none.
	runs atomic.Uint64
	// longer has a bit for each /24 that contains longer prefixes; these are in nodes.
	longer atomic.Uint32
}

// Prefixes of a direct.
const (
	directOver = 16 // are longer than this
	directTo   = 24 // and not longer than this
	blockBits  = 19 // say in which block they are
	blockSize  = 1 << (directTo - blockBits)
)

func newDirect(room int) *direct {
	return &direct{blocks: make([]block, 1<<blockBits), routes: make([]*Route, room), used: 1}
}

// block returns the block of k and the place of its /24 there.
func (d *direct) block(k key) (b *block, place uint32) {
	return &d.blocks[k.hi>>(64-blockBits)], uint32(k.hi>>(64-directTo)) % blockSize
}

// lookup returns the route to k among those of d, or nil, and whether a prefix of k is
// longer than all of d's.
func (d *direct) lookup(k key) (r *Route, longer bool) {
	b, place := d.block(k)
	runs := b.runs.Load()
	n := bits.OnesCount32(uint32(runs>>32) << (blockSize - 1 - place))
	return d.routes[uint32(runs)+uint32(n)], b.longer.Load()>>place&1 != 0
}

func (d *direct) setLonger(k key, has bool) {
	b, place := d.block(k)
	if has {
		b.longer.Or(1 << place)
	} else {
		b.longer.And(^(uint32(1) << place))
	}
}

// paint changes the routes to all /24 in a prefix. It returns what stands in d's place.
func (d *direct) paint(p path, change func(*Route) *Route) *direct {
	first := int(p.hi >> (64 - directTo))
	end := first + 1<<(directTo-p.bits)
	for first < end {
		to := min(end, (first/blockSize+1)*blockSize)
		d = d.paintBlock(first/blockSize, first%blockSize, (to-1)%blockSize, change)
		first = to
	}
	return d
}

func (d *direct) paintBlock(at, first, last int, change func(*Route) *Route) *direct {
	var runs [blockSize]*Route
	n, starts := 0, uint32(0)
	for i, r := range d.expand(at) {
		if i >= first && i <= last {
			r = change(r)
		}
		if n == 0 || runs[n-1] != r {
			starts |= 1 << i
			runs[n] = r
			n++
		}
	}
	if n == 1 && runs[0] == nil {
		d.blocks[at].runs.Store(0)
		return d
	}
	if d.used+n > len(d.routes) {
		d = d.compact()
	}
	d.put(at, starts, runs[:n])
	return d
}

// expand returns the routes of a block's /24.
func (d *direct) expand(at int) (all [blockSize]*Route) {
	runs := d.blocks[at].runs.Load()
	next := uint32(runs)
	for i := range all {
		next += uint32(runs>>(32+i)) & 1
		all[i] = d.routes[next]
	}
	return all
}

func (d *direct) put(at int, starts uint32, runs []*Route) {
	copy(d.routes[d.used:], runs)
	d.blocks[at].runs.Store(uint64(starts)<<32 | uint64(d.used-1))
	d.used += len(runs)
}

// compact returns a copy without the runs of the past and with room for more.
func (d *direct) compact() *direct {
	live := 1
	for i := range d.blocks {
		live += bits.OnesCount32(uint32(d.blocks[i].runs.Load() >> 32))
	}
	next := newDirect(live + live/2 + 1024)
	for i := range d.blocks {
		runs := d.blocks[i].runs.Load()
		if starts := uint32(runs >> 32); starts != 0 {
			from := uint32(runs) + 1
			next.put(i, starts, d.routes[from:from+uint32(bits.OnesCount32(starts))])
		}
		next.blocks[i].longer.Store(d.blocks[i].longer.Load())
	}
	return next
}
