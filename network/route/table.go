package route

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"github.com/knitnet/knit/core/clock"
)

// Errors of changes, with the texts of EEXIST and ESRCH.
var (
	ErrExists   = errors.New("file exists")
	ErrNotFound = errors.New("no such process")
)

// A tree is a snapshot of all routes, those of a prefix by worth.
type tree = bart.Table[[]*Route]

// largeTable is the number of routes of an IP version from which on a table has a direct
// index, so that its size is nothing beside theirs.
const largeTable = 8192

// A Table is a set of routes. The zero Table is empty and ready to use. Lookups
// are lock free and run concurrently with changes.
type Table struct {
	mu   sync.Mutex
	tree atomic.Pointer[tree]
	// tries have the first routes of all prefixes, by IP version.
	tries [2]trie
	from  atomic.Int32 // routes with a prefix of sources
	// multi counts the routes with several next hops.
	multi atomic.Int32
	size  [2]atomic.Int32
	used  [2]atomic.Bool
	// expiring counts the routes that expire, so that without any nobody has to
	// look for them.
	expiring atomic.Int32
}

// Size returns the number of routes of an IP version.
func (t *Table) Size(v6 bool) int { return int(t.size[family(v6)].Load()) }

// Used reports whether there ever was a route of an IP version, or Use was called.
func (t *Table) Used(v6 bool) bool { return t.used[family(v6)].Load() }

// Use makes Used true: a rule of IPv6 makes the table that it names.
func (t *Table) Use(v6 bool) { t.used[family(v6)].Store(true) }

func family(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// sourced reports whether any route is only for some sources.
func (t *Table) sourced() bool { return t.from.Load() > 0 }

// Lookup returns the route with the longest prefix that contains a, and of
// those the one with the smallest metric. Routes that are only for some sources do not
// count. a must not be an IPv4-mapped address.
func (t *Table) Lookup(a netip.Addr) *Route {
	if t.sourced() {
		return t.lookupFunc(a, func(r *Route) bool { return !r.From.IsValid() })
	}
	if a.Is4() {
		return t.tries[0].lookup(key4(a))
	}
	return t.tries[1].lookup(key6(a))
}

// Get returns the routes to a prefix, in the order of Lookup. The caller must not
// change the slice.
func (t *Table) Get(dst netip.Prefix) []*Route {
	tree := t.tree.Load()
	if tree == nil {
		return nil
	}
	rs, _ := tree.Get(dst.Masked())
	return rs
}

// LookupIndex is Lookup among the routes that leave by interface index.
func (t *Table) LookupIndex(a netip.Addr, index int32) *Route {
	return t.lookupFunc(a, func(r *Route) bool { return r.Uses(index) })
}

// LookupLink is Lookup among the routes to what is on a link itself, behind no
// gateway: on that of interface index, or if that is 0 on any.
func (t *Table) LookupLink(a netip.Addr, index int32) *Route {
	return t.lookupFunc(a, func(r *Route) bool {
		return slices.ContainsFunc(r.NextHops, func(h NextHop) bool {
			return !h.Gateway.IsValid() && (index == 0 || h.Index == index)
		})
	})
}

// lookupFunc is Lookup among the routes for which match holds.
func (t *Table) lookupFunc(a netip.Addr, match func(*Route) bool) *Route {
	tree := t.tree.Load()
	if tree == nil {
		return nil
	}
	for _, rs := range tree.Supernets(netip.PrefixFrom(a, a.BitLen())) { // the longest prefix first
		if at := slices.IndexFunc(rs, match); at >= 0 {
			return rs[at]
		}
	}
	return nil
}

// Uses reports whether a next hop of r leaves by interface index.
func (r *Route) Uses(index int32) bool {
	return slices.ContainsFunc(r.NextHops, func(h NextHop) bool { return h.Index == index })
}

// Mode is what Add does with a route for the same prefix and metric.
type Mode uint8

// Modes of `ip route add`, `replace` and `append`.
const (
	Create Mode = iota
	Replace
	Append
)

// Add adds r, which must not be changed any more. With Create it is ErrExists
// when there is one of the same prefix, sources and metric.
func (t *Table) Add(r Route, mode Mode) error {
	r.Dst = r.Dst.Masked()
	return t.change(r.Dst, func(rs []*Route) ([]*Route, error) { return r.into(rs, mode) })
}

// AddAll is Add of many routes, all or, if one of them fails, none. It costs a copy of
// the table and then a fraction of what Add does, which copies a way through the tree
// for each route.
func (t *Table) AddAll(all []Route, mode Mode) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := new(tree)
	if now := t.tree.Load(); now != nil {
		next = now.Clone()
	}
	var sum tally
	for i := range all {
		r := all[i]
		r.Dst = r.Dst.Masked()
		old, _ := next.Get(r.Dst)
		rs, err := r.into(old, mode)
		if err != nil {
			return err
		}
		sum.count(r.Dst, old, rs)
		next.Insert(r.Dst, rs)
	}
	t.publish(next, &sum)
	grown := [2]bool{t.grow(0), t.grow(1)}
	for i := range all {
		if dst := all[i].Dst.Masked(); !grown[family(dst.Addr().Is6())] {
			t.index(dst)
		}
	}
	return nil
}

