// Package pcapfilter compiles filter expressions, in the language of
// pcap-filter(7), to predicates on frames.
//
// It takes host, net, port, portrange and proto with src and dst, the protocols of
// Ethernet, ARP, IP, IPv6 and what they carry, and, or, not and parentheses, less,
// greater, broadcast, multicast, vlan, and comparisons of arithmetic on bytes such
// as tcp[tcpflags] & tcp-syn != 0. Names of hosts and networks are not looked up.
package pcapfilter

import "fmt"

// A Link says how frames begin.
type Link uint8

// Links.
const (
	Ethernet Link = iota // with an Ethernet header
	Raw                  // with an IPv4 or IPv6 header
)

// A Filter is a compiled expression. It never changes and may be used concurrently.
type Filter struct{ root pred }

// An Error says what is wrong with an expression.
type Error struct {
	Offset int // of the culprit, in bytes from the start of the expression
	Text   string
}

// Error returns the text with the place.
func (e *Error) Error() string { return fmt.Sprintf("%s (character %d)", e.Text, e.Offset+1) }

// Compile compiles an expression for frames of a link. An empty expression matches
// everything. Errors are *Error.
func Compile(expr string, l Link) (*Filter, error) {
	toks, err := lex(expr)
	if err != nil {
		return nil, err
	}
	p := &parser{toks: toks, link: l}
	if l == Ethernet {
		p.typeAt, p.net = 12, 14
	}
	if p.peek().kind == end {
		return &Filter{func(frame) verdict { return yes }}, nil
	}
	n, err := p.expr(lowest)
	if err == nil {
		err = p.boolean(&n)
	}
	if err == nil && p.peek().kind != end {
		err = p.unexpected("want and, or, or the end")
	}
	if err != nil {
		return nil, err
	}
	return &Filter{n.pred}, nil
}

// Match reports whether the expression holds for a frame of length bytes, of which
// data is the beginning. As in BPF, a frame in which a byte that must be looked at
// is missing does not match, not even a negated expression. It does not allocate.
func (f *Filter) Match(data []byte, length int) bool {
	return f.root(frame{data, length}) == yes
}

// A frame is what predicates look at. It is passed by value, so that it stays on the
// stack.
type frame struct {
	b   []byte
	len int
}

// A verdict is what a predicate says.
type verdict uint8

const (
	no verdict = iota
	yes
	missing // a byte is not there: the frame as a whole does not match
)

type pred func(frame) verdict

func of(ok bool) verdict {
	if ok {
		return yes
	}
	return no
}

func and(a, b pred) pred {
	return func(f frame) verdict {
		if v := a(f); v != yes {
			return v
		}
		return b(f)
	}
}

func or(a, b pred) pred {
	return func(f frame) verdict {
		if v := a(f); v != no {
			return v
		}
		return b(f)
	}
}

func not(a pred) pred {
	return func(f frame) verdict {
		switch v := a(f); v {
		case yes:
			return no
		case no:
			return yes
		default:
			return v
		}
	}
}

func never(frame) verdict { return no }

// word compares size bytes (1, 2 or 4) at offset at, masked, with v.
func word(at, size int, mask, v uint32) pred {
	return func(f frame) verdict {
		x, ok := f.load(at, size)
		if !ok {
			return missing
		}
		return of(x&mask == v)
	}
}

// load returns the number in size bytes at an offset.
func (f frame) load(at, size int) (v uint32, ok bool) {
	if at < 0 || size > len(f.b) || at > len(f.b)-size {
		return 0, false
	}
	for _, c := range f.b[at : at+size] {
		v = v<<8 | uint32(c)
	}
	return v, true
}
