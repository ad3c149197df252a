package lang

import (
	"slices"
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
	c.ObjectSpec, p.states = o, nil
	c.check = func(ev *evaluator) error {
		if !o.HasL3 {
			o.L3 = c.Family
		}
		if err := ev.inTable(c); err != nil {
			return err
		}
		return completeObject(c)
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
		p.objectLine(o)
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
	p.checkStates(o.L4)
}

// checkStates checks that the states of a policy are those of a protocol, which may be said
// behind them.
func (p *parser) checkStates(protocol uint8) {
	states := map[uint8][]string{6: tcpStates, 17: udpStates}[protocol]
	for _, t := range p.states {
		if !slices.Contains(states, t.text) {
			p.failAt(p.span(t), "invalid state for this protocol")
		}
	}
}

// objectLine reads the value of an object that has no block. Counters need none.
func (p *parser) objectLine(o *rule.Object) {
	there := p.tok.kind == tWord && !p.is("comment") || p.tok.kind == tNumber || p.tok.kind == tQuoted
	switch o.Kind {
	case rule.CounterObject:
		if !there {
			return
		}
	case rule.QuotaObject:
		if !there {
			p.unexpected("number")
		}
	case rule.LimitObject:
		if !there {
			p.unexpected("rate", "'{'")
		}
	case rule.SecmarkObject:
		if !there {
			p.unexpected("string", "quoted string", "string with a trailing asterisk", "'{'")
		}
	case rule.SynproxyObject:
		if !there {
			p.unexpected("mss", "'{'")
		}
	default:
		p.unexpected("'{'")
	}
	p.objectItem(o)
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
	case rule.SecmarkObject:
		p.text()
	case rule.SynproxyObject:
		p.synproxyItem()
	default:
		p.unexpected()
	}
}

// maxHelper is how long the name of a helper may be.
const maxHelper = 16

func (p *parser) helperItem(o *rule.Object) {
	switch {
	case p.accept("type"):
		t := p.tok
		if t.kind != tQuoted {
			p.unexpected("quoted string")
		}
		if len(t.text) > maxHelper {
			p.failAt(p.span(t), "invalid name '%s', max length is %d", t.text, maxHelper)
		}
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
		p.failAt(p.span(t), "syntax error, unexpected %s", t.describe())
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
		p.timeoutPolicy(o)
	default:
		p.unexpected()
	}
}

// timeoutPolicy reads `{ established : 100, close : 10 }`, of seconds.
func (p *parser) timeoutPolicy(o *rule.Object) {
	p.expect("{")
	o.Timeouts = map[string]time.Duration{}
	for {
		p.blank()
		t := p.word("string")
		p.states = append(p.states, t)
		p.expect(":")
		o.Timeouts[t.text] = time.Duration(uint32(p.number())) * time.Second // nft has 32 bits for it
		p.blank()
		if !p.accept(",") {
			break
		}
	}
	p.expect("}")
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