// into returns the routes of r's prefix with r among them.
func (r Route) into(rs []*Route, mode Mode) ([]*Route, error) {
	r.sum()
	rs = slices.Clone(rs)
	at := slices.IndexFunc(rs, func(x *Route) bool { return x.Metric == r.Metric && x.From == r.From })
	switch {
	case at >= 0 && mode == Create:
		return nil, fmt.Errorf("route %v metric %d: %w", r.Dst, r.Metric, ErrExists)
	case at >= 0 && mode == Replace:
		rs[at] = &r
		return rs, nil
	}
	rs = append(rs, &r)
	slices.SortStableFunc(rs, byWorth)
	return rs, nil
}

// byWorth orders the routes of one prefix: those for the narrowest sources first, then
// by metric.
func byWorth(x, y *Route) int {
	return cmp.Or(cmp.Compare(y.From.Bits(), x.From.Bits()), cmp.Compare(x.Metric, y.Metric))
}

func (r *Route) sum() {
	r.weights = 0
	for i := range r.NextHops {
		r.weights += r.NextHops[i].weight()
	}
}

// SetDead marks the next hops by interface index in routes of an IP version with several
// as dead, or as alive again.
func (t *Table) SetDead(index int32, v6, dead bool) {
	if t.multi.Load() == 0 {
		return
	}
	stands := func(h NextHop) bool { return h.Index == index && h.Dead != dead }
	all := t.matching(func(r *Route) bool {
		return len(r.NextHops) > 1 && r.Dst.Addr().Is6() == v6 && slices.ContainsFunc(r.NextHops, stands)
	})
	for _, r := range all {
		next := *r
		next.NextHops = slices.Clone(r.NextHops)
		for i := range next.NextHops {
			if h := &next.NextHops[i]; h.Index == index {
				h.Dead = dead
			}
		}
		next.sum()
		t.change(r.Dst, func(rs []*Route) ([]*Route, error) {
			rs = slices.Clone(rs)
			if at := slices.Index(rs, r); at >= 0 { // it may be gone meanwhile
				rs[at] = &next
			}
			return rs, nil
		})
	}
}

// Delete removes the first route to dst for which match holds.
func (t *Table) Delete(dst netip.Prefix, match func(*Route) bool) error {
	dst = dst.Masked()
	return t.change(dst, func(rs []*Route) ([]*Route, error) {
		at := slices.IndexFunc(rs, match)
		if at < 0 {
			return nil, fmt.Errorf("route %v: %w", dst, ErrNotFound)
		}
		return slices.Delete(slices.Clone(rs), at, at+1), nil
	})
}

