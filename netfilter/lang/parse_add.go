package lang

import "github.com/knitnet/knit/netfilter/rule"

// adding reads add, create, insert and replace.
func (p *parser) adding(v Verb, start int) {
	switch {
	case v == Insert || v == Replace:
		p.accept("rule")
		p.ruleCommand(v, start)
	case p.is("table"):
		p.next()
		p.tableCommand(v, start)
	case p.accept("chain"):
		c := p.begin(v, Chain)
		p.named(c)
		p.chainCommand(c, start)
	case p.accept("rule"):
		p.ruleCommand(v, start)
	case p.accept("set"), p.accept("map"):
		kind := Set
		if p.last.text == "map" {
			kind = Map
		}
		c := p.begin(v, kind)
		p.named(c)
		p.setBlock(c)
		p.finish(c, start)
	case p.accept("element"):
		c := p.begin(v, Element)
		p.named(c)
		p.elementsOf(c)
		p.finish(c, start)
	case p.accept("flowtable"):
		c := p.begin(v, Flowtable)
		p.named(c)
		p.flowtableBlock(c)
		p.finish(c, start)
	default:
		if k, ok := p.objectKind(); ok {
			c := p.begin(v, Object)
			c.ObjectKind = k
			p.named(c)
			p.objectSpec(c)
			p.finish(c, start)
			return
		}
		p.ruleCommand(v, start)
	}
}

// tableCommand reads a table and the commands that its block is short for, in nft's
// order: chains, objects, sets, flowtables and then rules.
func (p *parser) tableCommand(v Verb, start int) {
	c := p.begin(v, Table)
	p.tableSpec(c)
	c.TableSpec = &rule.Table{Family: c.Family, Name: c.Table}
	c.check = func(*evaluator) error { return nil }
	if !p.is("{") {
		p.finish(c, start)
		return
	}
	p.expect("{")
	p.enter()
	outer := p.vars
	p.vars = &vars{up: outer, names: map[string]*node{}}
	saved := p.src.parsed
	p.src.parsed = nil
	p.tableItems(c)
	items := p.src.parsed
	p.src.parsed = saved
	p.expect("}")
	p.vars = outer
	p.leave()
	p.finish(c, start)
	for _, want := range [][]Kind{{Chain}, {Object}, {Set, Map}, {Flowtable}, {Rule}} {
		for _, it := range items {
			if it.Kind == want[0] || it.Kind == want[len(want)-1] {
				p.src.parsed = append(p.src.parsed, it)
			}
		}
	}
}

// tableItems reads what is in a table's block.
func (p *parser) tableItems(c *command) {
	p.lines(func() { p.tableItem(c) }, p.recoverItem)
}

// tableItem reads one thing of a table's block.
func (p *parser) tableItem(t *command) {
	start := p.tok.start
	in := func(k Kind) *command {
		c := p.begin(t.Verb, k)
		if c.Verb == Create && k != Table {
			c.Verb = Add
		}
		c.Family, c.HasFamily, c.Table, c.TableAt = t.Family, true, t.Table, t.TableAt
		return c
	}
	name := func(c *command) {
		n := p.name()
		c.Name, c.NameAt = n.text, p.span(n)
	}
	if p.common(func(q *parser) { q.tableItems(t) }) {
		p.end()
		return
	}
	switch {
	case p.accept("flags"):
		for {
			switch w := p.word(); w.text {
			case "dormant":
				t.TableSpec.Dormant = true
			default:
				p.failAt(p.span(w), "unknown table option %s", w.text)
			}
			if !p.accept(",") {
				break
			}
		}
	case p.accept("comment"):
		t.TableSpec.Comment = p.comment()
	case p.accept("chain"):
		c := in(Chain)
		name(c)
		p.chainCommand(c, start)
	case p.accept("set"), p.accept("map"):
		c := in(Set)
		if p.last.text == "map" {
			c.Kind = Map
		}
		name(c)
		p.setBlock(c)
		p.finish(c, start)
	case p.accept("flowtable"):
		c := in(Flowtable)
		name(c)
		p.flowtableBlock(c)
		p.finish(c, start)
	default:
		k, ok := p.objectKind()
		if !ok {
			p.unexpected()
		}
		c := in(Object)
		c.ObjectKind = k
		name(c)
		p.objectSpec(c)
		p.finish(c, start)
	}
	p.end()
}

// comment reads the text of a comment, of at most 128 bytes.
func (p *parser) comment() string {
	t := p.tok
	if t.kind == tWord && reserved(t.text) {
		p.unexpected("string", "quoted string", "string with a trailing asterisk")
	}
	s := p.text()
	if len(s) > 127 {
		p.failAt(p.span(t), "comment too long, 128 characters maximum allowed")
	}
	return s
}

// chainCommand reads a chain's block and notes the chain and its rules.
func (p *parser) chainCommand(c *command, start int) {
	spec := &rule.Chain{Name: c.Name}
	c.ChainSpec = spec
	var rules []*command
	if p.accept("{") {
		p.enter()
		outer := p.vars
		p.vars = &vars{up: outer, names: map[string]*node{}}
		p.chainItems(c, &rules)
		p.vars = outer
		p.expect("}")
		p.leave()
	}
	c.check = func(ev *evaluator) error { return ev.chain(c) }
	p.finish(c, start)
	p.src.parsed = append(p.src.parsed, rules...)
}

