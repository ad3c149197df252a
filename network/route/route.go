// Package route is the forwarding table of both IP versions: longest prefix
// match, several routes per prefix ordered by metric, several next hops per
// route. It knows addresses and interface indexes, no device and no protocol.
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

// A Type says what happens to packets that match a route (RTN_*).
type Type uint8

// Route types.
const (
	Unicast Type = iota
	Local
	Broadcast
	Multicast
	Blackhole
	Unreachable
	Prohibit
)

var typeNames = [...]string{"unicast", "local", "broadcast", "multicast", "blackhole", "unreachable", "prohibit"}

// String returns the name that `ip route` uses.
func (t Type) String() string { return typeNames[t] }

// A Scope is the distance to a destination (RT_SCOPE_*).
type Scope uint8

// Scopes.
const (
	Universe  Scope = 0
	Site      Scope = 200
	LinkScope Scope = 253
	Host      Scope = 254
	Nowhere   Scope = 255
)

// String returns the name that `ip route` uses.
func (s Scope) String() string {
	switch s {
	case Universe:
		return "global"
	case Site:
		return "site"
	case LinkScope:
		return "link"
	case Host:
		return "host"
	case Nowhere:
		return "nowhere"
	}
	return fmt.Sprint(uint8(s))
}

// Origins of routes (RTPROT_*).
const (
	ProtoKernel uint8 = 2
	ProtoBoot   uint8 = 3
	ProtoStatic uint8 = 4
	ProtoRA     uint8 = 9
)

// A NextHop is one way out.
type NextHop struct {
	Gateway netip.Addr // zero: the destination itself is on the link
	Index   int32      // interface index
	Weight  int        // share of flows; 0 counts as 1
	// Onlink: the gateway is on the interface's link although no route says so
	// (RTNH_F_ONLINK).
	Onlink bool
	// Dead: its interface is down, so no flow goes this way (RTNH_F_DEAD).
	Dead bool
}

// A Route says where packets to Dst go. Routes in a Table are never changed.
type Route struct {
	Dst      netip.Prefix
	Type     Type
	Scope    Scope
	Proto    uint8
	Metric   uint32
	Src      netip.Addr // preferred source; zero: none
	MTU      int        // bytes; 0: the device's
	Expires  clock.Time // when the route ends; 0: never
	NextHops []NextHop  // one at least, but for Blackhole, Unreachable and Prohibit

	weights int // sum of all
}

// Hop chooses a next hop by the flow's hash, in proportion to the weights.
func (r *Route) Hop(hash uint32) *NextHop {
	if len(r.NextHops) == 1 {
		return &r.NextHops[0]
	}
	n := int(uint64(hash) * uint64(r.weights) >> 32)
	for i := range r.NextHops {
		if n -= r.NextHops[i].weight(); n < 0 {
			return &r.NextHops[i]
		}
	}
	return &r.NextHops[len(r.NextHops)-1]
}

func (h *NextHop) weight() int {
	if h.Dead {
		return 0
	}
	return max(h.Weight, 1)
}

// Errors of changes, with the texts of EEXIST and ESRCH.
var (
	ErrExists   = errors.New("file exists")
	ErrNotFound = errors.New("no such process")
)

// A Table is a set of routes. The zero Table is empty and ready to use. Lookups
// are lock free and run concurrently with changes.
type Table struct {
	mu    sync.Mutex
	tree  atomic.Pointer[bart.Table[[]*Route]]
	local atomic.Int32 // routes of type Local
	// expiring counts the routes that expire, so that without any nobody has to
	// look for them.
	expiring atomic.Int32
}

// HasLocal reports whether any route is of type Local.
func (t *Table) HasLocal() bool { return t.local.Load() > 0 }

// Lookup returns the route with the longest prefix that contains a, and of
// those the one with the smallest metric. a must not be an IPv4-mapped address.
func (t *Table) Lookup(a netip.Addr) *Route {
	tree := t.tree.Load()
	if tree == nil {
		return nil
	}
	rs, _ := tree.Lookup(a)
	if len(rs) == 0 {
		return nil
	}
	return rs[0]
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
// when there is one of the same prefix and metric.
func (t *Table) Add(r Route, mode Mode) error {
	r.Dst = r.Dst.Masked()
	r.sum()
	return t.change(r.Dst, func(rs []*Route) ([]*Route, error) {
		rs = slices.Clone(rs)
		at := slices.IndexFunc(rs, func(x *Route) bool { return x.Metric == r.Metric })
		switch {
		case at >= 0 && mode == Create:
			return nil, fmt.Errorf("route %v metric %d: %w", r.Dst, r.Metric, ErrExists)
		case at >= 0 && mode == Replace:
			rs[at] = &r
			return rs, nil
		}
		rs = append(rs, &r)
		slices.SortStableFunc(rs, func(x, y *Route) int { return cmp.Compare(x.Metric, y.Metric) })
		return rs, nil
	})
}

func (r *Route) sum() {
	r.weights = 0
	for i := range r.NextHops {
		r.weights += r.NextHops[i].weight()
	}
}

// SetDead marks the next hops by interface index in routes with several as dead, or
// as alive again.
func (t *Table) SetDead(index int32, dead bool) {
	stands := func(h NextHop) bool { return h.Index == index && h.Dead != dead }
	for _, r := range t.All() {
		if len(r.NextHops) < 2 || !slices.ContainsFunc(r.NextHops, stands) {
			continue
		}
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

// change replaces the routes to dst in a copy of the tree and publishes it.
func (t *Table) change(dst netip.Prefix, f func([]*Route) ([]*Route, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	tree := t.tree.Load()
	if tree == nil {
		tree = new(bart.Table[[]*Route])
	}
	old, _ := tree.Get(dst)
	rs, err := f(old)
	if err != nil {
		return err
	}
	t.local.Add(int32(count(rs, isLocal) - count(old, isLocal)))
	t.expiring.Add(int32(count(rs, expires) - count(old, expires)))
	if len(rs) == 0 {
		tree = tree.DeletePersist(dst)
	} else {
		tree = tree.InsertPersist(dst, rs)
	}
	t.tree.Store(tree)
	return nil
}

func isLocal(r *Route) bool { return r.Type == Local }
func expires(r *Route) bool { return r.Expires != 0 }

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
	for _, r := range t.All() {
		if r.Expires != 0 {
			next = min(next, r.Expires)
		}
	}
	return next
}

// DeleteFunc removes every route for which del holds and returns them.
func (t *Table) DeleteFunc(del func(*Route) bool) (removed []*Route) {
	for _, r := range t.All() {
		if !del(r) {
			continue
		}
		if t.Delete(r.Dst, func(x *Route) bool { return x == r }) == nil {
			removed = append(removed, r)
		}
	}
	return removed
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
