package lang

import "github.com/knitnet/knit/netfilter/rule"

var natKinds = map[string]rule.NATKind{"snat": rule.SNAT, "dnat": rule.DNAT, "masquerade": rule.Masquerade, "redirect": rule.Redirect}

// A natDecl is a NAT statement as it is written.
type natDecl struct {
	nat        *rule.NAT
	addr, port *node
	at         Span
	interval   bool
}

func (p *parser) nat(start int) *stmt {
	t := p.next()
	d := &natDecl{nat: &rule.NAT{Kind: natKinds[t.text]}, at: p.span(t)}
	n := d.nat
	switch n.Kind {
	case rule.Masquerade, rule.Redirect:
		if p.accept("to") {
			if n.Kind == rule.Masquerade || p.is(":") {
				p.expect(":")
			}
			d.port = p.natPart()
		} else if n.Kind == rule.Redirect && p.accept(":") {
			d.port = p.natPart()
		}
	default:
		p.natTo(d)
	}
	p.natFlags(n)
	return &stmt{at: d.at, eval: func(sc *scope) error { return sc.nat(d) }}
}

// natTo reads the target of snat and dnat.
func (p *parser) natTo(d *natDecl) {
	n := d.nat
	switch nx := p.peek().text; {
	case p.is("ip6") && nx != "saddr" && nx != "daddr", p.is("ip") && nx != "saddr" && nx != "daddr":
		n.Family, n.HasFamily = rule.IP, true
		if p.next().text == "ip6" {
			n.Family = rule.IP6
		}
	}
	switch {
	case p.accept("prefix"):
		n.Prefix = true
	case p.accept("addr"):
		if p.accept(".") {
			p.expect("port")
			n.Both = true
		}
	case p.accept("interval"):
		d.interval = true
	}
	p.accept("to")
	d.addr, d.port = p.natTarget()
}

// natTarget reads `[address][:port]`.
func (p *parser) natTarget() (addr, port *node) {
	if p.accept(":") {
		return nil, p.natPart()
	}
	if p.accept("[") {
		addr = p.natAddr()
		p.expect("]")
	} else {
		addr = p.natAddr()
	}
	if p.accept(":") {
		port = p.natPart()
	}
	return addr, port
}

// natAddr reads an address, range, prefix, map or variable.
func (p *parser) natAddr() *node {
	start := p.tok.start
	n := p.natOperand()
	if p.accept("map") {
		m := p.mapRHS()
		return &node{kind: nMap, kids: []*node{n, m}, at: p.since(start)}
	}
	return n
}

// natOperand reads what is computed, or a constant with its range or prefix.
func (p *parser) natOperand() *node {
	n := p.expr()
	switch {
	case p.accept("-"):
		if p.accept("[") {
			hi := p.constant()
			p.expect("]")
			return &node{kind: nRange, kids: []*node{n, hi}, at: n.at.to(hi.at)}
		}
		hi := p.constant()
		return &node{kind: nRange, kids: []*node{n, hi}, at: n.at.to(hi.at)}
	case p.is("]") && p.peek().text == "-":
		p.next()
		p.next()
		p.expect("[")
		hi := p.constant()
		return &node{kind: nRange, kids: []*node{n, hi}, at: n.at.to(hi.at)}
	case p.is("/") && p.peek().kind == tNumber:
		p.next()
		x := &node{kind: nPrefix, kids: []*node{n}, num: int(min(p.number(), 1<<20))}
		x.at = n.at.to(p.span(p.last))
		return x
	}
	return n
}

// natPart reads a port, a range of ports or a map to ports.
func (p *parser) natPart() *node { return p.natAddr() }

var natFlags = map[string]rule.NATFlags{"random": rule.Random, "fully-random": rule.FullyRandom, "persistent": rule.Persistent}

func (p *parser) natFlags(n *rule.NAT) {
	first := true
	for {
		f, ok := natFlags[p.tok.text]
		if !ok || p.tok.kind != tWord {
			if !first && p.last.text == "," {
				p.unexpected("random", "fully-random", "persistent")
			}
			break
		}
		first = false
		p.next()
		n.Flags |= f
		if !p.accept(",") {
			break
		}
	}
	for n.Kind == rule.SNAT || n.Kind == rule.Masquerade {
		switch {
		case p.accept("mapping"):
			n.Mapping = p.behaviour()
		case p.accept("filtering"):
			n.Filtering = p.behaviour()
		default:
			return
		}
	}
}

// behaviour reads one of RFC 4787's words, which knit has beyond nft.
func (p *parser) behaviour() rule.Behaviour {
	switch {
	case p.accept("endpoint-independent"):
		return rule.EndpointIndependent
	case p.accept("address-dependent"):
		return rule.AddressDependent
	case p.accept("address-and-port-dependent"):
		return rule.AddressPortDependent
	}
	p.unexpected("endpoint-independent", "address-dependent", "address-and-port-dependent")
	return 0
}

func (p *parser) dup(start int) *stmt {
	p.next()
	if !p.accept("to") {
		p.unexpected("to")
	}
	addr := p.mapValue()
	var dev *node
	if p.accept("device") {
		dev = p.mapValue()
	}
	return &stmt{at: p.since(start), eval: func(sc *scope) error { return sc.dup(addr, dev) }}
}

func (p *parser) fwd(start int) *stmt {
	p.next()
	d := &rule.Fwd{}
	var addr, dev *node
	if p.accept("ip", "ip6") {
		d.Family = rule.IP
		if p.last.text == "ip6" {
			d.Family = rule.IP6
		}
		p.expect("to")
		addr = p.mapValue()
		p.expect("device")
		dev = p.mapValue()
	} else {
		p.expect("to")
		dev = p.mapValue()
	}
	return &stmt{at: p.since(start), eval: func(sc *scope) error { return sc.fwd(d, dev, addr) }}
}
