package lang

import (
	"github.com/knitnet/knit/netfilter/rule"
)

// jsonStmt returns a statement. Those that JSON has no form for come as text, as in
// nft.
func (p *printer) jsonStmt(s rule.Stmt) any {
	switch x := s.(type) {
	case *rule.Match:
		return p.jsonMatch(x)
	case *rule.Verdict:
		return jsonVerdict(x)
	case *rule.VMap:
		return obj("vmap", object{{"key", p.jsonExpr(x.Key)}, {"data", p.jsonExpr(x.Map)}})
	case *rule.Counter:
		if p.Stateless {
			return obj("counter", nil)
		}
		return obj("counter", object{{"packets", x.Packets}, {"bytes", x.Bytes}})
	case *rule.Quota:
		return p.jsonQuota(x)
	case *rule.Limit:
		return obj("limit", jsonLimit(x))
	case *rule.CTCount:
		o := obj("val", uint64(x.Count))
		if x.Over {
			o = o.with("inv", true)
		}
		return obj("ct count", o)
	case *rule.Log:
		return jsonLog(x)
	case *rule.Reject:
		return p.jsonReject(x)
	case *rule.TProxy:
		return p.jsonTProxy(x)
	case *rule.NAT:
		return p.jsonNAT(x)
	case *rule.Assign:
		return obj("mangle", object{{"key", p.jsonExpr(x.Dst)}, {"value", p.jsonExpr(x.Value)}})
	case *rule.ResetOption:
		if x.Option.Name == "" {
			return obj("reset", obj("tcp option", object{{"base", int(x.Option.Number)}, {"offset", 0}, {"len", 0}}))
		}
		return obj("reset", p.jsonExpr(x.Option))
	case *rule.NoTrack:
		return obj("notrack", nil)
	case *rule.Dup:
		return p.jsonDup(x)
	case *rule.Fwd:
		o := obj("dev", p.jsonExpr(x.Device))
		if x.Addr != nil {
			o = o.with("family", x.Family.String()).with("addr", p.jsonExpr(x.Addr))
		}
		return obj("fwd", o)
	case *rule.Update:
		return p.jsonUpdate(x)
	case *rule.FlowOffload:
		return obj("flow", object{{"op", "add"}, {"flowtable", "@" + x.Flowtable}})
	case *rule.ObjectRef:
		if v, ok := x.Name.(*rule.Value); ok {
			return obj(x.Kind.String(), string(v.Data))
		}
		return obj(x.Kind.String(), p.jsonExpr(x.Name))
	}
	return nil
}

// jsonMatch returns a relation; `in` is the operator of bitmasks without one.
func (p *printer) jsonMatch(m *rule.Match) any {
	if b, ok := m.Left.(*rule.Binary); ok && b.Op == '&' {
		if v, ok := b.Right.(*rule.Value); ok && v.T == rule.TCPFlagType {
			return p.jsonFlags(m, b, v)
		}
	}
	op := m.Op.String()
	if m.Op == rule.Implicit {
		op = "=="
		if v, ok := m.Right.(*rule.Value); ok && v.T.Bitmask() {
			op = "in"
		}
	}
	return obj("match", object{{"op", op}, {"left", p.jsonExpr(m.Left)}, {"right", p.jsonExpr(m.Right)}})
}

func (p *printer) jsonQuota(q *rule.Quota) any {
	val, unit := unitOf(q.Bytes)
	o := object{{"val", val}, {"val_unit", unit}}
	if q.Used > 0 && !p.Stateless {
		used, unit := unitOf(q.Used)
		o = o.with("used", used).with("used_unit", unit)
	}
	if q.Over {
		o = o.with("inv", true)
	}
	return obj("quota", o)
}

// unitOf splits bytes into a number and the largest unit that divides them.
func unitOf(n uint64) (uint64, string) {
	switch {
	case n != 0 && n%(1<<20) == 0:
		return n >> 20, "mbytes"
	case n != 0 && n%(1<<10) == 0:
		return n >> 10, "kbytes"
	}
	return n, "bytes"
}

// jsonLimit returns a limit as a statement has it.
func jsonLimit(l *rule.Limit) object {
	rate, unit := l.Rate.Amount, ""
	burst, burstUnit := l.Burst, ""
	if l.Rate.Bytes {
		rate, unit = unitOf(rate)
		burst, burstUnit = unitOf(burst)
	}
	o := object{{"rate", rate}, {"burst", burst}, {"per", unitString(l.Rate.Per)}}
	if l.Over {
		o = o.with("inv", true)
	}
	if l.Rate.Bytes {
		o = o.with("rate_unit", unit).with("burst_unit", burstUnit)
	}
	return o
}

