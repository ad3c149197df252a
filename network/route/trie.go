package route

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"sync/atomic"
)

// A trie answers lookups of one IP version among the first routes of all prefixes: what
// a router does for each packet. In a table of a million routes the time goes into waiting
// for memory, so a lookup touches few and small pieces of it. In a large table there is an
// index of the first 16 bits, and for IPv4 one of the first 24 (see direct); below are nodes
// of 8 bits whose equal neighbours are stored once, and prefixes that stand alone where they
// part from others. The table's tree has the same routes, and all of them; changes begin
// there.
//
// Lookups take no lock. Changes, which the table's lock serialises, replace nodes and never
// alter what a lookup may look at, but for atomic pointers.
type trie struct {
	top atomic.Pointer[top]
}

// A top is where lookups begin: one slot for every value of the first bits.
type top struct {
	shift  uint8 // from a key's first word to the index of a slot
	slots  []slot
	direct atomic.Pointer[direct] // nil: small, or of IPv6
}

// Small tables have one slot, for 0 bits; large ones an array of a megabyte.
const (
	smallShift = 64
	largeShift = 48
)

// A slot has what is known of all addresses that begin with its bits: the longest prefix
// that is not longer than they are, and the longer ones.
type slot struct {
	route atomic.Pointer[Route]
	node  atomic.Pointer[node]
}

// A key is an address, from the first bit of the first word on.
type key struct{ hi, lo uint64 }

func keyOf(a netip.Addr) key {
	if a.Is4() {
		return key4(a)
	}
	return key6(a)
}

func key4(a netip.Addr) key {
	b := a.As4()
	return key{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}
}

func key6(a netip.Addr) key {
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// octet returns the 8 bits after the first off ones.
func (k key) octet(off uint8) uint8 {
	if off < 64 {
		return uint8(k.hi >> (56 - off))
	}
	return uint8(k.lo >> (120 - off))
}

// common returns how many bits k and o have in common before they part.
func (k key) common(o key) int {
	if x := k.hi ^ o.hi; x != 0 {
		return bits.LeadingZeros64(x)
	}
	return 64 + bits.LeadingZeros64(k.lo^o.lo)
}

// lookup returns the route with the longest prefix that contains k, or nil.
func (t *trie) lookup(k key) *Route {
	top := t.top.Load()
	if top == nil {
		return nil
	}
	s := &top.slots[k.hi>>top.shift]
	best, longer := s.route.Load(), true
	if d := top.direct.Load(); d != nil {
		var r *Route
		if r, longer = d.lookup(k); r != nil {
			best = r
		}
	}
	if !longer {
		return best
	}
	if n := s.node.Load(); n != nil {
		if r := n.lookup(k); r != nil {
			return r
		}
	}
	return best
}

// insert makes r the route of its prefix.
func (t *trie) insert(r *Route) {
	top := t.top.Load()
	if top == nil {
		top = newTop(smallShift)
		t.top.Store(top)
	}
	top.insert(r)
}

// remove takes out the route to p. up is the route to the next shorter prefix that
// contains p, nil if there is none.
func (t *trie) remove(p netip.Prefix, up *Route) { t.top.Load().remove(pathOf(p), p, up) }

// grow makes lookups fit for many routes, which are all that the trie has, sorted by address
// and length.
func (t *trie) grow(v6 bool, all []*Route) {
	next := newTop(largeShift)
	if !v6 {
		next.direct.Store(newDirect(1024 + 4*len(all))) // room enough, until it is compact
	}
	var longer []*Route // of one slot
	flush := func() {
		if len(longer) > 0 {
			n := build(64-largeShift, longer)
			for _, r := range longer {
				next.setNode(pathOf(r.Dst), n)
			}
			longer = longer[:0]
		}
	}
	for _, r := range all {
		p := pathOf(r.Dst)
		if !next.inNode(p) {
			next.insert(r)
			continue
		}
		if len(longer) > 0 && keyOf(longer[0].Dst.Addr()).hi>>largeShift != p.hi>>largeShift {
			flush()
		}
		longer = append(longer, r)
	}
	flush()
	if !v6 {
		next.direct.Store(next.direct.Load().compact())
	}
	t.top.Store(next)
}

// large reports whether grow was called.
func (t *trie) large() bool {
	top := t.top.Load()
	return top != nil && top.shift == largeShift
}

func newTop(shift uint8) *top {
	return &top{shift: shift, slots: make([]slot, 1<<(64-shift))}
}

// of returns the slots of the addresses in p.
func (t *top) of(p path) []slot {
	at := int(p.hi >> t.shift)
	return t.slots[at : at+1<<max(0, 64-int(t.shift)-int(p.bits))]
}

// inDirect reports whether a prefix is one of those of direct.
func (t *top) inDirect(p path) bool {
	return p.bits > directOver && p.bits <= directTo && t.direct.Load() != nil
}

// inNode reports whether a prefix is below a slot.
func (t *top) inNode(p path) bool { return p.bits > 64-t.shift && !t.inDirect(p) }

func (t *top) insert(r *Route) {
	p := pathOf(r.Dst)
	if t.inNode(p) {
		n := t.of(p)[0].node.Load()
		if n == nil {
			n = newNode(64 - t.shift)
		}
		t.setNode(p, n.insert(p, r))
		return
	}
	t.paint(p, r.over)
}

func (t *top) remove(p path, dst netip.Prefix, up *Route) {
	switch {
	case t.inDirect(p):
		t.paint(p, instead(dst, up, directOver+1))
	case !t.inNode(p):
		t.paint(p, instead(dst, up, 0))
	default:
		if n := t.of(p)[0].node.Load(); n != nil {
			t.setNode(p, n.remove(p, dst, up))
		}
	}
}

// setNode sets the node of a slot, in which p's routes alone have changed.
func (t *top) setNode(p path, n *node) {
	t.of(p)[0].node.Store(n)
	if d := t.direct.Load(); d != nil {
		d.setLonger(p.key, n != nil && n.kid(p.octet(n.off)) != nil)
	}
}

// paint changes the routes of a prefix that is in no node.
func (t *top) paint(p path, change func(*Route) *Route) {
	if t.inDirect(p) {
		t.direct.Store(t.direct.Load().paint(p, change))
		return
	}
	slots := t.of(p)
	for i := range slots {
		slots[i].route.Store(change(slots[i].route.Load()))
	}
}

// over returns which of r and old counts for addresses in both.
func (r *Route) over(old *Route) *Route {
	if old == nil || old.Dst.Bits() <= r.Dst.Bits() {
		return r
	}
	return old
}

// instead returns a function that puts up, if its prefix is of at least as many bits as
// least, or else nothing, where the route to dst was.
func instead(dst netip.Prefix, up *Route, least int) func(*Route) *Route {
	if up != nil && up.Dst.Bits() < least {
		up = nil
	}
	return func(old *Route) *Route {
		if old != nil && old.Dst == dst {
			return up
		}
		return old
	}
}

// A path is a prefix as the trie walks it.
type path struct {
	key
	bits uint8
}

func pathOf(p netip.Prefix) path { return path{keyOf(p.Addr()), uint8(p.Bits())} }
