package lang

import "github.com/knitnet/knit/netfilter/rule"

// hiddenDeps returns which statements are not listed, because those behind them say
// the same.
func hiddenDeps(f rule.Family, stmts []rule.Stmt) map[int]bool {
	hidden := map[int]bool{}
	for i, s := range stmts {
		m, ok := s.(*rule.Match)
		if !ok || m.Op != rule.Implicit {
			continue
		}
		v, ok := m.Right.(*rule.Value)
		if !ok {
			continue
		}
		if restricts(f, m.Left) {
			continue
		}
		if icmpImplied(m.Left, v, stmts[i+1:]) {
			hidden[i] = true
			continue
		}
		link, net, trans := known(m.Left, v)
		for _, later := range stmts[i+1:] {
			if impliesHeader(later, link, net, trans) || resetImplies(f, later, trans) {
				hidden[i] = true
				break
			}
			if acts(later) || saysAgain(later, link, net, trans) {
				break // nft looks no further
			}
		}
	}
	return hidden
}

// restricts reports whether a match says more than that a header is there: where
// several network protocols come by, `ip protocol` says which, and so does
// `meta protocol` in inet.
func restricts(f rule.Family, left rule.Expr) bool {
	switch x := left.(type) {
	case *rule.Payload:
		return x.Field != nil && x.Field.Base == rule.NetworkHeader && (f == rule.Inet || f == rule.Bridge || f == rule.Netdev)
	case *rule.Meta:
		return x.Key == rule.MetaProtocol && f == rule.Inet
	}
	return false
}

// icmpImplied reports whether the next statement is about a field that only messages
// of this type have.
func icmpImplied(left rule.Expr, v *rule.Value, rest []rule.Stmt) bool {
	p, ok := left.(*rule.Payload)
	if !ok || p.Field == nil || p.Field.Name != "type" || len(rest) == 0 {
		return false
	}
	found := false
	walk(rest[0], func(e rule.Expr) {
		if q, ok := e.(*rule.Payload); ok && q.Field != nil {
			types := icmpTypes[q.Field.Header+" "+q.Field.Name]
			found = found || q.Field.Header == p.Field.Header && len(types) == 1 && types[0] == toUint(v)
		}
	})
	return found
}

// saysAgain reports whether a statement says what one before said of the same layer:
// nft hides the last of them.
func saysAgain(s rule.Stmt, link, net, trans string) bool {
	m, ok := s.(*rule.Match)
	if !ok || m.Op != rule.Implicit {
		return false
	}
	v, ok := m.Right.(*rule.Value)
	if !ok {
		return false
	}
	l, n, t := known(m.Left, v)
	return l != "" && link != "" || n != "" && net != "" || t != "" && trans != ""
}

// acts reports whether a statement does more than to look.
func acts(s rule.Stmt) bool {
	switch s.(type) {
	case *rule.Match, *rule.VMap:
		return false
	}
	return true
}

// resetImplies reports whether a statement is a reset, which in ip and ip6 says that the
// packet is TCP.
func resetImplies(f rule.Family, s rule.Stmt, trans string) bool {
	r, ok := s.(*rule.Reject)
	return ok && r.Kind == rule.RejectTCPReset && trans == "tcp" && (f == rule.IP || f == rule.IP6)
}

// impliesHeader reports whether a statement needs one of the headers.
func impliesHeader(s rule.Stmt, link, net, trans string) bool {
	found := false
	check := func(e rule.Expr) {
		switch x := e.(type) {
		case *rule.Payload:
			if x.Field == nil {
				return
			}
			h := x.Field.Header
			if h == "vlan" && x.Field.Name == "type" {
				h = "" // it is listed with the type that leads to it
			}
			found = found || h == trans && trans != "" || h == net && net != "" || h == link && link != "" ||
				net == "ip" && h == "icmp" || net == "ip6" && h == "icmpv6"
		case *rule.Exthdr:
			found = found || x.Kind == rule.TCPOption && trans == "tcp" || x.Kind == rule.SCTPChunk && trans == "sctp" ||
				x.Kind == rule.IPv6Ext && net == "ip6" || x.Kind == rule.IPOption && net == "ip"
		}
	}
	switch x := s.(type) {
	case *rule.Reject:
		found = x.Kind == rule.RejectICMP && net == "ip" || x.Kind == rule.RejectICMP6 && net == "ip6"
	case *rule.NAT:
		found = x.HasFamily && x.Family.String() == net
	}
	walk(s, check)
	return found
}

// walk visits the expressions of a statement that look at packets.
func walk(s rule.Stmt, f func(rule.Expr)) {
	var visit func(e rule.Expr)
	visit = func(e rule.Expr) {
		switch x := e.(type) {
		case nil:
			return
		case *rule.Concat:
			for _, k := range x.Parts {
				visit(k)
			}
		case *rule.Binary:
			visit(x.Left)
			visit(x.Right)
		case *rule.MapExpr:
			visit(x.Key)
		case *rule.Hash:
			visit(x.Key)
		default:
			f(e)
		}
	}
	switch x := s.(type) {
	case *rule.Match:
		visit(x.Left)
	case *rule.VMap:
		visit(x.Key)
	case *rule.Assign:
		visit(x.Dst)
		visit(x.Value)
	case *rule.Update:
		visit(x.Key)
		visit(x.Data)
	case *rule.NAT:
		visit(x.Addr)
		visit(x.Port)
	case *rule.ObjectRef:
		visit(x.Name)
	}
}
