package pcapfilter

import (
	"fmt"
	"strconv"
)

// A parser turns tokens into predicates. Everything is compiled as it is read,
// because vlan moves what stands behind it.
type parser struct {
	toks  []token
	i     int
	depth int
	link  Link

	typeAt int // offset of the EtherType
	net    int // offset of the network header
	last   qualifiers
	known  bool // last is set
}

// A node is a predicate or an arithmetic expression.
type node struct {
	pred  pred
	value value
	// bare is the token of a number that stands alone: it may turn out to be a port.
	bare *token
}

// Levels of operators, from those that bind least. and and or bind alike.
const (
	lowest = iota
	logic
	relation
	bitOr
	bitAnd
	shift
	sum
	product
	// greedy are the operators that libpcap's grammar gives no precedence: they take
	// what stands before them from any operator, and all the arithmetic behind them.
	// a * b % c + d is a * (b % (c + d)).
	greedy
)

func (p *parser) peek() token { return p.toks[p.i] }

func (p *parser) take() token {
	t := p.toks[p.i]
	if t.kind != end {
		p.i++
	}
	return t
}

func (p *parser) is(text string) bool {
	t := p.peek()
	return (t.kind == symbol || t.kind == id) && t.text == text
}

func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.i++
		return true
	}
	return false
}

func (p *parser) unexpected(want string) error {
	t := p.peek()
	if t.kind == end {
		return &Error{t.at, "syntax error: the expression ends early: " + want}
	}
	return &Error{t.at, fmt.Sprintf("syntax error at %q: %s", t.text, want)}
}

func errorAt(t token, format string, args ...any) error {
	return &Error{t.at, fmt.Sprintf(format, args...)}
}

func level(t token) int {
	switch t.text {
	case "and", "&&", "or", "||":
		return logic
	case "=", "==", "!=", "<", ">", "<=", ">=":
		return relation
	case "|":
		return bitOr
	case "&":
		return bitAnd
	case "<<", ">>":
		return shift
	case "+", "-":
		return sum
	case "*", "/":
		return product
	case "%", "^":
		return greedy
	}
	return lowest
}

// maxDepth bounds parentheses and negations.
const maxDepth = 200

// expr reads operands joined by operators that bind tighter than above.
func (p *parser) expr(above int) (n node, err error) {
	if p.depth++; p.depth > maxDepth {
		return n, errorAt(p.peek(), "nested too deeply")
	}
	defer func() { p.depth-- }()
	if n, err = p.operand(); err != nil {
		return n, err
	}
	for {
		op := p.peek()
		l := level(op)
		if op.kind != symbol && op.kind != id || l <= above {
			return n, nil
		}
		if l == logic {
			if err := p.boolean(&n); err != nil {
				return n, err
			}
		}
		p.i++
		right := l
		if l == greedy {
			right = relation
		}
		r, err := p.expr(right)
		if err != nil {
			return n, err
		}
		if n, err = p.join(op, l, n, r); err != nil {
			return n, err
		}
	}
}

func (p *parser) join(op token, l int, a, b node) (node, error) {
	switch {
	case l == logic:
		if err := p.boolean(&b); err != nil {
			return a, err
		}
		if op.text == "and" || op.text == "&&" {
			return node{pred: and(a.pred, b.pred)}, nil
		}
		return node{pred: or(a.pred, b.pred)}, nil
	case a.value.eval == nil || b.value.eval == nil:
		return a, errorAt(op, "syntax error at %q: want a number on both sides", op.text)
	case l == relation:
		return node{pred: compare(op.text, a.value, b.value)}, nil
	}
	return combine(op, a.value, b.value)
}

// boolean makes n a predicate: a number that stands alone belongs to the qualifiers
// read last, as in port 80 or 443.
func (p *parser) boolean(n *node) error {
	switch {
	case n.pred != nil:
		return nil
	case n.bare == nil:
		return p.unexpected("want a comparison")
	case !p.known:
		return errorAt(*n.bare, "syntax error at %q: want a qualifier such as port before a number", n.bare.text)
	}
	var err error
	n.pred, err = p.qualified(p.last, *n.bare)
	return err
}

