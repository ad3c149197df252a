package reach

import (
	"maps"

	"github.com/knitnet/knit/netfilter/rule"
)

// An effect is what a rule does, as far as it can be told.
type effect struct {
	matches []box // packets that it perhaps matches: no others
	decides []box // packets for which the chain surely ends here
	jumps   []jump
	open    bool // it may call any chain
	touched touched
}

// A jump is what a rule sends to another chain.
type jump struct {
	chain string
	boxes []box
}

// A reader reads a rule from left to right.
type reader struct {
	a     *analysis
	e     *effect
	now   []box // what may have come so far
	exact bool  // and surely has
}

func (a *analysis) read(r *rule.Rule) *effect {
	x := &reader{a: a, e: &effect{}, now: []box{{}}, exact: true}
	for _, s := range r.Stmts {
		x.stmt(s)
	}
	x.e.matches = x.now
	return x.e
}

func (x *reader) stmt(s rule.Stmt) {
	switch s := s.(type) {
	case *rule.Match:
		x.match(s.Left, s.Op, s.Right)
	case *rule.Counter, *rule.Log:
	case *rule.Verdict:
		x.verdict(s, x.now)
	case *rule.Reject:
		x.decide(x.now)
	case *rule.VMap:
		x.vmap(s)
	case *rule.Assign:
		x.assign(s)
	case *rule.ObjectRef:
		x.exact = x.exact && s.Kind == rule.CounterObject && isValue(s.Name)
	case *rule.NoTrack:
		x.e.touched.ct, x.exact = true, false
	case *rule.Limit, *rule.Quota, *rule.CTCount, *rule.NAT, *rule.TProxy, *rule.Update, *rule.Dup, *rule.Fwd, *rule.FlowOffload:
		x.exact = false
	default: // whatever it does
		x.e.touched.all, x.exact = true, false
	}
}

func isValue(e rule.Expr) bool { _, ok := e.(*rule.Value); return ok }

func (x *reader) decide(b []box) {
	if x.exact {
		x.e.decides = append(x.e.decides, b...)
	}
}

func (x *reader) verdict(v *rule.Verdict, b []box) {
	switch v.Kind {
	case rule.Accept, rule.Drop, rule.Return, rule.Goto:
		x.decide(b)
	}
	if v.Kind == rule.Jump || v.Kind == rule.Goto {
		x.e.jumps = append(x.e.jumps, jump{v.Chain, b})
	}
}

// vmap reads a verdict map. Those that find nothing go on.
func (x *reader) vmap(s *rule.VMap) {
	elems, ok := x.a.elements(s.Map)
	if !ok {
		x.e.open, x.exact = true, false
		return
	}
	before := x.exact
	for i := range elems {
		el := &elems[i]
		v, ok := el.Data.(*rule.Verdict)
		if !ok {
			continue
		}
		b, exact := x.element(s.Key, el)
		x.exact = before && exact && len(el.Stmts) == 0 && el.Timeout == 0
		if _, any := el.Key.(*rule.Any); any {
			x.exact = false // it is what no other element is
		}
		boxes, ok := x.a.cross(x.now, b)
		if !ok {
			boxes, x.exact = []box{{}}, false
		}
		x.verdict(v, boxes)
	}
	x.exact = false
}

// assign notes what changes. A mark that is set to a constant never fails.
func (x *reader) assign(s *rule.Assign) {
	t := &x.e.touched
	switch d := s.Dst.(type) {
	case *rule.Meta:
		m := maps.Clone(t.meta)
		if m == nil {
			m = map[uint8]bool{}
		}
		m[uint8(d.Key)] = true
		t.meta = m
		x.exact = x.exact && isValue(s.Value)
	case *rule.CT:
		t.ct, x.exact = true, false
	case *rule.Payload, *rule.Exthdr:
		t.headers, x.exact = true, false
	default:
		t.all, x.exact = true, false
	}
}

// match reads a comparison.
func (x *reader) match(left rule.Expr, op rule.Op, right rule.Expr) {
	alternatives, exact := x.compare(left, op, right)
	x.exact = x.exact && exact
	next, ok := x.a.cross(x.now, alternatives)
	if !ok {
		x.exact = false
		return
	}
	x.now = next
}

