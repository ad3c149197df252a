package lang

import "github.com/knitnet/knit/netfilter/rule"

// deleting reads delete and destroy.
func (p *parser) deleting(v Verb, start int) {
	c := p.begin(v, Table)
	switch {
	case p.accept("table"):
		p.family(c)
		if p.accept("handle") {
			p.handleOf(c)
			break
		}
		t := p.name()
		c.Table, c.TableAt = t.text, p.span(t)
	case p.accept("chain"):
		c.Kind = Chain
		p.tableSpec(c)
		p.nameOrHandle(c)
		if p.is("{") { // delete chain x y { hook ... }: devices
			p.unexpected()
		}
	case p.accept("rule"):
		c.Kind = Rule
		p.named(c)
		p.expect("handle")
		p.handleOf(c)
	case p.accept("set"), p.accept("map"), p.accept("flowtable"):
		c.Kind = map[string]Kind{"set": Set, "map": Map, "flowtable": Flowtable}[p.last.text]
		p.tableSpec(c)
		p.nameOrHandle(c)
	case p.accept("element"):
		c.Kind = Element
		p.named(c)
		p.elementsOf(c)
	default:
		k, ok := p.objectKind()
		if !ok {
			p.unexpected()
		}
		c.Kind, c.ObjectKind = Object, k
		p.tableSpec(c)
		p.nameOrHandle(c)
	}
	p.finish(c, start)
}

func (p *parser) nameOrHandle(c *command) {
	if p.accept("handle") {
		p.handleOf(c)
		return
	}
	t := p.name()
	c.Name, c.NameAt = t.text, p.span(t)
}

func (p *parser) handleOf(c *command) {
	c.HandleAt = p.span(p.tok)
	c.Handle = p.number()
}

var plural = map[string]Kind{"tables": Table, "chains": Chain, "rules": Rule, "sets": Set, "maps": Map, "meters": Meter,
	"counters": Object, "quotas": Object, "limits": Object, "secmarks": Object, "synproxys": Object, "flowtables": Flowtable, "hooks": Hooks}

var singular = map[string]Kind{"table": Table, "chain": Chain, "set": Set, "map": Map, "meter": Meter, "flowtable": Flowtable, "rule": Rule,
	"element": Element}

var pluralObjects = map[string]rule.ObjectKind{"counters": rule.CounterObject, "quotas": rule.QuotaObject, "limits": rule.LimitObject,
	"secmarks": rule.SecmarkObject, "synproxys": rule.SynproxyObject}

// listing reads list, reset and flush.
func (p *parser) listing(v Verb, start int) {
	c := p.begin(v, Ruleset)
	defer func() { p.finish(c, start) }()
	if v == Reset {
		c.check = func(ev *evaluator) error {
			if !c.All || c.Table == "" || ev.table(c.Family, c.Table) != nil {
				return nil
			}
			return ev.missing(c.TableAt)
		}
	}
	if v == List || v == Flush {
		c.check = func(ev *evaluator) error {
			if v == Flush && c.Kind != Set && c.Kind != Map {
				return nil
			}
			return ev.named(c)
		}
	}
	w := p.tok.text
	if p.tok.kind != tWord && v != Reset {
		p.unexpected()
	}
	if w == "ruleset" {
		p.next()
		c.All = true
		p.family(c)
		return
	}
	if w == "flow" && p.peek().text == "tables" { // the old name of meters
		p.next()
		w = "meters"
	}
	if k, ok := plural[w]; ok && v != Flush && (w != "rules" || v == Reset) {
		p.next()
		c.Kind, c.All, c.ObjectKind = k, true, pluralObjects[w]
		p.scope(c)
		return
	}
	if k, ok := singular[w]; ok && (w != "rule" && w != "element" || v != List) {
		p.next()
		c.Kind = k
		switch {
		case k == Table:
			p.tableSpec(c)
		case k == Element:
			p.named(c)
			p.elementsOf(c)
		default:
			p.named(c)
			if v == Reset && k == Rule && p.accept("handle") {
				p.handleOf(c)
			}
		}
		return
	}
	if w == "ct" && p.peek().text != "helper" || w == "ct" && v == List {
		if p.ctList(c) {
			return
		}
	}
	k, ok := p.objectKind()
	switch {
	case !ok && v == Reset:
		p.unexpected("counter", "counters", "quotas", "quota")
	case !ok:
		p.unexpected()
	}
	c.Kind, c.ObjectKind = Object, k
	p.named(c)
}

// ctList reads the ct objects of list, in their singular and plural.
func (p *parser) ctList(c *command) bool {
	p.expect("ct")
	kinds := map[string]rule.ObjectKind{"helper": rule.CTHelperObject, "helpers": rule.CTHelperObject, "timeout": rule.CTTimeoutObject,
		"expectation": rule.CTExpectObject}
	k, ok := kinds[p.tok.text]
	if !ok {
		p.unexpected("timeout", "expectation", "helper", "helpers")
	}
	w := p.next().text
	c.Kind, c.ObjectKind = Object, k
	if w == "helpers" && !p.is("table") {
		p.unexpected("table")
	}
	if p.is("table") {
		c.All = true
		p.scope(c)
		return true
	}
	p.named(c)
	return true
}

// scope reads what a list is limited to.
func (p *parser) scope(c *command) {
	if p.is("table") && c.Kind != Map {
		p.next()
		p.tableSpec(c)
		return
	}
	p.family(c)
	if c.Kind == Rule && p.tok.kind == tWord {
		p.accept("chain")
		t := p.name()
		c.Table, c.TableAt = t.text, p.span(t)
		if p.tok.kind == tWord {
			t := p.name()
			c.Name, c.NameAt = t.text, p.span(t)
		}
	}
}

// elementsOf reads the elements of an element command.
func (p *parser) elementsOf(c *command) {
	var n *node
	if p.is("$") {
		n = p.variable()
	} else {
		n = p.setNode(p.rhsElem)
	}
	c.check = func(ev *evaluator) error {
		if c.Verb == Add || c.Verb == Create {
			if t := ev.table(c.Family, c.Table); t == nil {
				return ev.absent(c, c.TableAt)
			}
		}
		set := ev.set(c.Family, c.Table, c.Name)
		if set == nil {
			return ev.absent(c, c.NameAt)
		}
		var err error
		c.Elems, c.ElemAt, err = ev.elements(c.Family, c.Table, set, n)
		return err
	}
}
