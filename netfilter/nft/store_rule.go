package nft

import (
	"slices"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

// A position says where a rule goes.
type position struct {
	handle uint64 // of a rule; 0: none
	index  int    // from 0, if by says so
	by     bool   // an index is meant
}

// addRule adds a rule at the end, or at a position; insert means the beginning.
func (x *txn) addRule(f rule.Family, table, chain string, r *rule.Rule, at position, insert bool) error {
	t, c, err := x.changeChain(f, table, chain)
	if err != nil {
		return err
	}
	n, err := x.newRule(t, r)
	if err != nil {
		return err
	}
	if insert {
		x.inserted[n] = true
	}
	i := 0
	switch {
	case at.by:
		if at.index >= len(c.Rules) {
			return syscall.ENOENT
		}
		i = at.index
	case at.handle != 0:
		if i = ruleOf(c, at.handle); i < 0 {
			return syscall.ENOENT
		}
	case insert:
		c.Rules = slices.Insert(c.Rules, 0, n)
		return nil
	default:
		c.Rules = append(c.Rules, n)
		return nil
	}
	if !insert {
		i++
	}
	c.Rules = slices.Insert(c.Rules, i, n)
	return nil
}

func ruleOf(c *rule.Chain, handle uint64) int {
	return slices.IndexFunc(c.Rules, func(r *rule.Rule) bool { return r.Handle == handle })
}

// replaceRule puts a rule in the place of another, whose handle it takes over.
func (x *txn) replaceRule(f rule.Family, table, chain string, handle uint64, r *rule.Rule) error {
	t, c, err := x.changeChain(f, table, chain)
	if err != nil {
		return err
	}
	i := ruleOf(c, handle)
	if i < 0 {
		return syscall.ENOENT
	}
	last := x.generators[t.Handle]
	n, err := x.newRule(t, r)
	if err != nil {
		return err
	}
	if len(anonymousSets(r)) == 0 {
		x.generators[t.Handle] = last
	}
	n.Handle = handle
	c.Rules[i], x.replaced[n] = n, true
	return nil
}

// deleteRule removes a rule.
func (x *txn) deleteRule(f rule.Family, table, chain string, handle uint64) error {
	_, c, err := x.changeChain(f, table, chain)
	if err != nil {
		return err
	}
	i := ruleOf(c, handle)
	if i < 0 {
		return syscall.ENOENT
	}
	c.Rules = slices.Delete(c.Rules, i, i+1)
	return nil
}

// newRule returns r under a handle of its own, which comes behind those of its
// anonymous sets, as on Linux.
func (x *txn) newRule(t *rule.Table, r *rule.Rule) (*rule.Rule, error) {
	x.addMeters(t, r)
	if err := x.checkRule(t, r); err != nil {
		return nil, err
	}
	if err := x.openSets(t, r); err != nil {
		return nil, err
	}
	for range anonymousSets(r) {
		x.handle(t)
	}
	n := *r
	n.Handle = x.handle(t)
	if x.noted != nil {
		x.noted(&n, x.at)
	}
	return &n, nil
}

// flushChain removes the rules of a chain.
func (x *txn) flushChain(f rule.Family, table, chain string) error {
	_, c, err := x.changeChain(f, table, chain)
	if err != nil {
		return err
	}
	c.Rules = nil
	return nil
}

// addMeters adds the sets of a rule's meters that are not there.
func (x *txn) addMeters(t *rule.Table, r *rule.Rule) {
	for _, s := range r.Stmts {
		u, ok := s.(*rule.Update)
		if !ok || !u.Meter || setOf(t, u.Set) >= 0 {
			continue
		}
		n := &rule.Set{Name: u.Set, Handle: x.handle(t), Key: u.Key.Type(), KeyExpr: u.Key, Meter: true, Flags: rule.Dynamic, Size: u.MeterSize}
		t.Sets, x.own[n] = append(t.Sets, n), true
	}
}

// dropMeters removes the sets of meters that have no rule any more.
func (x *txn) dropMeters() {
	for _, t := range x.tables {
		if !x.own[t] || !slices.ContainsFunc(t.Sets, isMeter) {
			continue
		}
		used := usesOf(t)
		t.Sets = slices.DeleteFunc(t.Sets, func(s *rule.Set) bool { return s.Meter && !used[use{useSet, s.Name}] })
	}
}

func isMeter(s *rule.Set) bool { return s.Meter }
