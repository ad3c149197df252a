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
	case "osf":
		p.unexpected()
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
