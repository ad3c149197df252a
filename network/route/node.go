package route

import (
	"math/bits"
	"net/netip"
	"sync/atomic"
)

// A node knows the addresses that have their first off bits in common, by the 8 bits that
// follow. Of these, off is a multiple. It is never changed, but for the nodes of kids.
type node struct {
	// starts has the octets from which on another leaf counts, 0 always among them, and
	// leaves has these: for each octet the route with the longest prefix of off+1 to off+8
	// bits, nil where there is none.
	starts octets
	off    uint8
	leaves []*Route
	// kids are what longer prefixes there are, by those octets that are in parents.
	parents octets
	kids    []kid
}

// A kid is a route that stands alone below its octet, or the node where several part: with
// a prefix of as many bits as the node's off. Bits between are skipped, so that lookups have
// to compare.
type kid struct {
	prefix key
	bits   uint8
	route  *Route               // nil: there is a node
	node   atomic.Pointer[node] // alone can be replaced
}

// octets is a set of octets. ranks are how many are in the words before each.
type octets struct {
	words [4]uint64
	ranks [4]uint8
}

// rank returns the number of octets in s up to and with x.
func (s *octets) rank(x uint8) int {
	return int(s.ranks[x>>6]) + bits.OnesCount64(s.words[x>>6]<<(63-x&63))
}

func (s *octets) has(x uint8) bool { return s.words[x>>6]>>(x&63)&1 != 0 }

func (s *octets) set(x uint8, in bool) {
	s.words[x>>6] &^= 1 << (x & 63)
	if in {
		s.words[x>>6] |= 1 << (x & 63)
	}
	s.count()
}

// count sets the ranks.
func (s *octets) count() {
	for i := range 3 {
		s.ranks[i+1] = s.ranks[i] + uint8(bits.OnesCount64(s.words[i]))
	}
}

func newNode(off uint8) *node {
	n := &node{off: off, leaves: []*Route{nil}}
	n.starts.set(0, true)
	return n
}

// lookup returns the route with the longest prefix below n that contains k, or nil. Lone
// prefixes are the most: leaves are looked at last.
func (n *node) lookup(k key) *Route {
	octet := k.octet(n.off)
	if kid := n.kid(octet); kid != nil && k.common(kid.prefix) >= int(kid.bits) {
		if kid.route != nil {
			return kid.route
		}
		if r := kid.node.Load().lookup(k); r != nil {
			return r
		}
	}
	return n.leaf(octet)
}

func (n *node) leaf(octet uint8) *Route { return n.leaves[n.starts.rank(octet)-1] }

// kid returns what has the longer prefixes of an octet, or nil.
func (n *node) kid(octet uint8) *kid {
	if !n.parents.has(octet) {
		return nil
	}
	return &n.kids[n.parents.rank(octet)-1]
}

// insert returns what stands in n's place with r, whose path is p, among its routes.
func (n *node) insert(p path, r *Route) *node {
	if p.bits <= n.off+8 {
		return n.paint(p, r.over)
	}
	octet := p.octet(n.off)
	k := n.kid(octet)
	switch {
	case k == nil, k.route != nil && k.route.Dst == r.Dst:
		return n.with(octet, &kid{prefix: p.key, bits: p.bits, route: r})
	case k.route == nil && p.bits > k.bits && p.common(k.prefix) >= int(k.bits):
		k.node.Store(k.node.Load().insert(p, r))
		return n
	}
	return n.with(octet, k.fork(p, r))
}

// fork returns the node where k and r part, as a kid.
func (k *kid) fork(p path, r *Route) *kid {
	off := uint8(min(p.common(k.prefix), int(p.bits)-1, int(k.bits)-1)) &^ 7
	n := newNode(off).insert(p, r)
	if k.route != nil {
		n = n.insert(path{k.prefix, k.bits}, k.route)
	} else {
		n = n.with(k.prefix.octet(off), k)
	}
	fork := &kid{prefix: p.key, bits: off}
	fork.node.Store(n)
	return fork
}

// remove returns what stands in n's place without the route to dst, whose path is p; nil if
// nothing is left. up is the route that counts instead, if it is of this node.
func (n *node) remove(p path, dst netip.Prefix, up *Route) *node {
	if p.bits <= n.off+8 {
		return n.paint(p, instead(dst, up, int(n.off)+1)).unlessEmpty()
	}
	octet := p.octet(n.off)
	k := n.kid(octet)
	switch {
	case k == nil || k.route != nil && k.route.Dst != dst:
		return n // it never was here
	case k.route != nil:
		return n.with(octet, nil).unlessEmpty()
	case p.common(k.prefix) < int(k.bits):
		return n
	}
	rest := k.node.Load().remove(p, dst, up)
	switch {
	case rest == nil:
		return n.with(octet, nil).unlessEmpty()
	case rest.only() != nil:
		return n.with(octet, rest.only())
	}
	k.node.Store(rest)
	return n
}

func (n *node) unlessEmpty() *node {
	if len(n.kids) == 0 && n.bare() {
		return nil
	}
	return n
}

func (n *node) bare() bool { return len(n.leaves) == 1 && n.leaves[0] == nil }

// only returns the sole thing that is below a node: a kid or a route.
func (n *node) only() *kid {
	if !n.bare() || len(n.kids) > 1 {
		return nil
	}
	return &n.kids[0]
}

// paint returns a copy of n with other leaves for the octets of a prefix.
func (n *node) paint(p path, change func(*Route) *Route) *node {
	first, last := p.octets(n.off)
	var all [256]*Route
	for i, at := 0, -1; i < len(all); i++ {
		if n.starts.has(uint8(i)) {
			at++
		}
		all[i] = n.leaves[at]
		if i >= first && i <= last {
			all[i] = change(all[i])
		}
	}
	next := &node{off: n.off, parents: n.parents, kids: n.kids}
	next.pack(&all)
	return next
}

// octets returns the first and the last octet after off bits that addresses in p have.
func (p path) octets(off uint8) (first, last int) {
	first = int(p.octet(off))
	return first, first + 1<<(off+8-p.bits) - 1
}

// pack sets the leaves.
func (n *node) pack(all *[256]*Route) {
	var leaves [256]*Route
	count := 0
	for i, r := range all {
		if count == 0 || leaves[count-1] != r {
			n.starts.words[i>>6] |= 1 << (i & 63)
			leaves[count] = r
			count++
		}
	}
	n.starts.count()
	n.leaves = append([]*Route(nil), leaves[:count]...)
}

// with returns a copy of n that has k for an octet; without any if it is nil.
func (n *node) with(octet uint8, k *kid) *node {
	next := &node{starts: n.starts, off: n.off, leaves: n.leaves, parents: n.parents}
	at := n.parents.rank(octet)
	before, after := n.kids[:at], n.kids[at:]
	if n.parents.has(octet) {
		before = before[:at-1]
	}
	next.parents.set(octet, k != nil)
	next.kids = make([]kid, next.parents.rank(255))
	rest := copyKids(next.kids, before)
	if k != nil {
		rest[0].become(k)
		rest = rest[1:]
	}
	copyKids(rest, after)
	return next
}

// copyKids copies from into the begin of to and returns what follows it.
func copyKids(to, from []kid) (rest []kid) {
	for i := range from {
		to[i].become(&from[i])
	}
	return to[len(from):]
}

func (k *kid) become(other *kid) {
	k.prefix, k.bits, k.route = other.prefix, other.bits, other.route
	k.node.Store(other.node.Load())
}
