package pcapfilter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hosts of generated frames.
var (
	nets4 = [][4]byte{{10, 0, 0, 1}, {10, 0, 0, 2}, {10, 1, 2, 3}, {192, 168, 1, 7}, {224, 0, 0, 251}}
	nets6 = [][16]byte{{0xfd, 15: 1}, {0xfd, 15: 2}, {0xfe, 0x80, 15: 9}, {0xff, 2, 15: 1}}
	sides = []uint16{22, 53, 80, 443, 1024, 5000, 33434}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// ipPayload returns a transport header or something alike.
func ipPayload(r *rand.Rand, proto byte) []byte {
	b := make([]byte, 20+r.IntN(30))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	switch proto {
	case 6, 17, 132:
		binary.BigEndian.PutUint16(b[0:], pick(r, sides))
		binary.BigEndian.PutUint16(b[2:], pick(r, sides))
		if proto == 6 {
			b[12], b[13] = 0x50, pick(r, []byte{2, 0x12, 0x10, 0x18, 0x11, 4})
		}
	case 1:
		b[0], b[1] = pick(r, []byte{0, 3, 8, 11}), byte(r.IntN(4))
	case 58:
		b[0], b[1] = pick(r, []byte{1, 128, 129, 135, 136}), 0
	}
	return b
}

func ip4Packet(r *rand.Rand) []byte {
	proto := pick(r, []byte{1, 2, 6, 6, 17, 17, 132, 50, 99})
	opts := 4 * pick(r, []int{0, 0, 0, 1, 3})
	b := make([]byte, 20+opts)
	b[0] = 0x45 + byte(opts/4)
	if r.IntN(6) == 0 {
		binary.BigEndian.PutUint16(b[6:], pick(r, []uint16{0x2000, 0x2005, 0x0009, 0x4000}))
	}
	b[8], b[9] = byte(r.IntN(65)), proto
	src, dst := pick(r, nets4), pick(r, nets4)
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	b = append(b, ipPayload(r, proto)...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func ip6Packet(r *rand.Rand) []byte {
	proto := pick(r, []byte{58, 6, 17, 44, 0})
	b := make([]byte, 40)
	b[0], b[6], b[7] = 0x60, proto, byte(r.IntN(256))
	src, dst := pick(r, nets6), pick(r, nets6)
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	if proto == 44 {
		inner := pick(r, []byte{6, 17, 58})
		b = append(b, inner, 0, 0, 1, 1, 2, 3, 4)
		proto = inner
	}
	b = append(b, ipPayload(r, proto)...)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

func arpPacket(r *rand.Rand) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, byte(1 + r.IntN(2)), 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	src, dst := pick(r, nets4), pick(r, nets4)
	copy(b[14:], src[:])
	copy(b[24:], dst[:])
	return b
}

// randomFrame returns a frame, now and then one that was cut.
func randomFrame(r *rand.Rand, l Link) (b []byte, cut bool) {
	typ := uint16(typeIP)
	b = ip4Packet(r)
	switch r.IntN(6) {
	case 0, 1:
		typ, b = typeIP6, ip6Packet(r)
	case 2:
		if l == Ethernet {
			typ, b = typeARP, arpPacket(r)
		}
	case 3:
		if l == Ethernet && r.IntN(2) == 0 {
			typ, b = 0x1234, make([]byte, 60)
		}
	}
	if l == Ethernet {
		h := []byte{2, 0, 0, 0, 0, byte(r.IntN(2)), 2, 0, 0, 0, 0, byte(r.IntN(2))}
		if r.IntN(6) == 0 {
			copy(h, "\xff\xff\xff\xff\xff\xff")
		}
		if r.IntN(5) == 0 {
			h = binary.BigEndian.AppendUint32(h, 0x8100_0000|uint32(r.IntN(2)+10))
		}
		b = append(binary.BigEndian.AppendUint16(h, typ), b...)
	}
	if r.IntN(8) == 0 {
		return b[:1+r.IntN(len(b))], true
	}
	return b, false
}

// writePCAP writes frames to a classic file.
func writePCAP(t *testing.T, l Link, frames [][]byte) string {
	t.Helper()
	linkType := uint32(1)
	if l == Raw {
		linkType = 101
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint32(b, 2|4<<16)
	b = le.AppendUint32(le.AppendUint32(le.AppendUint32(le.AppendUint32(b, 0), 0), 65535), linkType)
	for i, f := range frames {
		b = le.AppendUint32(le.AppendUint32(le.AppendUint32(le.AppendUint32(b, uint32(i)), 0), uint32(len(f))), uint32(len(f)))
		b = append(b, f...)
	}
	name := filepath.Join(t.TempDir(), "x.pcap")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// matching returns the numbers of the frames that tcpdump selects: it prints them
// with the time of the record, which is that number.
func matching(t *testing.T, file, expr string, options ...string) (map[int]bool, error) {
	t.Helper()
	cmd := exec.Command("tcpdump", append(options, "-r", file, "-w", "-", "--", expr)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if strings.Contains(errs.String(), "rejects all packets") {
		return nil, nil // not a mistake here: with -i any other links may have some
	}
	if err != nil {
		return nil, &Error{0, errs.String()}
	}
	got := map[int]bool{}
	for b := out[24:]; len(b) >= 16; {
		got[int(binary.LittleEndian.Uint32(b))] = true
		b = b[16+binary.LittleEndian.Uint32(b[8:]):]
	}
	return got, nil
}

var expressions = []string{
	"ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "igmp", "sctp", "esp", "not ip", "! tcp", "ether proto 0x1234",
	"ether proto \\ip6", "ip proto 99", "ip proto \\tcp", "ip6 proto 17", "ip6 proto \\udp", "proto 6",
	"host 10.0.0.1", "src host 10.0.0.1", "dst 10.0.0.2", "src or dst host 10.1.2.3", "src and dst host 10.0.0.1",
	"ip host 10.0.0.1", "arp host 10.0.0.2", "host fd00::1", "ip6 host fd00::2", "src fe80::9",
	"net 10", "net 10.0.0", "src net 10.0.0.0/8", "net 192.168.1.0 mask 255.255.255.0", "net fd00::/16", "dst net 224.0.0.0/4",
	"ip net 10.0.0.0/16", "not net 10.0.0.0/30",
	"port 80", "tcp port 80", "udp port 53", "tcp src port 443", "dst port 22", "src or dst port 5000", "sctp port 80",
	"portrange 22-80", "tcp portrange 1-1023", "udp dst portrange 5000-40000", "tcp port http", "port http", "port domain",
	"port 80 or 443", "port (80 or 443)", "tcp port (80 or 443 or 22)", "host 10.0.0.1 or 10.0.0.2",
	"host (10.0.0.1 and 10.0.0.2)", "tcp and not port 80", "tcp port 80 and host 10.0.0.1 or udp",
	"(tcp or udp) and (host 10.0.0.1 or host fd00::1)", "not (tcp or udp)", "not tcp and not udp", "not host 10.0.0.1 and 10.0.0.2",
	"ether host 02:00:00:00:00:01", "ether src 02:00:00:00:00:00", "ether dst 2:0:0:0:0:1", "ether broadcast", "broadcast",
	"multicast", "ether multicast", "ip multicast", "ip6 multicast", "less 60", "greater 80", "len > 70", "len <= 54",
	"tcp[tcpflags] & tcp-syn != 0", "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn", "tcp[13] = 0x12", "tcp[0:2] = 80",
	"tcp[((tcp[12] & 0xf0) >> 4)*4:1] > 100", "ip[0] & 0xf != 5", "ip[8] < 5", "ip[2:2] > 60", "ip[6:2] & 0x1fff = 0",
	"ip6[6] = 58", "icmp[icmptype] = icmp-echo", "icmp[0] == 3 or icmp[0] == 11", "icmp6[0] = 135", "icmp6[icmp6type] == icmp6-echo",
	"ether[0] & 1 = 0 and ip[16] >= 224", "udp[4:2] < 1000", "arp[7] = 1", "ether[12:2] = 0x0806", "len - 14 > 60",
	"not tcp[13] = 2", "tcp[13] = 2 or udp", "ip[0]*2 > 138", "ip[9] / 2 = 3", "ip[9] % 2 = 1", "ip[9] ^ 6 = 0", "1 < 2",
	"vlan", "vlan 10", "vlan and ip", "vlan 11 and tcp port 80", "not vlan", "vlan and host 10.0.0.1", "(vlan 10) and icmp",
	"tcp or vlan and udp", "-1 = 0xffffffff", "ip and 10 > 9", "not not tcp", "tcp && port 80 || icmp", "host 10.0.0.1 and (port 80 or port 53)",
}

// TestLikeTCPDump: every expression selects the frames that the real tool selects,
// cut ones included.
func TestLikeTCPDump(t *testing.T) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skipf("no tcpdump on this machine: %v", err)
	}
	for _, l := range []Link{Ethernet, Raw} {
		r := rand.New(rand.NewPCG(uint64(l), 7))
		var frames [][]byte
		var cut []bool
		for range 3000 {
			b, short := randomFrame(r, l)
			frames, cut = append(frames, b), append(cut, short)
		}
		file := writePCAP(t, l, frames)
		for _, expr := range expressions {
			want, tcpdumpErr := matching(t, file, expr)
			f, err := Compile(expr, l)
			if (err == nil) != (tcpdumpErr == nil) {
				t.Errorf("link %d, %q: %v, tcpdump says %v", l, expr, err, tcpdumpErr)
				continue
			}
			if err != nil {
				continue
			}
			wrong := 0
			for i, b := range frames {
				if cut[i] && strings.Contains(expr, " or ") {
					continue // which alternative is looked at first is up to the optimizer
				}
				if got := f.Match(b, len(b)); got != want[i] {
					if wrong++; wrong == 1 {
						t.Errorf("link %d, %q: %v for % x, tcpdump says %v", l, expr, got, b[:min(len(b), 60)], want[i])
					}
				}
			}
			if wrong > 0 {
				t.Errorf("link %d, %q: %d of %d differ, tcpdump selects %d", l, expr, wrong, len(frames), len(want))
			}
		}
	}
}

// randomExpr joins primitives of the list, and arithmetic, in any way.
func randomExpr(r *rand.Rand, depth int) string {
	switch r.IntN(7) {
	case 0:
		return "not " + randomExpr(r, depth-1)
	case 1:
		if depth > 0 {
			return "(" + randomExpr(r, depth-1) + ")"
		}
	case 2, 3:
		if depth > 0 {
			return randomExpr(r, depth-1) + pick(r, []string{" and ", " && ", " or ", " || "}) + randomExpr(r, depth-1)
		}
	case 4:
		return randomNumber(r, 2) + pick(r, []string{" = ", " == ", " != ", " < ", " > ", " <= ", " >= "}) + randomNumber(r, 2)
	}
	return pick(r, expressions)
}

func randomNumber(r *rand.Rand, depth int) string {
	switch r.IntN(8) {
	case 0, 1, 2:
		if depth > 0 {
			return randomNumber(r, depth-1) + pick(r, []string{"+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"}) + randomNumber(r, depth-1)
		}
	case 3:
		if depth > 0 {
			return "(" + randomNumber(r, depth-1) + ")"
		}
	case 4:
		return pick(r, []string{"0", "1", "2", "6", "0x10", "017", "0X1b", "64", "255"})
	case 5:
		if depth > 0 && r.IntN(3) == 0 {
			return "-" + randomNumber(r, depth-1)
		}
		return "len"
	}
	return pick(r, []string{"ip", "tcp", "udp", "icmp", "ip6", "ether", "icmp6"}) + "[" + pick(r, []string{"0", "1", "2:2", "8", "9", "12:4", "13"}) + "]"
}

// TestRandomLikeTCPDump: precedence, grouping and arithmetic are the real tool's. Its
// optimizer is off: it sees nonsense through, such as a division by a byte of a header
// that cannot be there, and refuses it.
func TestRandomLikeTCPDump(t *testing.T) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skipf("no tcpdump on this machine: %v", err)
	}
	nonsense := regexp.MustCompile("(division|modulus) by zero|shift by more than 31")
	for _, l := range []Link{Ethernet, Raw} {
		r := rand.New(rand.NewPCG(21, 22))
		var frames [][]byte
		for len(frames) < 500 {
			if b, short := randomFrame(r, l); !short {
				frames = append(frames, b)
			}
		}
		file := writePCAP(t, l, frames)
		for range 200 {
			expr := randomExpr(r, 3)
			want, tcpdumpErr := matching(t, file, expr, "-O")
			f, err := Compile(expr, l)
			if (err == nil) != (tcpdumpErr == nil) && nonsense.MatchString(fmt.Sprint(err, tcpdumpErr)) {
				continue // libpcap takes the index of ip[0] for the number to divide by, and -1 for 1
			}
			if (err == nil) != (tcpdumpErr == nil) {
				t.Errorf("link %d, %q: %v, tcpdump says %v", l, expr, err, tcpdumpErr)
				continue
			}
			for i := 0; err == nil && i < len(frames); i++ {
				if got := f.Match(frames[i], len(frames[i])); got != want[i] {
					t.Errorf("link %d, %q: %v for % x, tcpdump says %v", l, expr, got, frames[i][:min(len(frames[i]), 60)], want[i])
					break
				}
			}
		}
	}
}

// TestHostIsAssumed: an address alone is a host or a network, as the manual says.
func TestHostIsAssumed(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for short, long := range map[string]string{"10.0.0.1": "host 10.0.0.1", "10.0.0.0/24 or fd00::1": "net 10.0.0.0/24 or host fd00::1"} {
		a, err := Compile(short, Ethernet)
		b, err2 := Compile(long, Ethernet)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for range 500 {
			f, _ := randomFrame(r, Ethernet)
			if a.Match(f, len(f)) != b.Match(f, len(f)) {
				t.Fatalf("%q and %q differ for % x", short, long, f)
			}
		}
	}
}

// TestErrors: one line that says what is wrong and where.
func TestErrors(t *testing.T) {
	for expr, want := range map[string]string{
		"foo":                                    "unknown host 'foo'",
		"tcp port":                               "ends early",
		"tcp port nosuch":                        "unknown port 'nosuch'",
		"port 70000":                             "illegal port number",
		"ip host":                                "ends early",
		"host 10.0.0.0/8":                        "Mask syntax",
		"net 10.0.0.1/8":                         "non-network bits",
		"net 10.0.0.0/33":                        "mask length",
		"arp host fd00::1":                       "modifier applied to ip6 host",
		"tcp host 10.0.0.1":                      "modifier applied to host",
		"icmp port 80":                           "illegal qualifier",
		"02:00:00:00:00:01":                      "non-ether",
		"(tcp":                                   `want ")"`,
		"tcp)":                                   "want and, or",
		"tcp or":                                 "ends early",
		"tcp udp":                                "want and, or",
		"80":                                     "want a qualifier",
		"ip[0":                                   `want "]"`,
		"ip[0:3] = 1":                            "data size",
		"ip[tcp] = 1":                            "want a number",
		"ip[0]":                                  "want a comparison",
		"- tcp = 2":                              "want a number behind it",
		"tcp + 1 = 2":                            "want a number on both sides",
		"len / 0 = 1":                            "division by zero",
		"len % 0 = 1":                            "modulus by zero",
		"len << 32 = 1":                          "shift by more than 31 bits",
		"vlan 5000":                              "at most 4095",
		"ip broadcast":                           "netmask",
		"port 1-2":                               "portrange",
		"tcp $":                                  "illegal character",
		`\`:                                      "stray backslash",
		"0b1 = 1":                                "unknown host '0b1'",
		"0x = 1":                                 "bogus number",
		"ip proto nosuch":                        "unknown ip proto",
		"tcp proto 1":                            "bogus",
		"ether proto foo":                        "unknown ether proto",
		"net foo":                                "unknown network",
		"net 10.0.0.0 mask 5":                    "want a mask",
		"less x":                                 "want a length",
		strings.Repeat("(", 300):                 "too deeply",
		strings.Repeat("not ", 300) + "tcp":      "too deeply",
		strings.Repeat("tcp and ", 3000) + "tcp": "too long",
	} {
		_, err := Compile(expr, Ethernet)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: %v, want one line with %q", expr, err, want)
		}
	}
}

func TestDoesNotAllocate(t *testing.T) {
	f, err := Compile("tcp port 80 and host 10.0.0.1 and tcp[tcpflags] & tcp-syn != 0 or ip6 net fd00::/8", Ethernet)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	b := append(make([]byte, 12), 8, 0)
	b = append(b, ip4Packet(r)...)
	if n := testing.AllocsPerRun(100, func() { f.Match(b, len(b)) }); n != 0 {
		t.Errorf("%v allocations per frame, want 0", n)
	}
}

// FuzzCompile: no expression and no frame makes it panic, and a filter and its
// negation never both match.
func FuzzCompile(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, e := range expressions {
		b, _ := randomFrame(r, Ethernet)
		f.Add(e, b)
	}
	f.Fuzz(func(t *testing.T, expr string, frame []byte) {
		for _, l := range []Link{Ethernet, Raw} {
			a, err := Compile(expr, l)
			if err != nil {
				continue
			}
			yes := a.Match(frame, len(frame))
			b, err := Compile("not ("+expr+"\n)", l)
			if err != nil {
				if strings.Contains(err.Error(), "too") || strings.TrimSpace(expr) == "" {
					continue
				}
				t.Fatalf("%q compiles, its negation does not: %v", expr, err)
			}
			if yes && b.Match(frame, len(frame)) {
				t.Fatalf("%q and its negation both match % x", expr, frame)
			}
		}
	})
}
