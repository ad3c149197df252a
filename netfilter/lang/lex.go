package lang

import (
	"net/netip"
	"strconv"
	"strings"
)

// A tokenKind is a class of tokens.
type tokenKind uint8

const (
	tEOF tokenKind = iota
	tNewline
	tWord   // keywords, names, addresses, durations
	tStar   // a word with a trailing asterisk
	tNumber // digits, or 0x and digits
	tQuoted
	tPunct
	tBad
)

// A token is a piece of a file. text is what is between the quotes of a quoted one.
type token struct {
	kind       tokenKind
	text       string
	start, end int
}

// A lexer cuts a file into tokens, one at a time.
type lexer struct {
	text string
	at   int
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }
func xdigit(c byte) bool { return digit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// skip goes over blanks, comments and escaped ends of lines.
func (l *lexer) skip() {
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case c == ' ' || c == '\t' || c == '\r':
			l.at++
		case c == '\\' && l.at+1 < len(l.text) && l.text[l.at+1] == '\n':
			l.at += 2
		case c == '#':
			if i := strings.IndexByte(l.text[l.at:], '\n'); i >= 0 {
				l.at += i
			} else {
				l.at = len(l.text)
			}
		default:
			return
		}
	}
}

// next returns the next token.
func (l *lexer) next() token {
	l.skip()
	start := l.at
	if start >= len(l.text) {
		return token{tEOF, "", start, start}
	}
	c := l.text[start]
	if c == '\n' {
		l.at++
		return token{tNewline, "\n", start, l.at}
	}
	if c == '"' {
		return l.quoted()
	}
	if letter(c) && !xdigit(c) { // neither a number nor an address
		l.at += wordLen(l.text[start:])
		return l.word(start)
	}
	word, number := max(wordLen(l.text[start:]), etherTypeLen(l.text[start:])), numberLen(l.text[start:])
	addr := addrLen(l.text[start:])
	dur := durationLen(l.text[start:])
	best := max(word, number, addr, dur)
	if best == 0 {
		return l.punct()
	}
	l.at += best
	kind := tWord
	switch {
	case best == number && number >= addr:
		if fits64(l.text[start:l.at]) {
			kind = tNumber
		}
	case best == word && word > addr:
		return l.word(start)
	}
	return token{kind, l.text[start:l.at], start, l.at}
}

// word returns the word that ends here, with the asterisk that may follow.
func (l *lexer) word(start int) token {
	text := l.text[start:l.at]
	if n := starLen(l.text[l.at:]); n > 0 {
		l.at += n
		return token{tStar, text + "*", start, l.at}
	}
	return token{tWord, text, start, l.at}
}

func (l *lexer) quoted() token {
	start := l.at
	i := strings.IndexAny(l.text[start+1:], "\"\n")
	if i < 0 || l.text[start+1+i] == '\n' {
		l.at++
		return token{tBad, `"`, start, l.at}
	}
	l.at = start + i + 2
	text := l.text[start+1 : l.at-1]
	return token{tQuoted, text, start, l.at}
}

var puncts = [...]string{"==", "!=", "<=", ">=", "<<", ">>"}

func (l *lexer) punct() token {
	start := l.at
	for _, p := range puncts {
		if strings.HasPrefix(l.text[start:], p) {
			l.at += 2
			return token{tPunct, p, start, l.at}
		}
	}
	l.at++
	kind := tPunct
	if !strings.Contains("=<>,.:;{}[]()^&|!/-*@$+~", l.text[start:l.at]) {
		kind = tBad
	}
	return token{kind, l.text[start:l.at], start, l.at}
}

func starLen(s string) int {
	switch {
	case strings.HasPrefix(s, "*"):
		return 1
	case strings.HasPrefix(s, `\*`):
		return 2
	}
	return 0
}

// wordLen returns the length of the name at the beginning of s.
func wordLen(s string) int {
	if !letter(s[0]) && s[0] != '_' && (s[0] != '.' || len(s) < 2 || !letter(s[1])) && s[0] != '\\' {
		return 0
	}
	if s[0] == '.' {
		return 0
	}
	n := 0
	for n < len(s) {
		c := s[n]
		switch {
		case letter(c) || digit(c) || c == '/' || c == '-' || c == '_' || c == '.':
			n++
			continue
		case c == '\\' && n+1 < len(s) && s[n+1] != '\n' && s[n+1] != '*':
			n += 2
			continue
		}
		break
	}
	return n
}

// etherTypeLen returns the length of the two names that begin with digits.
func etherTypeLen(s string) int {
	for _, name := range [...]string{"8021ad", "8021q"} {
		if strings.HasPrefix(s, name) {
			return len(name)
		}
	}
	return 0
}

func numberLen(s string) int {
	n := 0
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") {
		for n = 2; n < len(s) && xdigit(s[n]); n++ {
		}
		if n > 2 {
			return n
		}
		n = 0
	}
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}

// fits64 reports whether digits are a number of at most 64 bits: what is longer nft takes for
// a string.
func fits64(s string) bool {
	if len(s) < 17 {
		return true
	}
	_, err := strconv.ParseUint(s, 0, 64)
	return err == nil
}

// durationLen returns the length of a duration such as 1h30m.
func durationLen(s string) int {
	units := []string{"d", "h", "m", "s", "ms"}
	at, u := 0, 0
	for {
		n := 0
		for at+n < len(s) && digit(s[at+n]) {
			n++
		}
		if n == 0 {
			return at
		}
		end := at + n
		k := 0
		for end+k < len(s) && letter(s[end+k]) {
			k++
			if end+k < len(s) && digit(s[end+k]) {
				break
			}
		}
		unit, found := s[end:end+k], false
		for ; u < len(units); u++ {
			if units[u] == unit {
				found = true
				u++
				break
			}
		}
		if !found {
			return at
		}
		at = end + k
	}
}

// addrLen returns the length of a link layer, IPv4 or IPv6 address at the beginning
// of s.
func addrLen(s string) int {
	n, colons, dots := 0, 0, 0
	for n < len(s) && n < 64 && (xdigit(s[n]) || s[n] == ':' || s[n] == '.') {
		switch s[n] {
		case ':':
			colons++
		case '.':
			dots++
		}
		n++
	}
	if dots < 3 && colons < 2 {
		return 0
	}
	if n := dottedLen(s); n > 0 {
		return n
	}
	for ; n > 1; n-- {
		if isAddr(s[:n]) {
			return n
		}
	}
	return 0
}

// dottedLen returns the length of four numbers of up to three digits with dots between, which
// are an IPv4 address or are meant to be one.
func dottedLen(s string) int {
	at := 0
	for i := range 4 {
		n := at
		for n < len(s) && digit(s[n]) && n-at < 3 {
			n++
		}
		if n == at || i < 3 && (n == len(s) || s[n] != '.') {
			return 0
		}
		at = n + 1
	}
	return at - 1
}

func isAddr(s string) bool {
	if strings.Count(s, ":") == 5 && !strings.Contains(s, "::") {
		parts := strings.Split(s, ":")
		for _, p := range parts {
			if len(p) == 0 || len(p) > 2 || strings.Contains(p, ".") {
				return false
			}
		}
		return true
	}
	if !strings.ContainsAny(s, ":") && strings.Count(s, ".") != 3 {
		return false
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}
