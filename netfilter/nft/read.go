package nft

import (
	"slices"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter/rule"
)

// A reader copies the ruleset with the state that it has now: counters, quotas, the
// elements that rules have added, what is left of timeouts.
type reader struct {
	m      *machine
	states map[any]any
	now    clock.Time
	// reset: counters and quotas begin again.
	reset bool
}

// read returns a table with its state.
func (m *machine) read(t *rule.Table, reset bool) *rule.Table {
	r := &reader{m, m.statesOf(t.Family, t.Name), m.clock.Now(), reset}
	out := *t
	out.Chains = make([]*rule.Chain, len(t.Chains))
	for i, c := range t.Chains {
		n := *c
		n.Rules = make([]*rule.Rule, len(c.Rules))
		for j, x := range c.Rules {
			n.Rules[j] = r.rule(x)
		}
		out.Chains[i] = &n
	}
	out.Sets = make([]*rule.Set, len(t.Sets))
	for i, s := range t.Sets {
		out.Sets[i] = r.set(t, s)
	}
	out.Objects = make([]*rule.Object, len(t.Objects))
	for i, o := range t.Objects {
		out.Objects[i] = r.object(o)
	}
	return &out
}

func (r *reader) rule(x *rule.Rule) *rule.Rule {
	n := *x
	n.Stmts = r.stmts(x.Stmts, r.states)
	return &n
}

// stmts copies statements with their state.
func (r *reader) stmts(stmts []rule.Stmt, states map[any]any) []rule.Stmt {
	out := slices.Clone(stmts)
	for i, s := range out {
		switch x := s.(type) {
		case *rule.Counter:
			out[i] = r.counter(x, states)
		case *rule.Quota:
			out[i] = r.quota(x, states)
		case *rule.Match:
			if lit := r.literal(x.Right); lit != nil {
				n := *x
				n.Right = lit
				out[i] = &n
			}
		case *rule.VMap:
			if lit := r.literal(x.Map); lit != nil {
				n := *x
				n.Map = lit
				out[i] = &n
			}
		}
	}
	return out
}

func (r *reader) counter(x *rule.Counter, states map[any]any) *rule.Counter {
	s, ok := states[x].(*counterState)
	if !ok {
		return x
	}
	if r.reset {
		return &rule.Counter{Packets: s.packets.Swap(0), Bytes: s.bytes.Swap(0)}
	}
	return &rule.Counter{Packets: s.packets.Load(), Bytes: s.bytes.Load()}
}

func (r *reader) quota(x *rule.Quota, states map[any]any) *rule.Quota {
	s, ok := states[x].(*quotaState)
	if !ok {
		return x
	}
	n := *x
	if n.Used = s.used.Load(); r.reset {
		n.Used = s.used.Swap(0)
	}
	n.Used = min(n.Used, n.Bytes) // as Linux tells it
	return &n
}

// literal copies an anonymous set whose elements have state; nil: none has.
func (r *reader) literal(e rule.Expr) *rule.SetLit {
	lit, ok := e.(*rule.SetLit)
	if !ok || !slices.ContainsFunc(lit.Elems, func(e rule.Elem) bool { return len(e.Stmts) > 0 }) {
		return nil
	}
	n := *lit
	n.Elems = slices.Clone(lit.Elems)
	for i := range n.Elems {
		n.Elems[i].Stmts = r.stmts(n.Elems[i].Stmts, r.states)
	}
	return &n
}

func (r *reader) object(o *rule.Object) *rule.Object {
	n := *o
	if o.Counter != nil {
		n.Counter = r.counter(o.Counter, r.states)
	}
	if o.Quota != nil {
		n.Quota = r.quota(o.Quota, r.states)
	}
	return &n
}

func (r *reader) set(t *rule.Table, s *rule.Set) *rule.Set {
	n := *s
	n.Elems = make([]rule.Elem, 0, len(s.Elems))
	for _, e := range s.Elems {
		if until, ok := r.states[timerKey{e.Key}].(*clock.Time); ok {
			if *until <= r.now {
				continue
			}
			e.Expires = left(*until, r.now)
			if e.Timeout == s.Timeout {
				e.Timeout = 0 // it is the set's
			}
		}
		stmts := e.Stmts
		if own, ok := r.states[stmtsKey{e.Key}].(*[]rule.Stmt); ok && len(stmts) == 0 {
			stmts = *own
		}
		e.Stmts = r.stmts(stmts, r.states)
		n.Elems = append(n.Elems, e)
	}
	if d := r.m.dynamics[keyOfSet(t, s)]; d != nil {
		n.Elems = append(n.Elems, r.dynamic(d, s)...)
	}
	return &n
}

func left(until, now clock.Time) time.Duration { return time.Duration(until - now) }

// dynamic reads the elements that the packet path has.
func (r *reader) dynamic(d *dynamic, s *rule.Set) (out []rule.Elem) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for key, e := range d.elems {
		if e.over(r.now) {
			continue
		}
		x := rule.Elem{Key: keyOfElem(s, key), Stmts: r.stmts(e.stmts, e.states)}
		if e.spec != nil {
			x.Comment, x.Data = e.spec.Comment, e.spec.Data
		} else if s.Data != nil && e.data != nil {
			x.Data = valueOf(s.Data, e.data)
		}
		if until := clock.Time(e.until.Load()); until != 0 {
			x.Expires = left(until, r.now)
			if e.life != s.Timeout {
				x.Timeout = e.life
			}
		}
		out = append(out, x)
	}
	return out
}

// keyOfElem returns the key of an element that the packet path has; see liveKey.
func keyOfElem(s *rule.Set, key string) rule.Expr {
	if key == "" {
		return &rule.Any{T: s.Key}
	}
	return valueOf(s.Key, []byte(key))
}

// valueOf returns the value that bytes of a key stand for.
func valueOf(t *rule.Type, b []byte) rule.Expr {
	if len(t.Parts) == 0 {
		return &rule.Value{T: t, Data: b, N: bitsOf(t, b)}
	}
	c := &rule.Concat{T: t}
	for _, p := range t.Parts {
		n := min(bytesFor(p.Bits), len(b))
		c.Parts = append(c.Parts, &rule.Value{T: p, Data: b[:n], N: p.Bits})
		b = b[min((n+3)&^3, len(b)):]
	}
	return c
}

func bitsOf(t *rule.Type, b []byte) int {
	if t.Bits != 0 {
		return t.Bits
	}
	return len(b) * 8
}
