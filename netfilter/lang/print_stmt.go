package lang

import (
	"fmt"
	"strings"
	"time"

	"github.com/knitnet/knit/netfilter/rule"
)

func (p *printer) stmt(s rule.Stmt) {
	switch x := s.(type) {
	case *rule.Match:
		p.match(x)
	case *rule.Verdict:
		p.f("%s", x.Kind)
		if x.Chain != "" {
			p.f(" %s", x.Chain)
		}
	case *rule.VMap:
		p.expr(x.Key)
		p.f(" vmap ")
		p.mapOf(x.Map)
	case *rule.Counter:
		p.f("counter")
		if !p.Stateless {
			p.f(" packets %d bytes %d", x.Packets, x.Bytes)
		}
	case *rule.Quota:
		p.f("%s", p.quota(x))
	case *rule.Limit:
		p.f("%s", limitString(x))
	case *rule.CTCount:
		p.f("ct count ")
		if x.Over {
			p.f("over ")
		}
		p.f("%d", x.Count)
	case *rule.Log:
		p.log(x)
	case *rule.Reject:
		p.reject(x)
	case *rule.TProxy:
		p.tproxy(x)
	case *rule.NAT:
		p.nat(x)
	case *rule.Assign:
		p.expr(x.Dst)
		p.f(" set ")
		p.expr(x.Value)
	case *rule.NoTrack:
		p.f("notrack")
	case *rule.ResetOption:
		p.f("reset ")
		p.expr(x.Option)
	case *rule.Dup:
		p.dup(x)
	case *rule.Fwd:
		p.f("fwd ")
		if x.Addr != nil {
			p.f("%s ", x.Family)
			p.f("to ")
			p.expr(x.Addr)
			p.f(" device ")
		} else {
			p.f("to ")
		}
		p.expr(x.Device)
	case *rule.Update:
		p.update(x)
	case *rule.FlowOffload:
		p.f("flow add @%s", x.Flowtable)
	case *rule.ObjectRef:
		p.objectRef(x)
	}
}

// stateless writes a statement that sets create with elements.
func (p *printer) stateless(s rule.Stmt) {
	if _, ok := s.(*rule.Counter); ok {
		p.f("counter")
		return
	}
	p.stmt(s)
}

func (p *printer) match(m *rule.Match) {
	b, ok := m.Left.(*rule.Binary)
	if ok && b.Op == '&' && b.Type().Bitmask() && (m.Op == rule.Eq || m.Op == rule.Ne || m.Op == rule.Implicit) {
		if p.flagsMask(m, b) {
			return
		}
	}
	p.expr(m.Left)
	p.f(" ")
	if m.Op != rule.Implicit {
		p.f("%s ", m.Op)
	} else if ok {
		p.f("== ")
	}
	p.right(m.Right)
}

// flagsMask writes `flags & mask == value` as `flags value / mask`.
func (p *printer) flagsMask(m *rule.Match, b *rule.Binary) bool {
	v, ok := m.Right.(*rule.Value)
	mask, ok2 := b.Right.(*rule.Value)
	if !ok || !ok2 || v.T != rule.TCPFlagType {
		return false
	}
	if toUint(v) == 0 {
		p.expr(b.Left)
		if m.Op == rule.Ne {
			p.f(" ")
		} else {
			p.f(" ! ")
		}
		p.constant(mask)
		return true
	}
	p.expr(b.Left)
	p.f(" ")
	if m.Op == rule.Ne {
		p.f("!= ")
	}
	p.constant(v)
	p.f(" / ")
	p.constant(mask)
	return true
}

func (p *printer) mapOf(e rule.Expr) {
	switch x := e.(type) {
	case *rule.SetRef:
		p.f("@%s", x.Name)
	case *rule.SetLit:
		p.setLit(x)
	}
}

func (p *printer) setLit(x *rule.SetLit) {
	p.f("{ ")
	for i := range x.Elems {
		if i > 0 {
			p.f(", ")
		}
		p.elem(&x.Elems[i])
	}
	p.f(" }")
}

