package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/knitnet/knit/netfilter/rule"
)

func (p *printer) f(format string, args ...any) { p.out = fmt.Appendf(p.out, format, args...) }

// Ruleset writes tables as `nft list ruleset` does.
func (l Listing) Ruleset(tables []*rule.Table) string {
	p := &printer{Listing: l}
	for _, t := range tables {
		p.tableOf(t)
	}
	return string(p.out)
}

// Table writes a table with all that is in it.
func (l Listing) Table(t *rule.Table) string {
	p := &printer{Listing: l}
	p.tableOf(t)
	return string(p.out)
}

// Parts writes some of what is in a table, as `list chain` and its kin do: without what
// there is to say of the table itself. All of a kind stand without empty lines between.
func (l Listing) Parts(t *rule.Table, all bool) string {
	p := &printer{Listing: l, family: t.Family, table: t}
	p.f("table %s %s {\n", t.Family, t.Name)
	p.contents(t, false, !all)
	p.f("}\n")
	return string(p.out)
}

// Rule writes one rule, without its handle.
func (l Listing) Rule(f rule.Family, r *rule.Rule) string {
	p := &printer{Listing: l, family: f}
	p.ruleOf(r)
	return string(p.out)
}

func (p *printer) handle(h uint64) {
	if p.Handles && h != 0 {
		p.f(" # handle %d", h)
	}
}

func (p *printer) tableOf(t *rule.Table) {
	p.family, p.table = t.Family, t
	p.f("table %s %s {", t.Family, t.Name)
	p.handle(t.Handle)
	p.f("\n")
	if t.Dormant {
		p.f("\tflags dormant\n")
	}
	if t.Comment != "" {
		p.f("\tcomment \"%s\"\n", t.Comment)
	}
	p.contents(t, t.Dormant, true)
	p.f("}\n")
}

// contents writes what is in a table, with empty lines between if gaps says so; one comes
// first if begun.
func (p *printer) contents(t *rule.Table, begun, gaps bool) {
	next := func() {
		if begun && gaps {
			p.f("\n")
		}
		begun = true
	}
	for _, o := range t.Objects {
		next()
		p.object(o)
	}
	for _, s := range t.Sets {
		next()
		p.set(s)
	}
	for _, fl := range t.Flowtables {
		next()
		p.flowtable(fl)
	}
	for _, c := range t.Chains {
		next()
		p.chain(c)
	}
}

func (p *printer) chain(c *rule.Chain) {
	p.f("\tchain %s {", c.Name)
	p.handle(c.Handle)
	p.f("\n")
	if c.Comment != "" {
		p.f("\t\tcomment \"%s\"\n", c.Comment)
	}
	if c.Base() {
		p.f("\t\ttype %s hook %s", c.Type, c.Hook)
		switch {
		case len(c.Devices) == 1:
			p.f(" device \"%s\"", c.Devices[0])
		case len(c.Devices) > 1:
			p.f(" devices = { %s }", strings.Join(c.Devices, ", "))
		}
		policy := "accept"
		if c.DropPolicy {
			policy = "drop"
		}
		p.f(" priority %s; policy %s;\n", priorityString(c.Priority, p.family, c.Hook, p.Numeric || p.NumericPriority), policy)
	}
	for _, r := range c.Rules {
		p.f("\t\t")
		p.ruleOf(r)
		p.handle(r.Handle)
		p.f("\n")
	}
	p.f("\t}\n")
}

func (p *printer) ruleOf(r *rule.Rule) {
	stmts := completed(p.family, r.Stmts)
	hidden := hiddenDeps(p.family, stmts)
	first := true
	for i, s := range stmts {
		if hidden[i] {
			continue
		}
		if !first {
			p.f(" ")
		}
		first = false
		p.stmt(s)
	}
	if r.Comment != "" {
		p.f(" comment \"%s\"", r.Comment)
	}
}

