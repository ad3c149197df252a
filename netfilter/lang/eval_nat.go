package lang

import "github.com/knitnet/knit/netfilter/rule"

// nat checks snat, dnat, masquerade and redirect.
func (sc *scope) nat(d *natDecl) (err error) {
	n := d.nat
	if !n.HasFamily {
		switch {
		case sc.family == rule.IP6, sc.net == "ip6":
			n.Family = rule.IP6
		case sc.family == rule.Inet && sc.net == "" && d.addr != nil:
			return &Error{At: d.at, Msg: "ip or ip6 must be specified with address for inet tables."}
		}
	}
	if sc.family == rule.Inet && d.addr != nil {
		n.HasFamily = true
	}
	if n.HasFamily && sc.family == rule.Inet {
		if fam := n.Family.String(); sc.net != "" && sc.net != fam {
			msg := "conflicting protocols specified: " + sc.net + " vs. " + fam + ". You must specify ip or ip6 family in nat statement"
			return &Error{At: d.at, More: []Span{sc.netAt}, Msg: msg}
		}
		if err := sc.needNet(n.Family.String(), d.at); err != nil {
			return err
		}
	}
	t := addrType(n.Family)
	if d.addr != nil {
		want := t
		if n.Both || d.addr.kind == nMap && sc.mapsToBoth(d.addr.kids[1]) {
			n.Both = true
			want = rule.ConcatOf(t, rule.InetServiceType)
		}
		if n.Addr, err = sc.expr(d.addr, want, want.Bits); err != nil {
			return err
		}
	}
	if r, ok := n.Addr.(*rule.Range); ok {
		n.Addr = prefixed(r)
	}
	if d.port != nil {
		if sc.trans == "" && !sc.portKnown() {
			return &Error{At: d.port.at, More: []Span{d.at}, Msg: "transport protocol mapping is only valid after transport protocol match"}
		}
		if n.Port, err = sc.expr(d.port, rule.InetServiceType, 16); err != nil {
			return err
		}
	}
	at := d.at
	sc.ended = &at
	sc.add(n)
	return nil
}

// portKnown reports whether a match says that there are ports, of one protocol or
// another.
func (sc *scope) portKnown() bool {
	for _, s := range sc.stmts {
		m, ok := s.(*rule.Match)
		if !ok {
			continue
		}
		switch e := m.Left.(type) {
		case *rule.Meta:
			if e.Key == rule.MetaL4Proto {
				return true
			}
		case *rule.Payload:
			if e.Field != nil && (e.Field.Name == "protocol" || e.Field.Name == "nexthdr" || e.Field.Header == "th") {
				return true
			}
		}
	}
	return false
}

// mapsToBoth reports whether a map leads to addresses with ports.
func (sc *scope) mapsToBoth(m *node) bool {
	if m.kind == nSetRef {
		set := sc.ev.set(sc.family, sc.table, m.text)
		return set != nil && set.Data != nil && len(set.Data.Parts) > 0
	}
	for _, k := range m.kids {
		if k.kind == nMapping && k.kids[1].kind == nConcat {
			return true
		}
	}
	return false
}
