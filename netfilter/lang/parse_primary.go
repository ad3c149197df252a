package lang

import (
	"fmt"

	"github.com/knitnet/knit/netfilter/rule"
)

// primary reads one operand of what is computed per packet.
func (p *parser) primary() *node {
	start := p.tok.start
	if p.is("@") {
		return p.rawPayload()
	}
	if p.accept("(") {
		p.enter()
		n := p.concat(func() *node { return p.or(p.primary) })
		p.expect(")")
		p.leave()
		return n
	}
	if p.tok.kind != tWord {
		return p.constant()
	}
	w := p.tok.text
	if p.foreignExpr() {
		return p.src.node(node{kind: nForeign, at: p.since(start)})
	}
	if e := p.keyExpr(w); e != nil {
		return p.leaf(start, e)
	}
	switch w {
	case "numgen":
		return p.leaf(start, p.numgen())
	case "jhash", "symhash":
		return p.hash()
	}
	if h := rule.HeaderByName(w); h != nil {
		if n := p.payload(h); n != nil {
			return n
		}
	}
	if h := rule.ExthdrByName(rule.IPv6Ext, w); h != nil && p.peek().kind == tWord {
		p.next()
		return p.leaf(start, p.exthdrField(rule.IPv6Ext, h))
	}
	if w == "exthdr" {
		p.next()
		t := p.word()
		h := rule.ExthdrByName(rule.IPv6Ext, t.text)
		if h == nil {
			p.failAt(p.span(t), "syntax error, unexpected string")
		}
		return p.leaf(start, &rule.Exthdr{Kind: rule.IPv6Ext, Name: h.Name, Number: h.Number})
	}
	return p.constant()
}

func (p *parser) leaf(start int, e rule.Expr, kids ...*node) *node {
	return p.src.node(node{kind: nLeaf, expr: e, kids: kids, at: p.since(start)})
}

// keyExpr reads what is asked by key: meta, ct, fib, rt, socket. nil: it is none.
func (p *parser) keyExpr(w string) rule.Expr {
	switch w {
	case "meta":
		start := p.next().start
		t := p.word()
		k, ok := metaKey(t.text)
		if !ok {
			p.failAt(p.since(start), "syntax error, unexpected %s, known keys are %s", t.text, metaKeys)
		}
		return &rule.Meta{Key: k}
	case "ct":
		p.next()
		return p.ctKey()
	case "fib":
		p.next()
		return p.fib()
	case "socket":
		p.next()
		return p.socket()
	case "rt":
		if k, ok := rtKeys[p.peek().text]; ok {
			p.next()
			p.next()
			return &rule.RT{Key: k}
		}
		if nx := p.peek().text; nx == "ip" || nx == "ip6" {
			p.next()
			f, _ := rule.ParseFamily(p.next().text)
			p.expect("nexthop")
			return &rule.RT{Key: rule.RTNexthop, Family: f, HasFamily: true}
		}
	}
	if k, ok := metaKey(w); ok && unqualified(w) {
		p.next()
		return &rule.Meta{Key: k}
	}
	return nil
}

var rtKeys = map[string]rule.RTKey{"classid": rule.RTClassID, "nexthop": rule.RTNexthop, "mtu": rule.RTMTU, "ipsec": rule.RTIPsec}

// metaKey knows the names of old as well.
func metaKey(w string) (rule.MetaKey, bool) {
	switch w {
	case "ibriport", "ibridgename":
		return rule.MetaIbrname, true
	case "obriport", "obridgename":
		return rule.MetaObrname, true
	case "secpath":
		return rule.MetaSecpath, true
	}
	return rule.ParseMetaKey(w)
}

// metaKeys are all keys, in the order in which nft lists them.
const metaKeys = "length, protocol, priority, mark, iif, oif, iifname, oifname, iiftype, oiftype, skuid, skgid, nftrace, rtclassid, secmark, " +
	"nfproto, l4proto, ibrname, obrname, pkttype, cpu, iifgroup, oifgroup, cgroup, random, ipsec, iifkind, oifkind, ibrpvid, ibrvproto, " +
	"time, day, hour, sdif, sdifname"