func (p *printer) set(s *rule.Set) {
	word := "set"
	if s.Map() {
		word = "map"
	}
	p.f("\t%s %s {", word, s.Name)
	p.handle(s.Handle)
	p.f("\n\t\t")
	if s.KeyExpr != nil {
		p.f("typeof ")
		p.expr(s.KeyExpr)
	} else {
		p.f("type %s", s.Key.Name)
	}
	switch {
	case s.ObjData != 0:
		p.f(" : %s", s.ObjData)
	case s.DataExpr != nil:
		p.f(" : ")
		p.dataInterval(s)
		p.expr(s.DataExpr)
	case s.Data != nil:
		p.f(" : ")
		p.dataInterval(s)
		p.f("%s", s.Data.Name)
	}
	p.f("\n")
	if s.Policy == rule.Memory {
		p.f("\t\tpolicy memory\n")
	}
	if s.Size > 0 && s.Flags&rule.Constant == 0 {
		p.f("\t\tsize %d\n", s.Size)
	}
	p.setFlags(s)
	if len(s.Stmts) > 0 {
		p.f("\t\t")
		for i, st := range s.Stmts {
			if i > 0 {
				p.f(" ")
			}
			p.stateless(st)
		}
		p.f("\n")
	}
	if s.Timeout > 0 {
		p.f("\t\ttimeout %s\n", p.duration(s.Timeout))
	}
	if s.GC > 0 {
		p.f("\t\tgc-interval %s\n", p.duration(s.GC))
	}
	if s.AutoMerge {
		p.f("\t\tauto-merge\n")
	}
	if s.Comment != "" {
		p.f("\t\tcomment \"%s\"\n", s.Comment)
	}
	if len(s.Elems) > 0 && !p.Terse {
		p.f("\t\telements = ")
		elems, _ := Arrange(s.Elems, s.Key, s.AutoMerge, false)
		p.elems(elems, s.Key)
		p.f("\n")
	}
	p.f("\t}\n")
}

func (p *printer) dataInterval(s *rule.Set) {
	if s.DataInterval {
		p.f("interval ")
	}
}

func (p *printer) setFlags(s *rule.Set) {
	var flags []string
	for _, f := range []struct {
		f rule.SetFlags
		s string
	}{{rule.Constant, "constant"}, {rule.Dynamic, "dynamic"}, {rule.Interval, "interval"}, {rule.Timeout, "timeout"}} {
		if s.Flags&f.f != 0 {
			flags = append(flags, f.s)
		}
	}
	if s.Flags == rule.Timeout && s.Timeout > 0 {
		return // the timeout says so
	}
	if len(flags) > 0 {
		p.f("\t\tflags %s\n", strings.Join(flags, ","))
	}
}

// perLine returns how many elements of a type nft writes on a line.
func perLine(t *rule.Type) int {
	if len(t.Parts) > 0 {
		return 1
	}
	switch t.Name {
	case "integer", "inet_service", "inet_proto", "mark", "iface_index", "uid", "gid", "classid", "tcp_flag", "ct_dir", "nf_proto", "arp_op",
		"dccp_pkttype":
		return 5
	case "ipv4_addr", "ct_state", "ct_status", "pkt_type":
		return 2
	}
	return 1
}

// elems writes the elements of a named set, as many on a line as nft does.
func (p *printer) elems(elems []rule.Elem, key *rule.Type) {
	p.f("{ ")
	per := perLine(key)
	for i := range elems {
		switch {
		case i == 0:
		case i%per == 0:
			p.f(",\n\t\t\t     ")
		default:
			p.f(", ")
		}
		p.elem(&elems[i])
	}
	p.f(" }")
}

func (p *printer) elem(e *rule.Elem) {
	if v, ok := e.Key.(*rule.Value); ok && v.T.Bitmask() && len(bitNames(v)) > 1 {
		p.f("%s", strings.Join(bitNames(v), " | "))
	} else {
		p.constant(elemKey(e.Key))
	}
	for _, s := range e.Stmts {
		p.f(" ")
		p.stmt(s)
	}
	if e.Timeout > 0 {
		p.f(" timeout %s", p.duration(e.Timeout))
	}
	if e.Expires > 0 && !p.Stateless {
		p.f(" expires %s", p.duration(e.Expires))
	}
	if e.Comment != "" {
		p.f(" comment \"%s\"", e.Comment)
	}
	if e.Data != nil {
		p.f(" : ")
		p.data(e.Data)
	}
}

