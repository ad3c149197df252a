package lang

import (
	"strings"

	"github.com/knitnet/knit/netfilter/rule"
)

// setOrNothing reads { ... } with elements, of which there may be none.
func (p *parser) setOrNothing() *node {
	if p.peek().kind != tPunct || p.peek().text != "}" {
		return p.setNode(p.rhsElem)
	}
	start := p.next().start
	p.next()
	return p.src.node(node{kind: nSet, at: p.since(start)})
}

// setNode reads { ... } with elements that item reads.
func (p *parser) setNode(item func() *node) *node {
	start := p.expect("{").start
	p.enter()
	n := p.src.node(node{kind: nSet})
	for {
		p.blank()
		if p.is("}") {
			if len(n.kids) == 0 {
				p.unexpected()
			}
			break
		}
		n.kids = append(n.kids, item())
		p.blank()
		if !p.accept(",") {
			break
		}
	}
	p.blank()
	p.expect("}")
	p.leave()
	n.at = p.since(start)
	return n
}

// rhsElem reads an element of a set literal: key, options, and data behind a colon.
func (p *parser) rhsElem() *node {
	start := p.tok.start
	e := p.elem()
	if p.accept(":") {
		data := p.dataNode()
		return p.src.node(node{kind: nMapping, kids: []*node{e, data}, at: p.since(start)})
	}
	return e
}

// elem reads the key of an element and its options.
func (p *parser) elem() *node {
	start := p.tok.start
	var key *node
	switch {
	case p.is("*"):
		key = p.src.node(node{kind: nAny, at: p.span(p.next())})
	case p.is("{"):
		p.unexpected()
	default:
		key = p.concat(p.rangeOrValue)
	}
	e := p.src.node(node{kind: nElem, kids: []*node{key}, elem: &elemOpts{}})
	p.elemOptions(e.elem)
	e.at = p.since(start)
	return e
}

// dataNode reads what a map leads to.
func (p *parser) dataNode() *node {
	if v := p.verdict(); v != nil {
		return v
	}
	return p.concat(p.rangeOrValue)
}

// elemOptions reads what may follow the key of an element.
func (p *parser) elemOptions(o *elemOpts) {
	for {
		switch {
		case p.accept("timeout"):
			o.timeout = p.duration()
		case p.accept("expires"):
			o.expires = p.duration()
		case p.accept("comment"):
			o.comment = p.comment()
		case p.is("counter"), p.is("quota"), p.is("limit"), p.is("ct"):
			o.stmts = append(o.stmts, p.statement())
		default:
			return
		}
	}
}

// verdict reads a verdict if there is one.
func (p *parser) verdict() *node {
	start := p.tok.start
	if p.tok.kind != tWord {
		return nil
	}
	if k, ok := verdictKind(p.tok.text); ok {
		p.next()
		return p.src.node(node{kind: nVerdict, verdict: &rule.Verdict{Kind: k}, at: p.since(start)})
	}
	if p.accept("jump", "goto") {
		v := &rule.Verdict{Kind: rule.Jump}
		if p.last.text == "goto" {
			v.Kind = rule.Goto
		}
		if p.is("{") { // chains without a name
			p.failAt(p.span(p.tok), "%s", notSupported)
		}
		if p.tok.kind != tWord && !p.is("$") || reserved(p.tok.text) {
			p.unexpected("'{'")
		}
		t := p.name()
		v.Chain = t.text
		n := p.src.node(node{kind: nVerdict, verdict: v, at: p.since(start)})
		n.chainAt = p.span(t)
		return n
	}
	return nil
}

func verdictKind(w string) (rule.VerdictKind, bool) {
	switch w {
	case "accept":
		return rule.Accept, true
	case "drop":
		return rule.Drop, true
	case "continue":
		return rule.Continue, true
	case "return":
		return rule.Return, true
	}
	return 0, false
}

// rhs reads the right side of a relation.
func (p *parser) rhs() *node {
	switch {
	case p.is("{"):
		return p.setNode(p.rhsElem)
	case p.is("@"):
		return p.setRef()
	}
	return p.rhsList()
}

// rhsList reads values with commas between.
func (p *parser) rhsList() *node {
	n := p.concat(p.rangeOrValue)
	if !p.is(",") {
		return n
	}
	l := p.src.node(node{kind: nList, kids: []*node{n}})
	for p.accept(",") {
		p.blank()
		l.kids = append(l.kids, p.concat(p.rangeOrValue))
	}
	l.at = n.at.to(l.kids[len(l.kids)-1].at)
	return l
}

func (p *parser) setRef() *node {
	start := p.expect("@").start
	if p.is("ll") || p.is("nh") || p.is("ih") {
		p.failAt(p.span(p.tok), "syntax error, unexpected %s, expecting string", p.tok.text)
	}
	t := p.name()
	return p.src.node(node{kind: nSetRef, text: t.text, at: p.since(start)})
}

