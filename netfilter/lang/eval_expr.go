package lang

import (
	"fmt"
	"math/big"
	"math/bits"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

// expr checks what is computed per packet and adds the matches it needs. want is the
// type that constants have; it may be nil.
func (sc *scope) expr(n *node, want *rule.Type, size int) (rule.Expr, error) {
	switch n.kind {
	case nLeaf:
		return sc.leaf(n)
	case nForeign:
		return nil, Store(n.at, syscall.EOPNOTSUPP)
	case nConcat:
		return sc.concatExpr(n, want)
	case nMap:
		return sc.mapExpr(n, want)
	case nBinary:
		if constantNode(n) {
			break
		}
		return sc.binaryExpr(n, want, size)
	}
	if want == nil && n.kind == nSymbol {
		return nil, &Error{At: n.where(), Msg: "No symbol type information"}
	}
	if want == nil {
		return nil, &Error{At: n.at, Msg: "syntax error, unexpected expression"}
	}
	return sc.constant(want, size, n)
}

// constantNode reports whether nothing in n depends on a packet.
func constantNode(n *node) bool {
	if n.kind == nLeaf || n.kind == nMap || n.kind == nForeign {
		return false
	}
	for _, k := range n.kids {
		if !constantNode(k) {
			return false
		}
	}
	return true
}

func (sc *scope) leaf(n *node) (rule.Expr, error) {
	switch e := n.expr.(type) {
	case *rule.Payload:
		if e.Field != nil {
			return e, sc.need(e.Field, n.at)
		}
	case *rule.Exthdr:
		return e, sc.needExthdr(e, n.at)
	case *rule.CT:
		if e.Key == rule.CTSrc || e.Key == rule.CTDst {
			return sc.ctAddr(e, n.at)
		}
	case *rule.RT:
		if e.Key == rule.RTNexthop && !e.HasFamily {
			c := *e
			switch sc.net {
			case "ip":
			case "ip6":
				c.Family = rule.IP6
			default:
				return nil, &Error{At: n.at, Msg: "rt nexthop will not match"}
			}
			return &c, nil
		}
	case *rule.Numgen:
		sc.refuse(n.at, modulusError(e.Mod, e.Offset))
	case *rule.Hash:
		sc.refuse(n.at, modulusError(e.Mod, e.Offset))
		if len(n.kids) > 0 {
			key, err := sc.expr(n.kids[0], nil, 0)
			if err != nil {
				return nil, err
			}
			c := *e
			c.Key = key
			return &c, nil
		}
	}
	return n.expr, nil
}

func (sc *scope) needExthdr(e *rule.Exthdr, at Span) error {
	switch e.Kind {
	case rule.IPv6Ext:
		return sc.needNet("ip6", at)
	case rule.IPOption:
		return sc.needNet("ip", at)
	}
	return nil
}

// ctAddr finds the family of an address of a connection.
func (sc *scope) ctAddr(e *rule.CT, at Span) (rule.Expr, error) {
	c := *e
	if c.HasFamily {
		if fam := c.Family.String(); sc.net != "" && sc.net != fam {
			err := &Error{At: at, Msg: "conflicting protocols specified: " + sc.net + " vs. " + fam}
			if sc.netAt.File != nil {
				err.More = []Span{sc.netAt}
			}
			return nil, err
		}
		return &c, nil
	}
	switch sc.net {
	case "ip":
		c.Family = rule.IP
	case "ip6":
		c.Family = rule.IP6
	default:
		return nil, &Error{At: at, Msg: "specify either ip or ip6 for address matching"}
	}
	return &c, nil
}

func (sc *scope) concatExpr(n *node, want *rule.Type) (rule.Expr, error) {
	c := &rule.Concat{}
	var types []*rule.Type
	for i, k := range n.kids {
		var w *rule.Type
		if want != nil && i < len(want.Parts) {
			w = want.Parts[i]
		}
		size := 0
		if w != nil {
			size = w.Bits
		}
		e, err := sc.expr(k, w, size)
		if err != nil {
			return nil, err
		}
		c.Parts = append(c.Parts, e)
		types = append(types, sized(e))
	}
	c.T = rule.ConcatOf(types...)
	return c, nil
}

// sized returns the type of e with its length, which integers leave open.
func sized(e rule.Expr) *rule.Type {
	t := e.Type()
	if t.Bits != 0 || e.Bits() == 0 {
		return t
	}
	c := *t
	c.Bits = e.Bits()
	return &c
}

func (sc *scope) binaryExpr(n *node, want *rule.Type, size int) (rule.Expr, error) {
	l, err := sc.expr(n.kids[0], want, size)
	if err != nil {
		return nil, err
	}
	t, b := l.Type(), l.Bits()
	if n.op == '<' || n.op == '>' {
		t = rule.IntegerType
	}
	r, err := sc.constant(t, b, n.kids[1])
	if err != nil {
		return nil, err
	}
	return fold(&rule.Binary{Op: n.op, Left: l, Right: r}), nil
}

// fold joins `x & a | b` forms that say the same.
func fold(b *rule.Binary) rule.Expr {
	inner, ok := b.Left.(*rule.Binary)
	rv, ok2 := b.Right.(*rule.Value)
	if ok && ok2 && inner.Op == '&' && b.Op == '|' {
		return setBits(b, inner, rv)
	}
	if !ok || !ok2 || inner.Op != b.Op || b.Op == '<' || b.Op == '>' {
		return b
	}
	iv, ok := inner.Right.(*rule.Value)
	if !ok {
		return b
	}
	return &rule.Binary{Op: b.Op, Left: inner.Left, Right: combine(b.Op, iv, rv)}
}

// setBits makes `x & mask | bits` what Linux makes of it: a mask that keeps the bits.
func setBits(b, inner *rule.Binary, v *rule.Value) rule.Expr {
	mask, ok := inner.Right.(*rule.Value)
	if !ok {
		return b
	}
	kept := &rule.Binary{Op: '&', Left: inner.Left, Right: combine('|', mask, v)}
	return &rule.Binary{Op: '|', Left: kept, Right: v}
}

func combine(op byte, a, b *rule.Value) *rule.Value {
	x, y := toBig(a), toBig(b)
	switch op {
	case '&':
		x.And(x, y)
	case '|':
		x.Or(x, y)
	case '^':
		x.Xor(x, y)
	case '<':
		x.Lsh(x, uint(min(y.Uint64(), 256)))
		x.And(x, ones(a.N, a.N))
	case '>':
		x.Rsh(x, uint(min(y.Uint64(), 256)))
	}
	return bigNumber(a.T, a.N, x)
}

// ones returns a number of n bits whose first are set.
func ones(first, n int) *big.Int {
	x := new(big.Int).Lsh(big.NewInt(1), uint(first))
	x.Sub(x, big.NewInt(1))
	return x.Lsh(x, uint(n-first))
}

// constant gives what is written the meaning it has as a value of a type.
func (sc *scope) constant(t *rule.Type, size int, n *node) (rule.Expr, error) {
	switch n.kind {
	case nSymbol, nString:
		return sc.symbol(t, size, n)
	case nAny:
		return &rule.Any{T: t}, nil
	case nVerdict:
		return n.verdict, nil
	case nPrefix:
		return sc.prefix(t, size, n)
	case nRange:
		return sc.rangeOf(t, size, n)
	case nList:
		return sc.list(t, size, n)
	case nConcat:
		return sc.concatConst(t, n)
	case nBinary:
		l, err := sc.value(t, size, n.kids[0])
		if err != nil {
			return nil, err
		}
		rt := t
		if n.op == '<' || n.op == '>' {
			rt = rule.IntegerType
		}
		r, err := sc.value(rt, size, n.kids[1])
		if err != nil {
			return nil, err
		}
		return combine(n.op, l, r), nil
	case nSetRef:
		return sc.setRef(t, n)
	case nSet:
		return sc.setLit(t, size, n)
	}
	return nil, &Error{At: n.where(), Msg: "Right hand side of relational expression (==) must be constant"}
}

// value is a constant that is one value.
func (sc *scope) value(t *rule.Type, size int, n *node) (*rule.Value, error) {
	e, err := sc.constant(t, size, n)
	if err != nil {
		return nil, err
	}
	v, ok := e.(*rule.Value)
	if !ok {
		return nil, &Error{At: n.where(), Msg: "Value expected"}
	}
	return v, nil
}

func (sc *scope) prefix(t *rule.Type, size int, n *node) (rule.Expr, error) {
	v, err := sc.value(t, size, n.kids[0])
	if err != nil {
		return nil, err
	}
	if n.num > v.N {
		return nil, &Error{At: n.where(), Msg: fmt.Sprintf("Prefix length %d is invalid for type of %d bits width", n.num, v.N)}
	}
	host := v.N - n.num // bits that are cut off
	for i := len(v.Data) - 1; i >= 0 && host > 0; i-- {
		v.Data[i] &= byte(0xff << min(host, 8))
		host -= 8
	}
	return &rule.Prefix{Value: v, Len: n.num}, nil
}

func (sc *scope) rangeOf(t *rule.Type, size int, n *node) (rule.Expr, error) {
	lo, err := sc.value(t, size, n.kids[0])
	if err != nil {
		return nil, err
	}
	hi, err := sc.value(t, size, n.kids[1])
	if err != nil {
		return nil, err
	}
	if toBig(lo).Cmp(toBig(hi)) > 0 && t.Format != rule.Hour {
		return nil, &Error{At: n.where(), Msg: "Range has zero or negative size"}
	}
	return &rule.Range{Lo: lo, Hi: hi}, nil
}

func (sc *scope) list(t *rule.Type, size int, n *node) (rule.Expr, error) {
	if !t.Bitmask() {
		return nil, &Error{At: n.where(), Msg: "Basetype of type " + t.Desc + " is not bitmask"}
	}
	sum := new(big.Int)
	for _, k := range n.kids {
		v, err := sc.value(t, size, k)
		if err != nil {
			return nil, err
		}
		sum.Or(sum, toBig(v))
	}
	return bigNumber(t, size, sum), nil
}

func (sc *scope) concatConst(t *rule.Type, n *node) (rule.Expr, error) {
	if len(t.Parts) != len(n.kids) {
		if len(t.Parts) == 0 {
			return nil, &Error{At: n.where(), Msg: "datatype mismatch, expected " + t.Desc + ", expression has type concatenation"}
		}
		at := n.at
		if len(n.kids) > len(t.Parts) {
			e := &Error{At: at, Msg: "too many concatenation components"}
			if sc.left != nil {
				e.More = []Span{*sc.left}
			}
			return nil, e
		}
		return nil, &Error{At: at, Msg: "datatype mismatch, expected " + typeDesc(t)}
	}
	c := &rule.Concat{T: t}
	for i, k := range n.kids {
		e, err := sc.constant(t.Parts[i], t.Parts[i].Bits, k)
		if err != nil {
			return nil, err
		}
		c.Parts = append(c.Parts, e)
	}
	return c, nil
}

func (sc *scope) setRef(t *rule.Type, n *node) (rule.Expr, error) {
	s := sc.ev.set(sc.family, sc.table, n.text)
	if s == nil {
		return nil, sc.ev.absentSet(n.text, n.at)
	}
	return &rule.SetRef{Name: s.Name, Key: s.Key, Data: s.Data}, nil
}

// prefixLen returns the length of a mask of n bits, if it is one of a prefix.
func prefixLen(v *rule.Value) (int, bool) {
	n, gap := 0, false
	for i, b := range v.Data {
		if i == 0 && v.N%8 != 0 {
			return 0, false
		}
		k := bits.LeadingZeros8(^b)
		if gap && b != 0 || b<<k != 0 {
			return 0, false
		}
		n += k
		gap = gap || k < 8
	}
	return n, true
}

// sameType reports whether values of the types can be compared.
func sameType(a, b *rule.Type) bool {
	if len(a.Parts) != len(b.Parts) {
		return false
	}
	for i := range a.Parts {
		if !sameType(a.Parts[i], b.Parts[i]) {
			return false
		}
	}
	if len(a.Parts) > 0 {
		return true
	}
	return base(a) == base(b)
}

// base is the type without the length that was given to it.
func base(t *rule.Type) string { return t.Name }

func mismatch(left, right Span, want, got *rule.Type) error {
	return &Error{At: right, More: []Span{left}, Msg: "datatype mismatch, expected " + typeDesc(want) + ", expression has type " + typeDesc(got)}
}
