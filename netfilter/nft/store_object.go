package nft

import (
	"slices"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

func objectOf(t *rule.Table, kind rule.ObjectKind, name string) int {
	return slices.IndexFunc(t.Objects, func(o *rule.Object) bool { return o.Kind == kind && o.Name == name })
}

func flowtableOf(t *rule.Table, name string) int {
	return slices.IndexFunc(t.Flowtables, func(f *rule.Flowtable) bool { return f.Name == name })
}

// addObject adds an object unless it is there; with create that is EEXIST. The state
// of one that is there stays, and a quota or limit that is there stays as it was
// declared.
func (x *txn) addObject(f rule.Family, table string, o *rule.Object, create bool) error {
	t, err := x.change(f, table)
	if err != nil {
		return err
	}
	if objectOf(t, o.Kind, o.Name) >= 0 {
		if create {
			return syscall.EEXIST
		}
		return nil
	}
	n := *o
	n.Handle = x.handle(t)
	t.Objects = append(t.Objects, &n)
	return nil
}

// deleteObject removes an object that no rule uses: EBUSY else.
func (x *txn) deleteObject(f rule.Family, table string, kind rule.ObjectKind, name string) error {
	t, err := x.change(f, table)
	if err != nil {
		return err
	}
	i := objectOf(t, kind, name)
	switch {
	case i < 0:
		return syscall.ENOENT
	case usesOf(t)[use{useOf(kind), name}]:
		return syscall.EBUSY
	}
	t.Objects = slices.Delete(t.Objects, i, i+1)
	return nil
}

// addFlowtable adds a flowtable unless it is there; devices are added to one that is.
// They must exist: ENOENT else. Families without routes have none: EOPNOTSUPP.
func (x *txn) addFlowtable(f rule.Family, table string, ft *rule.Flowtable, create bool) error {
	if f != rule.IP && f != rule.IP6 && f != rule.Inet {
		return syscall.EOPNOTSUPP
	}
	for _, name := range ft.Devices {
		if _, err := x.m.link.Lookup(name); err != nil {
			return syscall.ENOENT
		}
	}
	t, err := x.change(f, table)
	if err != nil {
		return err
	}
	if i := flowtableOf(t, ft.Name); i >= 0 {
		if create {
			return syscall.EEXIST
		}
		n := *t.Flowtables[i]
		n.Devices = slices.Clone(n.Devices)
		for _, d := range ft.Devices {
			if !slices.Contains(n.Devices, d) {
				n.Devices = append(n.Devices, d)
			}
		}
		t.Flowtables[i] = &n
		return nil
	}
	n := *ft
	n.Handle = x.handle(t)
	t.Flowtables = append(t.Flowtables, &n)
	return nil
}

// deleteFlowtable removes a flowtable that no rule uses: EBUSY else.
func (x *txn) deleteFlowtable(f rule.Family, table, name string) error {
	t, err := x.change(f, table)
	if err != nil {
		return err
	}
	i := flowtableOf(t, name)
	switch {
	case i < 0:
		return syscall.ENOENT
	case usesOf(t)[use{useFlowtable, name}]:
		return syscall.EBUSY
	}
	t.Flowtables = slices.Delete(t.Flowtables, i, i+1)
	return nil
}
