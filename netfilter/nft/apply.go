package nft

import (
	"errors"
	"slices"
	"syscall"

	"github.com/knitnet/knit/netfilter/lang"
	"github.com/knitnet/knit/netfilter/rule"
)

// A faultAt says which part of a command an error is about.
type faultAt struct {
	at  lang.Span
	err error
}

func (f *faultAt) Error() string { return f.err.Error() }

// Unwrap returns the reason.
func (f *faultAt) Unwrap() error { return f.err }

// apply performs a command that changes something. Errors are *faultAt.
func (x *txn) apply(c *lang.Command) error {
	if c.Kind != lang.Ruleset && !(c.Kind == lang.Table && c.Verb <= lang.Create) {
		if err := x.resolve(c); err != nil {
			return err
		}
	}
	err := x.perform(c)
	if err == nil || c.Verb == lang.Destroy && errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return &faultAt{x.blame(c, err), err}
}

// blame returns the part of a command that an error is about.
func (x *txn) blame(c *lang.Command, err error) lang.Span {
	spans := []lang.Span{c.NameAt, c.TableAt}
	if c.HandleAt.File != nil && (c.Kind != lang.Rule || x.chainThere(c)) {
		spans = []lang.Span{c.HandleAt}
	}
	var el *elemError
	if errors.As(err, &el) && el.index < len(c.ElemAt) {
		return c.ElemAt[el.index]
	}
	switch {
	case errors.Is(err, syscall.EEXIST) && c.Verb <= lang.Create && (c.Verb == lang.Create || c.Kind != lang.Element) && c.NameAt.File != nil:
		return c.NameAt
	case c.Verb == lang.Rename, c.Kind == lang.Element, c.Verb <= lang.Create && c.Kind != lang.Table && !errors.Is(err, syscall.ENOENT):
		return c.At
	case c.Kind == lang.Rule && c.Position == 0 && !c.HasIndex && c.Handle == 0 && x.chainThere(c):
		return c.At // it is something in the rule
	}
	for _, s := range spans {
		if s.File != nil {
			return s
		}
	}
	return c.At
}

// An elemError is about one of the elements of a command.
type elemError struct {
	index int
	err   error
}

func (e *elemError) Error() string { return e.err.Error() }

// Unwrap returns the reason.
func (e *elemError) Unwrap() error { return e.err }

func (x *txn) chainThere(c *lang.Command) bool {
	t, err := x.table(c.Family, c.Table)
	if err != nil {
		return false
	}
	_, err = chainOf(t, c.Name)
	return err == nil
}

// resolve finds the table of a command, and the name of what it names by handle.
func (x *txn) resolve(c *lang.Command) error {
	if c.Kind == lang.Table && c.Table == "" && c.Handle != 0 {
		for _, t := range x.tables {
			if t.Handle == c.Handle && (!c.HasFamily || t.Family == c.Family) {
				c.Family, c.Table = t.Family, t.Name
			}
		}
	}
	t, err := x.table(c.Family, c.Table)
	if err != nil {
		if c.Verb == lang.Destroy {
			return nil
		}
		at := c.TableAt
		if at.File == nil {
			at = c.HandleAt
		}
		if at.File == nil {
			at = c.At
		}
		return &faultAt{at, err}
	}
	if c.Handle != 0 && c.Name == "" {
		c.Name = nameByHandle(t, c)
	}
	return nil
}

func nameByHandle(t *rule.Table, c *lang.Command) string {
	switch c.Kind {
	case lang.Chain:
		for _, o := range t.Chains {
			if o.Handle == c.Handle {
				return o.Name
			}
		}
	case lang.Set, lang.Map, lang.Meter:
		for _, o := range t.Sets {
			if o.Handle == c.Handle {
				return o.Name
			}
		}
	case lang.Object:
		for _, o := range t.Objects {
			if o.Handle == c.Handle && o.Kind == c.ObjectKind {
				return o.Name
			}
		}
	case lang.Flowtable:
		for _, o := range t.Flowtables {
			if o.Handle == c.Handle {
				return o.Name
			}
		}
	}
	return ""
}

