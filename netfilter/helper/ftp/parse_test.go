package ftp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// TestParse: what counts as an announcement, and what must not.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		d    int
		line string
		want string // address and port, and the part of the line that says so
	}{
		// RFC 959 §5.3.2
		{0, "PORT 10,0,0,2,195,81\r\n", "10.0.0.2:50001 10,0,0,2,195,81"},
		{0, "port  10,0,0,2,0,21 \r\n", "10.0.0.2:21 10,0,0,2,0,21"},
		{0, "PORT 10,0,0,2,195,81\n", "10.0.0.2:50001 10,0,0,2,195,81"},
		{0, "PORT 10,0,0,2,195\r\n", ""},
		{0, "PORT 10,0,0,2,195,81,7\r\n", ""},
		{0, "PORT 10,0,0,256,195,81\r\n", ""},
		{0, "PORT 10,0,0,2,0,0\r\n", ""},
		{0, "PORT 10,0,0,2,195,81x\r\n", ""},
		{0, "PORT 10, 0,0,2,195,81\r\n", ""},
		{0, "PORT \r\n", ""},
		{0, "XPORT 10,0,0,2,195,81\r\n", ""},
		{0, "PORT 00000000000010,0,0,2,195,81\r\n", ""},
		{1, "PORT 10,0,0,2,195,81\r\n", ""}, // a server gives no commands
		// RFC 2428 §2
		{0, "EPRT |1|132.235.1.2|6275|\r\n", "132.235.1.2:6275 |1|132.235.1.2|6275|"},
		{0, "EPRT |2|1080::8:800:200C:417A|5282|\r\n", "[1080::8:800:200c:417a]:5282 |2|1080::8:800:200C:417A|5282|"},
		{0, "EPRT !1!10.0.0.1!80!\r\n", "10.0.0.1:80 !1!10.0.0.1!80!"},
		{0, "EPRT |2|10.0.0.1|80|\r\n", ""},
		{0, "EPRT |1|fd00::1|80|\r\n", ""},
		{0, "EPRT |2|fe80::1%eth0|80|\r\n", ""},
		{0, "EPRT |2|::ffff:10.0.0.1|80|\r\n", ""},
		{0, "EPRT |1|10.0.0.1|65536|\r\n", ""},
		{0, "EPRT |1|10.0.0.1||\r\n", ""},
		{0, "EPRT 111111111\r\n", ""},
		{0, "EPRT |1|10.0.0.1|80|x|\r\n", ""},
		{0, "EPRT \r\n", ""},
		// RFC 959 §4.2.2, RFC 1123 §4.1.2.6
		{1, "227 Entering Passive Mode (10,0,0,2,195,81).\r\n", "10.0.0.2:50001 10,0,0,2,195,81"},
		{1, "227 Entering Passive Mode. 10,0,0,2,195,81\r\n", "10.0.0.2:50001 10,0,0,2,195,81"},
		{1, "227 =10,0,0,2,195,81\r\n", "10.0.0.2:50001 10,0,0,2,195,81"},
		{1, "227 4 of 10,0,0,2,195,81\r\n", "10.0.0.2:50001 10,0,0,2,195,81"},
		{1, "227 1,10,0,0,2,195,81\r\n", ""},
		{1, "227-10,0,0,2,195,81\r\n", ""},
		{0, "227 10,0,0,2,195,81\r\n", ""}, // nor a client replies
		// RFC 2428 §3
		{1, "229 Entering Extended Passive Mode (|||6446|)\r\n", "invalid IP:6446 |||6446|"},
		{1, "229 ok (!!!6446!)\r\n", "invalid IP:6446 !!!6446!"},
		{1, "229 ok (|||6446)\r\n", ""},
		{1, "229 ok (|1|10.0.0.1|6446|)\r\n", ""},
		{1, "229 ok (|||0|)\r\n", ""},
		{1, "229 ok (1116446 1)\r\n", ""},
		{1, "229 |||6446|\r\n", ""},
		{1, "229 (\r\n", ""},
	} {
		s, ok := parse(c.d, []byte(c.line))
		got := ""
		if ok {
			a := s.addr.String()
			if s.addr.Is6() {
				a = "[" + a + "]"
			}
			got = fmt.Sprintf("%s:%d %s", a, s.port, c.line[s.off:s.off+s.n])
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
	}
}

