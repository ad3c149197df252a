package lang

import "github.com/knitnet/knit/netfilter/rule"

// A tproxyDecl is a tproxy statement as it is written.
type tproxyDecl struct {
	stmt       *rule.TProxy
	addr, port *node
	at         Span
}

// tproxy reads `tproxy [ip|ip6] to [address][:port]`.
func (p *parser) tproxy(start int) *stmt {
	p.next()
	d := &tproxyDecl{stmt: &rule.TProxy{}}
	switch {
	case p.accept("ip", "ip6"):
		d.stmt.Family, d.stmt.HasFamily = rule.IP, true
		if p.last.text == "ip6" {
			d.stmt.Family = rule.IP6
		}
		p.expect("to")
	case !p.accept("to"):
		p.unexpected("to", "ip", "ip6")
	}
	d.addr, d.port = p.natTarget()
	d.at = p.since(start)
	return &stmt{at: d.at, eval: func(sc *scope) error { return sc.tproxy(d) }}
}

// tproxy checks a tproxy statement.
func (sc *scope) tproxy(d *tproxyDecl) (err error) {
	x := d.stmt
	known := sc.net
	if sc.family == rule.IP || sc.family == rule.IP6 {
		known = sc.family.String()
	}
	switch {
	case x.HasFamily && known != "" && known != x.Family.String():
		return &Error{At: d.at, Msg: "conflicting protocols specified: " + known + " vs. " + x.Family.String() +
			". You must specify ip or ip6 family in tproxy statement"}
	case x.HasFamily:
	case known == "ip6":
		x.Family = rule.IP6
	case known == "ip":
		x.Family = rule.IP
	case d.addr != nil:
		return &Error{At: d.at, Msg: "ip or ip6 must be specified with address for inet tables."}
	}
	x.HasFamily = sc.family == rule.Inet && (x.HasFamily || d.addr != nil)
	if sc.trans == "" && !sc.upperKnown() {
		return &Error{At: d.at, Msg: "Transparent proxy support requires transport protocol match"}
	}
	if d.addr != nil {
		t := addrType(x.Family)
		if x.Addr, err = sc.expr(d.addr, t, t.Bits); err != nil {
			return err
		}
	}
	if d.port != nil {
		if x.Port, err = sc.expr(d.port, rule.InetServiceType, 16); err != nil {
			return err
		}
	}
	switch {
	case isRange(x.Addr):
		return &Error{At: d.at, Msg: "Address ranges are not supported for tproxy."}
	case isRange(x.Port):
		return &Error{At: d.at, Msg: "Port ranges are not supported for tproxy."}
	}
	sc.add(x)
	return nil
}

// isRange reports whether an expression stands for several values.
func isRange(e rule.Expr) bool {
	switch e.(type) {
	case *rule.Range, *rule.Prefix:
		return true
	}
	return false
}

// upperKnown reports whether a match says which transport protocol a packet is of, or
// which ones it may be of.
func (sc *scope) upperKnown() bool {
	for _, s := range sc.stmts {
		if m, ok := s.(*rule.Match); ok && m.Op != rule.Ne && namesUpper(m.Left) {
			return true
		}
	}
	return false
}

func namesUpper(e rule.Expr) bool {
	switch x := e.(type) {
	case *rule.Meta:
		return x.Key == rule.MetaL4Proto
	case *rule.Payload:
		return x.Field != nil && (x.Field.Name == "protocol" || x.Field.Name == "nexthdr")
	}
	return false
}

func (p *printer) tproxy(x *rule.TProxy) {
	p.f("tproxy")
	if x.HasFamily {
		p.f(" %s", x.Family)
	}
	p.f(" to ")
	if v, ok := x.Addr.(*rule.Value); ok && x.Family == rule.IP6 {
		p.bracketed(v)
	} else if x.Addr != nil {
		p.expr(x.Addr)
	}
	if x.Port != nil {
		p.f(":")
		p.expr(x.Port)
	}
}

func (p *printer) jsonTProxy(x *rule.TProxy) any {
	var o object
	if x.HasFamily {
		o = o.with("family", x.Family.String())
	}
	if x.Addr != nil {
		o = o.with("addr", p.jsonExpr(x.Addr))
	}
	if x.Port != nil {
		o = o.with("port", p.jsonExpr(x.Port))
	}
	return obj("tproxy", o)
}
