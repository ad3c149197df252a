package nft

import (
	"slices"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

// A txn is a transaction: a copy of the ruleset that changes step by step, of which
// packets see nothing until it is committed. Tables, chains and sets are copied when
// they are first changed; rules and elements are never changed, only replaced.
//
// Errors are Linux's: ENOENT for what is not there, EEXIST for what is, EBUSY for
// what is in use.
type txn struct {
	tables []*rule.Table
	own    map[any]bool // the copies of this transaction
	// generators are the last handles given by table, and tableHandles the last of a
	// table.
	generators   map[uint64]uint64
	tableHandles uint64
}

// table returns the index of a table, or -1.
func (x *txn) find(f rule.Family, name string) int {
	return slices.IndexFunc(x.tables, func(t *rule.Table) bool { return t.Family == f && t.Name == name })
}

// table returns a table, or ENOENT.
func (x *txn) table(f rule.Family, name string) (*rule.Table, error) {
	if i := x.find(f, name); i >= 0 {
		return x.tables[i], nil
	}
	return nil, syscall.ENOENT
}

// change returns a table that may be changed.
func (x *txn) change(f rule.Family, name string) (*rule.Table, error) {
	i := x.find(f, name)
	if i < 0 {
		return nil, syscall.ENOENT
	}
	t := x.tables[i]
	if x.own[t] {
		return t, nil
	}
	c := *t
	c.Chains, c.Sets = slices.Clone(t.Chains), slices.Clone(t.Sets)
	c.Objects, c.Flowtables = slices.Clone(t.Objects), slices.Clone(t.Flowtables)
	x.tables[i], x.own[&c] = &c, true
	return &c, nil
}

// handle returns the next handle of a table.
func (x *txn) handle(t *rule.Table) uint64 {
	x.generators[t.Handle]++
	return x.generators[t.Handle]
}

// addTable adds a table unless it is there; with create that is EEXIST.
func (x *txn) addTable(t *rule.Table, create bool) error {
	if i := x.find(t.Family, t.Name); i >= 0 {
		if create {
			return syscall.EEXIST
		}
		if x.tables[i].Dormant != t.Dormant {
			c, err := x.change(t.Family, t.Name)
			if err != nil {
				return err
			}
			c.Dormant = t.Dormant
		}
		return nil
	}
	x.tableHandles++
	n := &rule.Table{Family: t.Family, Name: t.Name, Dormant: t.Dormant, Comment: t.Comment, Handle: x.tableHandles}
	x.tables = append(x.tables, n)
	x.own[n] = true
	return nil
}

// deleteTable removes a table with all that is in it.
func (x *txn) deleteTable(f rule.Family, name string) error {
	i := x.find(f, name)
	if i < 0 {
		return syscall.ENOENT
	}
	x.tables = slices.Delete(x.tables, i, i+1)
	return nil
}

// chain returns a chain of a table, or ENOENT.
func chainOf(t *rule.Table, name string) (int, error) {
	i := slices.IndexFunc(t.Chains, func(c *rule.Chain) bool { return c.Name == name })
	if i < 0 {
		return i, syscall.ENOENT
	}
	return i, nil
}

// changeChain returns a chain that may be changed.
func (x *txn) changeChain(f rule.Family, table, name string) (*rule.Table, *rule.Chain, error) {
	t, err := x.change(f, table)
	if err != nil {
		return nil, nil, err
	}
	i, err := chainOf(t, name)
	if err != nil {
		return nil, nil, err
	}
	c := t.Chains[i]
	if x.own[c] {
		return t, c, nil
	}
	n := *c
	n.Rules = slices.Clone(c.Rules)
	t.Chains[i], x.own[&n] = &n, true
	return t, &n, nil
}

// addChain adds a chain without rules unless it is there. A policy is taken over;
// another hook, type or priority is EEXIST, as it is with create.
func (x *txn) addChain(f rule.Family, table string, c *rule.Chain, create, hasPolicy bool) error {
	t, err := x.change(f, table)
	if err != nil {
		return err
	}
	if i, err := chainOf(t, c.Name); err == nil {
		old := t.Chains[i]
		switch {
		case create:
			return syscall.EEXIST
		case c.Base() && (!old.Base() || old.Hook != c.Hook || old.Type != c.Type || old.Priority != c.Priority):
			return syscall.EEXIST
		case !hasPolicy || old.DropPolicy == c.DropPolicy:
			return nil
		}
		_, own, err := x.changeChain(f, table, c.Name)
		if err == nil {
			own.DropPolicy = c.DropPolicy
		}
		return err
	}
	n := *c
	n.Rules, n.Handle = nil, x.handle(t)
	t.Chains = append(t.Chains, &n)
	x.own[&n] = true
	return nil
}

// deleteChain removes a chain that no rule goes to: EBUSY else. Its rules go too.
func (x *txn) deleteChain(f rule.Family, table, name string) error {
	t, err := x.change(f, table)
	if err != nil {
		return err
	}
	i, err := chainOf(t, name)
	if err != nil {
		return err
	}
	t.Chains = slices.Delete(t.Chains, i, i+1)
	if targets(t)[name] {
		return syscall.EBUSY
	}
	return nil
}

// targets are the chains of a table that rules and elements go to.
func targets(t *rule.Table) map[string]bool {
	out := map[string]bool{}
	note := func(v *rule.Verdict) {
		if v.Chain != "" {
			out[v.Chain] = true
		}
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			for _, s := range r.Stmts {
				switch s := s.(type) {
				case *rule.Verdict:
					note(s)
				case *rule.VMap:
					if lit, ok := s.Map.(*rule.SetLit); ok {
						eachVerdict(lit.Elems, note)
					}
				}
			}
		}
	}
	for _, s := range t.Sets {
		eachVerdict(s.Elems, note)
	}
	return out
}