// size writes bytes with the largest unit that divides them.
func size(n uint64) string {
	switch {
	case n == 0:
		return "0 bytes"
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d mbytes", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d kbytes", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

func (p *printer) quota(q *rule.Quota) string {
	s := "quota "
	if q.Over {
		s += "over "
	}
	s += size(q.Bytes)
	if q.Used > 0 && !p.Stateless {
		s += " used " + size(q.Used)
	}
	return s
}

func unitString(d time.Duration) string {
	for _, name := range []string{"second", "minute", "hour", "day", "week"} {
		if units[name] == d {
			return name
		}
	}
	return d.String()
}

func limitString(l *rule.Limit) string {
	s := "limit rate "
	if l.Over {
		s += "over "
	}
	if l.Rate.Bytes {
		s += size(l.Rate.Amount) + "/" + unitString(l.Rate.Per)
		if l.Burst > 0 {
			s += " burst " + size(l.Burst)
		}
		return s
	}
	s += fmt.Sprintf("%d/%s", l.Rate.Amount, unitString(l.Rate.Per))
	if l.Burst > 0 && l.Burst != 5 {
		s += fmt.Sprintf(" burst %d packets", l.Burst)
	}
	return s
}

func (p *printer) log(l *rule.Log) {
	p.f("log")
	if l.Prefix != "" {
		p.f(" prefix \"%s\"", l.Prefix)
	}
	if l.Group != nil {
		p.f(" group %d", *l.Group)
		if l.Snaplen > 0 {
			p.f(" snaplen %d", l.Snaplen)
		}
		if l.QThresh > 0 {
			p.f(" queue-threshold %d", l.QThresh)
		}
		return
	}
	if l.Level != "" && l.Level != "warn" {
		p.f(" level %s", l.Level)
	}
	if l.Flags == rule.LogAll {
		p.f(" flags all")
		return
	}
	var tcp []string
	if l.Flags&rule.LogTCPSeq != 0 {
		tcp = append(tcp, "sequence")
	}
	if l.Flags&rule.LogTCPOptions != 0 {
		tcp = append(tcp, "options")
	}
	if len(tcp) > 0 {
		p.f(" flags tcp %s", strings.Join(tcp, ","))
	}
	if l.Flags&rule.LogIPOptions != 0 {
		p.f(" flags ip options")
	}
	if l.Flags&rule.LogSKUID != 0 {
		p.f(" flags skuid")
	}
	if l.Flags&rule.LogEther != 0 {
		p.f(" flags ether")
	}
}

func (p *printer) reject(r *rule.Reject) {
	p.f("reject")
	if r.Kind == rule.RejectTCPReset {
		p.f(" with tcp reset")
		return
	}
	if !r.Explicit {
		return
	}
	names := map[rule.RejectKind]string{rule.RejectICMP: "icmp", rule.RejectICMP6: "icmpv6", rule.RejectICMPX: "icmpx"}
	p.f(" with %s ", names[r.Kind])
	if s, ok := rejectTypes[r.Kind].Symbol(uint64(r.Code)); ok && !p.Numeric {
		p.f("%s", s)
	} else {
		p.f("%d", r.Code)
	}
}

func (p *printer) nat(n *rule.NAT) {
	p.f("%s", n.Kind)
	if n.Addr != nil {
		if n.HasFamily {
			p.f(" %s", n.Family)
		}
		switch {
		case n.Prefix:
			p.f(" prefix")
		case n.Both && n.Addr.Bits() == 0:
			p.f(" addr . port")
		}
		p.f(" to ")
		if n.Port != nil && n.Family == rule.IP6 {
			p.bracketed(n.Addr)
		} else {
			p.expr(n.Addr)
		}
	}
	if n.Port != nil {
		if n.Addr == nil {
			p.f(" to ")
		}
		p.f(":")
		p.expr(n.Port)
	}
	var flags []string
	for i, w := range []string{"random", "fully-random", "persistent"} {
		if n.Flags&(1<<i) != 0 {
			flags = append(flags, w)
		}
	}
	if len(flags) > 0 {
		p.f(" %s", strings.Join(flags, ","))
	}
	for _, b := range behaviours(n) {
		p.f(" %s %s", b.word, b.value)
	}
}

// A behaviour is a word of a NAT statement that nft does not know, and its value.
type behaviour struct{ word, value string }

// behaviours are those of a statement that are not Linux's.
func behaviours(n *rule.NAT) (list []behaviour) {
	names := [...]string{rule.AddressDependent: "address-dependent", rule.EndpointIndependent: "endpoint-independent"}
	if n.Mapping != rule.AddressPortDependent {
		list = append(list, behaviour{"mapping", names[n.Mapping]})
	}
	if n.Filtering != rule.AddressPortDependent {
		list = append(list, behaviour{"filtering", names[n.Filtering]})
	}
	return list
}

func (p *printer) bracketed(e rule.Expr) {
	switch x := e.(type) {
	case *rule.Value:
		p.f("[")
		p.constant(x)
		p.f("]")
	case *rule.Range:
		p.bracketed(x.Lo)
		p.f("-")
		p.bracketed(x.Hi)
	default:
		p.expr(e)
	}
}

func (p *printer) dup(d *rule.Dup) {
	p.f("dup to ")
	if d.Addr == nil {
		p.expr(d.Device)
		return
	}
	p.expr(d.Addr)
	if d.Device != nil {
		p.f(" device ")
		p.expr(d.Device)
	}
}

func (p *printer) update(u *rule.Update) {
	if u.Meter {
		p.f("meter %s size %d { ", u.Set, u.MeterSize)
	} else {
		p.f("%s @%s { ", u.Op, u.Set)
	}
	p.expr(u.Key)
	if u.Timeout > 0 {
		p.f(" timeout %s", p.duration(u.Timeout))
	}
	if u.Comment != "" {
		p.f(" comment \"%s\"", u.Comment)
	}
	for _, s := range u.Stmts {
		p.f(" ")
		p.stateless(s)
	}
	if u.Data != nil {
		p.f(" : ")
		if v, ok := u.Data.(*rule.Verdict); ok {
			p.stmt(v)
		} else {
			p.expr(u.Data)
		}
	}
	p.f(" }")
}

func (p *printer) objectRef(o *rule.ObjectRef) {
	switch o.Kind {
	case rule.CTHelperObject, rule.CTTimeoutObject, rule.CTExpectObject:
		p.f("%s set ", o.Kind)
	default:
		p.f("%s name ", o.Kind)
	}
	if v, ok := o.Name.(*rule.Value); ok {
		p.f("\"%s\"", v.Data)
		return
	}
	p.expr(o.Name)
}