// concat reads parts with dots between.
func (p *parser) concat(part func() *node) *node {
	n := part()
	if !p.is(".") {
		return n
	}
	c := p.src.node(node{kind: nConcat, kids: []*node{n}})
	for p.accept(".") {
		if len(c.kids) >= 16 {
			p.unexpected()
		}
		start := p.last.start
		k := part()
		if len(c.kids) > 1 {
			k.at.Start = start // nft's places of the third part and those behind it
		}
		c.kids = append(c.kids, k)
	}
	c.at = n.at.to(c.kids[len(c.kids)-1].at)
	return c
}

// rangeOrValue reads a constant, a prefix or a range.
func (p *parser) rangeOrValue() *node {
	n := p.or(p.constant)
	switch {
	case p.is("/") && p.peek().kind == tNumber:
		p.next()
		x := p.src.node(node{kind: nPrefix, kids: []*node{n}, num: int(min(p.number(), 1<<20))})
		x.at = n.at.to(p.span(p.last))
		return x
	case p.accept("-"):
		hi := p.or(p.constant)
		return p.src.node(node{kind: nRange, kids: []*node{n, hi}, at: n.at.to(hi.at)})
	}
	return n
}

// constant reads a symbol, number, string or variable, or these in parentheses.
func (p *parser) constant() *node {
	t := p.tok
	switch {
	case p.is("$"):
		return p.variable()
	case p.accept("("):
		p.enter()
		n := p.or(p.constant)
		if p.is(",") {
			l := p.src.node(node{kind: nList, kids: []*node{n}, at: n.at})
			for p.accept(",") {
				l.kids = append(l.kids, p.or(p.constant))
			}
			n = l
		}
		p.expect(")")
		p.leave()
		return n
	case t.kind == tNumber:
		p.next()
		n := p.src.node(node{kind: nSymbol, text: t.text, number: true, at: p.span(t)})
		p.classid(n)
		return n
	case t.kind == tWord:
		own, ok := constantWord(t.text)
		if !ok {
			p.unexpected()
		}
		p.next()
		return p.src.node(node{kind: nSymbol, text: strings.ReplaceAll(t.text, `\`, ""), own: own, at: p.span(t)})
	case t.kind == tStar:
		p.next()
		return starNode(t, p.span(t), nSymbol)
	case t.kind == tQuoted:
		p.next()
		return starNode(t, p.span(t), nString)
	}
	p.unexpected()
	return nil
}

// starNode is a name, which an asterisk at the end makes the beginning of names.
func starNode(t token, at Span, kind nodeKind) *node {
	n := &node{kind: kind, text: t.text, at: at}
	switch {
	case strings.HasSuffix(t.text, `\*`):
		n.text = strings.TrimSuffix(t.text, `\*`) + "*"
	case strings.HasSuffix(t.text, "*"):
		n.text, n.wild = strings.TrimSuffix(t.text, "*"), true
	}
	return n
}

// classid joins 1:2 without blanks between to one symbol, where a priority is
// expected.
func (p *parser) classid(n *node) {
	if !p.wantClass || !p.is(":") || p.tok.start != n.at.End {
		return
	}
	p.next()
	if p.tok.start == p.last.end && (p.tok.kind == tNumber || p.tok.kind == tWord) {
		n.text += ":" + p.next().text
	} else {
		n.text += ":"
	}
	n.number = false
	n.at.End = p.last.end
}

// or reads an expression of bits: `|` binds least, then `^`, `&` and shifts.
func (p *parser) or(part func() *node) *node {
	return p.binary(part, 1)
}

// operator returns the operator that a token is and how much it binds, from 1 on.
func (t *token) operator() (op byte, level int) {
	if t.kind != tPunct && t.kind != tWord || len(t.text) > 6 {
		return 0, 0
	}
	switch t.text {
	case "|", "or":
		return '|', 1
	case "^", "xor":
		return '^', 2
	case "&", "and":
		return '&', 3
	case "<<", "lshift":
		return '<', 4
	case ">>", "rshift":
		return '>', 4
	}
	return 0, 0
}

func (p *parser) binary(part func() *node, level int) *node {
	n := part()
	for range 64 {
		op, at := p.tok.operator()
		if at < level {
			break
		}
		p.next()
		r := p.binary(part, level+1)
		n = p.src.node(node{kind: nBinary, op: op, kids: []*node{n, r}, at: n.at.to(r.at)})
	}
	return n
}

// expr reads what is computed per packet: the left side of relations and values to
// set.
func (p *parser) expr() *node {
	p.enter()
	defer p.leave()
	return p.concat(func() *node { return p.or(p.primary) })
}