// TestAppend: what a translation writes is read back as what it means.
func TestAppend(t *testing.T) {
	for d, lines := range [2][]string{
		{"PORT 10,0,0,2,195,81\r\n", "EPRT |1|10.0.0.2|50001|\r\n", "EPRT |2|fd00::2|50001|\r\n"},
		{"227 Here (10,0,0,2,195,81)\r\n", "229 Here (|||50001|)\r\n"},
	} {
		for _, line := range lines {
			s, _ := parse(d, []byte(line))
			to := netip.MustParseAddr("192.0.2.201")
			if s.addr.Is6() {
				to = netip.MustParseAddr("2001:db8::abcd")
			}
			next := line[:s.off] + string(s.append(nil, to, 6)) + line[s.off+s.n:]
			again, ok := parse(d, []byte(next))
			if !ok || again.addr.IsValid() && again.addr != to || again.port != 6 {
				t.Errorf("%q became %q, which says %v %d", line, next, again.addr, again.port)
			}
		}
	}
}

// read gives segments to a stream and returns the lines it finds. A segment is
// "seq text".
func read(s *stream, segments ...string) (lines []string) {
	for _, g := range segments {
		var seq uint32
		fmt.Sscan(g, &seq)
		_, text, _ := strings.Cut(g, " ")
		r := s.read(seq, []byte(text))
		for line, at, ok := r.next(); ok; line, at, ok = r.next() {
			lines = append(lines, fmt.Sprintf("%d %s", int(seq)+at, line))
		}
		if rest, at := r.rest(); len(rest) > 0 {
			s.keep(at, rest)
		}
	}
	return lines
}

// TestLines: lines are found where the stream has them, wherever segments begin,
// and are found again when segments are sent again.
func TestLines(t *testing.T) {
	for _, c := range []struct {
		name     string
		segments []string
		want     string
	}{
		{"whole", []string{"100 one\n", "104 two\nthree\n"}, "100 one\n|104 two\n|108 three\n"},
		{"again", []string{"100 one\n", "104 two\n", "100 one\n", "104 two\n"}, "100 one\n|104 two\n|100 one\n|104 two\n"},
		{"in pieces", []string{"100 PO", "102 RT", "104 x\n"}, "100 PORTx\n"},
		{"pieces again as one", []string{"100 PO", "102 RT", "100 PORTx\n"}, "100 PORTx\n"},
		{"in the middle of a line", []string{"100 220 hel", "103 hello PORT x\n227 y\n"}, "116 227 y\n"},
		{"a segment lost", []string{"100 220 ", "140 227 x\n", "146 227 y\n"}, "146 227 y\n"},
		{"a segment that begins like a reply", []string{"100 214 help about", "200 227 x\n"}, ""},
	} {
		var s stream
		s.begin(100)
		if got := strings.Join(read(&s, c.segments...), "|"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// FuzzLine: no line harms, what is found is in the line, and what is written in its
// place is found again.
func FuzzLine(f *testing.F) {
	f.Add(0, []byte("PORT 10,0,0,2,195,81\r\n"))
	f.Add(0, []byte("EPRT |2|1080::8:800:200C:417A|5282|\r\n"))
	f.Add(1, []byte("227 Entering Passive Mode (10,0,0,2,195,81).\r\n"))
	f.Add(1, []byte("229 Entering Extended Passive Mode (|||6446|)\r\n"))
	f.Fuzz(func(t *testing.T, d int, line []byte) {
		s, ok := parse(d&1, line)
		if !ok {
			return
		}
		if s.off < 5-1 || s.n <= 0 || s.off+s.n > len(line) || s.port == 0 || !mayAnnounce(d&1, line[:1]) {
			t.Fatalf("%q: %+v", line, s)
		}
		to := s.addr
		if !to.IsValid() {
			to = netip.MustParseAddr("10.0.0.1")
		}
		text := s.append(nil, to, s.port)
		next := append(append(append([]byte(nil), line[:s.off]...), text...), line[s.off+s.n:]...)
		if again, ok := parse(d&1, next); !ok || again.addr != s.addr || again.port != s.port {
			t.Fatalf("%q became %q: %v %d, %v", line, next, again.addr, again.port, ok)
		}
	})
}

// FuzzStream: segments in any order and of any content keep the state small.
func FuzzStream(f *testing.F) {
	f.Add(uint32(100), []byte("220 hello\r\n227 x"), uint32(116), []byte("y\r\n"))
	f.Fuzz(func(t *testing.T, seq1 uint32, b1 []byte, seq2 uint32, b2 []byte) {
		var s stream
		s.begin(seq1)
		for range 2 {
			for _, g := range []struct {
				seq uint32
				b   []byte
			}{{seq1, b1}, {seq2, b2}} {
				r := s.read(g.seq, g.b)
				for line, at, ok := r.next(); ok; line, at, ok = r.next() {
					if line[len(line)-1] != '\n' || at+len(line) > len(g.b) {
						t.Fatalf("line %q at %d of %q", line, at, g.b)
					}
				}
				if rest, at := r.rest(); len(rest) > 0 {
					s.keep(at, rest)
				}
			}
		}
		if len(s.starts) > maxStarts || len(s.part) > maxLine {
			t.Fatalf("%d beginnings, %d bytes", len(s.starts), len(s.part))
		}
	})
}