// compare returns the packets for which a comparison may hold, and whether it surely
// does.
func (x *reader) compare(left rule.Expr, op rule.Op, right rule.Expr) ([]box, bool) {
	unknown := []box{{}}
	if c, ok := left.(*rule.Concat); ok {
		return x.concat(c, op, right)
	}
	f, mask, ok := x.field(left)
	if !ok || x.e.touched.has(f) {
		return unknown, false
	}
	spans, exact, ok := x.spans(left, f, op, right)
	if !ok {
		return unknown, false
	}
	v, ok := resolve(f, mask, op, left.Type().Bitmask() && isValue(right), spans)
	if !ok {
		return unknown, false
	}
	if v.empty() {
		return nil, exact
	}
	return []box{{f: v}}, exact
}

// spans returns the values on the right side of a comparison.
func (x *reader) spans(left rule.Expr, f field, op rule.Op, right rule.Expr) (out []span, exact, ok bool) {
	if set, isSet := x.a.elements(right); isSet {
		if op != rule.Implicit && op != rule.Eq && op != rule.Ne {
			return nil, false, false
		}
		exact = true
		for i := range set {
			if len(set[i].Stmts) > 0 || set[i].Timeout != 0 {
				if op == rule.Ne {
					return nil, false, false
				}
				exact = false
			}
			s, ok := spanOf(set[i].Key, f.width)
			if !ok {
				return nil, false, false
			}
			out = append(out, s)
		}
		return out, exact, true
	}
	s, ok := spanOf(right, f.width)
	return []span{s}, true, ok
}

// concat reads `a . b { ... }`.
func (x *reader) concat(c *rule.Concat, op rule.Op, right rule.Expr) ([]box, bool) {
	elems, ok := x.a.elements(right)
	if !ok || op != rule.Implicit && op != rule.Eq || len(elems) > maxBoxes {
		return []box{{}}, false
	}
	var out []box
	exact := true
	for i := range elems {
		b, e := x.element(c, &elems[i])
		exact = exact && e && len(elems[i].Stmts) == 0 && elems[i].Timeout == 0
		out = append(out, b...)
	}
	return out, exact
}

// element returns the packets whose key is an element of a set.
func (x *reader) element(key rule.Expr, el *rule.Elem) ([]box, bool) {
	parts, keys := []rule.Expr{key}, []rule.Expr{el.Key}
	if c, ok := key.(*rule.Concat); ok {
		k, ok := el.Key.(*rule.Concat)
		if !ok || len(k.Parts) != len(c.Parts) {
			return []box{{}}, false
		}
		parts, keys = c.Parts, k.Parts
	}
	b, exact := box{}, true
	for i, p := range parts {
		f, mask, ok := x.field(p)
		if !ok || x.e.touched.has(f) {
			exact = false
			continue
		}
		s, ok := spanOf(keys[i], f.width)
		if !ok {
			exact = false
			continue
		}
		v, ok := resolve(f, mask, rule.Eq, false, []span{s})
		if !ok {
			exact = false
			continue
		}
		if b, ok = b.with(f, v); !ok {
			return nil, exact
		}
	}
	return []box{b}, exact
}

// elements returns the elements of a set that cannot change.
func (a *analysis) elements(e rule.Expr) ([]rule.Elem, bool) {
	switch x := e.(type) {
	case *rule.SetLit:
		return x.Elems, true
	case *rule.SetRef:
		for _, s := range a.table.Sets {
			if s.Name == x.Name && s.Flags&rule.Constant != 0 && s.Flags&(rule.Dynamic|rule.Timeout) == 0 {
				return s.Elems, true
			}
		}
	}
	return nil, false
}

// note learns what a rule changes, and which chains it may call.
func (a *analysis) note(r *rule.Rule, c *chain) {
	e := a.read(r)
	c.touched.join(&e.touched)
	if e.open {
		c.touched.all = true
	}
	for _, j := range e.jumps {
		c.calls = append(c.calls, j.chain)
	}
}