// unqualified reports whether the word meta may be left away.
func unqualified(w string) bool {
	switch w {
	case "mark", "iif", "iifname", "iiftype", "oif", "oifname", "oiftype", "skuid", "skgid", "nftrace", "rtclassid", "ibriport",
		"obriport", "ibridgename", "obridgename", "ibrname", "obrname", "pkttype", "cpu", "iifgroup", "oifgroup", "cgroup", "day", "hour", "time":
		return true
	}
	return false
}

// ctKey reads the key of a ct expression, behind the word ct.
func (p *parser) ctKey() rule.Expr {
	e := &rule.CT{}
	switch {
	case p.accept("original"):
		e.Dir = rule.Original
	case p.accept("reply"):
		e.Dir = rule.Reply
	}
	if e.Dir != rule.NoDir {
		switch {
		case p.accept("ip"):
			e.HasFamily = true
		case p.accept("ip6"):
			e.Family, e.HasFamily = rule.IP6, true
		}
	}
	t := p.word()
	k, ok := rule.ParseCTKey(t.text)
	if !ok {
		p.failAt(p.span(t), "syntax error, unexpected %s", t.describe())
	}
	e.Key = k
	if e.HasFamily && k != rule.CTSrc && k != rule.CTDst {
		p.failAt(p.span(t), "syntax error, unexpected %s, expecting saddr or daddr", t.describe())
	}
	return e
}

func (p *parser) fib() rule.Expr {
	e := &rule.FIB{}
	flags := map[string]rule.FIBFlags{"saddr": rule.FIBSaddr, "daddr": rule.FIBDaddr, "mark": rule.FIBMark, "iif": rule.FIBIif, "oif": rule.FIBOif}
	for {
		f, ok := flags[p.tok.text]
		if !ok {
			p.unexpected()
		}
		p.next()
		e.Flags |= f
		if !p.accept(".") {
			break
		}
	}
	switch {
	case p.accept("oif"):
		e.Result = rule.FIBOifIndex
	case p.accept("oifname"):
		e.Result = rule.FIBOifName
	case p.accept("type"):
		e.Result = rule.FIBType
	default:
		p.unexpected("type", "oif", "oifname")
	}
	return e
}

func (p *parser) socket() rule.Expr {
	keys := map[string]rule.SocketKey{"transparent": rule.SocketTransparent, "mark": rule.SocketMark, "wildcard": rule.SocketWildcard,
		"cgroupv2": rule.SocketCgroup}
	k, ok := keys[p.tok.text]
	if !ok {
		p.unexpected("transparent", "wildcard", "cgroupv2", "mark")
	}
	p.next()
	e := &rule.Socket{Key: k}
	if k == rule.SocketCgroup {
		p.expect("level")
		e.Level = uint32(p.number())
	}
	return e
}

func (p *parser) numgen() rule.Expr {
	p.expect("numgen")
	if !p.accept("inc", "random") {
		p.unexpected("random", "inc")
	}
	e := &rule.Numgen{Random: p.last.text == "random"}
	p.expect("mod")
	e.Mod = uint32(p.number())
	if p.accept("offset") {
		e.Offset = uint32(p.number())
	}
	return e
}

func (p *parser) hash() *node {
	start := p.tok.start
	e := &rule.Hash{Sym: p.next().text == "symhash"}
	var key []*node
	if !e.Sym {
		key = []*node{p.expr()}
	}
	p.expect("mod")
	e.Mod = uint32(p.number())
	if p.accept("seed") {
		e.Seed, e.HasSeed = uint32(p.number()), true
	}
	if p.accept("offset") {
		e.Offset = uint32(p.number())
	}
	return p.leaf(start, e, key...)
}

