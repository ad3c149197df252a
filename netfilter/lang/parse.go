package lang

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A parser reads one file. A syntax error unwinds it to the command it is in.
type parser struct {
	src   *source
	file  *File
	lex   lexer
	tok   token
	last  token // the one before
	ahead token // the one behind, if peek has looked at it
	depth int   // of includes
	nest  int
	vars  *vars
	// states are those of the policy of the ct timeout that is being read.
	states []token
	// wantClass: `1:2` is one value, a class of traffic control.
	wantClass bool
}

// vars are the defines of a block and of those around it.
type vars struct {
	up    *vars
	names map[string]*node
}

// find returns a variable, or nil.
func (v *vars) find(name string) *node {
	for ; v != nil; v = v.up {
		if n := v.names[name]; n != nil {
			return n
		}
	}
	return nil
}

// syntax is what unwinds a parser.
type syntax struct{ err *Error }

func (p *parser) next() token {
	p.last = p.tok
	t := p.tok
	if p.ahead.end > 0 {
		p.tok, p.ahead = p.ahead, token{}
	} else {
		p.tok = p.lex.next()
	}
	return t
}

// peek returns the token behind the current one.
func (p *parser) peek() token {
	if p.ahead.end == 0 {
		p.ahead = p.lex.next()
	}
	return p.ahead
}

func (p *parser) span(t token) Span { return Span{p.file, t.start, t.end} }

// since returns the span from an offset to the end of the last token.
func (p *parser) since(start int) Span {
	return Span{p.file, start, max(p.last.end, start)}
}

func (p *parser) failAt(at Span, format string, args ...any) {
	panic(syntax{&Error{At: at, Msg: fmt.Sprintf(format, args...)}})
}

// unexpected reports the current token as a syntax error. expecting are what nft's
// grammar would have liked, if it is little.
func (p *parser) unexpected(expecting ...string) {
	msg := "syntax error, unexpected " + p.tok.describe()
	if len(expecting) > 0 && len(expecting) < 5 {
		msg += ", expecting " + strings.Join(expecting, " or ")
	}
	p.failAt(p.span(p.tok), "%s", msg)
}

// describe returns what nft's grammar calls t.
func (t token) describe() string {
	switch t.kind {
	case tEOF:
		return "end of file"
	case tNewline:
		return "newline"
	case tNumber:
		return "number"
	case tQuoted:
		return "quoted string"
	case tStar:
		return "string with a trailing asterisk"
	case tBad:
		return "junk"
	case tPunct:
		switch t.text {
		case ";":
			return "semicolon"
		case ":":
			return "colon"
		case ",":
			return "comma"
		}
		if strings.Contains("{}[]()+~$=|", t.text) {
			return "'" + t.text + "'"
		}
		return t.text
	}
	if s := signs[t.text]; s != "" {
		return s
	}
	if keyword(t.text) {
		return t.text
	}
	return "string"
}

// is reports whether the current token is the word or sign s.
func (p *parser) is(s string) bool {
	return (p.tok.kind == tWord || p.tok.kind == tPunct) && p.tok.text == s
}

// accept goes over the word or sign s if it is there.
func (p *parser) accept(words ...string) bool {
	for _, w := range words {
		if p.is(w) {
			p.next()
			return true
		}
	}
	return false
}

// expect goes over s.
func (p *parser) expect(s string) token {
	if !p.is(s) {
		p.unexpected(token{kind: tPunct, text: s}.describe())
	}
	return p.next()
}

// enter counts nesting, whose depth is bounded. leave undoes it.
func (p *parser) enter() {
	if p.nest++; p.nest > maxNesting {
		p.failAt(p.span(p.tok), "too deeply nested")
	}
}

func (p *parser) leave() { p.nest-- }

// word returns the current token, which must be a word.
func (p *parser) word(expecting ...string) token {
	if p.tok.kind != tWord {
		p.unexpected(expecting...)
	}
	return p.next()
}

// name returns an identifier: a word that the grammar does not use itself.
func (p *parser) name() token {
	if p.is("$") {
		return p.varName()
	}
	if p.tok.kind != tWord || reserved(p.tok.text) {
		p.unexpected("string")
	}
	return p.next()
}

// varName returns the text that a variable in the place of a name has.
func (p *parser) varName() token {
	start := p.tok.start
	n := p.variable()
	if n.kind != nSymbol && n.kind != nString {
		p.failAt(n.at, "invalid variable in the place of a name")
	}
	return token{tWord, n.text, start, p.last.end}
}

// variable reads $name and returns what it stands for.
func (p *parser) variable() *node {
	start := p.expect("$").start
	t := p.word("string")
	n := p.vars.find(t.text)
	if n == nil {
		p.unknownVariable(t)
	}
	if p.src.weight += n.weight; p.src.weight > maxWeight {
		p.failAt(p.span(t), "variables stand for too much")
	}
	c := *n
	c.at, c.from = p.since(start), n.where()
	return &c
}

// unknownVariable reports a variable that is not there, with one that is like it.
func (p *parser) unknownVariable(t token) {
	g, hint := guess{name: t.text}, ""
	for v := p.vars; v != nil; v = v.up {
		for _, name := range slices.Sorted(maps.Keys(v.names)) {
			g.try(name, "%s", name)
		}
	}
	if g.text != "" {
		hint = "; did you mean identifier ‘" + g.text + "’?"
	}
	p.failAt(p.span(t), "unknown identifier '%s'%s", t.text, hint)
}

// number returns the value of the current token, which must be a number of at most
// 64 bits.
func (p *parser) number() uint64 {
	t := p.tok
	if t.kind != tNumber {
		p.unexpected("number")
	}
	p.next()
	return p.parseNumber(t)
}

func (p *parser) parseNumber(t token) uint64 {
	v, err := strconv.ParseUint(t.text, 0, 64)
	if err != nil {
		v, err = strconv.ParseUint(t.text, 10, 64)
	}
	if err != nil {
		p.failAt(p.span(t), "value too large")
	}
	return v
}

// text returns a quoted string or a word.
func (p *parser) text() string {
	if p.tok.kind == tQuoted || p.tok.kind == tWord || p.tok.kind == tStar {
		return p.next().text
	}
	p.unexpected("string", "quoted string", "string with a trailing asterisk")
	return ""
}

// newlines goes over ends of lines and semicolons.
func (p *parser) newlines() {
	for p.tok.kind == tNewline || p.is(";") {
		p.next()
	}
}

// blank goes over ends of lines, where nft's grammar allows them.
func (p *parser) blank() {
	for p.tok.kind == tNewline {
		p.next()
	}
}

// end demands the end of a statement: a newline, a semicolon, or what closes.
func (p *parser) end() {
	switch {
	case p.tok.kind == tNewline || p.is(";"):
		p.next()
	case p.tok.kind == tEOF || p.is("}"):
	default:
		p.unexpected("end of file", "newline", "semicolon")
	}
}