func jsonLog(l *rule.Log) any {
	var o object
	if l.Prefix != "" {
		o = o.with("prefix", l.Prefix)
	}
	if l.Group != nil {
		o = o.with("group", uint64(*l.Group))
		if l.Snaplen > 0 {
			o = o.with("snaplen", uint64(l.Snaplen))
		}
		if l.QThresh > 0 {
			o = o.with("queue-threshold", uint64(l.QThresh))
		}
	}
	if l.HasLevel && l.Level != "" && l.Level != "warn" {
		o = o.with("level", l.Level)
	}
	if l.Flags != 0 {
		o = o.with("flags", jsonLogFlags(l.Flags))
	}
	if len(o) == 0 {
		return obj("log", nil)
	}
	return obj("log", o)
}

func jsonLogFlags(f rule.LogFlags) any {
	if f == rule.LogAll {
		return "all"
	}
	var out []string
	for i, w := range []string{"tcp sequence", "tcp options", "ip options", "skuid", "ether"} {
		if f&(1<<i) != 0 {
			out = append(out, w)
		}
	}
	return oneOrMany(out)
}

func (p *printer) jsonReject(r *rule.Reject) any {
	if r.Kind == rule.RejectTCPReset {
		return obj("reject", obj("type", "tcp reset"))
	}
	kind := map[rule.RejectKind]string{rule.RejectICMP: "icmp", rule.RejectICMP6: "icmpv6", rule.RejectICMPX: "icmpx"}[r.Kind]
	code := p.jsonValue(number(rejectTypes[r.Kind], 8, uint64(r.Code)))
	return obj("reject", object{{"type", kind}, {"expr", code}})
}

func (p *printer) jsonNAT(n *rule.NAT) any {
	var o object
	if n.Addr != nil && n.HasFamily {
		o = o.with("family", n.Family.String())
	}
	if n.Addr != nil {
		o = o.with("addr", p.jsonExpr(n.Addr))
	}
	if n.Port != nil {
		o = o.with("port", p.jsonExpr(n.Port))
	}
	var flags []string
	for i, w := range []string{"random", "fully-random", "persistent"} {
		if n.Flags&(1<<i) != 0 {
			flags = append(flags, w)
		}
	}
	if n.Prefix {
		flags = append(flags, "netmap")
	}
	if len(flags) > 0 {
		o = o.with("flags", oneOrMany(flags))
	}
	if n.Prefix {
		o = o.with("type_flags", "prefix")
	}
	for _, b := range behaviours(n) {
		o = o.with(b.word, b.value)
	}
	if len(o) == 0 {
		return obj(n.Kind.String(), nil)
	}
	return obj(n.Kind.String(), o)
}

func (p *printer) jsonDup(d *rule.Dup) any {
	if d.Addr == nil {
		return obj("dup", obj("addr", p.jsonExpr(d.Device)))
	}
	o := obj("addr", p.jsonExpr(d.Addr))
	if d.Device != nil {
		o = o.with("dev", p.jsonExpr(d.Device))
	}
	return obj("dup", o)
}

func (p *printer) jsonUpdate(u *rule.Update) any {
	if u.Data != nil { // nft has no JSON for it and lists it as text
		q := printer{Listing: p.Listing, family: p.family, table: p.table}
		q.stmt(u)
		return string(q.out)
	}
	key := p.jsonExpr(u.Key)
	if u.Timeout > 0 {
		key = obj("elem", object{{"val", key}, {"timeout", uint64(u.Timeout.Seconds())}})
	}
	stmts := make([]any, len(u.Stmts))
	for i, s := range u.Stmts {
		stmts[i] = p.jsonStateless(s)
	}
	if u.Meter {
		o := obj("key", key)
		if len(stmts) > 0 {
			o = o.with("stmt", stmts[0])
		}
		return obj("meter", o.with("size", uint64(u.MeterSize)).with("name", u.Set))
	}
	o := object{{"op", u.Op.String()}, {"elem", key}, {"set", "@" + u.Set}}
	if len(stmts) > 0 {
		o = o.with("stmt", stmts)
	}
	return obj("set", o)
}

// jsonStateless returns a statement that sets create with elements.
func (p *printer) jsonStateless(s rule.Stmt) any {
	if _, ok := s.(*rule.Counter); ok {
		return obj("counter", nil)
	}
	return p.jsonStmt(s)
}

// jsonFlags returns `flags & mask == value`, whose mask nft writes as a list.
func (p *printer) jsonFlags(m *rule.Match, b *rule.Binary, mask *rule.Value) any {
	op := m.Op.String()
	if m.Op == rule.Implicit {
		op = "=="
	}
	if v, ok := m.Right.(*rule.Value); ok && toUint(v) == 0 {
		op = map[string]string{"==": "!", "!=": "in"}[op]
		return obj("match", object{{"op", op}, {"left", p.jsonExpr(b.Left)}, {"right", p.jsonBits(mask)}})
	}
	left := obj("&", []any{p.jsonExpr(b.Left), p.jsonBits(mask)})
	return obj("match", object{{"op", op}, {"left", left}, {"right", p.jsonExpr(m.Right)}})
}
