package pcapfilter

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// qualifiers are what stands before an identifier: tcp src port.
type qualifiers struct {
	proto string // "" if none
	dir   string // "src", "dst", "and", "or"; "" means or
	typ   string // "host", "net", "port", "portrange", "proto"; "" if none
}

func isQualifier(w string) bool {
	switch w {
	case "src", "dst", "host", "net", "port", "portrange", "proto":
		return true
	}
	return false
}

// head reads qualifiers and their identifier, or a protocol that stands alone, or
// bytes of one.
func (p *parser) head() (n node, err error) {
	var q qualifiers
	t := p.peek()
	if _, ok := protocols[t.text]; ok {
		p.i++
		q.proto = t.text
		switch next := p.peek(); {
		case p.is("["):
			return p.bytes(t)
		case next.kind == id && (next.text == "broadcast" || next.text == "multicast"):
			p.i++
			n.pred, err = p.many(next, q.proto)
			return n, err
		case next.kind != id || !isQualifier(next.text):
			n.pred = p.protocol(q.proto)
			return n, nil
		}
	}
	if err := p.direction(&q); err != nil {
		return n, err
	}
	if t := p.peek(); t.kind == id && isQualifier(t.text) && t.text != "src" && t.text != "dst" {
		p.i++
		q.typ = t.text
	}
	p.last, p.known = q, true
	switch t := p.peek(); {
	case p.accept("("):
		return p.parenthesis()
	case t.kind == end || t.kind == symbol, t.kind == id && level(t) == logic:
		return n, p.unexpected("want an address, a name or a number")
	}
	n.pred, err = p.qualified(q, p.take())
	return n, err
}

// direction reads src, dst, src or dst, and src and dst.
func (p *parser) direction(q *qualifiers) error {
	if !p.is("src") && !p.is("dst") {
		return nil
	}
	q.dir = p.take().text
	op := p.peek()
	if op.kind == end || level(op) != logic || p.i+1 >= len(p.toks) {
		return nil
	}
	other := p.toks[p.i+1]
	if other.kind != id || other.text != "src" && other.text != "dst" || other.text == q.dir {
		return nil
	}
	p.i += 2
	q.dir = "or"
	if op.text == "and" || op.text == "&&" {
		q.dir = "and"
	}
	return nil
}

// qualified is the predicate of an identifier with its qualifiers.
func (p *parser) qualified(q qualifiers, t token) (pred, error) {
	switch q.typ {
	case "port", "portrange":
		return p.portPrimitive(q, t)
	case "proto":
		return p.protoPrimitive(q, t)
	}
	switch t.kind {
	case mac:
		return p.macPrimitive(q, t)
	case ip4, ip6:
		return p.addrPrimitive(q, t, t.ip, t.ip.BitLen())
	case number:
		if q.typ == "net" && t.num < 256 {
			return p.addrPrimitive(q, t, netip.AddrFrom4([4]byte{byte(t.num)}), 8)
		}
	case id:
		if a, bits, ok := partial(t.text); ok {
			return p.addrPrimitive(q, t, a, bits)
		}
		if q.typ == "net" {
			return nil, errorAt(t, "unknown network '%s'", t.text)
		}
		return nil, errorAt(t, "unknown host '%s': names are not looked up, want an address", t.text)
	}
	return nil, errorAt(t, "syntax error at %s", quote(t))
}

// partial reads the beginning of an IPv4 address, such as 10.1: a network.
func partial(s string) (a netip.Addr, bits int, ok bool) {
	var b [4]byte
	n := 0
	for part := range strings.SplitSeq(s, ".") {
		v, err := strconv.ParseUint(part, 10, 8)
		if err != nil || n == len(b) {
			return a, 0, false
		}
		b[n] = byte(v)
		n++
	}
	return netip.AddrFrom4(b), 8 * n, true
}

// pair joins what is said of source and destination.
func (q qualifiers) pair(src, dst pred) pred {
	switch q.dir {
	case "src":
		return src
	case "dst":
		return dst
	case "and":
		return and(src, dst)
	}
	return or(src, dst)
}

func (p *parser) macPrimitive(q qualifiers, t token) (pred, error) {
	switch {
	case q.proto != "ether" && q.proto != "link" || q.typ == "net":
		return nil, errorAt(t, "ethernet address used in non-ether expression")
	case p.link != Ethernet:
		return nil, errorAt(t, "'ether' addresses are not there on this link type")
	}
	return q.pair(hardware(6, t.mac), hardware(0, t.mac)), nil
}

// addrPrimitive is host and net; a prefix or a mask may follow.
func (p *parser) addrPrimitive(q qualifiers, t token, a netip.Addr, bits int) (pred, error) {
	mask := netmask(bits)
	network := bits != a.BitLen()
	switch {
	case p.accept("/"):
		n := p.peek()
		v, err := p.number("want a prefix length")
		if err != nil {
			return nil, err
		}
		if int(v) > a.BitLen() {
			return nil, errorAt(n, "mask length must be <= %d", a.BitLen())
		}
		mask, network = netmask(int(v)), true
	case a.Is4() && p.accept("mask"):
		m := p.take()
		if m.kind != ip4 {
			return nil, errorAt(m, "want a mask such as 255.255.0.0")
		}
		mask, network = [16]byte{}, true
		b := m.ip.As4()
		copy(mask[:], b[:])
	}
	if network && q.typ == "host" {
		return nil, errorAt(t, "Mask syntax for networks only")
	}
	b := a.AsSlice()
	for i := range b {
		if b[i]&^mask[i] != 0 && network {
			return nil, errorAt(t, "non-network bits set in %s", quote(t))
		}
	}
	return p.addrs(q, t, a, mask)
}

func netmask(bits int) (m [16]byte) {
	for i := range m {
		n := min(max(bits-8*i, 0), 8)
		m[i] = byte(0xff << (8 - n))
	}
	return m
}

func (p *parser) addrs(q qualifiers, t token, a netip.Addr, mask [16]byte) (pred, error) {
	if a.Is6() {
		if q.proto != "" && q.proto != "ip6" {
			return nil, errorAt(t, "'%s' modifier applied to ip6 host", q.proto)
		}
		b := a.As16()
		return and(p.etherType(typeIP6), q.pair(same(p.net+8, b[:], mask[:]), same(p.net+24, b[:], mask[:]))), nil
	}
	b := a.As4()
	ip := and(p.etherType(typeIP), q.pair(same(p.net+12, b[:], mask[:4]), same(p.net+16, b[:], mask[:4])))
	arp := q.pair(same(p.net+14, b[:], mask[:4]), same(p.net+24, b[:], mask[:4]))
	switch q.proto {
	case "":
		return or(ip, and(or(p.etherType(typeARP), p.etherType(typeRARP)), arp)), nil
	case "ip":
		return ip, nil
	case "arp":
		return and(p.etherType(typeARP), arp), nil
	case "rarp":
		return and(p.etherType(typeRARP), arp), nil
	}
	return nil, errorAt(t, "'%s' modifier applied to host", q.proto)
}

// same compares the bytes at an offset with b under a mask: words of four bytes, of
// which those that no bit of the mask covers need not be there.
func same(at int, b, mask []byte) pred {
	var match pred
	for i := 0; i < len(b); i += 4 {
		m := binary.BigEndian.Uint32(mask[i:])
		if m == 0 {
			continue
		}
		w := word(at+i, 4, m, binary.BigEndian.Uint32(b[i:]))
		if match == nil {
			match = w
		} else {
			match = and(match, w)
		}
	}
	if match == nil {
		return func(frame) verdict { return yes }
	}
	return match
}
