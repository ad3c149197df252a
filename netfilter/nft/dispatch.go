package nft

import (
	"fmt"

	"github.com/knitnet/knit/netfilter/rule"
)

// dispatchLeast is how many rules make a map worthwhile.
const dispatchLeast = 8

// A part is a run of rules of a chain. If they all compare the same field with a
// constant, behind the same first matches, a map finds those that can hold: of a
// thousand rules for a thousand ports, one.
type part struct {
	from, to int // rules
	// prefix are the first matches, which all the rules have; load the field. A part
	// without a load is run rule by rule.
	prefix []step
	load   loader
	at, n  int              // scratch of the field
	small  *hash64[stretch] // of list
	list   []int32
	large  map[string][]int32
}

// A stretch is a part of a list.
type stretch struct{ from, to int32 }

// A head is what a rule begins with, as far as it can be told from its statements:
// matches of expressions with constants.
type head struct {
	id    string // of the expression
	value string
	left  rule.Expr
}

// heads returns the matches that a rule begins with.
func heads(r *rule.Rule) (out []head) {
	for _, s := range r.Stmts {
		m, ok := s.(*rule.Match)
		if !ok {
			return out
		}
		v, ok := m.Right.(*rule.Value)
		if !ok || v.Wild || m.Op != rule.Implicit && m.Op != rule.Eq || m.Op == rule.Implicit && m.Left.Type().Bitmask() {
			return out
		}
		id := identity(m.Left)
		if id == "" {
			return out
		}
		out = append(out, head{id, string(v.Data), m.Left})
	}
	return out
}

// identity names expressions that only look at the packet; others have none.
func identity(e rule.Expr) string {
	switch x := e.(type) {
	case *rule.Payload:
		base, off, bits := place(x)
		return fmt.Sprintf("payload %d %d %d", base, off, bits)
	case *rule.Meta:
		switch x.Key {
		case rule.MetaRandom, rule.MetaTime, rule.MetaHour, rule.MetaDay, rule.MetaCPU:
			return ""
		}
		return fmt.Sprintf("meta %d", x.Key)
	}
	return ""
}

// pure reports whether a rule leaves the packet, and all that is known of it, as it
// is.
func pure(r *rule.Rule) bool {
	for _, s := range r.Stmts {
		switch s.(type) {
		case *rule.Match, *rule.Verdict, *rule.VMap, *rule.Counter, *rule.Quota, *rule.Limit, *rule.Log, *rule.Reject:
		default:
			return false
		}
	}
	return true
}

// arrange cuts a chain into parts, or returns nil if no map is worthwhile.
func (c *compiler) arrange(rules []compiled) ([]part, error) {
	all := make([][]head, len(rules))
	for i := range rules {
		all[i] = heads(rules[i].spec)
	}
	var parts []part
	useful := false
	for i := 0; i < len(rules); {
		n, depth := longest(all[i:])
		if n < dispatchLeast {
			parts = appendPlain(parts, i, i+1)
			i++
			continue
		}
		p, err := c.mapped(rules, all, i, i+n, depth)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
		useful = true
		i += n
	}
	if !useful {
		return nil, nil
	}
	return parts, nil
}

func appendPlain(parts []part, from, to int) []part {
	if n := len(parts); n > 0 && parts[n-1].load == nil {
		parts[n-1].to = to
		return parts
	}
	return append(parts, part{from: from, to: to})
}

// longest returns how many rules from the first on compare the same expression
// behind depth matches that they share, for the depth with the longest run.
func longest(all [][]head) (n, depth int) {
	for d := range all[0] {
		if run := runAt(all, d); run > n {
			n, depth = run, d
		}
	}
	return n, depth
}

func runAt(all [][]head, d int) (n int) {
	first := all[0]
	for _, h := range all {
		if len(h) <= d || h[d].id != first[d].id {
			return n
		}
		for i := range d {
			if h[i].id != first[i].id || h[i].value != first[i].value {
				return n
			}
		}
		n++
	}
	return n
}

func (c *compiler) mapped(rules []compiled, all [][]head, from, to, depth int) (part, error) {
	left := all[from][depth].left
	p := part{from: from, to: to, prefix: rules[from].steps[:depth], n: bytesFor(left.Bits())}
	c.used = rules[from].scratch
	var err error
	if p.load, err = c.load(left); err != nil {
		return p, err
	}
	if p.at, err = c.scratch(p.n); err != nil {
		return p, err
	}
	p.large = map[string][]int32{}
	for i := from; i < to; i++ {
		v := all[i][depth].value
		p.large[v] = append(p.large[v], int32(i))
	}
	if p.n <= 8 {
		p.small = newHash64[stretch](len(p.large))
		for v, rules := range p.large {
			from := int32(len(p.list))
			p.list = append(p.list, rules...)
			p.small.put(number([]byte(v)), stretch{from, int32(len(p.list))})
		}
		p.large = nil
	}
	return p, nil
}

// candidates returns the rules of the part that can hold.
func (p *part) candidates(ev *eval) []int32 {
	for _, s := range p.prefix {
		if s(ev) != goOn {
			return nil
		}
	}
	b := ev.scratch[p.at : p.at+p.n]
	if !p.load(ev, b) {
		return nil
	}
	if p.n <= 8 {
		s := p.small.get(number(b))
		return p.list[s.from:s.to]
	}
	return p.large[string(b)]
}

// nextArranged is next for a chain in parts.
func (c *chain) nextArranged(ev *eval, at int) (next, int) {
	for i := range c.parts {
		p := &c.parts[i]
		if at >= p.to {
			continue
		}
		r, after := p.next(c, ev, max(at, p.from))
		if r != breakRule {
			return r, after
		}
		at = p.to
	}
	return returnNow, len(c.rules)
}

func (p *part) next(c *chain, ev *eval, at int) (next, int) {
	if p.load == nil {
		for i := at; i < p.to; i++ {
			r := c.rules[i].run(ev)
			if ev.trace {
				return c.traceOn(ev, i, r)
			}
			if r > breakRule {
				return r, i + 1
			}
		}
		return breakRule, p.to
	}
	for at < p.to {
		again := false
		for _, i := range p.candidates(ev) {
			if int(i) < at {
				continue
			}
			r := &c.rules[i]
			v := r.run(ev)
			if ev.trace {
				return c.traceOn(ev, int(i), v)
			}
			if v > breakRule {
				return v, int(i) + 1
			}
			if !r.pure { // it may have changed what the map was asked for
				at, again = int(i)+1, true
				break
			}
		}
		if !again {
			break
		}
	}
	return breakRule, p.to
}
