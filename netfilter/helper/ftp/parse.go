package ftp

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// A saying is an address and port that a line of the control connection announces.
type saying struct {
	addr netip.Addr // not valid: that of the sender
	port uint16
	// off and n are where in the line it stands.
	off, n int
	append func(b []byte, a netip.Addr, port uint16) []byte
}

// words begin the lines that count: commands of the client and replies of the
// server, by direction.
var words = [2][2]string{{"PORT ", "EPRT "}, {"227 ", "229 "}}

// parse reads a complete line.
func parse(d int, line []byte) (s saying, ok bool) {
	for kind, word := range words[d] {
		n := len(word)
		if len(line) <= n || !bytes.EqualFold(line[:n], []byte(word)) {
			continue
		}
		switch b := line[n:]; {
		case d == 0 && kind == 0:
			s, ok = parsePort(b)
		case d == 0:
			s, ok = parseExtended(b)
		case kind == 0:
			s, ok = parsePassive(b)
		default:
			s, ok = parseExtendedPassive(b)
		}
		s.off += n
		return s, ok
	}
	return s, false
}

// mayAnnounce reports whether a line that has not ended yet may become one that
// counts.
func mayAnnounce(d int, part []byte) bool {
	for _, word := range words[d] {
		if n := min(len(part), len(word)); bytes.EqualFold(part[:n], []byte(word[:n])) {
			return true
		}
	}
	return false
}

// parsePort reads h1,h2,h3,h4,p1,p2 to the end of the line (RFC 959 §5.3.2).
func parsePort(b []byte) (s saying, ok bool) {
	at := spaces(b)
	s, ok = six(b[at:])
	s.off += at
	return s, ok && ended(b[s.off+s.n:])
}

// parsePassive finds h1,h2,h3,h4,p1,p2 in a reply: the text around it is not
// specified, and a client "MUST search the reply for the first digit of the host
// number" (RFC 1123 §4.1.2.6).
func parsePassive(b []byte) (s saying, ok bool) {
	for at := range b {
		if !isDigit(b[at]) || at > 0 && (isDigit(b[at-1]) || b[at-1] == ',') {
			continue
		}
		if s, ok = six(b[at:]); ok {
			s.off = at
			return s, true
		}
	}
	return s, false
}

// six reads six numbers of a byte each.
func six(b []byte) (s saying, ok bool) {
	var v [6]byte
	at := 0
	for i := range v {
		if i > 0 {
			if at == len(b) || b[at] != ',' {
				return s, false
			}
			at++
		}
		n, width := number(b[at:], 255)
		if width == 0 {
			return s, false
		}
		v[i], at = byte(n), at+width
	}
	if at < len(b) && (b[at] == ',' || isDigit(b[at])) {
		return s, false
	}
	s = saying{addr: netip.AddrFrom4([4]byte(v[:4])), port: uint16(v[4])<<8 | uint16(v[5]), n: at, append: appendSix}
	return s, s.port != 0
}

func appendSix(b []byte, a netip.Addr, port uint16) []byte {
	for _, x := range a.AsSlice() {
		b = append(strconv.AppendUint(b, uint64(x), 10), ',')
	}
	b = append(strconv.AppendUint(b, uint64(port>>8), 10), ',')
	return strconv.AppendUint(b, uint64(port&0xff), 10)
}

// parseExtended reads <d>net-prt<d>net-addr<d>tcp-port<d> (RFC 2428 §2).
func parseExtended(b []byte) (s saying, ok bool) {
	at := spaces(b)
	f := strings.SplitN(string(b[at:]), string(delimiter(b[at:])), 5)
	if len(f) != 5 || len(f[0]) != 0 || !ended([]byte(f[4])) {
		return s, false
	}
	a, err := netip.ParseAddr(f[2])
	if err != nil || a.Zone() != "" || a.Is4In6() || f[1] != network(a) {
		return s, false
	}
	port, width := number([]byte(f[3]), 65535)
	s = saying{addr: a, port: uint16(port), off: at, n: len(b) - at - len(f[4]), append: appendExtended}
	return s, width > 0 && width == len(f[3]) && port != 0
}

// network is the address family number of an address (RFC 2428 §2).
func network(a netip.Addr) string {
	if a.Is4() {
		return "1"
	}
	return "2"
}

func appendExtended(b []byte, a netip.Addr, port uint16) []byte {
	b = append(append(append(b, '|'), network(a)...), '|')
	b = append(a.AppendTo(b), '|')
	return append(strconv.AppendUint(b, uint64(port), 10), '|')
}

// parseExtendedPassive finds (<d><d><d>tcp-port<d>) in a reply (RFC 2428 §3).
func parseExtendedPassive(b []byte) (s saying, ok bool) {
	at := bytes.IndexByte(b, '(') + 1
	if at == 0 || len(b) < at+6 {
		return s, false
	}
	d := delimiter(b[at:])
	if len(d) == 0 || b[at+1] != d[0] || b[at+2] != d[0] {
		return s, false
	}
	port, width := number(b[at+3:], 65535)
	end := at + 3 + width
	if width == 0 || port == 0 || len(b) < end+2 || b[end] != d[0] || b[end+1] != ')' {
		return s, false
	}
	return saying{port: uint16(port), off: at, n: end + 1 - at, append: appendExtendedPassive}, true
}

func appendExtendedPassive(b []byte, _ netip.Addr, port uint16) []byte {
	return append(strconv.AppendUint(append(b, "|||"...), uint64(port), 10), '|')
}

// delimiter returns the delimiter that b begins with, "one of the ASCII characters
// in range 33-126 inclusive" and no digit here; empty: it is none.
func delimiter(b []byte) []byte {
	if len(b) == 0 || b[0] < 33 || b[0] > 126 || isDigit(b[0]) {
		return nil
	}
	return b[:1]
}

// number reads a decimal number up to a limit and returns how long it is; 0: there
// is none.
func number(b []byte, limit int) (n, width int) {
	for width < len(b) && isDigit(b[width]) {
		if n = n*10 + int(b[width]-'0'); n > limit || width > 5 {
			return 0, 0
		}
		width++
	}
	return n, width
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func spaces(b []byte) (n int) {
	for n < len(b) && b[n] == ' ' {
		n++
	}
	return n
}

// ended reports whether nothing but the end of the line is left.
func ended(b []byte) bool { return len(bytes.Trim(b, " \r\n")) == 0 }
