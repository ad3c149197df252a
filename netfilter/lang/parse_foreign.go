package lang

import "syscall"

// notSupported is what is said of things that nft's grammar has and no packet filter here.
const notSupported = "Could not process rule: Operation not supported"

// foreign reads the statements that nft's grammar has and no packet filter here: they are
// understood, and refused as a kernel without them does.
func (p *parser) foreign(start int) *stmt {
	switch p.next().text {
	case "queue":
		p.queue()
	case "synproxy":
		p.synproxy()
	}
	at := p.since(start)
	return &stmt{at: at, eval: func(*scope) error { return Store(at, syscall.EOPNOTSUPP) }}
}

// queue reads `queue [num 1-3] [flags bypass,fanout] [to 1-3]`.
func (p *parser) queue() {
	for {
		switch {
		case p.accept("num"), p.accept("to"):
			p.mapValue()
			if p.accept("-") {
				p.number()
			}
		case p.accept("flags"):
		case p.accept("bypass"), p.accept("fanout"):
			if p.accept(",") && !p.is("bypass") && !p.is("fanout") {
				p.unexpected("bypass", "fanout")
			}
		default:
			return
		}
	}
}

// synproxyItem reads a line of a synproxy object.
func (p *parser) synproxyItem() {
	if !p.is("mss") && !p.is("wscale") && !p.is("timestamp") && !p.is("sack-perm") {
		p.unexpected()
	}
	p.synproxy()
}

// synproxy reads `synproxy [name x] [mss 1460] [wscale 7] [timestamp] [sack-perm]`.
func (p *parser) synproxy() {
	if p.accept("name") {
		p.mapValue()
		return
	}
	for {
		switch {
		case p.accept("mss"), p.accept("wscale"):
			p.number()
		case p.accept("timestamp"), p.accept("sack-perm"):
		default:
			return
		}
	}
}

// foreignExpr goes over an expression that no packet filter here knows; false: it is another.
func (p *parser) foreignExpr() bool {
	nx := p.peek().text
	switch {
	case p.accept("osf"):
		p.osf()
	case p.is("meta") && nx == "secmark", p.is("ct") && nx == "secmark":
		p.next()
		p.next()
	case p.is("ipsec") && (nx == "in" || nx == "out"):
		p.next()
		p.next()
		p.ipsec()
	default:
		return false
	}
	return true
}

// osf reads `[ttl loose|skip] name|version`.
func (p *parser) osf() {
	if p.accept("ttl") {
		if t := p.word("string"); t.text != "loose" && t.text != "skip" {
			p.failAt(p.span(t), "invalid ttl option")
		}
	}
	if !p.accept("name") && !p.accept("version") {
		p.unexpected("version", "name")
	}
}

// ipsec reads `[spnum 1] reqid|spi|ip saddr|ip6 daddr`.
func (p *parser) ipsec() {
	if p.accept("spnum") {
		p.number()
	}
	switch {
	case p.accept("reqid"), p.accept("spi"):
	case p.accept("ip"), p.accept("ip6"):
		if !p.accept("saddr") && !p.accept("daddr") {
			p.unexpected("saddr", "daddr")
		}
	default:
		p.unexpected("ip", "ip6", "spi", "reqid")
	}
}
