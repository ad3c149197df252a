package pcapfilter

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

type kind uint8

const (
	end    kind = iota
	id          // a name, keyword, or partial address; also a range of ports
	quoted      // a name behind a backslash, which is no keyword
	number
	ip4
	ip6
	mac
	symbol
)

type token struct {
	kind kind
	text string
	at   int
	num  uint32
	ip   netip.Addr
	mac  [6]byte
}

// maxTokens bounds an expression, so that its predicate is not too deep to call.
const maxTokens = 4096

func lex(s string) (toks []token, err error) {
	for i := 0; ; {
		for i < len(s) && strings.IndexByte(" \t\n\r", s[i]) >= 0 {
			i++
		}
		if i == len(s) {
			return append(toks, token{kind: end, at: i}), nil
		}
		if len(toks) >= maxTokens {
			return nil, &Error{i, "expression too long"}
		}
		t, err := next(s[i:], i)
		if err != nil {
			return nil, err
		}
		toks = append(toks, t)
		i += len(t.text)
	}
}

// next returns the first token of s, which begins at an offset of the whole.
func next(s string, at int) (token, error) {
	if t, ok := address(s); ok {
		t.at = at
		return t, nil
	}
	if s[0] == '\\' {
		w := ident(s[1:])
		if w == "" {
			return token{}, &Error{at, "stray backslash: want a name behind it"}
		}
		return token{kind: quoted, text: s[:1+len(w)], at: at}, nil
	}
	if w := ident(s); w != "" {
		return wordToken(w, at)
	}
	for _, op := range [...]string{"&&", "||", "<<", ">>", "<=", ">=", "==", "!="} {
		if strings.HasPrefix(s, op) {
			return token{kind: symbol, text: op, at: at}, nil
		}
	}
	if strings.IndexByte("()[]:!<>=&|^+-*/%", s[0]) >= 0 {
		return token{kind: symbol, text: s[:1], at: at}, nil
	}
	return token{}, &Error{at, "illegal character " + strconv.QuoteRune([]rune(s)[0])}
}

// address takes an IPv6 or Ethernet address, which colons make different from
// everything else: one colon alone may stand in tcp[2:2].
func address(s string) (token, bool) {
	n := 0
	for n < len(s) && (isHex(s[n]) || s[n] == ':' || s[n] == '.') {
		n++
	}
	w := s[:n]
	if strings.Count(w, ":") < 2 {
		return token{}, false
	}
	if a, err := netip.ParseAddr(w); err == nil && a.Is6() {
		return token{kind: ip6, text: w, ip: a}, true
	}
	var t token
	parts := strings.Split(w, ":")
	if len(parts) != len(t.mac) {
		return token{}, false
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 16, 8)
		if err != nil {
			return token{}, false
		}
		t.mac[i] = byte(v)
	}
	t.kind, t.text = mac, w
	return t, true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// ident takes a letter or digit, and what follows of letters, digits, -, _ and dots,
// not ending in - or _.
func ident(s string) string {
	n := 0
	for i := 0; i < len(s); i++ {
		switch {
		case isAlnum(s[i]), s[i] == '.' && i > 0:
			n = i + 1
		case i > 0 && (s[i] == '-' || s[i] == '_'):
		default:
			return s[:n]
		}
	}
	return s[:n]
}

func wordToken(w string, at int) (token, error) {
	t := token{kind: id, text: w, at: at}
	if a, err := netip.ParseAddr(w); err == nil {
		t.kind, t.ip = ip4, a
		return t, nil
	}
	if hw, err := net.ParseMAC(w); err == nil && len(hw) == 6 {
		t.kind, t.mac = mac, [6]byte(hw)
		return t, nil
	}
	other := len(w) > 1 && strings.ContainsAny(w[1:2], "bBoO") // 0b1 and 0o7 are numbers of Go only
	if w[0] >= '0' && w[0] <= '9' && !other && !strings.ContainsAny(w, ".-_") {
		v, err := strconv.ParseUint(w, 0, 32)
		if err != nil {
			return token{}, &Error{at, "bogus number " + strconv.Quote(w)}
		}
		t.kind, t.num = number, uint32(v)
	}
	return t, nil
}