func (x *txn) perform(c *lang.Command) error {
	switch c.Verb {
	case lang.Add, lang.Create, lang.Insert, lang.Replace:
		return x.add(c)
	case lang.Delete, lang.Destroy:
		return x.remove(c)
	case lang.Flush:
		return x.flush(c)
	case lang.Rename:
		return x.renameChain(c.Family, c.Table, c.Name, c.To)
	}
	return syscall.EOPNOTSUPP
}

func (x *txn) add(c *lang.Command) error {
	create := c.Verb == lang.Create
	switch c.Kind {
	case lang.Table:
		return x.addTable(c.TableSpec, create)
	case lang.Chain:
		return x.addChain(c.Family, c.Table, c.ChainSpec, create, c.HasPolicy)
	case lang.Rule:
		return x.addRuleOf(c)
	case lang.Set, lang.Map, lang.Meter:
		return x.addSet(c.Family, c.Table, c.SetSpec, create)
	case lang.Element:
		return x.addElems(c.Family, c.Table, c.Name, c.Elems, create)
	case lang.Object:
		return x.addObject(c.Family, c.Table, c.ObjectSpec, create)
	case lang.Flowtable:
		return x.addFlowtable(c.Family, c.Table, c.FlowtableSpec, create)
	}
	return syscall.EOPNOTSUPP
}

func (x *txn) addRuleOf(c *lang.Command) error {
	if c.Verb == lang.Replace {
		return x.replaceRule(c.Family, c.Table, c.Name, c.Handle, c.RuleSpec)
	}
	at := position{handle: c.Position, index: int(min(c.Index, 1<<31)), by: c.HasIndex}
	return x.addRule(c.Family, c.Table, c.Name, c.RuleSpec, at, c.Verb == lang.Insert)
}

func (x *txn) remove(c *lang.Command) error {
	switch c.Kind {
	case lang.Table:
		return x.deleteTable(c.Family, c.Table)
	case lang.Chain:
		return x.deleteChain(c.Family, c.Table, c.Name)
	case lang.Rule:
		return x.deleteRule(c.Family, c.Table, c.Name, c.Handle)
	case lang.Set, lang.Map, lang.Meter:
		return x.deleteSet(c.Family, c.Table, c.Name)
	case lang.Element:
		return x.deleteElems(c.Family, c.Table, c.Name, c.Elems, c.Verb == lang.Destroy)
	case lang.Object:
		return x.deleteObject(c.Family, c.Table, c.ObjectKind, c.Name)
	case lang.Flowtable:
		return x.deleteFlowtable(c.Family, c.Table, c.Name)
	}
	return syscall.EOPNOTSUPP
}

func (x *txn) flush(c *lang.Command) error {
	switch c.Kind {
	case lang.Ruleset:
		x.tables = slices.DeleteFunc(x.tables, func(t *rule.Table) bool {
			gone := !c.HasFamily || t.Family == c.Family
			if gone {
				delete(x.generators, t.Handle)
			}
			return gone
		})
		return nil
	case lang.Table:
		return x.flushTable(c.Family, c.Table)
	case lang.Chain:
		return x.flushChain(c.Family, c.Table, c.Name)
	case lang.Set, lang.Map, lang.Meter:
		return x.flushSet(c.Family, c.Table, c.Name)
	}
	return syscall.EOPNOTSUPP
}

// flushTable removes the rules of all chains of a table.
func (x *txn) flushTable(f rule.Family, name string) error {
	t, err := x.change(f, name)
	if err != nil {
		return err
	}
	for _, c := range slices.Clone(t.Chains) {
		if len(c.Rules) > 0 {
			if err := x.flushChain(f, name, c.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
