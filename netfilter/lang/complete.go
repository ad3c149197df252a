package lang

import (
	"math/big"

	"github.com/knitnet/knit/netfilter/rule"
)

// completed returns a rule's statements with raw payload expressions that are fields
// in truth under the names of the fields: `@th,16,16 80` behind a match for TCP is
// listed as `tcp dport 80`, and the ports of `th` are those of the protocol that is
// known.
func completed(f rule.Family, stmts []rule.Stmt) []rule.Stmt {
	net, trans := "", ""
	if f == rule.IP || f == rule.IP6 || f == rule.ARP {
		net = f.String()
	}
	out := make([]rule.Stmt, 0, len(stmts))
	for _, s := range stmts {
		m, ok := s.(*rule.Match)
		if !ok {
			out = append(out, completedStmt(s, trans))
			continue
		}
		if parts := splitRaw(m, net, trans); parts != nil {
			out = append(out, parts...)
			continue
		}
		out = append(out, completedMatch(m, net, trans))
		if v, ok := m.Right.(*rule.Value); ok && m.Op == rule.Implicit {
			_, n, t := known(m.Left, v)
			if n != "" {
				net = n
			}
			if t != "" {
				trans = t
			}
		}
	}
	return out
}

// completedStmt gives the ports of th in a statement the name of the protocol.
func completedStmt(s rule.Stmt, trans string) rule.Stmt {
	switch x := s.(type) {
	case *rule.VMap:
		return &rule.VMap{Key: completedPorts(x.Key, trans), Map: x.Map}
	case *rule.Assign:
		return &rule.Assign{Dst: x.Dst, Value: completedPorts(x.Value, trans)}
	case *rule.Update:
		c := *x
		c.Key = completedPorts(x.Key, trans)
		return &c
	}
	return s
}

// completedPorts gives the ports of th in a key the name of the protocol.
func completedPorts(e rule.Expr, trans string) rule.Expr {
	switch x := e.(type) {
	case *rule.Payload:
		if f := fieldOf(x, "", trans); f != nil {
			return &rule.Payload{Field: f}
		}
	case *rule.Concat:
		c := &rule.Concat{T: x.T, Parts: make([]rule.Expr, len(x.Parts))}
		for i, p := range x.Parts {
			c.Parts[i] = completedPorts(p, trans)
		}
		return c
	case *rule.MapExpr:
		return &rule.MapExpr{Key: completedPorts(x.Key, trans), Map: x.Map}
	}
	return e
}

// splitRaw returns the comparisons of fields that one of raw bytes is, or nil: the last
// field may be there in part.
func splitRaw(m *rule.Match, net, trans string) (out []rule.Stmt) {
	p, ok := m.Left.(*rule.Payload)
	v, ok2 := m.Right.(*rule.Value)
	if !ok || !ok2 || p.Field != nil || m.Op != rule.Implicit && m.Op != rule.Ne {
		return nil
	}
	h := rule.HeaderByName(headerAt(p.Base, net, trans))
	if h == nil {
		return nil
	}
	n := toBig(v)
	off, left := p.Offset, p.N
	for left > 0 {
		f := fieldAt(h, p.Base, off, left)
		if f == nil {
			return nil
		}
		got := min(f.Bits, left)
		part := new(big.Int).Rsh(n, uint(left-got))
		part.And(part, ones(got, got)).Lsh(part, uint(f.Bits-got))
		value := bigNumber(f.Type, f.Bits, part)
		var right rule.Expr = value
		if got < f.Bits {
			right = &rule.Prefix{Value: value, Len: got}
		}
		out = append(out, &rule.Match{Op: m.Op, Left: &rule.Payload{Field: f}, Right: right})
		off, left = off+got, left-got
	}
	return out
}

// fieldAt returns the first field of a header that begins at a bit, one that ends
// within n bits if there is one.
func fieldAt(h *rule.Header, base rule.Base, off, n int) (f *rule.Field) {
	for i := range h.Fields {
		g := &h.Fields[i]
		if g.Base == base && g.Offset == off && (f == nil || f.Bits > n && g.Bits <= n) {
			f = g
		}
	}
	return f
}

// headerAt returns the header that is known at a base.
func headerAt(base rule.Base, net, trans string) string {
	switch {
	case base == rule.NetworkHeader:
		return net
	case base != rule.TransportHeader:
		return ""
	case trans == "" || trans == unknown:
		return "th"
	}
	return trans
}

func completedMatch(m *rule.Match, net, trans string) *rule.Match {
	left := m.Left
	if _, ok := left.(*rule.Concat); ok {
		c := *m
		c.Left = completedPorts(left, trans)
		return &c
	}
	b, masked := left.(*rule.Binary)
	if masked {
		left = b.Left
	}
	p, ok := left.(*rule.Payload)
	if !ok {
		return m
	}
	f := fieldOf(p, net, trans)
	if f == nil {
		return m
	}
	c := *m
	c.Left = &rule.Payload{Field: f}
	if masked {
		nb := *b
		nb.Left, nb.Right = c.Left, retyped(b.Right, f)
		c.Left = &nb
	}
	c.Right = retyped(m.Right, f)
	canonical(&c)
	return &c
}

// fieldOf returns the field that a payload expression is, or nil if it has its name or
// none.
func fieldOf(p *rule.Payload, net, trans string) *rule.Field {
	base, off, n := p.Base, p.Offset, p.N
	if p.Field != nil {
		if p.Field.Header != "th" || trans == "" || trans == unknown {
			return nil
		}
		base, off, n = p.Field.Base, p.Field.Offset, p.Field.Bits
	}
	h := rule.HeaderByName(headerAt(base, net, trans))
	if h == nil {
		return nil
	}
	for i := range h.Fields {
		if f := &h.Fields[i]; f.Base == base && f.Offset == off && f.Bits == n {
			return f
		}
	}
	return nil
}

// retyped gives constants the type of a field.
func retyped(e rule.Expr, f *rule.Field) rule.Expr {
	switch x := e.(type) {
	case *rule.Value:
		c := *x
		c.T = f.Type
		return &c
	case *rule.Range:
		return &rule.Range{Lo: retyped(x.Lo, f).(*rule.Value), Hi: retyped(x.Hi, f).(*rule.Value)}
	case *rule.SetLit:
		c := *x
		c.Elems = make([]rule.Elem, len(x.Elems))
		for i, el := range x.Elems {
			el.Key = retyped(el.Key, f)
			c.Elems[i] = el
		}
		return &c
	}
	return e
}
