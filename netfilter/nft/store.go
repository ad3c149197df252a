package nft

import (
	"maps"
	"slices"
	"syscall"

	"github.com/knitnet/knit/netfilter/lang"
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
	// keys are the elements of sets that were changed, by key; live what is to be done
	// to sets whose elements the packet path changes.
	keys map[*rule.Set]map[string]int
	live map[setKey]*liveChange
	m    *machine
	// inserted are the rules that were put in front of others, replaced those that have
	// taken the place of others.
	inserted, replaced map[*rule.Rule]bool
	// at is the command that is being performed; noted, if it is set, is told of each
	// new rule where it was written.
	at    lang.Span
	noted func(*rule.Rule, lang.Span)
}

// transaction starts a transaction. The caller holds m.mu.
func (m *machine) transaction() *txn {
	return &txn{
		tables: slices.Clone(m.current.Load().tables), own: map[any]bool{}, generators: maps.Clone(m.generators),
		tableHandles: m.tableHandles, keys: map[*rule.Set]map[string]int{}, live: map[setKey]*liveChange{}, m: m,
		inserted: map[*rule.Rule]bool{}, replaced: map[*rule.Rule]bool{},
	}
}

// end makes the transaction's ruleset the one that packets see.
func (x *txn) end() error {
	x.dropMeters()
	before := x.m.current.Load().tables
	if err := x.m.commit(x.tables, x.live); err != nil {
		return err
	}
	x.m.generators, x.m.tableHandles = x.generators, x.tableHandles
	x.m.announce(before, x.tables, x)
	return nil
}

// find returns the index of a table, or -1.
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
	delete(x.generators, x.tables[i].Handle)
	x.tables = slices.Delete(x.tables, i, i+1)
	return nil
}

// chainOf returns the index of a chain of a table, or ENOENT.
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

// addChain adds a chain without rules unless it is there. A policy is taken over, of
// base chains (EOPNOTSUPP else); another type, and a hook of a chain that has none, are
// EEXIST, as all is with create; another hook or priority is EOPNOTSUPP.
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
		case c.Base() && (!old.Base() || old.Type != c.Type):
			return syscall.EEXIST
		case c.Base() && (old.Hook != c.Hook || old.Priority != c.Priority), hasPolicy && !old.Base():
			return syscall.EOPNOTSUPP
		case !hasPolicy || old.DropPolicy == c.DropPolicy:
			return nil
		}
		_, own, err := x.changeChain(f, table, c.Name)
		if err == nil {
			own.DropPolicy = c.DropPolicy
		}
		return err
	}
	if err := checkChain(f, c); err != nil {
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
	if usesOf(t)[use{useChain, name}] {
		return syscall.EBUSY
	}
	return nil
}
