package lang

import (
	"time"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/netfilter/rule"
)

// intPriority resolves a priority or reports it.
func (p *parser) intPriority(r prio, f rule.Family, h rule.Hook) hook.Priority {
	v, ok := r.resolve(f, h)
	if !ok || v > 1<<31-1 || v < -1<<31 {
		p.failAt(r.at, "invalid priority expression value in this context.")
	}
	return hook.Priority(v)
}

// objectSpec reads the value or block of a named object.
func (p *parser) objectSpec(c *command) {
	o := &rule.Object{Kind: c.ObjectKind, Name: c.Name}
	c.ObjectSpec = o
	c.check = func(ev *evaluator) error {
		if !o.HasL3 {
			o.L3 = c.Family
		}
		return ev.inTable(c)
	}
	switch o.Kind {
	case rule.CounterObject:
		o.Counter = &rule.Counter{}
	case rule.QuotaObject:
		o.Quota = &rule.Quota{}
	case rule.LimitObject:
		o.Limit = &rule.Limit{}
	}
	if !p.accept("{") {
		if p.tok.kind == tWord && !p.is("comment") || p.tok.kind == tNumber {
			p.objectItem(o)
		}
		return
	}
	p.enter()
	for {
		p.newlines()
		if p.is("}") || p.tok.kind == tEOF {
			break
		}
		if p.accept("comment") {
			o.Comment = p.comment()
		} else {
			p.objectItem(o)
		}
		if !p.is("comment") {
			p.end()
		}
	}
	p.expect("}")
	p.leave()
}

// objectItem reads a line of an object's block.
func (p *parser) objectItem(o *rule.Object) {
	switch o.Kind {
	case rule.CounterObject:
		if !p.accept("packets") {
			p.unexpected()
		}
		o.Counter.Packets = p.number()
		p.expect("bytes")
		o.Counter.Bytes = p.number()
	case rule.QuotaObject:
		*o.Quota = p.quota()
	case rule.LimitObject:
		*o.Limit = p.limit()
	case rule.CTHelperObject:
		p.helperItem(o)
	case rule.CTTimeoutObject:
		p.timeoutItem(o)
	case rule.CTExpectObject:
		p.expectItem(o)
	default:
		p.unexpected()
	}
}

func (p *parser) helperItem(o *rule.Object) {
	switch {
	case p.accept("type"):
		o.Helper = p.text()
		p.expect("protocol")
		o.L4 = p.l4proto()
	case p.accept("l3proto"):
		o.L3 = p.l3proto()
		o.HasL3 = true
	default:
		p.unexpected()
	}
}

func (p *parser) l3proto() rule.Family {
	t := p.word()
	f, ok := rule.ParseFamily(t.text)
	if !ok {
		p.failAt(p.span(t), "unknown family %s", t.text)
	}
	return f
}

func (p *parser) l4proto() uint8 {
	t := p.tok
	if !p.accept("tcp", "udp") {
		p.unexpected("udp", "tcp")
	}
	v, ok := rule.InetProtoType.Lookup(t.text)
	if !ok {
		p.failAt(p.span(t), "unknown protocol %s", t.text)
	}
	return uint8(v)
}

func (p *parser) timeoutItem(o *rule.Object) {
	switch {
	case p.accept("protocol"):
		o.L4 = p.l4proto()
	case p.accept("l3proto"):
		o.L3 = p.l3proto()
		o.HasL3 = true
	case p.accept("policy"):
		p.expect("=")
		p.expect("{")
		o.Timeouts = map[string]time.Duration{}
		for len(o.Timeouts) < 32 {
			p.blank()
			if p.is("}") {
				break
			}
			name := p.word().text
			p.expect(":")
			if p.tok.kind == tNumber {
				o.Timeouts[name] = time.Duration(min(p.number(), 1<<32)) * time.Second
			} else {
				o.Timeouts[name] = p.duration()
			}
			p.blank()
			if !p.accept(",") {
				break
			}
		}
		p.blank()
		p.expect("}")
	default:
		p.unexpected()
	}
}

func (p *parser) expectItem(o *rule.Object) {
	if o.Expect == nil {
		o.Expect = &rule.Expectation{}
	}
	switch {
	case p.accept("protocol"):
		o.Expect.Proto = p.l4proto()
	case p.accept("dport"):
		o.Expect.DPort = uint16(p.number())
	case p.accept("timeout"):
		o.Expect.Timeout = p.duration()
	case p.accept("size"):
		o.Expect.Size = uint8(p.number())
	case p.accept("l3proto"):
		o.L3 = p.l3proto()
		o.HasL3 = true
	default:
		p.unexpected()
	}
}
