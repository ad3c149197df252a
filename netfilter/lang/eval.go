package lang

import (
	"slices"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

type tableKey struct {
	family rule.Family
	name   string
}

// An evaluator checks commands, one after the other: each sees what those before it
// have added.
type evaluator struct {
	src *source
	// tables are those that the source changed, in copies of its own; nil: deleted.
	tables map[tableKey]*rule.Table
	// declared are the sets that the source itself declares.
	declared map[*rule.Set]bool
	// stmts is room for those of a rule.
	stmts []rule.Stmt
	// implied are the matches that headers need, by what they say: rules share them.
	implied map[implied]*rule.Match
}

// An implied match is about a key of meta that has a value.
type implied struct {
	key   rule.MetaKey
	value uint64
}

func newEvaluator(s *source) *evaluator {
	return &evaluator{src: s, tables: map[tableKey]*rule.Table{}, declared: map[*rule.Set]bool{}, implied: map[implied]*rule.Match{}}
}

// table returns a table with its chains, sets and objects, or nil.
func (ev *evaluator) table(f rule.Family, name string) *rule.Table {
	if t, ok := ev.tables[tableKey{f, name}]; ok {
		return t
	}
	if ev.src.opts.Env == nil {
		return nil
	}
	return ev.src.opts.Env.Table(f, name)
}

// own returns a table to be changed, or nil.
func (ev *evaluator) own(f rule.Family, name string) *rule.Table {
	k := tableKey{f, name}
	if t, ok := ev.tables[k]; ok {
		return t
	}
	t := ev.table(f, name)
	if t == nil {
		return nil
	}
	c := *t
	c.Chains, c.Sets = slices.Clone(t.Chains), slices.Clone(t.Sets)
	c.Objects, c.Flowtables = slices.Clone(t.Objects), slices.Clone(t.Flowtables)
	ev.tables[k] = &c
	return &c
}

// set returns a set or map, or nil.
func (ev *evaluator) set(f rule.Family, table, name string) *rule.Set {
	if t := ev.table(f, table); t != nil {
		for _, s := range t.Sets {
			if s.Name == name {
				return s
			}
		}
	}
	return nil
}

// hasChain reports whether a table has a chain.
func (ev *evaluator) hasChain(f rule.Family, table, name string) bool {
	t := ev.table(f, table)
	return t != nil && slices.ContainsFunc(t.Chains, func(c *rule.Chain) bool { return c.Name == name })
}

func (ev *evaluator) missing(at Span) error {
	return &Error{At: at, Msg: "No such file or directory"}
}

// inTable checks that the table of a command is there.
func (ev *evaluator) inTable(c *command) error {
	if ev.table(c.Family, c.Table) == nil {
		if c.Kind == Rule { // it is the kernel that misses it
			return Store(c.TableAt, syscall.ENOENT)
		}
		return ev.absent(c, c.TableAt)
	}
	return nil
}

// named checks that what a command names is there: nft itself looks it up when it
// lists or renames.
func (ev *evaluator) named(c *command) error {
	if c.Kind == Ruleset || c.Table == "" {
		return nil
	}
	t := ev.table(c.Family, c.Table)
	switch {
	case t == nil:
		return ev.missing(c.TableAt)
	case c.Name == "" || ev.has(t, c):
		return nil
	}
	if c.Verb == Rename || c.Verb == Flush || c.Kind == Object {
		return ev.absent(c, c.NameAt)
	}
	return ev.missing(c.NameAt)
}

func (ev *evaluator) has(t *rule.Table, c *command) bool {
	switch c.Kind {
	case Chain:
		return slices.ContainsFunc(t.Chains, func(x *rule.Chain) bool { return x.Name == c.Name })
	case Set, Map:
		return slices.ContainsFunc(t.Sets, func(x *rule.Set) bool { return x.Name == c.Name })
	case Object:
		return slices.ContainsFunc(t.Objects, func(x *rule.Object) bool { return x.Name == c.Name && x.Kind == c.ObjectKind })
	case Flowtable:
		return slices.ContainsFunc(t.Flowtables, func(x *rule.Flowtable) bool { return x.Name == c.Name })
	}
	return true
}

// apply lets the commands behind c see what it adds or removes.
func (ev *evaluator) apply(c *Command) {
	k := tableKey{c.Family, c.Table}
	switch c.Verb {
	case Flush:
		if c.Kind == Ruleset {
			ev.flushAll(c)
		}
		return
	case Add, Create:
	case Delete, Destroy:
		ev.remove(c, k)
		return
	case Rename:
		ev.rename(c)
		return
	default:
		return
	}
	if c.Kind == Table {
		if ev.table(c.Family, c.Table) == nil {
			ev.tables[k] = &rule.Table{Family: c.Family, Name: c.Table}
		}
		return
	}
	t := ev.own(c.Family, c.Table)
	if t == nil {
		return
	}
	switch c.Kind {
	case Chain:
		t.Chains = append(t.Chains, c.ChainSpec)
	case Set, Map:
		if ev.set(c.Family, c.Table, c.Name) == nil {
			t.Sets = append(t.Sets, c.SetSpec)
			ev.declared[c.SetSpec] = true
		}
	case Object:
		t.Objects = append(t.Objects, c.ObjectSpec)
	case Flowtable:
		t.Flowtables = append(t.Flowtables, c.FlowtableSpec)
	}
}

func (ev *evaluator) rename(c *Command) {
	t := ev.own(c.Family, c.Table)
	if t == nil {
		return
	}
	for i, ch := range t.Chains {
		if ch.Name == c.Name {
			n := *ch
			n.Name, t.Chains[i] = c.To, &n
		}
	}
}

func (ev *evaluator) remove(c *Command, k tableKey) {
	if c.Kind == Table {
		ev.tables[k] = nil
		return
	}
	t := ev.own(c.Family, c.Table)
	if t == nil {
		return
	}
	switch c.Kind {
	case Set, Map:
		t.Sets = slices.DeleteFunc(t.Sets, func(s *rule.Set) bool { return s.Name == c.Name })
	case Chain:
		t.Chains = slices.DeleteFunc(t.Chains, func(s *rule.Chain) bool { return s.Name == c.Name })
	case Object:
		t.Objects = slices.DeleteFunc(t.Objects, func(o *rule.Object) bool { return o.Name == c.Name && o.Kind == c.ObjectKind })
	case Flowtable:
		t.Flowtables = slices.DeleteFunc(t.Flowtables, func(f *rule.Flowtable) bool { return f.Name == c.Name })
	}
}

// flushAll forgets all tables, of one family if the command says one.
func (ev *evaluator) flushAll(c *Command) {
	ev.src.opts.Env = &flushed{ev.src.opts.Env, c.Family, c.HasFamily}
	for k := range ev.tables {
		if !c.HasFamily || k.family == c.Family {
			ev.tables[k] = nil
		}
	}
}

// flushed is an Env whose tables are gone.
type flushed struct {
	Env
	family rule.Family
	only   bool
}

func (f *flushed) Table(fam rule.Family, name string) *rule.Table {
	if f.Env == nil || !f.only || f.family == fam {
		return nil
	}
	return f.Env.Table(fam, name)
}

func (f *flushed) InterfaceIndex(name string) (uint32, bool) {
	if f.Env == nil {
		return 0, false
	}
	return f.Env.InterfaceIndex(name)
}

func (f *flushed) InterfaceName(i uint32) (string, bool) {
	if f.Env == nil {
		return "", false
	}
	return f.Env.InterfaceName(i)
}

// chain checks a chain.
func (ev *evaluator) chain(c *command) error {
	if err := ev.inTable(c); err != nil {
		return err
	}
	if c.ChainSpec.Base() && c.Family == rule.Netdev && len(c.ChainSpec.Devices) == 0 {
		return &Error{At: c.hookAt, Msg: "Missing `device' in this chain definition"}
	}
	for _, d := range c.ChainSpec.Devices {
		if len(d) > maxDeviceName {
			return Store(c.At, syscall.ERANGE)
		}
	}
	return nil
}

// maxDeviceName is how long the name of a device may be (IFNAMSIZ without its end).
const maxDeviceName = 15

// rule checks a rule.
func (ev *evaluator) rule(c *command, stmts []*stmt) error {
	if err := ev.inTable(c); err != nil {
		return err
	}
	sc := ev.scope(c.Family, c.Table)
	sc.stmts = ev.stmts[:0]
	for _, s := range stmts {
		if sc.ended != nil {
			return &Error{At: s.at, More: []Span{*sc.ended}, Msg: "Statement after terminal statement has no effect"}
		}
		sc.at = s.at
		if err := s.addTo(sc); err != nil {
			return err
		}
	}
	if sc.late != nil {
		return sc.late
	}
	c.RuleSpec.Stmts, ev.stmts = mergeOrder(sc.stmts), sc.stmts
	return nil
}
