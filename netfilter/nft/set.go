package nft

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter/rule"
)

// A set is the elements of a set or map, compiled. The elements that are there from
// the ruleset are a snapshot behind an atomic pointer; those that rules add on the
// packet path are in a table with a lock.
type set struct {
	spec    *rule.Set     // without its elements
	n       int           // bytes of a key
	timeout time.Duration // of elements that have none of their own
	static  atomic.Pointer[index]
	// dynamic is shared by all generations of the set.
	dynamic *dynamic
}

// An elem is an element.
type elem struct {
	lo, hi []byte // the same for a single value
	verdict
	data  []byte // of a map: the value, or the first of a range
	high  []byte // the last of a range
	until atomic.Int64
	steps []step // of the element's own statements
	spec  *rule.Elem
	// Of an element that the packet path can change: its own statements and their
	// states, and how long it lives from each update.
	stmts  []rule.Stmt
	states map[any]any
	life   time.Duration
}

// dataHi returns the last value that a map leads to.
func (e *elem) dataHi() []byte {
	if e.high != nil {
		return e.high
	}
	return e.data
}

// run performs the element's statements.
func (e *elem) run(ev *eval) next {
	for _, s := range e.steps {
		if r := s(ev); r != goOn {
			return r
		}
	}
	return goOn
}

// find returns the element that a key belongs to, or nil.
func (s *set) find(ev *eval, key []byte) *elem {
	if s.dynamic.used.Load() {
		if e := s.dynamic.find(ev, key); e != nil {
			return e
		}
	}
	return s.static.Load().find(ev, key)
}

// An index is a snapshot of elements. Single values are found by hash, intervals by
// binary search, concatenations with ranges by the bitmaps of their parts.
type index struct {
	small  *hash64[*elem] // keys up to 8 bytes
	large  map[string]*elem
	spans  []*elem // intervals, sorted, disjoint
	fields *fields
	any    *elem // the catch-all
	n      int   // bytes of a key
	elems  []*elem
}

// all returns the elements.
func (x *index) all() []*elem { return x.elems }

func (x *index) find(ev *eval, key []byte) *elem {
	if e := x.lookup(key); e != nil && e.alive(ev) {
		return e
	}
	if x.any != nil && x.any.alive(ev) {
		return x.any
	}
	return nil
}

func (x *index) lookup(key []byte) *elem {
	if x.n <= 8 {
		if e := x.small.get(number(key)); e != nil {
			return e
		}
	} else if e := x.large[string(key)]; e != nil {
		return e
	}
	if len(x.spans) > 0 {
		if e := x.span(key); e != nil {
			return e
		}
	}
	if x.fields != nil {
		return x.fields.find(key)
	}
	return nil
}

func (x *index) span(key []byte) *elem {
	lo, hi := 0, len(x.spans)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if bytes.Compare(x.spans[mid].lo, key) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return nil
	}
	if e := x.spans[lo-1]; bytes.Compare(key, e.hi) <= 0 {
		return e
	}
	return nil
}

func (e *elem) alive(ev *eval) bool {
	until := e.until.Load()
	return until == 0 || clock.Time(until) > ev.clock()
}

// newIndex arranges elements whose keys have n bytes.
func newIndex(elems []*elem, n int, parts []int) *index {
	x := &index{n: n, elems: elems, large: map[string]*elem{}}
	singles := 0
	for _, e := range elems {
		if n <= 8 && e.lo != nil && bytes.Equal(e.lo, e.hi) {
			singles++
		}
	}
	x.small = newHash64[*elem](singles)
	alike := map[verdict]*elem{}
	var ranged []*elem
	for _, e := range elems {
		switch {
		case e.lo == nil:
			x.any = e
		case !bytes.Equal(e.lo, e.hi) && len(parts) > 1:
			ranged = append(ranged, e)
		case !bytes.Equal(e.lo, e.hi):
			x.spans = append(x.spans, e)
		case n <= 8:
			x.small.put(number(e.lo), e.like(alike))
		default:
			x.large[string(e.lo)] = e.like(alike)
		}
	}
	slices.SortFunc(x.spans, func(a, b *elem) int { return bytes.Compare(a.lo, b.lo) })
	if ranged != nil {
		x.fields = newFields(ranged, parts)
	}
	return x
}

// like returns an element that stands for e in lookups: one for all that only lead to
// the same verdict, so that it stays in the cache.
func (e *elem) like(alike map[verdict]*elem) *elem {
	if e.data != nil || e.high != nil || len(e.steps) > 0 || e.until.Load() != 0 {
		return e
	}
	if a := alike[e.verdict]; a != nil {
		return a
	}
	alike[e.verdict] = e
	return e
}

// dynamic are the elements that rules add.
type dynamic struct {
	used  atomic.Bool
	mu    sync.RWMutex
	elems map[string]*elem // by key; the catch-all has none
	// swept is when what has timed out was last looked for.
	swept clock.Time
}

func (d *dynamic) find(ev *eval, key []byte) *elem {
	d.mu.RLock()
	e, any := d.elems[string(key)], d.elems[""]
	d.mu.RUnlock()
	switch {
	case e != nil && e.alive(ev):
		return e
	case any != nil && any.alive(ev):
		return any
	}
	return nil
}

// add returns the element of a key, made by create if there is none; fresh says
// that it was made. A set that is full makes none.
func (d *dynamic) add(ev *eval, key []byte, limit int, create func(key []byte) *elem) (e *elem, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.elems[string(key)]; e != nil && e.alive(ev) {
		return e, false
	}
	if d.elems == nil {
		d.elems = map[string]*elem{}
		d.used.Store(true)
	}
	if len(d.elems) >= limit && !d.sweep(ev.clock()) {
		return nil, false
	}
	k := bytes.Clone(key)
	e = create(k)
	d.elems[string(k)] = e
	return e, true
}

func (d *dynamic) remove(key []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.elems, string(key))
}

// sweepSet is how often a full set looks for what has timed out: whoever fills it must
// not make each packet pay for all elements.
const sweepSet = 10 * time.Millisecond

// sweep removes what has timed out and reports whether there was any; the caller holds
// the lock.
func (d *dynamic) sweep(now clock.Time) (some bool) {
	if d.swept != 0 && now < d.swept.Add(sweepSet) {
		return false
	}
	d.swept = now
	for k, e := range d.elems {
		if e.over(now) {
			delete(d.elems, k)
			some = true
		}
	}
	return some
}

// has reports whether there is an element of a key.
func (d *dynamic) has(key string, now clock.Time) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e := d.elems[key]
	return e != nil && !e.over(now)
}

// count returns how many elements there are.
func (d *dynamic) count(now clock.Time) (n int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, e := range d.elems {
		if !e.over(now) {
			n++
		}
	}
	return n
}

// over reports whether an element has timed out.
func (e *elem) over(now clock.Time) bool {
	until := e.until.Load()
	return until != 0 && clock.Time(until) <= now
}
