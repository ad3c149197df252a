package lang

import (
	"fmt"

	"github.com/knitnet/knit/netfilter/rule"
)

func (sc *scope) verdict(n *node) error {
	if n.verdict.Kind != rule.Continue {
		at := n.at
		sc.ended = &at
	}
	if c := n.verdict.Chain; c != "" && sc.late == nil && !sc.ev.hasChain(sc.family, sc.table, c) {
		sc.late = sc.ev.absentChain(c, n.chainAt)
	}
	sc.add(n.verdict)
	return nil
}

// match checks a relation.
func (sc *scope) match(op rule.Op, left, right *node, at Span) error {
	l, err := sc.expr(left, nil, 0)
	if err != nil {
		return err
	}
	if f, ok := l.(*rule.FIB); ok && presence(right) {
		c := *f
		c.Present = true
		l = &c
	}
	if !constantNode(right) {
		return &Error{At: right.at, Msg: "Right hand side of relational expression (" + opSign(op) + ") must be constant"}
	}
	if ct, ok := l.(*rule.CT); ok && (ct.Key == rule.CTProtoSrc || ct.Key == rule.CTProtoDst) && sc.trans == "" {
		return &Error{At: right.at, Msg: "Can't parse symbolic invalid expressions"}
	}
	t := sized(l)
	sc.left = &left.at
	r, err := sc.constant(t, l.Bits(), right)
	if err != nil {
		return err
	}
	if ref, ok := r.(*rule.SetRef); ok && !sameType(t, ref.Key) {
		return mismatch(left.at, right.at, l.Type(), ref.Key)
	}
	if len(t.Parts) > 0 {
		switch r.(type) {
		case *rule.Value:
			return &Error{At: right.at, Msg: "invalid data type, expected " + typeDesc(t)}
		case *rule.Concat:
			return &Error{At: left.at, More: []Span{right.at}, Msg: "Use concatenations with sets and maps, not singleton values"}
		}
	}
	if lit, ok := r.(*rule.SetLit); ok && len(right.kids) == 1 && len(t.Parts) == 0 {
		r, op = single(lit, op)
	}
	switch r.(type) {
	case *rule.Range, *rule.Prefix, *rule.SetLit, *rule.SetRef:
		if op == rule.Lt || op == rule.Le || op == rule.Gt || op == rule.Ge {
			return &Error{At: right.at, More: []Span{left.at}, Msg: fmt.Sprintf("Invalid operator (%s) for this right hand side", op)}
		}
	}
	r, op = acrossMidnight(r, op)
	m := &rule.Match{Op: op, Left: l, Right: r}
	canonical(m)
	sc.add(m)
	sc.learn(m, at)
	if right.kind == nSet && m.Op == rule.Implicit {
		sc.learnSet(l, right, at)
	}
	return nil
}

// acrossMidnight turns hours from the evening to the morning into those that are not
// between.
func acrossMidnight(r rule.Expr, op rule.Op) (rule.Expr, rule.Op) {
	x, ok := r.(*rule.Range)
	if !ok || x.Lo.T.Format != rule.Hour || toUint(x.Lo) <= toUint(x.Hi) {
		return r, op
	}
	if op == rule.Ne {
		op = rule.Implicit
	} else {
		op = rule.Ne
	}
	return &rule.Range{Lo: x.Hi, Hi: x.Lo}, op
}

func opSign(op rule.Op) string {
	if op == rule.Implicit {
		return "=="
	}
	return op.String()
}

// presence reports whether n is one of the words that ask only whether there is
// something.
func presence(n *node) bool {
	return n.kind == nSymbol && (n.text == "exists" || n.text == "missing")
}

// single makes an anonymous set of one element that element, as nft does.
func single(lit *rule.SetLit, op rule.Op) (rule.Expr, rule.Op) {
	if len(lit.Elems) != 1 || lit.Data != nil || op != rule.Implicit && op != rule.Eq && op != rule.Ne {
		return lit, op
	}
	e := &lit.Elems[0]
	if _, ok := e.Key.(*rule.Any); ok || e.Timeout != 0 || e.Comment != "" || len(e.Stmts) > 0 {
		return lit, op
	}
	if lit.Key.Bitmask() && op == rule.Implicit {
		op = rule.Eq
	}
	return e.Key, op
}

