package nft

import (
	"cmp"
	"slices"
	"syscall"

	"github.com/knitnet/knit/netfilter/lang"
	"github.com/knitnet/knit/netfilter/rule"
)

func setOf(t *rule.Table, name string) int {
	return slices.IndexFunc(t.Sets, func(s *rule.Set) bool { return s.Name == name })
}

// live reports whether the elements of a set are the packet path's as well: such a
// set keeps them in a table of its own and not in the ruleset.
func live(s *rule.Set) bool {
	return (s.FromRules || s.Flags&(rule.Dynamic|rule.Timeout) != 0) && mayLive(s)
}

// mayLive reports whether a set is of a kind that the packet path can change.
func mayLive(s *rule.Set) bool {
	return s.Flags&rule.Interval == 0 && s.Data != rule.VerdictType && s.ObjData == 0
}

// openSets makes the sets that a rule changes such that the packet path can: those that
// were not declared dynamic as well, which get a size.
func (x *txn) openSets(t *rule.Table, r *rule.Rule) error {
	for _, st := range r.Stmts {
		u, ok := st.(*rule.Update)
		if !ok {
			continue
		}
		s := t.Sets[setOf(t, u.Set)]
		switch {
		case s.Flags&rule.Constant != 0:
			return syscall.EBUSY
		case !mayLive(s):
			return syscall.EOPNOTSUPP
		case live(s):
			continue
		}
		_, own, err := x.changeSet(t.Family, t.Name, s.Name)
		if err != nil {
			return err
		}
		elems := own.Elems
		own.Elems, own.FromRules = nil, true
		if own.Size == 0 {
			own.Size = max(defaultLimit, uint32(len(elems)))
		}
		delete(x.keys, own)
		if err := x.addLive(t, own, elems, false); err != nil {
			return err
		}
	}
	return nil
}

// addSet adds a set with its elements unless it is there; then the elements are
// added. With create that is EEXIST, as is a set of another type.
func (x *txn) addSet(f rule.Family, table string, s *rule.Set, create bool) error {
	t, err := x.change(f, table)
	if err != nil {
		return err
	}
	if i := setOf(t, s.Name); i >= 0 {
		old := t.Sets[i]
		if create || old.Key.Name != s.Key.Name || old.Map() != s.Map() || old.Flags != s.Flags {
			return syscall.EEXIST
		}
		return x.addElems(f, table, s.Name, s.Elems, false)
	}
	if s.Flags&rule.Constant != 0 && s.Flags&(rule.Dynamic|rule.Timeout) != 0 || s.Flags&rule.Dynamic != 0 && s.Flags&rule.Interval != 0 {
		return syscall.EOPNOTSUPP
	}
	n := *s
	n.Elems, n.Handle = nil, x.handle(t)
	t.Sets, x.own[&n] = append(t.Sets, &n), true
	if live(&n) {
		x.live[keyOfSet(t, &n)] = newLiveChange(true)
	}
	return x.addElemsTo(t, &n, s.Elems, false)
}

// changeSet returns a set that may be changed.
func (x *txn) changeSet(f rule.Family, table, name string) (*rule.Table, *rule.Set, error) {
	t, err := x.change(f, table)
	if err != nil {
		return nil, nil, err
	}
	i := setOf(t, name)
	if i < 0 {
		return nil, nil, syscall.ENOENT
	}
	s := t.Sets[i]
	if x.own[s] {
		return t, s, nil
	}
	n := *s
	n.Elems = slices.Clone(s.Elems)
	t.Sets[i], x.own[&n] = &n, true
	return t, &n, nil
}

// deleteSet removes a set that no rule uses: EBUSY else.
func (x *txn) deleteSet(f rule.Family, table, name string) error {
	t, err := x.change(f, table)
	if err != nil {
		return err
	}
	i := setOf(t, name)
	switch {
	case i < 0:
		return syscall.ENOENT
	case usesOf(t)[use{useSet, name}]:
		return syscall.EBUSY
	}
	delete(x.live, keyOfSet(t, t.Sets[i]))
	t.Sets = slices.Delete(t.Sets, i, i+1)
	return nil
}

// keyID names what an element stands for.
func keyID(e rule.Expr) (string, error) {
	if _, any := e.(*rule.Any); any {
		return "*", nil
	}
	lo, hi, err := ends(e)
	return string(lo) + string(hi), err
}

// keysOf returns the elements of a set that may be changed, by what they stand for.
func (x *txn) keysOf(s *rule.Set) (map[string]int, error) {
	if k := x.keys[s]; k != nil {
		return k, nil
	}
	keys := make(map[string]int, len(s.Elems))
	for i := range s.Elems {
		id, err := keyID(s.Elems[i].Key)
		if err != nil {
			return nil, err
		}
		keys[id] = i
	}
	x.keys[s] = keys
	return keys, nil
}

