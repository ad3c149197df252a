package lang

import "github.com/knitnet/knit/netfilter/rule"

// completed returns a rule's statements with raw payload expressions that are fields
// in truth under the names of the fields: `@th,16,16 80` behind a match for TCP is
// listed as `tcp dport 80`, and the ports of `th` are those of the protocol that is
// known.
func completed(f rule.Family, stmts []rule.Stmt) []rule.Stmt {
	net, trans := "", ""
	if f == rule.IP || f == rule.IP6 || f == rule.ARP {
		net = f.String()
	}
	out := make([]rule.Stmt, len(stmts))
	for i, s := range stmts {
		out[i] = s
		m, ok := s.(*rule.Match)
		if !ok {
			continue
		}
		out[i] = completedMatch(m, net, trans)
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

func completedMatch(m *rule.Match, net, trans string) *rule.Match {
	left := m.Left
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
	base, off, n, header := p.Base, p.Offset, p.N, ""
	if p.Field != nil {
		if p.Field.Header != "th" || trans == "" {
			return nil
		}
		base, off, n = p.Field.Base, p.Field.Offset, p.Field.Bits
	}
	switch base {
	case rule.NetworkHeader:
		header = net
	case rule.TransportHeader:
		if header = trans; header == "" {
			header = "th"
		}
	}
	h := rule.HeaderByName(header)
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
