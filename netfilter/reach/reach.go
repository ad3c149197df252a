// Package reach finds rules of a ruleset that no packet can match: they contradict
// themselves, everything that they match is decided by rules in front of them, or
// nothing leads to their chain.
//
// It reads rules as sets of values of fields: intervals, prefixes, sets, bits. What
// it cannot read that way (a named set that may change, a limit, a computed value) is
// taken to hold perhaps, so that a rule which is found is found with reason, and not
// every one is found. It speaks of the ruleset as it is: a rule or an element that is
// added changes the answer.
package reach

import (
	"slices"

	"github.com/knitnet/knit/netfilter/rule"
)

// A Kind is why no packet matches.
type Kind uint8

// Kinds of findings.
const (
	// Contradiction: no packet has the values that the rule wants, or none that comes
	// to its chain.
	Contradiction Kind = iota
	// Covered: rules in front decide about all packets that it matches.
	Covered
	// Unreached: no packet comes to its chain.
	Unreached
)

// A Finding is a rule that no packet can match.
type Finding struct {
	Chain string
	Rule  *rule.Rule
	Kind  Kind
	// By are the rules that cover it, in their order.
	By []*rule.Rule
}

// Limits of what is looked at, beyond which rules are taken to match perhaps.
const (
	maxBoxes  = 256     // of one rule, or of what comes to one chain
	maxCovers = 4096    // decided boxes that are kept per chain
	maxWork   = 1e7     // boxes that are compared in one table
	maxWide   = 1 << 16 // values that are tried one by one
)

// Never returns the rules of a table that no packet can match, in the table's order.
// It does not change the table.
func Never(t *rule.Table) []Finding {
	a := &analysis{table: t, chains: map[string]*chain{}, work: maxWork}
	for _, c := range t.Chains {
		a.chains[c.Name] = &chain{Chain: c}
	}
	if t.Dormant || !a.sort() {
		return nil
	}
	for _, c := range a.order {
		a.walk(c)
	}
	var out []Finding
	for _, c := range t.Chains {
		out = append(out, a.chains[c.Name].found...)
	}
	return out
}

// An analysis is that of one table.
type analysis struct {
	table  *rule.Table
	chains map[string]*chain
	order  []*chain // callers in front of those they call
	work   int      // what is left of maxWork
}

// A chain is a chain with what comes to it.
type chain struct {
	*rule.Chain
	// entry is what may come; nil: nothing does.
	entry []box
	// touched is what the chain and those that it calls may change.
	touched touched
	calls   []string
	found   []Finding
	visited uint8
}

// sort orders the chains and learns what they change. It fails if they call each
// other in a circle, which the packet filter refuses.
func (a *analysis) sort() bool {
	open := a.openMap()
	for _, c := range a.table.Chains {
		x := a.chains[c.Name]
		if c.Base() || open {
			x.entry = []box{{}}
		}
		for _, r := range c.Rules {
			a.note(r, x)
		}
	}
	for _, c := range a.table.Chains {
		if !a.visit(a.chains[c.Name]) {
			return false
		}
	}
	slices.Reverse(a.order)
	return true
}

func (a *analysis) visit(c *chain) bool {
	if c.visited != 0 {
		return c.visited == 2
	}
	c.visited = 1
	for _, name := range c.calls {
		to := a.chains[name]
		if to == nil || !a.visit(to) {
			return false
		}
		c.touched.join(&to.touched)
	}
	c.visited = 2
	a.order = append(a.order, c)
	return true
}

// openMap reports whether there is a verdict map whose elements may change: any chain
// may then be called.
func (a *analysis) openMap() bool {
	for _, s := range a.table.Sets {
		if s.Data == rule.VerdictType {
			if _, fixed := a.elements(&rule.SetRef{Name: s.Name}); !fixed {
				return true
			}
		}
	}
	return false
}

// walk looks at the rules of a chain in order.
func (a *analysis) walk(c *chain) {
	entry := c.entry
	var decided covers
	for _, r := range c.Rules {
		e := a.read(r)
		if f, ok := a.judge(c, entry, &decided, r, e); ok {
			c.found = append(c.found, f)
		} else {
			a.call(entry, e)
			for _, b := range e.decides {
				decided.add(cover{b, r})
			}
		}
		t := a.changes(e)
		entry = forget(entry, t)
		decided.forget(t)
	}
}

// judge decides whether a rule can match.
func (a *analysis) judge(c *chain, entry []box, decided *covers, r *rule.Rule, e *effect) (f Finding, never bool) {
	f = Finding{Chain: c.Name, Rule: r}
	if entry == nil {
		f.Kind = Unreached
		return f, true
	}
	left, ok := a.cross(entry, e.matches)
	if !ok {
		return f, false
	}
	if len(left) == 0 {
		return f, true
	}
	f.Kind = Covered
	for _, i := range decided.nearest(left) {
		v := decided.list[i]
		next, cut := a.subtract(left, v.box)
		if !cut {
			continue
		}
		f.By = append(f.By, v.by)
		if len(next) == 0 {
			f.By = slices.Compact(f.By)
			return f, true
		}
		if len(next) > maxBoxes || a.work < 0 {
			return f, false
		}
		left = next
	}
	return f, false
}

// call adds what a rule sends to other chains to what comes there.
func (a *analysis) call(entry []box, e *effect) {
	for _, j := range e.jumps {
		to := a.chains[j.chain]
		if to == nil {
			continue
		}
		boxes, ok := a.cross(entry, j.boxes)
		if !ok || len(to.entry)+len(boxes) > maxBoxes {
			to.entry = []box{{}}
			continue
		}
		for _, b := range boxes {
			to.entry = append(to.entry, b.without(&e.touched))
		}
	}
}

// changes are what a rule, and the chains that it calls, may change.
func (a *analysis) changes(e *effect) *touched {
	t := e.touched
	for _, j := range e.jumps {
		if to := a.chains[j.chain]; to != nil {
			t.join(&to.touched)
		}
	}
	if e.open {
		t.all = true
	}
	return &t
}

// forget takes away what is known of fields that may have changed.
func forget(entry []box, t *touched) []box {
	if t.none() || entry == nil {
		return entry
	}
	out := make([]box, len(entry))
	for i, b := range entry {
		out[i] = b.without(t)
	}
	return out
}