// change replaces the routes to dst in a copy of the way through the tree that leads
// there, and publishes it.
func (t *Table) change(dst netip.Prefix, f func([]*Route) ([]*Route, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.tree.Load()
	if now == nil {
		now = new(tree)
	}
	old, _ := now.Get(dst)
	rs, err := f(old)
	if err != nil {
		return err
	}
	if len(rs) == 0 {
		now = now.DeletePersist(dst)
	} else {
		now = now.InsertPersist(dst, rs)
	}
	var sum tally
	sum.count(dst, old, rs)
	t.publish(now, &sum)
	t.index(dst)
	return nil
}

// publish makes a tree the table's. t.mu is held.
func (t *Table) publish(next *tree, sum *tally) {
	t.expiring.Add(sum.expiring)
	t.from.Add(sum.from)
	t.multi.Add(sum.multi)
	for v := range sum.size {
		t.size[v].Add(sum.size[v])
		if sum.seen[v] {
			t.used[v].Store(true)
		}
	}
	t.tree.Store(next)
}

// index brings the trie up to date with what the tree has of a prefix. t.mu is held.
func (t *Table) index(dst netip.Prefix) {
	v := family(dst.Addr().Is6())
	tree := t.tree.Load()
	if rs, ok := tree.Get(dst); ok {
		if !t.grow(v) {
			t.tries[v].insert(rs[0])
		}
		return
	}
	var up *Route
	if _, rs, ok := tree.LookupPrefixLPM(dst); ok {
		up = rs[0]
	}
	t.tries[v].remove(dst, up)
}

// grow makes a trie from the tree if it is time for a large one. t.mu is held.
func (t *Table) grow(v int) bool {
	if t.size[v].Load() < largeTable || t.tries[v].large() {
		return false
	}
	t.tries[v].grow(v == 1, firsts(t.tree.Load(), v))
	return true
}

// firsts returns the first routes of all prefixes of an IP version, sorted.
func firsts(t *tree, v int) (out []*Route) {
	all := t.AllSorted4()
	if v == 1 {
		all = t.AllSorted6()
	}
	for _, rs := range all {
		out = append(out, rs[0])
	}
	return out
}

// A tally is by how much the counters of a table change.
type tally struct {
	expiring, from, multi int32
	size                  [2]int32
	seen                  [2]bool
}

func (s *tally) count(dst netip.Prefix, old, now []*Route) {
	more := func(is func(*Route) bool) int32 { return int32(count(now, is) - count(old, is)) }
	s.expiring += more(expires)
	s.from += more(hasFrom)
	s.multi += more(hasSeveral)
	v := family(dst.Addr().Is6())
	s.size[v] += int32(len(now) - len(old))
	s.seen[v] = true
}

func expires(r *Route) bool { return r.Expires != 0 }
func hasFrom(r *Route) bool { return r.From.IsValid() }

func hasSeveral(r *Route) bool { return len(r.NextHops) > 1 }

func count(rs []*Route, is func(*Route) bool) (n int) {
	for _, r := range rs {
		if is(r) {
			n++
		}
	}
	return n
}

// NextExpiry returns when the next route ends; clock.Never if none does.
func (t *Table) NextExpiry() clock.Time {
	next := clock.Never
	if t.expiring.Load() == 0 {
		return next
	}
	for _, r := range t.matching(expires) {
		next = min(next, r.Expires)
	}
	return next
}

// Routes are removed one by one rather than from a copy of the table, which costs as
// much for all of them as a removal for a few, if there are no more than few, or than
// one in oneIn of the table.
const (
	few   = 256
	oneIn = 64
)

// DeleteFunc removes every route for which del holds and returns them.
func (t *Table) DeleteFunc(del func(*Route) bool) (removed []*Route) {
	gone := t.matching(del)
	if len(gone) > max(few, (t.Size(false)+t.Size(true))/oneIn) {
		return t.deleteAll(gone)
	}
	for _, r := range gone {
		if t.Delete(r.Dst, func(x *Route) bool { return x == r }) == nil {
			removed = append(removed, r)
		}
	}
	return removed
}

// deleteAll removes those of many routes that are still there, at the cost of a copy of
// the table, and returns them.
func (t *Table) deleteAll(gone []*Route) (removed []*Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.tree.Load().Clone()
	var sum tally
	for _, r := range gone {
		old, _ := next.Get(r.Dst)
		at := slices.Index(old, r)
		if at < 0 {
			continue
		}
		rs := slices.Delete(slices.Clone(old), at, at+1)
		sum.count(r.Dst, old, rs)
		if len(rs) == 0 {
			next.Delete(r.Dst)
		} else {
			next.Insert(r.Dst, rs)
		}
		removed = append(removed, r)
	}
	t.publish(next, &sum)
	for _, r := range removed {
		t.index(r.Dst)
	}
	return removed
}

// matching returns the routes for which f holds, in the order of All. It costs less than
// that if they are few, because nothing else is sorted.
func (t *Table) matching(f func(*Route) bool) (out []*Route) {
	tree := t.tree.Load()
	if tree == nil {
		return nil
	}
	for _, rs := range tree.All() {
		for _, r := range rs {
			if f(r) {
				out = append(out, r)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *Route) int { return a.Dst.Compare(b.Dst) })
	return out
}

// All returns the routes, IPv4 first, by prefix and metric.
func (t *Table) All() []*Route {
	tree := t.tree.Load()
	if tree == nil {
		return nil
	}
	var out []*Route
	for _, rs := range tree.AllSorted() {
		out = append(out, rs...)
	}
	return out
}
