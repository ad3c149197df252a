package pcapfilter

// A value is arithmetic on 32 bits, as BPF has it.
type value struct {
	// guard says in which frames the number makes sense, such as tcp[0] in those with
	// a TCP header; nil means in all.
	guard pred
	// eval returns the number; not ok means that a byte is missing, or a division by
	// zero, and that the frame does not match.
	eval func(frame) (v uint32, ok bool)
	// fixed is the number if it is always the same.
	fixed *uint32
}

func constant(v uint32) value {
	return value{eval: func(frame) (uint32, bool) { return v, true }, fixed: &v}
}

// both joins guards, each of which may be nil.
func both(a, b pred) pred {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return and(a, b)
}

func compare(op string, a, b value) pred {
	var holds func(x, y uint32) bool
	switch op {
	case "=", "==":
		holds = func(x, y uint32) bool { return x == y }
	case "!=":
		holds = func(x, y uint32) bool { return x != y }
	case "<":
		holds = func(x, y uint32) bool { return x < y }
	case ">":
		holds = func(x, y uint32) bool { return x > y }
	case "<=":
		holds = func(x, y uint32) bool { return x <= y }
	default:
		holds = func(x, y uint32) bool { return x >= y }
	}
	relation := func(f frame) verdict {
		x, ok := a.eval(f)
		y, ok2 := b.eval(f)
		if !ok || !ok2 {
			return missing
		}
		return of(holds(x, y))
	}
	return both(both(a.guard, b.guard), relation)
}

// combine joins two numbers by an arithmetic operator. As in libpcap only the guard of
// the left one counts: ip[2:2] - tcp[12] looks at a byte of every IP packet.
func combine(op token, a, b value) (node, error) {
	if b.fixed != nil {
		switch {
		case op.text == "/" && *b.fixed == 0:
			return node{}, errorAt(op, "division by zero")
		case op.text == "%" && *b.fixed == 0:
			return node{}, errorAt(op, "modulus by zero")
		case (op.text == "<<" || op.text == ">>") && *b.fixed > 31:
			return node{}, errorAt(op, "shift by more than 31 bits")
		}
	}
	f := operator(op.text)
	if a.fixed != nil && b.fixed != nil {
		v, _ := f(*a.fixed, *b.fixed)
		return node{value: constant(v)}, nil
	}
	return node{value: value{guard: a.guard, eval: func(fr frame) (uint32, bool) {
		x, ok := a.eval(fr)
		y, ok2 := b.eval(fr)
		if !ok || !ok2 {
			return 0, false
		}
		return f(x, y)
	}}}, nil
}

func negative(a value) value {
	if a.fixed != nil {
		return constant(-*a.fixed)
	}
	return value{guard: a.guard, eval: func(f frame) (uint32, bool) {
		x, ok := a.eval(f)
		return -x, ok
	}}
}

func operator(op string) func(x, y uint32) (uint32, bool) {
	switch op {
	case "+":
		return func(x, y uint32) (uint32, bool) { return x + y, true }
	case "-":
		return func(x, y uint32) (uint32, bool) { return x - y, true }
	case "*":
		return func(x, y uint32) (uint32, bool) { return x * y, true }
	case "/", "%":
		return func(x, y uint32) (uint32, bool) {
			switch {
			case y == 0:
				return 0, false // BPF gives the frame up
			case op == "/":
				return x / y, true
			}
			return x % y, true
		}
	case "&":
		return func(x, y uint32) (uint32, bool) { return x & y, true }
	case "|":
		return func(x, y uint32) (uint32, bool) { return x | y, true }
	case "^":
		return func(x, y uint32) (uint32, bool) { return x ^ y, true }
	case "<<":
		return func(x, y uint32) (uint32, bool) { return x << y, true }
	}
	return func(x, y uint32) (uint32, bool) { return x >> y, true }
}

// bytes reads proto[index] or proto[index:size], behind the protocol's name.
func (p *parser) bytes(proto token) (n node, err error) {
	guard, base, err := p.base(proto)
	if err != nil {
		return n, err
	}
	p.i++ // [
	index, err := p.expr(lowest)
	if err != nil {
		return n, err
	}
	if index.value.eval == nil {
		return n, p.unexpected("want a number as index")
	}
	size := 1
	if p.accept(":") {
		t := p.peek()
		v, err := p.number("want 1, 2 or 4 bytes")
		if err != nil {
			return n, err
		}
		if v != 1 && v != 2 && v != 4 {
			return n, errorAt(t, "data size must be 1, 2, or 4")
		}
		size = int(v)
	}
	if !p.accept("]") {
		return n, p.unexpected(`want "]"`)
	}
	return node{value: value{guard: both(index.value.guard, guard), eval: func(f frame) (uint32, bool) {
		i, ok := index.value.eval(f)
		start, ok2 := base(f)
		at := uint64(start) + uint64(i)
		if !ok || !ok2 || at > uint64(len(f.b)) {
			return 0, false
		}
		return f.load(int(at), size)
	}}}, nil
}

// base returns which frames have a protocol's header, and where.
func (p *parser) base(proto token) (guard pred, base func(frame) (int, bool), err error) {
	at := func(off int) func(frame) (int, bool) { return func(frame) (int, bool) { return off, true } }
	switch proto.text {
	case "ether", "link":
		return nil, at(0), nil
	case "ip":
		return p.etherType(typeIP), at(p.net), nil
	case "ip6":
		return p.etherType(typeIP6), at(p.net), nil
	case "arp":
		return p.etherType(typeARP), at(p.net), nil
	case "rarp":
		return p.etherType(typeRARP), at(p.net), nil
	case "icmp6":
		return and(p.etherType(typeIP6), p.at(6, 1, 0xff, 58)), at(p.net + 40), nil
	}
	d := protocols[proto.text]
	if d.ip == 0 {
		return nil, nil, errorAt(proto, "syntax error at %q: has no bytes to look at", proto.text)
	}
	// Only the first fragment has the header; IPv6 is not looked into.
	guard = and(and(p.etherType(typeIP), p.at(9, 1, 0xff, uint32(d.ip))), p.at(6, 2, 0x1fff, 0))
	net := p.net
	return guard, func(f frame) (int, bool) { return transport(f, net) }, nil
}

// transport returns the offset behind the IPv4 header at net.
func transport(f frame, net int) (int, bool) {
	v, ok := f.load(net, 1)
	return net + int(v&0xf)*4, ok
}
