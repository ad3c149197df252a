package lang

import (
	"time"

	"github.com/knitnet/knit/netfilter/rule"
)

// setBlock reads the block of a set or map.
func (p *parser) setBlock(c *command) {
	spec := &rule.Set{Name: c.Name}
	c.SetSpec = spec
	b := &setDecl{isMap: c.Kind == Map}
	b.at = p.since(p.expect("{").start)
	p.enter()
	p.setItems(spec, b)
	p.expect("}")
	p.leave()
	c.check = func(ev *evaluator) error { return ev.declareSet(c, b) }
}

// setItems reads what is in the block of a set.
func (p *parser) setItems(spec *rule.Set, b *setDecl) {
	grow := func() { // to what was read last, which may be in an included file
		if p.file == b.at.File {
			b.at = p.since(b.at.Start)
		}
	}
	p.lines(func() {
		if p.common(func(q *parser) { q.setItems(spec, b) }) {
			p.setEnd()
			return
		}
		p.setItem(spec, b)
		grow()
		if !p.is("}") {
			p.setEnd()
			grow()
		}
	}, func() {
		p.recoverItem()
		if p.is(";") || p.tok.kind == tNewline {
			p.next()
		}
		grow()
	})
}

// recoverItem goes to the end of what did not parse in a block.
func (p *parser) recoverItem() {
	for p.tok.kind != tNewline && p.tok.kind != tEOF && !p.is(";") && !p.is("}") {
		p.next()
	}
}

// setEnd demands the end of a line of a set's block.
func (p *parser) setEnd() {
	if p.tok.kind != tNewline && !p.is(";") {
		p.unexpected("newline", "semicolon")
	}
	p.next()
}

// A setDecl is what a set's block says of types, before they are known.
type setDecl struct {
	at           Span
	isMap        bool
	key, data    *node // of typeof
	keyT, dataT  *rule.Type
	elems        *node
	dataInterval bool
	stmts        []*stmt
}

func (p *parser) setItem(spec *rule.Set, b *setDecl) {
	switch {
	case p.accept("type"):
		key := p.typeName()
		if b.isMap && !p.is(":") {
			p.unexpected("colon", ".")
		}
		b.keyT = key
		if p.accept(":") {
			b.dataInterval = p.accept("interval")
			if k, ok := p.mapObject(); ok {
				spec.ObjData = k
			} else {
				b.dataT = p.typeName()
			}
		}
	case p.accept("typeof"):
		b.key = p.typeofExpr()
		if p.accept(":") {
			b.dataInterval = p.accept("interval")
			if k, ok := p.mapObject(); ok {
				spec.ObjData = k
			} else if p.accept("verdict") {
				b.dataT = rule.VerdictType
			} else {
				b.data = p.typeofExpr()
			}
		}
	case p.accept("flags"):
		for {
			t := p.word()
			switch t.text {
			case "constant":
				spec.Flags |= rule.Constant
			case "interval":
				spec.Flags |= rule.Interval
			case "timeout":
				spec.Flags |= rule.Timeout
			case "dynamic":
				spec.Flags |= rule.Dynamic
			default:
				p.tok = t
				p.unexpected("constant", "interval", "dynamic", "timeout")
			}
			if !p.accept(",") {
				break
			}
		}
	case p.accept("timeout"):
		spec.Timeout = p.duration()
		spec.Flags |= rule.Timeout
	case p.accept("gc-interval"):
		spec.GC = p.duration()
	case p.accept("size"):
		spec.Size = uint32(p.number())
	case p.accept("policy"):
		if !p.accept("performance", "memory") {
			p.unexpected("performance", "memory")
		}
		if p.last.text == "memory" {
			spec.Policy = rule.Memory
		}
	case p.accept("auto-merge"):
		spec.AutoMerge = true
	case p.accept("comment"):
		spec.Comment = p.comment()
	case p.accept("elements"):
		p.expect("=")
		if p.is("$") {
			b.elems = p.variable()
		} else {
			b.elems = p.setOrNothing()
		}
	default:
		b.stmts = append(b.stmts, p.stateful())
		for !p.is("}") && p.tok.kind != tNewline && !p.is(";") {
			b.stmts = append(b.stmts, p.stateful())
		}
	}
}

// stateful reads a statement that sets create with an element.
func (p *parser) stateful() *stmt {
	switch {
	case p.is("counter"), p.is("quota"), p.is("limit"), p.is("ct"):
		return p.statement()
	}
	p.unexpected()
	return nil
}

func (p *parser) mapObject() (rule.ObjectKind, bool) {
	switch {
	case p.is("counter"), p.is("quota"), p.is("limit"), p.is("secmark"), p.is("synproxy"):
		return p.objectKind()
	}
	return 0, false
}

// typeName reads a data type or a concatenation of some.
func (p *parser) typeName() *rule.Type {
	var parts []*rule.Type
	for {
		t := p.tok
		if t.kind != tWord {
			p.unexpected("string")
		}
		p.next()
		d := typeByName(t.text)
		if d == nil {
			p.failAt(p.span(t), "unknown datatype %s", t.text)
		}
		parts = append(parts, d)
		if !p.accept(".") {
			break
		}
		if len(parts) > 5 {
			p.unexpected()
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return rule.ConcatOf(parts...)
}

// typeofExpr reads the expression of a typeof.
func (p *parser) typeofExpr() *node {
	n := p.primary()
	if !p.is(".") {
		return n
	}
	c := &node{kind: nConcat, at: n.at, kids: []*node{n}}
	for p.accept(".") {
		c.kids = append(c.kids, p.primary())
		if len(c.kids) > 8 {
			p.unexpected()
		}
	}
	c.at = c.at.to(c.kids[len(c.kids)-1].at)
	return c
}

// duration reads a span of time.
func (p *parser) duration() time.Duration {
	t := p.tok
	if t.kind == tQuoted || t.kind == tWord {
		p.next()
		if d, ok := parseDuration(t.text); ok {
			return d
		}
		p.failAt(p.span(t), "bad time format")
	}
	p.unexpected("string")
	return 0
}

// flowtableBlock reads the block of a flowtable.
func (p *parser) flowtableBlock(c *command) {
	spec := &rule.Flowtable{Name: c.Name}
	c.FlowtableSpec = spec
	c.check = func(ev *evaluator) error { return ev.inTable(c) }
	if !p.accept("{") {
		return
	}
	p.enter()
	for {
		p.newlines()
		if p.is("}") || p.tok.kind == tEOF {
			break
		}
		switch {
		case p.accept("hook"):
			t := p.word("string")
			if t.text != "ingress" {
				p.failAt(p.span(t), "unknown chain hook")
			}
			spec.Priority = p.intPriority(p.priority(), rule.Inet, rule.Ingress)
		case p.accept("devices"):
			p.expect("=")
			spec.Devices = p.deviceList()
		case p.accept("counter"):
			spec.Counter = true
		case p.accept("flags"):
			if !p.accept("offload") {
				p.unexpected("offload")
			}
			spec.Offload = true
		default:
			p.unexpected()
		}
		p.end()
	}
	p.expect("}")
	p.leave()
}
