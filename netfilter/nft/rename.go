package nft

import (
	"slices"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

// renameChain gives a chain another name; one that is taken is EEXIST. Rules and
// elements that go to it follow.
func (x *txn) renameChain(f rule.Family, table, name, to string) error {
	t, c, err := x.changeChain(f, table, name)
	if err != nil {
		return err
	}
	if _, err := chainOf(t, to); err == nil {
		return syscall.EEXIST
	}
	c.Name = to
	r := renaming{name, to}
	for _, c := range slices.Clone(t.Chains) {
		if err := x.renameInChain(f, table, c, r); err != nil {
			return err
		}
	}
	for _, s := range slices.Clone(t.Sets) {
		if elems, changed := r.elems(s.Elems); changed {
			_, own, err := x.changeSet(f, table, s.Name)
			if err != nil {
				return err
			}
			own.Elems = elems
			delete(x.keys, own)
		}
	}
	return nil
}

func (x *txn) renameInChain(f rule.Family, table string, c *rule.Chain, r renaming) error {
	for i, old := range c.Rules {
		stmts, changed := r.stmts(old.Stmts)
		if !changed {
			continue
		}
		_, own, err := x.changeChain(f, table, c.Name)
		if err != nil {
			return err
		}
		n := *old
		n.Stmts = stmts
		own.Rules[i] = &n
	}
	return nil
}

// A renaming writes the new name of a chain into copies of what names it. Statements
// that do not stay the same, and with them their state.
type renaming struct{ from, to string }

func (r renaming) verdict(v *rule.Verdict) (*rule.Verdict, bool) {
	if v.Kind != rule.Jump && v.Kind != rule.Goto || v.Chain != r.from {
		return v, false
	}
	return &rule.Verdict{Kind: v.Kind, Chain: r.to}, true
}

func (r renaming) stmts(old []rule.Stmt) (out []rule.Stmt, changed bool) {
	out = slices.Clone(old)
	for i, s := range old {
		switch x := s.(type) {
		case *rule.Verdict:
			if v, ok := r.verdict(x); ok {
				out[i], changed = v, true
			}
		case *rule.VMap:
			lit, ok := x.Map.(*rule.SetLit)
			if !ok {
				continue
			}
			if elems, ok := r.elems(lit.Elems); ok {
				n := *lit
				n.Elems = elems
				out[i], changed = &rule.VMap{Key: x.Key, Map: &n}, true
			}
		}
	}
	return out, changed
}

func (r renaming) elems(old []rule.Elem) (out []rule.Elem, changed bool) {
	out = slices.Clone(old)
	for i := range out {
		if v, ok := out[i].Data.(*rule.Verdict); ok {
			if n, ok := r.verdict(v); ok {
				out[i].Data, changed = n, true
			}
		}
	}
	return out, changed
}
