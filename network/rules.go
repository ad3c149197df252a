package network

import (
	"github.com/knitnet/knit/network/route"
)

// AddRule adds a rule of version v behind those of its priority; without a priority
// it comes in front of the rules that are there, but for the first. Errors are those
// of route.Rules.Add. A rule of IPv6 makes the table that it names, as on Linux.
func (l *Layer) AddRule(v Version, r route.Rule, hasPriority bool) error {
	if v == V6 && r.Action == route.ToTable && !r.L3MDev {
		t, err := l.MakeTable(r.Table)
		if err != nil {
			return err
		}
		t.Use(true)
	}
	r, err := l.Rules(v == V6).Add(r, hasPriority)
	if err != nil {
		return err
	}
	l.changed()
	l.notify(Event{Kind: RuleAdded, Rule: &r, V6: v == V6})
	return nil
}

// DelRule removes the first rule of version v for which match holds; route.ErrNoRule
// if there is none.
func (l *Layer) DelRule(v Version, match func(*route.Rule) bool) error {
	r, err := l.Rules(v == V6).Delete(match)
	if err != nil {
		return err
	}
	l.changed()
	l.notify(Event{Kind: RuleRemoved, Rule: &r, V6: v == V6})
	return nil
}
