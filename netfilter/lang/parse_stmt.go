package lang

import (
	"time"

	"github.com/knitnet/knit/netfilter/rule"
)

// simple is a statement that is complete as it was read.
func (p *parser) simple(start int, s rule.Stmt) *stmt {
	return p.src.stmt(stmt{at: p.since(start), done: s, do: evalDone})
}

// checked is a statement that is complete as it was read, which Linux refuses with err if
// there is one.
func (p *parser) checked(start int, s rule.Stmt, err error) *stmt {
	at := p.since(start)
	if err == nil {
		return p.simple(start, s)
	}
	return &stmt{at: at, eval: func(sc *scope) error { sc.refuse(at, err); sc.add(s); return nil }}
}

// statement reads one statement.
func (p *parser) statement() *stmt {
	start := p.tok.start
	if v := p.verdict(); v != nil {
		return p.src.stmt(stmt{at: v.at, left: v, do: evalVerdict})
	}
	if p.tok.kind == tWord {
		if s := p.action(start); s != nil {
			return s
		}
	}
	return p.exprStatement(start)
}

// action reads the statements that begin with a word of their own; nil: none.
func (p *parser) action(start int) *stmt {
	switch p.tok.text {
	case "counter":
		return p.counter(start)
	case "quota":
		if p.peek().text == "name" {
			return p.objectRef(start, rule.QuotaObject)
		}
		p.next()
		q := p.quota()
		return p.checked(start, &q, quotaError(&q))
	case "limit":
		if p.peek().text == "name" {
			return p.objectRef(start, rule.LimitObject)
		}
		p.next()
		l := p.limit()
		return p.checked(start, &l, limitError(&l))
	case "log":
		return p.log(start)
	case "reject":
		return p.reject(start)
	case "snat", "dnat", "masquerade", "redirect":
		return p.nat(start)
	case "notrack":
		p.next()
		return p.simple(start, &rule.NoTrack{})
	case "reset":
		return p.resetOption(start)
	case "dup":
		return p.dup(start)
	case "fwd":
		return p.fwd(start)
	case "flow":
		p.next()
		if !p.accept("add") && !p.accept("offload") {
			p.unexpected("add", "offload")
		}
		if p.accept("@") || true {
			name := p.name().text
			return p.simple(start, &rule.FlowOffload{Flowtable: name})
		}
	case "set":
		p.next()
		return p.setStatement(start)
	case "add", "update", "delete":
		return p.mapStatement(start)
	case "meter", "flow-table":
		return p.meter(start)
	case "ct":
		return p.ctStatement(start)
	case "tproxy":
		return p.tproxy(start)
	case "queue", "synproxy":
		return p.foreign(start)
	}
	return nil
}

// resetOption reads `reset tcp option timestamp`.
func (p *parser) resetOption(start int) *stmt {
	p.next()
	p.expect("tcp")
	p.expect("option")
	e := &rule.Exthdr{Kind: rule.TCPOption}
	if p.tok.kind == tNumber {
		e.Number = p.optionNumber()
		if h := rule.TCPOptionByNumber(e.Number); h != nil {
			e.Name = h.Name
		}
	} else {
		h := rule.ExthdrByName(rule.TCPOption, p.tok.text)
		if p.tok.kind != tWord || h == nil {
			p.unexpected()
		}
		p.next()
		e.Name, e.Number = h.Name, h.Number
	}
	return p.simple(start, &rule.ResetOption{Option: e})
}

func (p *parser) counter(start int) *stmt {
	if p.peek().text == "name" {
		return p.objectRef(start, rule.CounterObject)
	}
	word := p.span(p.next())
	c := &rule.Counter{}
	for {
		switch {
		case p.accept("packets"):
			c.Packets = p.number()
			continue
		case p.accept("bytes"):
			c.Bytes = p.number()
			continue
		}
		return p.src.stmt(stmt{at: word, done: c, do: evalDone})
	}
}

// objectRef reads the use of a named object, by name or by map.
func (p *parser) objectRef(start int, k rule.ObjectKind) *stmt {
	p.next()
	p.expect("name")
	return p.objectName(start, k)
}

func (p *parser) objectName(start int, k rule.ObjectKind) *stmt {
	n := p.mapValue()
	return &stmt{at: p.since(start), eval: func(sc *scope) error { return sc.objectRef(k, n) }}
}

// mapValue reads an expression, perhaps with a map behind it.
func (p *parser) mapValue() *node {
	n := p.expr()
	if p.accept("map") {
		m := p.mapRHS()
		n = &node{kind: nMap, kids: []*node{n, m}, at: n.at.to(m.at)}
	}
	return n
}

// vmapRHS reads what stands behind vmap.
func (p *parser) vmapRHS() *node {
	if !p.is("{") {
		return p.mapRHS()
	}
	return p.setNode(func() *node {
		start := p.tok.start
		e := p.elem()
		if !p.is(":") {
			p.unexpected("colon")
		}
		p.next()
		v := p.verdict()
		if v == nil {
			p.unexpected()
		}
		return &node{kind: nMapping, kids: []*node{e, v}, at: p.since(start)}
	})
}

