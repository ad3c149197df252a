package lang

import (
	"strings"
	"time"

	"github.com/knitnet/knit/netfilter/rule"
)

// RulesetJSON writes tables as `nft -j list ruleset` does (libnftables-json(5)): one
// line of text, each table followed by its objects, sets, flowtables, chains and then
// the rules of all its chains.
func (l Listing) RulesetJSON(tables []*rule.Table) string {
	list := metainfo()
	for _, t := range tables {
		list = append(list, l.tableJSON(t)...)
	}
	return jsonText(list)
}

// PartsJSON writes what is in tables and not the tables themselves, as `nft -j list chain`
// and its kin do.
func (l Listing) PartsJSON(tables []*rule.Table) string {
	list := metainfo()
	for _, t := range tables {
		list = append(list, l.tableJSON(t)[1:]...)
	}
	return jsonText(list)
}

// TablesJSON writes only the tables themselves, as `nft -j list tables` does.
func (l Listing) TablesJSON(tables []*rule.Table) string {
	list := metainfo()
	for _, t := range tables {
		list = append(list, obj("table", object{{"family", t.Family.String()}, {"name", t.Name}, {"handle", t.Handle}}))
	}
	return jsonText(list)
}

// RuleJSON writes one rule of a chain as an object of its own.
func (l Listing) RuleJSON(t *rule.Table, c *rule.Chain, r *rule.Rule) string {
	p := &printer{Listing: l, family: t.Family, table: t}
	return string(appendJSON(nil, p.jsonRule(c, r)))
}

// metainfo begins what is listed: the version whose schema it follows.
func metainfo() []any {
	return []any{obj("metainfo", object{{"version", "1.0.6"}, {"release_name", "Lester Gooch #5"}, {"json_schema_version", 1}})}
}

func jsonText(list []any) string {
	return string(append(appendJSON(nil, obj("nftables", list)), '\n'))
}

func (l Listing) tableJSON(t *rule.Table) (list []any) {
	p := &printer{Listing: l, family: t.Family, table: t}
	o := object{{"family", t.Family.String()}, {"name", t.Name}, {"handle", t.Handle}}
	if t.Dormant {
		o = o.with("flags", "dormant") // nft 1.0.6 writes what happens to be in its memory
	}
	list = append(list, obj("table", o))
	for _, o := range t.Objects {
		list = append(list, p.jsonObject(o))
	}
	for _, s := range t.Sets {
		list = append(list, p.jsonSet(s))
	}
	for _, f := range t.Flowtables {
		list = append(list, p.jsonFlowtable(f))
	}
	var rules []any
	for _, c := range t.Chains {
		list = append(list, p.jsonChain(c))
		for _, r := range c.Rules {
			rules = append(rules, p.jsonRule(c, r))
		}
	}
	return append(list, rules...)
}

func (p *printer) jsonChain(c *rule.Chain) any {
	o := object{{"family", p.family.String()}, {"table", p.table.Name}, {"name", c.Name}, {"handle", c.Handle}}
	if c.Base() {
		policy := "accept"
		if c.DropPolicy {
			policy = "drop"
		}
		o = append(o, field{"type", c.Type.String()}, field{"hook", c.Hook.String()}, field{"prio", int(c.Priority)}, field{"policy", policy})
	}
	return obj("chain", o)
}

func (p *printer) jsonRule(c *rule.Chain, r *rule.Rule) any {
	o := object{{"family", p.family.String()}, {"table", p.table.Name}, {"chain", c.Name}, {"handle", r.Handle}}
	if r.Comment != "" {
		o = o.with("comment", r.Comment)
	}
	listed := completed(p.family, r.Stmts)
	hidden := hiddenDeps(p.family, listed)
	stmts := []any{}
	for i, s := range listed {
		if !hidden[i] {
			stmts = append(stmts, p.jsonStmt(s))
		}
	}
	return obj("rule", o.with("expr", stmts))
}

func (p *printer) jsonFlowtable(f *rule.Flowtable) any {
	o := object{{"family", p.family.String()}, {"name", f.Name}, {"table", p.table.Name}, {"handle", f.Handle}, {"hook", "ingress"},
		{"prio", int(f.Priority)}}
	if len(f.Devices) > 0 {
		o = o.with("dev", oneOrMany(f.Devices))
	}
	return obj("flowtable", o)
}

// jsonType returns a type's name, those of the parts of a concatenation.
func jsonType(t *rule.Type) any {
	if len(t.Parts) == 0 {
		return t.Name
	}
	var names []string
	for _, p := range t.Parts {
		names = append(names, p.Name)
	}
	return strings2any(names)
}

