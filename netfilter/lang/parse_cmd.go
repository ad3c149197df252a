package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/knitnet/knit/netfilter/rule"
)

// read reads a file; what is wrong is noted in s.errs.
func (s *source) read(f *File) { s.readIn(f, 0, s.globals(), (*parser).commands) }

// globals are the variables given by the caller, which are read as nft reads them: as a line
// of definitions in front of all files.
func (s *source) globals() *vars {
	if s.vars == nil {
		s.vars = &vars{names: map[string]*node{}}
		var line strings.Builder
		for _, name := range slices.Sorted(maps.Keys(s.opts.Define)) {
			fmt.Fprintf(&line, "define %s=%s; ", name, s.opts.Define[name])
		}
		s.readIn(&File{Text: line.String()}, 0, s.vars, (*parser).definitions)
	}
	return s.vars
}

func (s *source) parser(f *File, depth int, v *vars) *parser {
	p := &parser{src: s, file: f, lex: lexer{text: f.Text}, depth: depth, vars: v}
	return p
}

// guard runs f and notes the syntax error that ends it.
func (p *parser) guard(f func()) (ok bool) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case syntax:
			p.src.errs = append(p.src.errs, r.err)
			ok = false
		default:
			panic(r)
		}
	}()
	f()
	return true
}

// readIn reads a file, whose contents are what body reads.
func (s *source) readIn(f *File, depth int, v *vars, body func(*parser)) {
	s.files++
	s.bytes += len(f.Text)
	if s.files > maxFiles || s.bytes > maxSource {
		s.fail(Span{f, 0, 0}, "too much source")
		return
	}
	p := s.parser(f, depth, v)
	p.next()
	for body(p); p.is("}") && len(s.errs) < maxErrors; body(p) { // there is nothing to close
		p.guard(func() { p.unexpected() })
		p.recoverLine()
	}
}

// commands reads a file of commands.
func (p *parser) commands() {
	v, nest := p.vars, p.nest
	p.lines(func() {
		p.nest, p.vars = nest, v
		p.line()
	}, p.recoverLine)
}

// definitions reads the variables that the caller gives.
func (p *parser) definitions() {
	p.lines(func() {
		if !p.common((*parser).definitions) {
			p.unexpected()
		}
		p.end()
	}, p.recoverLine)
}

// lines reads what item reads until a block or the file ends; after a syntax error recover goes
// to where the next one can begin.
func (p *parser) lines(item, recover func()) {
	for {
		p.newlines()
		if p.is("}") || p.tok.kind == tEOF || len(p.src.errs) >= maxErrors {
			return
		}
		if !p.guard(item) {
			recover()
		}
	}
}

// recoverLine goes to the end of the line that did not parse.
func (p *parser) recoverLine() {
	for p.tok.kind != tNewline && p.tok.kind != tEOF {
		p.next()
	}
}

// line reads a command, define or include with its end.
func (p *parser) line() {
	if len(p.src.parsed) > maxCommands {
		p.failAt(p.span(p.tok), "too many commands")
	}
	start, before := p.tok.start, len(p.src.parsed)
	if p.common((*parser).commands) {
		if p.tok.kind != tNewline && !p.is(";") && p.tok.kind != tEOF {
			p.unexpected("newline", "semicolon")
		}
	} else {
		p.commandLine()
	}
	if p.is("}") {
		p.unexpected("end of file", "newline", "semicolon")
	}
	p.end()
	for _, c := range p.src.parsed[before:] {
		if c.At.File == p.file && c.At.Start == start { // with what ends the line, as nft
			c.At.End = p.last.end
		}
	}
}

// common reads what may stand in files and blocks alike; false: it is something else. What an
// included file holds is read by body.
func (p *parser) common(body func(*parser)) bool {
	switch {
	case p.accept("include"):
		p.include(p.last.start, body)
	case p.accept("define"), p.accept("redefine"):
		again := p.last.text == "redefine"
		t := p.word("string")
		p.expect("=")
		n := p.initializer()
		if p.vars.names[t.text] != nil && !again {
			p.failAt(p.span(t), "redefinition of symbol '%s'", t.text)
		}
		n.weight = n.weigh()
		p.vars.names[t.text] = n
	case p.accept("undefine"):
		t := p.word("string")
		delete(p.vars.names, t.text)
	default:
		return false
	}
	return true
}

// initializer reads the value of a define.
func (p *parser) initializer() *node {
	if p.is("{") {
		return p.setOrNothing()
	}
	if p.is("-") || p.tok.kind == tWord && isPriorityName(p.tok.text) {
		return p.priorityText()
	}
	return p.rhsList()
}

func (p *parser) include(start int, body func(*parser)) {
	t := p.tok
	if t.kind != tQuoted {
		p.unexpected("quoted string")
	}
	p.next()
	at := Span{p.file, start, p.tok.end} // with the end of the line, as nft
	if p.depth+1 >= maxDepth {
		p.failAt(at, "Include nested too deeply, max %d levels", maxDepth)
	}
	if p.src.opts.Include == nil {
		p.failAt(at, "File not found: %s", t.text)
	}
	files, err := p.src.opts.Include(t.text)
	if err != nil {
		p.failAt(at, "%s", err.Error())
	}
	for i := range files {
		files[i].By = &at
		p.src.readIn(&files[i], p.depth+1, p.vars, body)
	}
}

