package route

import (
	"syscall"
)

// A Result is what a lookup has found. Without a route Err says why: ENETUNREACH when
// no table had one, or what a rule or a route says.
type Result struct {
	Route *Route // nil: none, or a rule has answered
	Table uint32 // where Route is
	Err   error
}

// Lookup walks the rules until one of them answers for k. A VRF in k.In or k.Out
// becomes what it means for the walk: k is then as Hop wants it.
func (f *FIB) Lookup(k *Key) Result { return f.walk(k, nil) }

// walk tells, if it is asked to, what became of each rule it comes by.
func (f *FIB) walk(k *Key, tell func(r *bound, res Result, why string, more bool)) Result {
	f.enter(k)
	rules := f.Rules(k.Dst.Is6()).list.Load().rules
	for i := 0; i < len(rules); i++ {
		r := &rules[i]
		if !r.matches(k) {
			if tell != nil {
				tell(r, Result{}, "", true)
			}
			continue
		}
		res, why, more := f.apply(r, k)
		if tell != nil {
			tell(r, res, why, more)
		}
		switch {
		case !more:
			return res
		case r.Action == Goto && r.target >= 0:
			i = r.target - 1
		}
	}
	return Result{Err: syscall.ENETUNREACH}
}

// apply does what a rule says; more: the walk goes on.
func (f *FIB) apply(r *bound, k *Key) (res Result, why string, more bool) {
	switch r.Action {
	case Goto:
		if r.target < 0 {
			return res, "there is no rule to go to", true
		}
		return res, "goes on there", true
	case Nop:
		return res, "does nothing", true
	case RuleBlackhole:
		return Result{Err: syscall.EINVAL}, "the rule says blackhole", false
	case RuleUnreachable:
		return Result{Err: syscall.ENETUNREACH}, "the rule says unreachable", false
	case RuleProhibit:
		return Result{Err: syscall.EACCES}, "the rule says prohibit", false
	}
	return f.inTable(r, k)
}

// inTable looks into a rule's table.
func (f *FIB) inTable(r *bound, k *Key) (res Result, why string, more bool) {
	id := r.tableFor(k)
	t := f.Table(id)
	if t == nil {
		return res, "the table is empty", true
	}
	x := f.best(t, k)
	switch {
	case x == nil:
		return res, "the table has no route", true
	case x.Type == Throw:
		return Result{Route: x}, "the route says throw", true
	}
	if x.Err() == nil && r.suppresses(x) { // a route to nowhere is an answer in any case
		return Result{Route: x}, "the route is suppressed", true
	}
	return Result{Route: x, Table: id, Err: x.Err()}, "the route is taken", false
}

// Err is what a route to nowhere says: EINVAL for a blackhole, EHOSTUNREACH and
// EACCES for unreachable and prohibit, nil for others.
func (r *Route) Err() error {
	switch r.Type {
	case Blackhole:
		return syscall.EINVAL
	case Unreachable:
		return syscall.EHOSTUNREACH
	case Prohibit:
		return syscall.EACCES
	}
	return nil
}

// best returns the route of a table that counts for k: the longest prefix, and of
// its routes the first with a way out that is usable.
func (f *FIB) best(t *Table, k *Key) *Route {
	down := f.down[family(k.Dst.Is6())].Load()
	if k.Out == 0 && down == nil && !t.sourced() {
		return t.Lookup(k.Dst)
	}
	return t.lookupFunc(k.Dst, func(r *Route) bool {
		if r.From.IsValid() && !(k.Src.IsValid() && r.From.Contains(k.Src)) {
			return false
		}
		return len(r.NextHops) == 0 || f.Hop(r, k, 0) != nil
	})
}

// Hop chooses the next hop of a route for a packet by its flow's hash: the one by the
// interface that it must leave by, or else one of those that are usable, in
// proportion to their weights. It is nil if there is none.
func (f *FIB) Hop(r *Route, k *Key, hash uint32) *NextHop {
	down := f.down[family(k.Dst.Is6())].Load()
	switch {
	case k.Out != 0:
		for i := range r.NextHops {
			h := &r.NextHops[i]
			here := r.Type == Local && k.Out == f.lo.Load()
			if (h.Index == k.Out || here) && h.usable(down) {
				return h
			}
		}
		return nil
	case len(r.NextHops) == 0, len(r.NextHops) == 1 && !r.NextHops[0].usable(down):
		return nil
	case down == nil:
		return r.Hop(hash)
	}
	return r.hopAmong(hash, down)
}

// usable reports whether flows may go by h.
func (h *NextHop) usable(down *map[int32]bool) bool {
	return !h.Dead && (down == nil || !(*down)[h.Index])
}

// hopAmong is Route.Hop without the interfaces that are down.
func (r *Route) hopAmong(hash uint32, down *map[int32]bool) *NextHop {
	total := 0
	for i := range r.NextHops {
		if h := &r.NextHops[i]; h.usable(down) {
			total += h.weight()
		}
	}
	n := int(uint64(hash) * uint64(total) >> 32)
	for i := range r.NextHops {
		h := &r.NextHops[i]
		if !h.usable(down) {
			continue
		}
		if n -= h.weight(); n < 0 {
			return h
		}
	}
	return nil
}
