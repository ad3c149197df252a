package pcapfilter

// A value is arithmetic on 32 bits, as BPF has it.
type value struct {
	// eval returns the number; no means that the frame is not one in which the
	// number makes sense, such as tcp[0] of a datagram.
	eval func(frame) (uint32, verdict)
	// fixed is the number if it is always the same.
	fixed *uint32
}

func constant(v uint32) value {
	return value{eval: func(frame) (uint32, verdict) { return v, yes }, fixed: &v}
}

// both evaluates a and b; the first that cannot be is the verdict.
func both(a, b value, f frame) (x, y uint32, v verdict) {
	if x, v = a.eval(f); v != yes {
		return 0, 0, v
	}
	y, v = b.eval(f)
	return x, y, v
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
	return func(f frame) verdict {
		x, y, v := both(a, b, f)
		if v != yes {
			return v
		}
		return of(holds(x, y))
	}
}

// combine joins two numbers by an arithmetic operator.
func combine(op token, a, b value) (node, error) {
	if (op.text == "/" || op.text == "%") && b.fixed != nil && *b.fixed == 0 {
		return node{}, errorAt(op, "division by zero")
	}
	f := operator(op.text)
	if a.fixed != nil && b.fixed != nil {
		v, _ := f(*a.fixed, *b.fixed)
		return node{value: constant(v)}, nil
	}
	return node{value: value{eval: func(fr frame) (uint32, verdict) {
		x, y, v := both(a, b, fr)
		if v != yes {
			return 0, v
		}
		return f(x, y)
	}}}, nil
}

func operator(op string) func(x, y uint32) (uint32, verdict) {
	switch op {
	case "+":
		return func(x, y uint32) (uint32, verdict) { return x + y, yes }
	case "-":
		return func(x, y uint32) (uint32, verdict) { return x - y, yes }
	case "*":
		return func(x, y uint32) (uint32, verdict) { return x * y, yes }
	case "/", "%":
		return func(x, y uint32) (uint32, verdict) {
			switch {
			case y == 0:
				return 0, missing // BPF gives the frame up
			case op == "/":
				return x / y, yes
			}
			return x % y, yes
		}
	case "&":
		return func(x, y uint32) (uint32, verdict) { return x & y, yes }
	case "|":
		return func(x, y uint32) (uint32, verdict) { return x | y, yes }
	case "^":
		return func(x, y uint32) (uint32, verdict) { return x ^ y, yes }
	case "<<":
		return func(x, y uint32) (uint32, verdict) { return x << y, yes }
	}
	return func(x, y uint32) (uint32, verdict) { return x >> y, yes }
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
	return node{value: value{eval: func(f frame) (uint32, verdict) {
		if v := guard(f); v != yes {
			return 0, v
		}
		i, v := index.value.eval(f)
		if v != yes {
			return 0, v
		}
		start, ok := base(f)
		at := uint64(start) + uint64(i)
		if !ok || at > uint64(len(f.b)) {
			return 0, missing
		}
		x, ok := f.load(int(at), size)
		if !ok {
			return 0, missing
		}
		return x, yes
	}}}, nil
}

// base returns which frames have a protocol's header, and where.
func (p *parser) base(proto token) (guard pred, base func(frame) (int, bool), err error) {
	at := func(off int) func(frame) (int, bool) { return func(frame) (int, bool) { return off, true } }
	switch proto.text {
	case "ether", "link":
		return func(frame) verdict { return yes }, at(0), nil
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