func (p *printer) jsonSet(s *rule.Set) any {
	kind := "set"
	if s.Map() {
		kind = "map"
	}
	o := object{{"family", p.family.String()}, {"name", s.Name}, {"table", p.table.Name}, {"type", jsonType(s.Key)}, {"handle", s.Handle}}
	if s.Comment != "" {
		o = o.with("comment", s.Comment)
	}
	switch {
	case s.ObjData != 0:
		o = o.with("map", s.ObjData.String())
	case s.Data != nil:
		o = o.with("map", s.Data.Name)
	}
	if s.Policy == rule.Memory {
		o = o.with("policy", "memory")
	}
	if s.Size > 0 && s.Flags&rule.Constant == 0 {
		o = o.with("size", uint64(s.Size))
	}
	var flags []any
	for i, w := range []string{"constant", "interval", "timeout"} {
		if s.Flags&(1<<i) != 0 {
			flags = append(flags, w)
		}
	}
	if len(flags) > 0 {
		o = o.with("flags", flags)
	}
	if s.Timeout > 0 {
		o = o.with("timeout", seconds(s.Timeout))
	}
	if s.GC > 0 {
		o = o.with("gc-interval", seconds(s.GC))
	}
	if len(s.Elems) > 0 && !p.Terse {
		elems, _ := Arrange(s.Elems, s.Key, s.AutoMerge, false)
		o = o.with("elem", p.jsonElems(elems))
	}
	if len(s.Stmts) > 0 {
		var stmts []any
		for _, st := range s.Stmts {
			stmts = append(stmts, p.jsonStateless(st))
		}
		o = o.with("stmt", stmts)
	}
	return obj(kind, o)
}

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }

func (p *printer) jsonElems(elems []rule.Elem) []any {
	out := make([]any, len(elems))
	for i := range elems {
		out[i] = p.jsonElem(&elems[i])
	}
	return out
}

// jsonElem returns an element, one of a map as a pair.
func (p *printer) jsonElem(e *rule.Elem) any {
	key := p.jsonOperand(e.Key)
	if v, ok := e.Key.(*rule.Value); !ok || !v.T.Bitmask() {
		key = p.jsonConstantKey(e.Key)
	}
	if e.Timeout > 0 || e.Expires > 0 || e.Comment != "" || len(e.Stmts) > 0 {
		o := obj("val", key)
		if e.Timeout > 0 {
			o = o.with("timeout", seconds(e.Timeout))
		}
		if e.Expires > 0 {
			o = o.with("expires", seconds(e.Expires))
		}
		if e.Comment != "" {
			o = o.with("comment", e.Comment)
		}
		for _, s := range e.Stmts {
			if st, ok := p.jsonStmt(s).(object); ok {
				o = append(o, st...)
			}
		}
		key = obj("elem", o)
	}
	if e.Data == nil {
		return key
	}
	return []any{key, p.jsonConstantKey(e.Data)}
}

// jsonConstantKey returns constants, concatenations of them too.
func (p *printer) jsonConstantKey(e rule.Expr) any {
	e = elemKey(e)
	c, ok := e.(*rule.Concat)
	if !ok {
		return p.jsonConstant(e)
	}
	parts := make([]any, len(c.Parts))
	for i, k := range c.Parts {
		parts[i] = p.jsonConstant(k)
	}
	return obj("concat", parts)
}

// jsonObject returns a named object.
func (p *printer) jsonObject(b *rule.Object) any {
	o := object{{"family", p.family.String()}, {"name", b.Name}, {"table", p.table.Name}, {"handle", b.Handle}}
	if b.Comment != "" {
		o = o.with("comment", b.Comment)
	}
	switch b.Kind {
	case rule.CounterObject:
		o = append(o, field{"packets", b.Counter.Packets}, field{"bytes", b.Counter.Bytes})
	case rule.QuotaObject:
		o = append(o, field{"bytes", b.Quota.Bytes}, field{"used", b.Quota.Used}, field{"inv", b.Quota.Over})
	case rule.LimitObject:
		o = append(o, jsonLimitObject(b.Limit)...)
	case rule.CTHelperObject:
		o = append(o, field{"type", b.Helper}, field{"protocol", protoName(b.L4)}, field{"l3proto", b.L3.String()})
	case rule.CTTimeoutObject:
		var policy any
		var states object
		for _, s := range timeoutStates() {
			if d, ok := b.Timeouts[s]; ok {
				states = states.with(s, seconds(d))
			}
		}
		if len(states) > 0 {
			policy = states
		}
		o = append(o, field{"protocol", protoName(b.L4)}, field{"l3proto", b.L3.String()}, field{"policy", policy})
	case rule.CTExpectObject:
		e := b.Expect
		o = append(o, field{"protocol", protoName(e.Proto)}, field{"dport", uint64(e.DPort)}, field{"timeout", uint64(e.Timeout / time.Millisecond)},
			field{"size", uint64(e.Size)}, field{"l3proto", b.L3.String()})
	}
	return obj(b.Kind.String(), o)
}

func protoName(n uint8) string {
	name, _ := rule.InetProtoType.Symbol(uint64(n))
	return strings.ToLower(name)
}

// jsonLimitObject returns a limit as an object has it, in another order than a
// statement's.
func jsonLimitObject(l *rule.Limit) object {
	rate, rateUnit := l.Rate.Amount, ""
	burst, burstUnit := l.Burst, ""
	if l.Rate.Bytes {
		rate, rateUnit = unitOf(rate)
		burst, burstUnit = unitOf(burst)
	}
	o := object{{"rate", rate}, {"per", unitString(l.Rate.Per)}}
	if l.Over {
		o = o.with("inv", true)
	}
	if l.Rate.Bytes {
		o = o.with("rate_unit", rateUnit)
	}
	if burst > 0 {
		o = o.with("burst", burst)
		if l.Rate.Bytes {
			o = o.with("burst_unit", burstUnit)
		}
	}
	return o
}