// chainItems reads what is in a chain's block.
func (p *parser) chainItems(c *command, rules *[]*command) {
	p.lines(func() { p.chainItem(c, rules); p.end() }, p.recoverItem)
}

// chainItem reads one line of a chain's block.
func (p *parser) chainItem(c *command, rules *[]*command) {
	switch {
	case p.common(func(q *parser) { q.chainItems(c, rules) }):
	case p.is("type"):
		start := p.tok.start
		p.hookSpec(c.ChainSpec, c.Family)
		c.hookAt = p.since(start)
	case p.accept("policy"):
		p.policy(c)
	case p.accept("comment"):
		c.ChainSpec.Comment = p.comment()
	default:
		start := p.tok.start
		r := p.begin(Add, Rule)
		r.Family, r.HasFamily, r.Table, r.TableAt, r.Name, r.NameAt = c.Family, true, c.Table, c.TableAt, c.Name, c.NameAt
		p.ruleBody(r)
		r.At = p.since(start)
		*rules = append(*rules, r)
	}
}

func (p *parser) policy(c *command) {
	if p.is("$") {
		n := p.variable()
		p.setPolicy(c, n.text, n.at)
		return
	}
	t := p.tok
	if !p.accept("accept", "drop") {
		p.unexpected("accept", "drop", "'$'")
	}
	p.setPolicy(c, t.text, p.span(t))
}

func (p *parser) setPolicy(c *command, text string, at Span) {
	if text != "accept" && text != "drop" {
		p.failAt(at, "invalid policy expression (%s)", text)
	}
	c.HasPolicy, c.ChainSpec.DropPolicy = true, text == "drop"
}

// hookSpec reads `type filter hook input priority 0`.
func (p *parser) hookSpec(spec *rule.Chain, f rule.Family) {
	p.expect("type")
	t := p.word("string")
	switch t.text {
	case "filter":
	case "nat":
		spec.Type = rule.NATChain
	case "route":
		spec.Type = rule.RouteChain
	default:
		p.failAt(p.span(t), "unknown chain type")
	}
	p.expect("hook")
	t = p.word("string")
	h, ok := rule.ParseHook(t.text)
	if !ok {
		p.failAt(p.span(t), "unknown chain hook")
	}
	spec.Hook = h
	if p.accept("device") {
		if p.is("$") {
			spec.Devices = p.deviceVariable()
		} else {
			spec.Devices = []string{p.text()}
		}
	} else if p.accept("devices") {
		p.accept("=")
		spec.Devices = p.deviceList()
	}
	r := p.priority()
	spec.Priority = p.intPriority(r, f, h)
}

// deviceVariable reads a variable that stands for devices.
func (p *parser) deviceVariable() (out []string) {
	n := p.variable()
	for _, k := range n.elements() {
		if k = keyNode(k); k.kind != nSymbol && k.kind != nString || k.wild || k.text == "" {
			p.failAt(k.at, "invalid variable in the place of a device")
		}
		out = append(out, k.text)
	}
	return out
}

// maxDevices is how many devices one chain or flowtable may name, as in Linux.
const maxDevices = 256

func (p *parser) deviceList() (out []string) {
	if p.is("$") {
		return p.deviceVariable()
	}
	p.expect("{")
	for {
		p.blank()
		switch {
		case p.is("}") && len(out) > 0:
			p.next()
			return out
		case p.is("$"):
			out = append(out, p.deviceVariable()...)
		case p.tok.kind == tWord || p.tok.kind == tQuoted || p.tok.kind == tStar:
			out = append(out, p.text())
		default:
			p.unexpected("string", "quoted string", "'$'")
		}
		if len(out) > maxDevices {
			p.failAt(p.span(p.last), "too many devices")
		}
		p.blank()
		if !p.accept(",") {
			p.expect("}")
			return out
		}
	}
}

// ruleCommand reads [family] table chain [position] statements.
func (p *parser) ruleCommand(v Verb, start int) {
	c := p.begin(v, Rule)
	p.named(c)
	switch {
	case v == Replace:
		p.expect("handle")
		p.handleOf(c)
	case p.accept("position"):
		at := p.last.start
		c.Position = p.number()
		c.HandleAt = p.since(at)
	case p.accept("handle"):
		c.HandleAt = p.span(p.tok)
		c.Position = p.number()
	case p.accept("index"):
		at := p.last.start
		c.Index, c.HasIndex = p.number(), true
		c.HandleAt = p.since(at)
	}
	p.ruleBody(c)
	p.finish(c, start)
}

// ruleBody reads the statements and the comment of a rule.
func (p *parser) ruleBody(c *command) {
	c.RuleSpec = &rule.Rule{}
	stmts := make([]*stmt, 0, 4)
	start := p.tok.start
	for !p.is("comment") && p.tok.kind != tNewline && p.tok.kind != tEOF && !p.is(";") && !p.is("}") {
		if len(stmts) >= 128 {
			p.failAt(p.span(p.tok), "too many statements")
		}
		if len(stmts) > 0 && p.tok.kind == tWord && reserved(p.tok.text) && noStatement[p.tok.text] {
			p.unexpected("end of file", "newline", "semicolon")
		}
		stmts = append(stmts, p.statement())
	}
	if len(stmts) == 0 {
		p.unexpected()
	}
	if p.accept("comment") {
		c.RuleSpec.Comment = p.comment()
	}
	c.At = p.since(start)
	c.check = func(ev *evaluator) error { return ev.rule(c, stmts) }
}
