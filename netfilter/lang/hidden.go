package lang

import "github.com/knitnet/knit/netfilter/rule"

// A dependency is a match that says that a header is there: it is not listed if what
// is behind it says the same.
type dependency struct {
	stmt     int
	header   string
	there    bool
	restrict bool // it says more than that
	conn     bool // it is about the connection
}

// dependencies are the last match about each layer.
type dependencies struct {
	link, net, trans dependency
	hidden           map[int]bool
}

// hide leaves a statement away.
func (d *dependencies) hide(dep *dependency) {
	if dep.there && !dep.restrict {
		d.hidden[dep.stmt], dep.there = true, false
	}
}

// hiddenDeps returns which statements are not listed, because those behind them say
// the same.
func hiddenDeps(f rule.Family, stmts []rule.Stmt) map[int]bool {
	d := &dependencies{hidden: map[int]bool{}}
	for i, s := range stmts {
		d.uses(f, s)
		if acts(s) { // nft looks no further
			d.link, d.net, d.trans = dependency{}, dependency{}, dependency{}
			continue
		}
		m, ok := s.(*rule.Match)
		if !ok || m.Op != rule.Implicit {
			continue
		}
		v, ok := m.Right.(*rule.Value)
		if !ok {
			continue
		}
		if icmpImplied(m.Left, v, stmts[i+1:]) {
			d.hidden[i] = true
			continue
		}
		d.note(f, i, m.Left, v)
	}
	return d.hidden
}

// note keeps in mind what a match says.
func (d *dependencies) note(f rule.Family, i int, left rule.Expr, v *rule.Value) {
	link, net, trans := known(left, v)
	restrict := restricts(f, left)
	ct, conn := left.(*rule.CT)
	switch {
	case conn && ct.Key == rule.CTProto, trans == "" && net == "" && link == "" && nextProtocol(left):
		d.trans = dependency{i, "", true, restrict, conn} // only options take it for theirs
	case link != "":
		d.link = dependency{i, link, true, restrict, conn}
	case net != "":
		d.net = dependency{i, net, true, restrict, conn}
	case trans != "":
		d.trans = dependency{i, trans, true, restrict, conn}
	}
}

// nextProtocol reports whether an expression is the protocol behind IP.
func nextProtocol(e rule.Expr) bool {
	p, ok := e.(*rule.Payload)
	return ok && p.Field != nil && (p.Field.Header == "ip" && p.Field.Name == "protocol" || p.Field.Header == "ip6" && p.Field.Name == "nexthdr")
}

// uses hides what a statement says again.
func (d *dependencies) uses(f rule.Family, s rule.Stmt) {
	switch x := s.(type) {
	case *rule.Reject:
		switch {
		case x.Kind == rule.RejectTCPReset && (f == rule.IP || f == rule.IP6) && d.trans.header == "tcp":
			d.hide(&d.trans)
		case x.Kind == rule.RejectTCPReset && f == rule.Inet,
			x.Kind == rule.RejectICMP && d.net.header == "ip", x.Kind == rule.RejectICMP6 && d.net.header == "ip6":
			d.hide(&d.net)
		}
	case *rule.NAT:
		if x.HasFamily && x.Family.String() == d.net.header {
			d.hide(&d.net)
		}
	}
	walk(s, func(e rule.Expr) {
		switch x := e.(type) {
		case *rule.Payload:
			if x.Field != nil {
				d.usesHeader(f, x.Field)
			}
		case *rule.Exthdr:
			d.usesOption(x)
		case *rule.Meta:
			switch {
			case x.Key == rule.MetaNFProto || x.Key == rule.MetaProtocol:
				d.hide(&d.link)
			case x.Key == rule.MetaL4Proto && d.net.conn:
				d.hide(&d.net)
			}
		}
	})
}

func (d *dependencies) usesHeader(f rule.Family, field *rule.Field) {
	h := field.Header
	switch field.Base {
	case rule.LinkHeader:
		if h == d.link.header && (h != "vlan" || field.Name != "type") { // vlan type is listed with what leads to it
			d.hide(&d.link)
		}
	case rule.NetworkHeader:
		if h == d.net.header {
			d.hide(&d.net)
		}
		if f != rule.IP && f != rule.IP6 && f != rule.ARP && d.link.header != "vlan" {
			d.hide(&d.link)
		}
	case rule.TransportHeader:
		if h == d.trans.header || h == "th" && d.trans.header == unknown {
			d.hide(&d.trans)
		}
		if h == "icmp" && d.net.header == "ip" || h == "icmpv6" && d.net.header == "ip6" {
			d.hide(&d.net)
		}
	}
}

func (d *dependencies) usesOption(x *rule.Exthdr) {
	switch x.Kind {
	case rule.TCPOption:
		d.trans.restrict = false
		d.hide(&d.trans)
	case rule.SCTPChunk:
		if d.trans.header == "sctp" {
			d.hide(&d.trans)
		}
	case rule.IPv6Ext:
		if d.net.header == "ip6" {
			d.hide(&d.net)
		}
	case rule.IPOption:
		if d.net.header == "ip" {
			d.hide(&d.net)
		}
	}
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

// acts reports whether a statement does more than to look.
func acts(s rule.Stmt) bool {
	switch s.(type) {
	case *rule.Match, *rule.VMap:
		return false
	}
	return true
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
		if _, option := x.Dst.(*rule.Exthdr); !option {
			visit(x.Dst)
		}
		visit(x.Value)
	case *rule.Update:
		visit(x.Key)
		visit(x.Data)
	case *rule.NAT:
		visit(x.Addr)
		visit(x.Port)
	case *rule.TProxy:
		visit(x.Addr)
		visit(x.Port)
	case *rule.ObjectRef:
		visit(x.Name)
	}
}
