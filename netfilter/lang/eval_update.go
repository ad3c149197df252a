package lang

import (
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

// update checks a change of a set from the packet path.
func (sc *scope) update(u *rule.Update, ref, key, data *node, opts *elemOpts) error {
	set := sc.ev.set(sc.family, sc.table, ref.text)
	if set == nil {
		return sc.ev.missing(ref.at)
	}
	k, err := sc.expr(key, set.Key, set.Key.Bits)
	if err != nil {
		return err
	}
	if sc.ev.declared[set] && set.Size == 0 {
		set.Size = 65535 // as the kernel gives sets that rules add to
	}
	if !sameType(sized(k), set.Key) {
		return &Error{At: key.at, More: []Span{sc.at}, Msg: "datatype mismatch: expected " + typeDesc(set.Key) +
			", expression has type " + typeDesc(k.Type())}
	}
	u.Key = k
	sc.refuse(sc.at, updateError(u, set, data, opts))
	if data != nil && set.Data != nil {
		if u.Data, err = sc.expr(data, set.Data, set.Data.Bits); err != nil {
			return err
		}
	}
	if u.Stmts, err = sc.elemStmts(opts.stmts); err != nil {
		return err
	}
	sc.add(u)
	return nil
}

// updateError is what Linux says of an update that its set is not made for.
func updateError(u *rule.Update, set *rule.Set, data *node, opts *elemOpts) error {
	switch {
	case u.Timeout != 0 && set.Flags&rule.Timeout == 0:
		return syscall.EOPNOTSUPP
	case len(opts.stmts) > 0 && set.Flags&rule.Dynamic == 0:
		return syscall.EINVAL
	case set.Map() && data == nil && u.Op != rule.DeleteElem:
		return syscall.EINVAL
	}
	return nil
}

// meter checks a meter, which makes its set itself.
func (sc *scope) meter(u *rule.Update, key *node, opts *elemOpts) error {
	k, err := sc.expr(key, nil, 0)
	if err != nil {
		return err
	}
	u.Key = k
	if u.Stmts, err = sc.elemStmts(opts.stmts); err != nil {
		return err
	}
	sc.add(u)
	return nil
}

// elemStmts checks the statements of an element.
func (sc *scope) elemStmts(stmts []*stmt) ([]rule.Stmt, error) {
	in := &scope{ev: sc.ev, family: sc.family, table: sc.table, elem: true}
	for _, s := range stmts {
		if err := s.addTo(in); err != nil {
			return nil, err
		}
	}
	if sc.late == nil {
		sc.late = in.late
	}
	return in.stmts, nil
}
