package lang

import "github.com/knitnet/knit/netfilter/rule"

// exprStatement reads what begins with an expression: a match, a verdict map or an
// assignment.
func (p *parser) exprStatement(start int) *stmt {
	left := p.expr()
	p.wantClass = isPriority(left)
	defer func() { p.wantClass = false }()
	switch {
	case p.accept("vmap"):
		m := p.vmapRHS()
		at := p.since(start)
		return &stmt{at: at, eval: func(sc *scope) error { return sc.vmap(left, m, at) }}
	case p.is("set") && settable(left):
		p.next()
		v := p.assigned()
		return &stmt{at: p.since(start), eval: func(sc *scope) error { return sc.assign(left, v) }}
	}
	op := p.relation()
	right := p.rhs()
	if p.accept("/") {
		// `tcp flags syn / syn,ack` is `tcp flags & (syn|ack) == syn`.
		mask := p.rhsList()
		left = &node{kind: nBinary, op: '&', kids: []*node{left, mask}, at: left.at}
		if op == rule.Implicit {
			op = rule.Eq
		}
		right = masked(right)
	}
	return p.src.stmt(stmt{at: p.since(start), op: op, left: left, right: right, do: evalMatch})
}

// masked makes a list of flags one value.
func masked(n *node) *node {
	if n.kind != nList {
		return n
	}
	out := n.kids[0]
	for _, k := range n.kids[1:] {
		out = &node{kind: nBinary, op: '|', kids: []*node{out, k}, at: n.at}
	}
	return out
}

func isPriority(n *node) bool {
	if n.kind == nMap || n.kind == nBinary {
		n = n.kids[0]
	}
	m, ok := n.expr.(*rule.Meta)
	return ok && n.kind == nLeaf && m.Key == rule.MetaPriority
}

func settable(n *node) bool {
	if n.kind != nLeaf {
		return n.kind == nForeign
	}
	switch n.expr.(type) {
	case *rule.Meta, *rule.CT, *rule.Payload, *rule.Exthdr:
		return true
	}
	return false
}

// assigned reads the value of an assignment.
func (p *parser) assigned() *node {
	n := p.mapValue()
	if !p.is(",") {
		return n
	}
	l := &node{kind: nList, kids: []*node{n}}
	for p.accept(",") {
		l.kids = append(l.kids, p.constant())
	}
	l.at = n.at.to(l.kids[len(l.kids)-1].at)
	return l
}

func (p *parser) relation() rule.Op {
	op := rule.Implicit
	if p.tok.kind == tPunct || p.tok.kind == tWord {
		switch p.tok.text {
		case "==", "eq", "=":
			op = rule.Eq
		case "!=", "ne":
			op = rule.Ne
		case "<", "lt":
			op = rule.Lt
		case "<=", "le":
			op = rule.Le
		case ">", "gt":
			op = rule.Gt
		case ">=", "ge":
			op = rule.Ge
		case "!", "not":
			op = rule.Not
		default:
			return op
		}
		p.next()
	}
	return op
}

// ctStatement reads the statements that begin with ct and set something.
func (p *parser) ctStatement(start int) *stmt {
	save := *p
	p.next()
	switch {
	case p.accept("count"):
		c := &rule.CTCount{}
		if p.accept("over") {
			c.Over = true
		} else if !p.accept("until") && p.tok.kind != tNumber {
			p.unexpected("number", "over")
		}
		c.Count = uint32(p.number())
		return p.simple(start, c)
	case p.accept("helper") && p.accept("set"):
		return p.objectName(start, rule.CTHelperObject)
	case p.accept("timeout") && p.accept("set"):
		return p.objectName(start, rule.CTTimeoutObject)
	case p.accept("expectation") && p.accept("set"):
		return p.objectName(start, rule.CTExpectObject)
	}
	p.lex, p.tok, p.last, p.ahead = save.lex, save.tok, save.last, save.ahead
	return nil
}

// setStatement reads `set add ip saddr @s`, the old order of words.
func (p *parser) setStatement(start int) *stmt {
	if !p.accept("add", "update", "delete") {
		p.unexpected("add", "update", "delete")
	}
	u := &rule.Update{Op: updateOps[p.last.text]}
	key, opts := p.updateKey()
	ref := p.setRef()
	return p.update(start, u, ref, key, nil, opts)
}

var updateOps = map[string]rule.UpdateOp{"add": rule.AddElem, "update": rule.UpdateElem, "delete": rule.DeleteElem}

// mapStatement reads `add @s { ip saddr timeout 5s limit rate 1/second : 1 }`.
func (p *parser) mapStatement(start int) *stmt {
	u := &rule.Update{Op: updateOps[p.next().text]}
	ref := p.setRef()
	p.expect("{")
	p.enter()
	key, opts := p.updateKey()
	var data *node
	if p.accept(":") {
		data = p.expr()
	}
	p.expect("}")
	p.leave()
	return p.update(start, u, ref, key, data, opts)
}

func (p *parser) updateKey() (*node, *elemOpts) {
	key, opts := p.expr(), &elemOpts{}
	p.elemOptions(opts)
	return key, opts
}

func (p *parser) update(start int, u *rule.Update, ref, key, data *node, opts *elemOpts) *stmt {
	u.Set, u.Timeout, u.Comment = ref.text, opts.timeout, opts.comment
	return &stmt{at: p.since(start), eval: func(sc *scope) error { return sc.update(u, ref, key, data, opts) }}
}

// meter reads `meter m size 100 { ip saddr limit rate 1/second }`.
func (p *parser) meter(start int) *stmt {
	p.next()
	name := p.name()
	size := uint64(65535)
	if p.accept("size") {
		size = p.number()
	}
	p.expect("{")
	p.enter()
	key, opts := p.updateKey()
	p.expect("}")
	p.leave()
	u := &rule.Update{Op: rule.AddElem, Set: name.text, Meter: true, MeterSize: uint32(size)}
	u.Timeout = opts.timeout
	if u.Timeout != 0 {
		u.Op = rule.UpdateElem
	}
	return &stmt{at: p.since(start), eval: func(sc *scope) error { return sc.meter(u, key, opts) }}
}