// canonical gives relations that mean the same one form.
func canonical(m *rule.Match) {
	t := m.Left.Type()
	switch m.Right.(type) {
	case *rule.SetLit, *rule.SetRef:
		if m.Op == rule.Eq {
			m.Op = rule.Implicit
		}
	}
	if m.Op == rule.Eq && !t.Bitmask() {
		m.Op = rule.Implicit
	}
	b, ok := m.Left.(*rule.Binary)
	if ok && b.Op == '^' {
		x, ok := b.Right.(*rule.Value)
		v, ok2 := m.Right.(*rule.Value)
		if ok && ok2 && x.N == v.N { // a ^ x == v is a == v ^ x
			m.Left, m.Right = b.Left, combine('^', v, x)
		}
		return
	}
	if !ok || b.Op != '&' || t.Format != rule.IPv4Address && t.Format != rule.IPv6Address {
		return
	}
	mask, ok := b.Right.(*rule.Value)
	v, ok2 := m.Right.(*rule.Value)
	if !ok || !ok2 || m.Op != rule.Implicit && m.Op != rule.Ne {
		return
	}
	if n, ok := prefixLen(mask); ok {
		m.Left, m.Right = b.Left, &rule.Prefix{Value: v, Len: n}
	}
}

// vmap checks a verdict map.
func (sc *scope) vmap(key, m *node, at Span) error {
	k, err := sc.expr(key, nil, 0)
	if err != nil {
		return err
	}
	e, err := sc.mapTo(k, key, m, rule.VerdictType, 0)
	if err != nil {
		return err
	}
	sc.add(&rule.VMap{Key: k, Map: e})
	return nil
}

// mapTo checks the map of a map expression; data is what it must lead to.
func (sc *scope) mapTo(key rule.Expr, at, m *node, data *rule.Type, size int) (rule.Expr, error) {
	if m.kind == nSetRef {
		e, err := sc.setRef(key.Type(), m)
		if err != nil {
			return nil, err
		}
		ref := e.(*rule.SetRef)
		if set := sc.ev.set(sc.family, sc.table, m.text); !set.Map() {
			return nil, &Error{At: m.at, Msg: "Expression is not a map"}
		}
		if !sameType(sized(key), ref.Key) {
			return nil, mismatch(at.at, m.at, key.Type(), ref.Key)
		}
		if data != nil && ref.Data != nil && !sameType(data, ref.Data) {
			return nil, &Error{At: at.at.to(m.at), More: []Span{sc.at}, Msg: "datatype mismatch: expected " + typeDesc(data) + ", expression has type " + typeDesc(ref.Data)}
		}
		return ref, nil
	}
	if m.kind != nSet {
		return nil, &Error{At: m.at, Msg: "Expression is not a map"}
	}
	if len(m.kids) == 0 {
		return nil, emptySet(m)
	}
	if data != nil && data.Bits == 0 && size != 0 {
		c := *data
		c.Bits = size
		data = &c
	}
	lit := &rule.SetLit{Key: sized(key), Data: data}
	for _, k := range m.kids {
		if k.kind != nMapping {
			return nil, &Error{At: k.at, Msg: "unexpected set element expression, expected mapping"}
		}
		el, err := sc.element(lit.Key, data, k)
		if err != nil {
			return nil, err
		}
		lit.Elems = append(lit.Elems, *el)
	}
	if err := sc.arrange(lit, m); err != nil {
		return nil, err
	}
	return lit, nil
}