// rawPayload reads @base,offset,length.
func (p *parser) rawPayload() *node {
	start := p.expect("@").start
	bases := map[string]rule.Base{"ll": rule.LinkHeader, "nh": rule.NetworkHeader, "th": rule.TransportHeader, "ih": rule.InnerHeader}
	b, ok := bases[p.tok.text]
	if !ok {
		p.failAt(p.span(p.tok), "unknown raw payload base")
	}
	p.next()
	p.expect(",")
	off := p.number()
	p.expect(",")
	n := p.number()
	if n == 0 || n > 1024 || off > 1<<16 {
		p.failAt(p.since(start), "Invalid raw payload expression length or offset")
	}
	return p.leaf(start, &rule.Payload{Base: b, Offset: int(off), N: int(n)})
}

// payload reads a field of a header; nil: the word is a symbol.
func (p *parser) payload(h *rule.Header) *node {
	start := p.tok.start
	nx := p.peek()
	if nx.kind != tWord {
		return nil
	}
	p.next()
	switch {
	case nx.text == "option" && h.Name == "tcp":
		p.next()
		return p.leaf(start, p.option(rule.TCPOption))
	case nx.text == "option" && h.Name == "ip":
		p.next()
		return p.leaf(start, p.option(rule.IPOption))
	case nx.text == "chunk" && h.Name == "sctp":
		p.next()
		return p.leaf(start, p.option(rule.SCTPChunk))
	}
	name := nx.text
	if h.Name == "arp" && (name == "saddr" || name == "daddr") {
		p.next()
		if p.tok.kind != tWord {
			p.unexpected("ether", "ip")
		}
		name += " " + p.tok.text
	}
	f := h.Field(name)
	if f == nil {
		p.unexpected()
	}
	p.next()
	return p.leaf(start, p.src.payload(f))
}

// option reads the name of an option and its field, which is missing when it is only
// asked for.
func (p *parser) option(k rule.ExthdrKind) rule.Expr {
	if k == rule.TCPOption && p.accept("@") {
		e := &rule.Exthdr{Kind: k, Raw: true, Number: p.optionNumber()}
		p.expect(",")
		e.Offset = int(p.number())
		p.expect(",")
		e.N = int(p.number())
		if e.N == 0 || e.N > 256 || e.Offset > 320 {
			p.unexpected()
		}
		return e
	}
	t := p.tok
	if t.kind == tNumber && k == rule.TCPOption {
		return &rule.Exthdr{Kind: k, Number: p.optionNumber()}
	}
	name := p.word().text
	switch name {
	case "mss":
		name = "maxseg"
	case "sack-permitted":
		name = "sack-perm"
	}
	h := rule.ExthdrByName(k, name)
	if h == nil {
		p.failAt(p.span(t), "syntax error, unexpected %s", t.describe())
	}
	return p.exthdrField(k, h)
}

// optionNumber reads the kind of a TCP option, which is an octet.
func (p *parser) optionNumber() uint8 {
	t := p.tok
	n := p.number()
	if n > 255 {
		p.failAt(p.span(t), "value too large")
	}
	return uint8(n)
}

func (p *parser) exthdrField(k rule.ExthdrKind, h *rule.Header) rule.Expr {
	e := &rule.Exthdr{Kind: k, Name: h.Name, Number: h.Number}
	if p.tok.kind == tWord {
		if f := h.Field(p.tok.text); f != nil {
			p.next()
			e.Field = f
		} else if h.Name == "rt0" && p.is("addr") || h.Name == "srh" && p.is("sid") {
			p.next()
			e.Name, e.Field = "srh", p.segment()
		}
	}
	if e.Field == nil && k == rule.IPv6Ext {
		p.unexpected()
	}
	return e
}

// segment reads the index of an address in a routing header. Those of rt0 and srh are
// at the same place, and nft calls both sid.
func (p *parser) segment() *rule.Field {
	p.expect("[")
	t := p.tok
	n := p.number()
	if n != 1 && n != 2 {
		p.failAt(p.span(t), "syntax error, unexpected number")
	}
	p.expect("]")
	return rule.ExthdrByName(rule.IPv6Ext, "srh").Field(fmt.Sprintf("sid[%d]", n))
}