// add notes a command.
func (p *parser) add(c *command) {
	if c.At.File == nil {
		c.At = p.since(0)
	}
	p.src.parsed = append(p.src.parsed, c)
}

var verbs = map[string]Verb{"add": Add, "create": Create, "insert": Insert, "replace": Replace, "delete": Delete, "destroy": Destroy,
	"get": Get, "reset": Reset, "list": List, "flush": Flush, "rename": Rename, "monitor": Monitor, "describe": Describe, "import": Import, "export": Export}

// commandLine reads a command.
func (p *parser) commandLine() {
	start := p.tok.start
	verb, written := verbs[p.tok.text]
	if p.tok.kind != tWord {
		p.unexpected()
	}
	if written {
		p.next()
	} else {
		verb = Add
		if keyword(p.tok.text) && !objectWord(p.tok.text) && p.tok.text != "element" && p.tok.text != "rule" {
			p.unexpected()
		}
	}
	switch verb {
	case Add, Create, Insert, Replace:
		p.adding(verb, start)
	case Delete, Destroy:
		p.deleting(verb, start)
	case Get:
		c := p.begin(Get, Element)
		p.expect("element")
		p.named(c)
		p.elementsOf(c)
		p.finish(c, start)
	case Reset, List, Flush:
		p.listing(verb, start)
	case Rename:
		p.renaming(start)
	case Monitor:
		p.monitoring(start)
	case Describe:
		p.describing(start)
	case Import, Export:
		c := p.begin(verb, Ruleset)
		p.accept("ruleset")
		p.accept("vm", "json")
		p.finish(c, start)
	}
}

func objectWord(w string) bool {
	switch w {
	case "table", "chain", "set", "map", "flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy", "meter":
		return true
	}
	return false
}

func (p *parser) begin(v Verb, k Kind) *command {
	return &command{Command: Command{Verb: v, Kind: k, Family: rule.IP}}
}

func (p *parser) finish(c *command, start int) {
	c.At = p.since(start)
	p.add(c)
}

// family reads an optional family.
func (p *parser) family(c *command) {
	if p.tok.kind == tWord {
		if f, ok := rule.ParseFamily(p.tok.text); ok {
			c.Family, c.HasFamily = f, true
			p.next()
		}
	}
}

// table reads [family] table.
func (p *parser) tableSpec(c *command) {
	p.family(c)
	t := p.name()
	c.Table, c.TableAt = t.text, p.span(t)
}

// named reads [family] table name.
func (p *parser) named(c *command) {
	p.tableSpec(c)
	t := p.name()
	c.Name, c.NameAt = t.text, p.span(t)
}

var objectKinds = map[string]rule.ObjectKind{"counter": rule.CounterObject, "quota": rule.QuotaObject, "limit": rule.LimitObject,
	"secmark": rule.SecmarkObject, "synproxy": rule.SynproxyObject}

// objectKind reads the kind of a named object behind its first word.
func (p *parser) objectKind() (rule.ObjectKind, bool) {
	if k, ok := objectKinds[p.tok.text]; ok && p.tok.kind == tWord {
		p.next()
		return k, true
	}
	if p.accept("ct") {
		switch {
		case p.accept("helper"):
			return rule.CTHelperObject, true
		case p.accept("timeout"):
			return rule.CTTimeoutObject, true
		case p.accept("expectation"):
			return rule.CTExpectObject, true
		}
		p.unexpected("helper", "timeout", "expectation")
	}
	return 0, false
}

func (p *parser) renaming(start int) {
	c := p.begin(Rename, Chain)
	p.expect("chain")
	p.named(c)
	c.To = p.name().text
	c.check = func(ev *evaluator) error { return ev.named(c) }
	p.finish(c, start)
}

func (p *parser) monitoring(start int) {
	c := p.begin(Monitor, Ruleset)
	if p.accept("trace") {
		c.Trace = true
	} else {
		if p.accept("new", "destroy") {
			c.Event = p.last.text
		} else if p.tok.kind == tWord && !keyword(p.tok.text) {
			p.failAt(p.span(p.tok), "invalid event %s", p.tok.text)
		}
		if p.accept("tables", "chains", "rules", "sets", "elements", "ruleset") {
			c.What = p.last.text
		}
	}
	if p.accept("json") {
		c.JSON = true
	} else {
		p.accept("vm")
	}
	p.finish(c, start)
}

func (p *parser) describing(start int) {
	c := p.begin(Describe, Ruleset)
	var n *node
	if p.tok.kind == tWord {
		n = &node{kind: nSymbol, text: p.tok.text, at: p.span(p.tok)}
		if t := typeByName(p.tok.text); t != nil && !unqualified(p.tok.text) && p.peek().kind != tWord {
			p.next()
			c.Text = describeType(t)
			p.finish(c, start)
			return
		}
	}
	n = p.primary()
	c.check = func(*evaluator) error {
		if n.kind != nLeaf {
			return &Error{At: n.at, Msg: "cannot describe this"}
		}
		c.Text = describeExpr(n.expr)
		return nil
	}
	p.finish(c, start)
}