// operand reads what operators join.
func (p *parser) operand() (n node, err error) {
	t := p.peek()
	switch {
	case p.accept("not"), p.accept("!"):
		if n, err = p.expr(logic); err == nil {
			err = p.boolean(&n)
		}
		if err != nil {
			return n, err
		}
		return node{pred: not(n.pred)}, nil
	case p.accept("("):
		return p.parenthesis()
	case p.accept("-"):
		if n, err = p.expr(product); err != nil {
			return n, err
		}
		if n.value.eval == nil {
			return n, errorAt(t, "syntax error at %q: want a number behind it", t.text)
		}
		return node{value: negative(n.value)}, nil
	case t.kind == number:
		p.i++
		return node{value: constant(t.num), bare: &t}, nil
	case t.kind == id:
		return p.word()
	case t.kind == ip4, t.kind == ip6, t.kind == mac, t.kind == quoted:
		return p.unqualified()
	}
	return n, p.unexpected("want a primitive such as host 10.0.0.1, tcp or port 80")
}

func (p *parser) parenthesis() (node, error) {
	n, err := p.expr(lowest)
	if err != nil {
		return n, err
	}
	if !p.accept(")") {
		return n, p.unexpected(`want ")"`)
	}
	return n, nil
}

// unqualified reads an address or a name that belongs to the last qualifiers, or to
// none: 10.0.0.1 or host 10.0.0.1 or 10.0.0.2.
func (p *parser) unqualified() (n node, err error) {
	n.pred, err = p.qualified(p.last, p.take())
	return n, err
}

// number reads a number.
func (p *parser) number(want string) (uint32, error) {
	t := p.peek()
	if t.kind != number {
		return 0, p.unexpected(want)
	}
	p.i++
	return t.num, nil
}

// word reads an operand that begins with a word.
func (p *parser) word() (n node, err error) {
	t := p.peek()
	if v, ok := constants[t.text]; ok {
		p.i++
		return node{value: constant(v)}, nil
	}
	switch t.text {
	case "len":
		p.i++
		return node{value: value{eval: func(f frame) (uint32, bool) { return uint32(f.len), true }}}, nil
	case "less", "greater":
		p.i++
		v, err := p.number("want a length in bytes")
		if err != nil {
			return n, err
		}
		limit := int(v)
		if t.text == "less" {
			return node{pred: func(f frame) verdict { return of(f.len <= limit) }}, nil
		}
		return node{pred: func(f frame) verdict { return of(f.len >= limit) }}, nil
	case "vlan":
		p.i++
		n.pred, err = p.vlan(t)
		return n, err
	case "broadcast", "multicast":
		p.i++
		n.pred, err = p.many(t, "")
		return n, err
	}
	if _, ok := protocols[t.text]; ok || isQualifier(t.text) {
		return p.head()
	}
	return p.unqualified()
}

// vlan matches a tagged frame, and moves everything that follows behind the tag.
func (p *parser) vlan(t token) (pred, error) {
	if p.link != Ethernet {
		return nil, errorAt(t, "no VLAN support for this link type")
	}
	at := p.typeAt
	p.typeAt, p.net = p.typeAt+4, p.net+4
	tagged := or(word(at, 2, 0xffff, 0x8100), or(word(at, 2, 0xffff, 0x88a8), word(at, 2, 0xffff, 0x9100)))
	if p.peek().kind != number {
		return tagged, nil
	}
	v := p.take()
	if v.num > 0xfff {
		return nil, errorAt(v, "VLAN tag %s: want at most 4095", v.text)
	}
	return and(tagged, word(at+2, 2, 0xfff, v.num)), nil
}

// many is broadcast and multicast behind a protocol.
func (p *parser) many(t token, proto string) (pred, error) {
	switch {
	case t.text == "multicast" && proto == "ip":
		return and(p.etherType(typeIP), p.at(16, 1, 0xf0, 0xe0)), nil
	case t.text == "multicast" && proto == "ip6":
		return and(p.etherType(typeIP6), p.at(24, 1, 0xff, 0xff)), nil
	case proto == "ip":
		return nil, errorAt(t, "netmask not known, so 'ip broadcast' not supported")
	case proto != "" && proto != "ether" && proto != "link":
		return nil, errorAt(t, "'%s' modifier applied to %s", proto, t.text)
	case p.link != Ethernet:
		return nil, errorAt(t, "not a broadcast link")
	case t.text == "multicast":
		return word(0, 1, 1, 1), nil
	}
	return hardware(0, [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), nil
}

// hardware compares the six bytes at an offset.
func hardware(at int, a [6]byte) pred {
	return func(f frame) verdict {
		if at > len(f.b)-len(a) {
			return missing
		}
		return of([6]byte(f.b[at:]) == a)
	}
}

// at compares bytes of the network header.
func (p *parser) at(off, size int, mask, v uint32) pred { return word(p.net+off, size, mask, v) }

func quote(t token) string { return strconv.Quote(t.text) }
