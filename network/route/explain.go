package route

import "fmt"

// A Step is what became of one rule in a lookup.
type Step struct {
	Rule Rule
	// Why says what was decided, in English.
	Why string
	// Answered: the walk ended here.
	Answered bool
	// Routes are those of the rule's table whose prefixes hold the destination, the
	// longest first.
	Routes []Candidate
}

// A Candidate is a route that was looked at, and what became of it.
type Candidate struct {
	Route *Route
	Why   string
}

// Explain is Lookup that tells of every rule it has come by. It is for humans, not for
// the packet path.
func (f *FIB) Explain(k *Key) (steps []Step) {
	f.walk(k, func(r *bound, res Result, why string, more bool) {
		s := Step{Rule: r.Rule, Why: why, Answered: !more}
		if why == "" {
			s.Why = "does not match: " + r.mismatch(k)
		} else if r.Action == ToTable {
			s.Routes = f.candidates(r, k, res.Route)
		}
		steps = append(steps, s)
	})
	return steps
}

// candidates lists the routes of a rule's table to the destination.
func (f *FIB) candidates(r *bound, k *Key, taken *Route) (cs []Candidate) {
	t := f.Table(r.tableFor(k))
	if t == nil {
		return nil
	}
	past := false
	t.lookupFunc(k.Dst, func(x *Route) bool {
		c := Candidate{Route: x}
		switch {
		case x == taken:
			c.Why, past = "taken", true
		case x.From.IsValid() && !(k.Src.IsValid() && x.From.Contains(k.Src)):
			c.Why = "not for this source"
		case len(x.NextHops) > 0 && f.Hop(x, k, 0) == nil && k.Out != 0:
			c.Why = "leaves by another interface"
		case len(x.NextHops) > 0 && f.Hop(x, k, 0) == nil:
			c.Why = "no next hop is usable"
		case past && x.Dst == taken.Dst:
			c.Why = fmt.Sprintf("its metric is %d, that of the route taken %d", x.Metric, taken.Metric)
		case past:
			c.Why = "its prefix is shorter"
		}
		cs = append(cs, c)
		return false
	})
	return cs
}

// mismatch says which selector of the rule k does not satisfy: the first that alone
// would not match.
func (r *bound) mismatch(k *Key) string {
	if r.Not {
		return "it has all that the rule excludes"
	}
	src := "not chosen yet"
	if k.Src.IsValid() {
		src = k.Src.String()
	}
	for _, s := range []struct {
		why  string
		only Rule
		in   int32
		out  int32
	}{
		{why: "it comes by another interface", in: r.in},
		{why: "it does not have to leave by that interface", out: r.out},
		{why: fmt.Sprintf("its mark is %#x", k.Mark), only: Rule{Mark: r.Mark, Mask: r.Mask}},
		{why: "it belongs to no VRF", only: Rule{L3MDev: r.L3MDev}},
		{why: fmt.Sprintf("its user is %d", k.UID), only: Rule{UIDs: r.UIDs}},
		{why: "its source is " + src, only: Rule{Src: r.Src}},
		{why: "its destination is " + k.Dst.String(), only: Rule{Dst: r.Dst}},
		{why: fmt.Sprintf("its type of service is %#x", k.TOS), only: Rule{TOS: r.TOS}},
		{why: fmt.Sprintf("its protocol is %d", k.Proto), only: Rule{Proto: r.Proto}},
		{why: fmt.Sprintf("its source port is %d", k.SrcPort), only: Rule{SrcPorts: r.SrcPorts}},
	} {
		if b := (bound{Rule: s.only, in: s.in, out: s.out, lo: r.lo}); !b.selects(k) {
			return s.why
		}
	}
	return fmt.Sprintf("its destination port is %d", k.DstPort)
}