// elemKey writes ranges that are prefixes as prefixes.
func elemKey(e rule.Expr) rule.Expr {
	switch x := e.(type) {
	case *rule.Range:
		return prefixed(x)
	case *rule.Concat:
		c := &rule.Concat{T: x.T}
		for _, k := range x.Parts {
			c.Parts = append(c.Parts, elemKey(k))
		}
		return c
	}
	return e
}

func (p *printer) data(e rule.Expr) {
	switch x := e.(type) {
	case *rule.Verdict:
		p.stmt(x)
	case *rule.Value:
		if x.T == rule.StringType {
			p.f("\"%s\"", x.Data)
			return
		}
		p.constant(e)
	default:
		p.constant(e)
	}
}

func (p *printer) flowtable(f *rule.Flowtable) {
	p.f("\tflowtable %s {", f.Name)
	p.handle(f.Handle)
	p.f("\n\t\thook ingress priority %s\n", priorityString(f.Priority, rule.Inet, rule.Ingress, p.Numeric || p.NumericPriority))
	if len(f.Devices) > 0 {
		p.f("\t\tdevices = { %s }\n", strings.Join(f.Devices, ", "))
	}
	if f.Offload {
		p.f("\t\tflags offload\n")
	}
	if f.Counter {
		p.f("\t\tcounter\n")
	}
	p.f("\t}\n")
}

func (p *printer) object(o *rule.Object) {
	p.f("\t%s %s {", o.Kind, o.Name)
	p.handle(o.Handle)
	p.f("\n")
	if o.Comment != "" {
		p.f("\t\tcomment \"%s\"\n", o.Comment)
	}
	switch o.Kind {
	case rule.CounterObject:
		if !p.Stateless {
			p.f("\t\tpackets %d bytes %d\n", o.Counter.Packets, o.Counter.Bytes)
		}
	case rule.QuotaObject:
		p.f("\t\t%s\n", strings.TrimPrefix(p.quota(o.Quota), "quota "))
	case rule.LimitObject:
		p.f("\t\t%s\n", strings.TrimPrefix(limitString(o.Limit), "limit "))
	case rule.CTHelperObject:
		name, _ := rule.InetProtoType.Symbol(uint64(o.L4))
		p.f("\t\ttype \"%s\" protocol %s\n", o.Helper, name)
		p.f("\t\tl3proto %s\n", o.L3)
	case rule.CTTimeoutObject:
		name, _ := rule.InetProtoType.Symbol(uint64(o.L4))
		p.f("\t\tprotocol %s\n\t\tl3proto %s\n\t\tpolicy = { %s }\n", name, o.L3, timeoutPolicy(o))
	case rule.CTExpectObject:
		name, _ := rule.InetProtoType.Symbol(uint64(o.Expect.Proto))
		p.f("\t\tprotocol %s\n\t\tdport %d\n\t\ttimeout %s\n\t\tsize %d\n\t\tl3proto %s\n", name, o.Expect.DPort,
			p.duration(o.Expect.Timeout), o.Expect.Size, o.L3)
	}
	p.f("\t}\n")
}

// The states of connections in the order of their listing.
var (
	tcpStates = []string{"syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "syn_sent2",
		"retrans", "unack"}
	udpStates = []string{"unreplied", "replied"}
)

// timeoutStates returns the states of both.
func timeoutStates() []string { return slices.Concat(tcpStates, udpStates) }

func timeoutPolicy(o *rule.Object) string {
	var out []string
	for _, s := range timeoutStates() {
		if d, ok := o.Timeouts[s]; ok {
			out = append(out, fmt.Sprintf("%s : %d", s, seconds(d)))
		}
	}
	return strings.Join(out, ", ")
}