// mapExpr checks `key map { ... }`, which leads to want.
func (sc *scope) mapExpr(n *node, want *rule.Type) (rule.Expr, error) {
	k, err := sc.expr(n.kids[0], nil, 0)
	if err != nil {
		return nil, err
	}
	size := 0
	if want != nil {
		size = want.Bits
	}
	m, err := sc.mapTo(k, n.kids[0], n.kids[1], want, size)
	if err != nil {
		return nil, err
	}
	return &rule.MapExpr{Key: k, Map: m}, nil
}

// assign checks `meta mark set 1` and its kin.
func (sc *scope) assign(dst, v *node) error {
	d, err := sc.expr(dst, nil, 0)
	if err != nil {
		return err
	}
	switch x := d.(type) {
	case *rule.Meta:
		if !x.Key.Settable() {
			return &Error{At: dst.at, Msg: "meta " + x.Key.String() + " cannot be set"}
		}
	case *rule.CT:
		if !x.Key.Settable() {
			return &Error{At: dst.at, Msg: "ct " + x.Key.String() + " cannot be set"}
		}
	}
	e, err := sc.expr(v, sized(d), d.Bits())
	if err != nil {
		return err
	}
	if t := e.Type(); !constantNode(v) && v.kind == nLeaf && t != rule.IntegerType && !sameType(t, d.Type()) {
		return &Error{At: v.at, More: []Span{sc.at}, Msg: "datatype mismatch: expected " + typeDesc(d.Type()) + ", expression has type " + typeDesc(t)}
	}
	sc.add(&rule.Assign{Dst: d, Value: e})
	return nil
}

func (sc *scope) log(l *rule.Log, at Span) error {
	if l.Level == "warn" {
		l.Level, l.HasLevel = "", false
	}
	if l.Group != nil && (l.HasLevel || l.Flags != 0) {
		return &Error{At: at, Msg: "level and group are mutually exclusive"}
	}
	sc.add(l)
	return nil
}

// objectRef checks the use of a named object.
func (sc *scope) objectRef(k rule.ObjectKind, n *node) error {
	s := &rule.ObjectRef{Kind: k}
	if n.kind == nMap {
		key, err := sc.expr(n.kids[0], nil, 0)
		if err != nil {
			return err
		}
		m, err := sc.mapTo(key, n.kids[0], n.kids[1], rule.StringType, 0)
		if err != nil {
			return err
		}
		s.Name = &rule.MapExpr{Key: key, Map: m}
	} else {
		if n.kind != nSymbol && n.kind != nString {
			return &Error{At: n.at, Msg: "object name expected"}
		}
		if n.text == "" {
			return &Error{At: n.at, Msg: "Empty string is not allowed"}
		}
		s.Name = &rule.Value{T: rule.StringType, Data: []byte(n.text), N: len(n.text) * 8}
	}
	sc.add(s)
	return nil
}

func (sc *scope) dup(addr, dev *node) error {
	d := &rule.Dup{}
	var err error
	if sc.family != rule.IP && sc.family != rule.IP6 && sc.family != rule.Netdev {
		return &Error{At: sc.at, Msg: "unsupported family"}
	}
	if sc.family == rule.Netdev {
		d.Device, err = sc.expr(addr, rule.IfindexType, 32)
	} else {
		f := rule.IP
		if sc.family == rule.IP6 {
			f = rule.IP6
		}
		t := addrType(f)
		d.Addr, err = sc.expr(addr, t, t.Bits)
		if err == nil && dev != nil {
			d.Device, err = sc.expr(dev, rule.IfindexType, 32)
		}
	}
	sc.add(d)
	return err
}

func (sc *scope) fwd(d *rule.Fwd, dev, addr *node) (err error) {
	if sc.family != rule.Netdev {
		return &Error{At: sc.at, Msg: "unsupported family"}
	}
	if d.Device, err = sc.expr(dev, rule.IfindexType, 32); err == nil && addr != nil {
		t := addrType(d.Family)
		d.Addr, err = sc.expr(addr, t, t.Bits)
	}
	sc.add(d)
	return err
}

func addrType(f rule.Family) *rule.Type {
	if f == rule.IP6 {
		return rule.IPv6Type
	}
	return rule.IPv4Type
}