func (p *parser) mapRHS() *node {
	switch {
	case p.is("@"):
		return p.setRef()
	case p.is("$"):
		return p.variable()
	}
	if !p.is("{") {
		p.unexpected()
	}
	return p.setNode(p.rhsElem)
}

var sizes = map[string]uint64{"bytes": 1, "kbytes": 1 << 10, "mbytes": 1 << 20}

// quota reads what follows the word quota.
func (p *parser) quota() (q rule.Quota) {
	start := p.last.start
	if p.accept("over") {
		q.Over = true
	} else if !p.accept("until") && p.tok.kind != tNumber {
		p.unexpected()
	}
	q.Bytes = p.size(start)
	if p.accept("used") {
		q.Used = p.size(start)
	}
	return q
}

func (p *parser) size(start int) uint64 {
	n := p.number()
	t := p.word("string")
	m, ok := sizes[t.text]
	if !ok {
		p.failAt(p.since(start), "Wrong rate format")
	}
	return n * m
}

var units = map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour}

// limit reads what follows the word limit.
func (p *parser) limit() (l rule.Limit) {
	p.expect("rate")
	if p.accept("over") {
		l.Over = true
	}
	start := p.tok.start
	l.Rate.Amount = p.number()
	if p.accept("/") {
		l.Rate.Per = p.unit()
		l.Burst = 5
		if p.accept("burst") {
			at := p.last.start
			n := p.number()
			p.expect("packets")
			if n == 0 {
				p.failAt(p.since(at), "packet limit burst must be > 0")
			}
			if n = uint64(uint32(n)); n > 0 { // nft has 32 bits for it
				l.Burst = n
			}
		}
		return l
	}
	l.Rate.Bytes = true
	t := p.word()
	size, unit := cut(t.text)
	m, ok := sizes[size]
	if !ok {
		p.failAt(p.since(start), "Wrong rate format")
	}
	l.Rate.Amount *= m
	if unit == "" {
		p.expect("/")
		l.Rate.Per = p.unit()
	} else if l.Rate.Per, ok = units[unit]; !ok {
		p.failAt(p.since(start), "Wrong rate format")
	}
	if p.accept("burst") {
		l.Burst = uint64(uint32(p.size(p.last.start)))
	}
	return l
}

func cut(s string) (head, tail string) {
	for i := range len(s) {
		if s[i] == '/' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func (p *parser) unit() time.Duration {
	d, ok := units[p.tok.text]
	if !ok {
		p.unexpected()
	}
	p.next()
	return d
}

var logLevels = map[string]bool{"emerg": true, "alert": true, "crit": true, "err": true, "warn": true, "notice": true, "info": true, "debug": true, "audit": true}

var logFlags = map[string]rule.LogFlags{"tcp": 0, "ip": 0, "skuid": rule.LogSKUID, "ether": rule.LogEther, "all": rule.LogAll}

func (p *parser) log(start int) *stmt {
	word := p.span(p.next())
	l := &rule.Log{}
	for {
		switch {
		case p.accept("prefix"):
			t := p.tok
			l.Prefix = p.text()
			if len(l.Prefix) > 127 {
				p.failAt(p.span(t), "log prefix is too long")
			}
		case p.accept("group"):
			g := uint16(p.number())
			l.Group = &g
		case p.accept("snaplen"):
			l.Snaplen = uint32(p.number())
		case p.accept("queue-threshold"):
			l.QThresh = uint16(p.number())
		case p.accept("level"):
			t := p.word("string")
			if !logLevels[t.text] {
				p.failAt(p.span(t), "invalid log level")
			}
			l.Level, l.HasLevel = t.text, true
		case p.accept("flags"):
			p.logFlags(l)
		default:
			return &stmt{at: word, eval: func(sc *scope) error { return sc.log(l, p.since(start)) }}
		}
	}
}

func (p *parser) logFlags(l *rule.Log) {
	t := p.tok
	f, ok := logFlags[t.text]
	if !ok {
		p.unexpected()
	}
	p.next()
	l.Flags |= f
	if t.text == "ip" {
		p.expect("options")
		l.Flags |= rule.LogIPOptions
	}
	if t.text != "tcp" {
		return
	}
	for {
		switch {
		case p.accept("sequence"):
			l.Flags |= rule.LogTCPSeq
		case p.accept("options"):
			l.Flags |= rule.LogTCPOptions
		default:
			p.unexpected("sequence", "options")
		}
		if !p.accept(",") {
			return
		}
	}
}

func (p *parser) reject(start int) *stmt {
	at := p.span(p.next())
	r := &rule.Reject{}
	var code *node
	if p.accept("with") {
		r.Explicit = true
		kinds := map[string]rule.RejectKind{"icmp": rule.RejectICMP, "icmpv6": rule.RejectICMP6, "icmpx": rule.RejectICMPX}
		if p.accept("tcp") {
			p.expect("reset")
			r.Kind = rule.RejectTCPReset
		} else {
			k, ok := kinds[p.tok.text]
			if !ok {
				p.unexpected("icmp", "icmpv6", "tcp", "icmpx")
			}
			p.next()
			r.Kind = k
			p.accept("type")
			code = p.constant()
		}
	}
	return &stmt{at: at, eval: func(sc *scope) error { return sc.reject(r, code, at) }}
}
