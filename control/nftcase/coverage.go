package nftcase

import (
	"fmt"

	"github.com/knitnet/knit/netfilter/reach"
	"github.com/knitnet/knit/netfilter/rule"
)

// A coverage counts how often the rules of a ruleset held, in all cases together:
// each case has loaded the same text.
type coverage struct {
	rules []Rule
	index map[*rule.Rule]int // of the case that runs
}

// learn takes the ruleset of a case that begins.
func (c *coverage) learn(r *runner) {
	tables := r.rules.Tables()
	c.index = map[*rule.Rule]int{}
	first := c.rules == nil
	for _, t := range tables {
		for _, ch := range t.Chains {
			for _, x := range ch.Rules {
				if first {
					c.rules = append(c.rules, r.describe(t, ch, x))
				}
				c.index[x] = len(c.index)
			}
		}
	}
	if first {
		c.never(r, tables)
	}
}

func (c *coverage) hit(x *rule.Rule) {
	if i, ok := c.index[x]; ok {
		c.rules[i].Hits++
	}
}

func (r *runner) describe(t *rule.Table, ch *rule.Chain, x *rule.Rule) Rule {
	out := Rule{Family: t.Family.String(), Table: t.Name, Chain: ch.Name, Handle: x.Handle, Text: r.ruleText(t, x)}
	if p, ok := r.places[x]; ok {
		out.At = &p
	}
	return out
}

// never notes the rules that no packet can match.
func (c *coverage) never(r *runner, tables []*rule.Table) {
	for _, t := range tables {
		for _, f := range reach.Never(t) {
			c.rules[c.index[f.Rule]].Never = r.why(&f)
		}
	}
}

// why says it in words.
func (r *runner) why(f *reach.Finding) string {
	switch f.Kind {
	case reach.Contradiction:
		return "it contradicts itself"
	case reach.Unreached:
		return fmt.Sprintf("no packet comes to chain %s", f.Chain)
	}
	s := "all that it matches is decided before"
	for i, by := range f.By {
		if i == 0 {
			s += " by"
		} else {
			s += ","
		}
		if p, ok := r.places[by]; ok {
			s += " " + p.String()
		} else {
			s += fmt.Sprintf(" handle %d", by.Handle)
		}
	}
	return s
}
