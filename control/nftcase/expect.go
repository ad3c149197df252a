package nftcase

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/knitnet/knit/netfilter/rule"
)

// Verdicts.
const (
	accept = "accept" // the packet came to the host or left by a device
	drop   = "drop"   // it is gone, and nobody was told
	reject = "reject" // it is gone, and its sender was told
)

// An expect is what should become of a packet. What is not said may be anything.
type expect struct {
	verdict    string
	to         *site
	snat, dnat *natRange
	// untouched: addresses and ports stay as they are.
	untouched bool
	with      string // the answer of a reject
	by, hit   []ruleRef
	policy    bool    // the policy has decided
	as        *Packet // fields that the packet has in the end
	mark      *uint32
}

// A natRange is where a translated address and port may be.
type natRange struct {
	addr   netip.Prefix // zero: not said
	lo, hi uint16
	port   bool // lo and hi count
}

// A ruleRef means rules: by handle, comment, or the line of the rules' file.
type ruleRef struct {
	kind  string // "handle", "comment", "line", "chain"
	value string
}

func (r ruleRef) String() string { return r.kind + " " + r.value }

func parseRuleRef(w *words) (r ruleRef, err error) {
	const want = "handle N, comment TEXT, line N or chain NAME"
	if r.kind, err = w.next(want); err != nil {
		return r, err
	}
	if r.value, err = w.next("what the " + r.kind + " is"); err != nil {
		return r, err
	}
	r.value = unquote(r.value)
	switch r.kind {
	case "handle", "line":
		if _, err := strconv.ParseUint(r.value, 10, 64); err != nil {
			return r, fmt.Errorf("%s: %s is no number", r.kind, r.value)
		}
	case "comment", "chain":
	default:
		return r, fmt.Errorf("%s: want %s", r.kind, want)
	}
	return r, nil
}

// parseExpect reads what stands behind `->`. Words that only a packet which passes
// can have imply accept.
func parseExpect(w *words) (x expect, err error) {
	if w.end() {
		return x, fmt.Errorf("want accept, drop or reject behind ->")
	}
	for !w.end() {
		word, _ := w.next("")
		switch word {
		case accept, drop, reject:
			if x.verdict != "" {
				return x, fmt.Errorf("%s: the verdict is %s already", word, x.verdict)
			}
			x.verdict = word
		default:
			if err := x.clause(word, w); err != nil {
				return x, err
			}
		}
	}
	passes := x.to != nil || x.snat != nil || x.dnat != nil || x.untouched || x.as != nil || x.mark != nil
	switch {
	case x.verdict == "" && passes:
		x.verdict = accept
	case x.verdict == "":
		return x, fmt.Errorf("want accept, drop or reject")
	case x.verdict != accept && passes:
		return x, fmt.Errorf("%s: a packet that goes nowhere has no destination and no translation", x.verdict)
	case x.verdict != reject && x.with != "":
		return x, fmt.Errorf("%s: with belongs to reject", x.verdict)
	}
	return x, nil
}

func (x *expect) clause(word string, w *words) (err error) {
	switch word {
	case "to":
		return x.parseTo(w)
	case "snat":
		x.snat, err = parseNAT(w)
	case "dnat":
		x.dnat, err = parseNAT(w)
	case "untouched":
		x.untouched = true
	case "with":
		x.with, err = parseWith(w)
	case "mark":
		var s string
		if s, err = w.next("a mark"); err == nil {
			var v uint64
			v, err = strconv.ParseUint(s, 0, 32)
			m := uint32(v)
			x.mark = &m
		}
	case "by":
		if w.take("policy") {
			x.policy = true
			return nil
		}
		var r ruleRef
		r, err = parseRuleRef(w)
		x.by = append(x.by, r)
	case "hit":
		var r ruleRef
		r, err = parseRuleRef(w)
		x.hit = append(x.hit, r)
	case "as":
		err = x.parseAs(w)
	default:
		err = fmt.Errorf("%s: want accept, drop, reject, to, snat, dnat, untouched, with, mark, by, hit or as", word)
	}
	return err
}

// parseAs reads the fields that a packet has when it comes out.
func (x *expect) parseAs(w *words) error {
	p := &Packet{}
	if err := p.parse(w); err != nil {
		return err
	}
	if len(p.fields)+len(p.options) == 0 && p.payload == nil || p.raw != nil || p.cut != 0 {
		return errors.New("as: want fields, TCP options or a payload")
	}
	for _, s := range p.fields {
		if s.field.Base == rule.LinkHeader {
			return fmt.Errorf("as %s %s: the packet that comes out begins with its network header", s.field.Header, s.field.Name)
		}
	}
	if p.mark != nil {
		x.mark = p.mark
	}
	x.as = p
	return nil
}

func (x *expect) parseTo(w *words) error {
	name, err := w.next("a device or local")
	if err != nil {
		return err
	}
	to := site(name)
	if name == "local" {
		to = local
	}
	x.to = &to
	return nil
}

// parseNAT reads ADDRESS, ADDRESS:PORT, :PORT or PREFIX; a port may be a range.
func parseNAT(w *words) (*natRange, error) {
	s, err := w.next("address:port")
	if err != nil {
		return nil, err
	}
	n := &natRange{}
	host, port := s, ""
	if p, err := netip.ParsePrefix(s); err == nil {
		n.addr = p.Masked()
		return n, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		n.addr = netip.PrefixFrom(a, a.BitLen())
		return n, nil
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = strings.Trim(s[:i], "[]"), s[i+1:]
	}
	if host != "" {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return nil, fmt.Errorf("%s is no address, address:port, :port or prefix", s)
		}
		n.addr = netip.PrefixFrom(a, a.BitLen())
	}
	lo, hi, ranged := strings.Cut(port, "-")
	if !ranged {
		hi = lo
	}
	from, err := strconv.ParseUint(lo, 10, 16)
	to, err2 := strconv.ParseUint(hi, 10, 16)
	if err != nil || err2 != nil || from > to {
		return nil, fmt.Errorf("%s: %s is no port and no range of ports", s, port)
	}
	n.lo, n.hi, n.port = uint16(from), uint16(to), true
	return n, nil
}

func (n *natRange) fits(a netip.Addr, port uint16) bool {
	return (!n.addr.IsValid() || n.addr.Contains(a)) && (!n.port || port >= n.lo && port <= n.hi)
}

func (n *natRange) String() string {
	s := ""
	if n.addr.IsValid() {
		s = n.addr.String()
		if n.addr.IsSingleIP() {
			s = n.addr.Addr().String()
		}
		if n.port && n.addr.Addr().Is6() {
			s = "[" + s + "]"
		}
	}
	switch {
	case n.port && n.lo == n.hi:
		s += fmt.Sprintf(":%d", n.lo)
	case n.port:
		s += fmt.Sprintf(":%d-%d", n.lo, n.hi)
	}
	return s
}

// parseWith reads the answer of a reject: `tcp reset`, or an ICMP type with a code as
// nft writes it: `icmp port-unreachable`.
func parseWith(w *words) (string, error) {
	proto, err := w.next("tcp reset, icmp CODE or icmpv6 CODE")
	if err != nil {
		return "", err
	}
	what, err := w.next("what the answer is")
	if err != nil {
		return "", err
	}
	if proto == "tcp" && what == "reset" || isAnswerName(proto, what) {
		return proto + " " + what, nil
	}
	return "", fmt.Errorf("with %s %s: want tcp reset, or icmp or icmpv6 and the name of a code or type", proto, what)
}