func (x *txn) addElems(f rule.Family, table, name string, elems []rule.Elem, create bool) error {
	t, s, err := x.changeSet(f, table, name)
	if err != nil {
		return err
	}
	return x.addElemsTo(t, s, elems, create)
}

// addElemsTo adds elements to a set that may be changed. What is there already is
// EEXIST with create, or if a map leads elsewhere from it; ENFILE says that the set
// is full.
func (x *txn) addElemsTo(t *rule.Table, s *rule.Set, elems []rule.Elem, create bool) error {
	if len(elems) == 0 {
		return nil
	}
	for i := range elems {
		if err := x.checkElem(t, s, &elems[i]); err != nil {
			return &elemError{i, err}
		}
	}
	if live(s) {
		return x.addLive(t, s, elems, create)
	}
	keys, err := x.keysOf(s)
	if err != nil {
		return err
	}
	for n, e := range elems {
		id, err := keyID(e.Key)
		if err != nil {
			return err
		}
		if i, there := keys[id]; there {
			old := &s.Elems[i]
			switch {
			case x.m.expired(x.m.statesOf(t.Family, t.Name), old):
				s.Elems[i] = e
			case create || !sameData(old.Data, e.Data):
				return &elemError{n, syscall.EEXIST}
			case s.Flags&rule.Timeout != 0: // it begins again as it is said now
				renewed := *old
				renewed.Key, renewed.Timeout, renewed.Expires = e.Key, e.Timeout, e.Expires
				s.Elems[i] = renewed
			}
			continue
		}
		if s.Size > 0 && len(s.Elems) >= int(s.Size) {
			return syscall.ENFILE
		}
		keys[id] = len(s.Elems)
		s.Elems = append(s.Elems, e)
	}
	if s.Flags&rule.Interval == 0 {
		return nil
	}
	return x.arrange(s)
}

// arrange brings intervals into order; overlaps are EEXIST unless they are merged.
func (x *txn) arrange(s *rule.Set) error {
	out, ok := lang.Arrange(s.Elems, s.Key, s.AutoMerge, false)
	if !ok {
		return syscall.EEXIST
	}
	s.Elems = out
	delete(x.keys, s)
	return nil
}

// checkElem checks that an element has what its set needs and goes where it can.
func (x *txn) checkElem(t *rule.Table, s *rule.Set, e *rule.Elem) (err error) {
	switch {
	case s.Map() != (e.Data != nil):
		return syscall.EINVAL
	case e.Timeout > 0 && s.Flags&rule.Timeout == 0:
		return syscall.EINVAL
	case e.Expires > cmp.Or(e.Timeout, s.Timeout):
		return syscall.EINVAL
	}
	elemUses([]rule.Elem{*e}, s.ObjData, func(u use) {
		if err == nil {
			err = checkUse(t, u)
		}
	})
	return err
}

func sameData(a, b rule.Expr) bool {
	if a == nil || b == nil {
		return a == b
	}
	v, ok := a.(*rule.Verdict)
	w, ok2 := b.(*rule.Verdict)
	if ok || ok2 {
		return ok && ok2 && *v == *w
	}
	i, err := keyID(a)
	j, err2 := keyID(b)
	return err == nil && err2 == nil && i == j
}

// deleteElems removes elements; one that is not there is ENOENT unless destroy says
// that it need not be.
func (x *txn) deleteElems(f rule.Family, table, name string, elems []rule.Elem, destroy bool) error {
	t, s, err := x.changeSet(f, table, name)
	if err != nil {
		return err
	}
	if live(s) {
		return x.removeLive(t, s, elems, destroy)
	}
	keys, err := x.keysOf(s)
	if err != nil {
		return err
	}
	gone := map[int]bool{}
	for i := range elems {
		id, err := keyID(elems[i].Key)
		if err != nil {
			return err
		}
		at, there := keys[id]
		if !there {
			if destroy {
				continue
			}
			return &elemError{i, syscall.ENOENT}
		}
		gone[at] = true
		delete(keys, id)
	}
	kept := s.Elems[:0]
	for i, e := range s.Elems {
		if !gone[i] {
			kept = append(kept, e)
		}
	}
	s.Elems = kept
	delete(x.keys, s)
	return nil
}

// flushSet removes all elements.
func (x *txn) flushSet(f rule.Family, table, name string) error {
	t, s, err := x.changeSet(f, table, name)
	if err != nil {
		return err
	}
	s.Elems = nil
	delete(x.keys, s)
	if live(s) {
		x.live[keyOfSet(t, s)] = newLiveChange(true)
	}
	return nil
}