func eachVerdict(elems []rule.Elem, f func(*rule.Verdict)) {
	for i := range elems {
		if v, ok := elems[i].Data.(*rule.Verdict); ok {
			f(v)
		}
	}
}

// A position says where a rule goes.
type position struct {
	handle uint64 // of a rule; 0: none
	index  int    // from 0, if hasIndex
	by     bool   // an index is meant
	before bool
}

// addRule adds a rule at the end, or at a position; insert means the beginning.
func (x *txn) addRule(f rule.Family, table, chain string, r *rule.Rule, at position, insert bool) error {
	t, c, err := x.changeChain(f, table, chain)
	if err != nil {
		return err
	}
	n := *r
	n.Handle = x.handle(t)
	i := len(c.Rules)
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
		c.Rules = slices.Insert(c.Rules, 0, &n)
		return nil
	default:
		c.Rules = append(c.Rules, &n)
		return nil
	}
	if !insert {
		i++
	}
	c.Rules = slices.Insert(c.Rules, i, &n)
	return nil
}

func ruleOf(c *rule.Chain, handle uint64) int {
	return slices.IndexFunc(c.Rules, func(r *rule.Rule) bool { return r.Handle == handle })
}

// replaceRule puts a rule in the place of another, under a handle of its own.
func (x *txn) replaceRule(f rule.Family, table, chain string, handle uint64, r *rule.Rule) error {
	t, c, err := x.changeChain(f, table, chain)
	if err != nil {
		return err
	}
	i := ruleOf(c, handle)
	if i < 0 {
		return syscall.ENOENT
	}
	n := *r
	n.Handle = x.handle(t)
	c.Rules[i] = &n
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

// flushChain removes the rules of a chain.
func (x *txn) flushChain(f rule.Family, table, chain string) error {
	_, c, err := x.changeChain(f, table, chain)
	if err != nil {
		return err
	}
	c.Rules = nil
	return nil
}
