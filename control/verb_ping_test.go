package control

import (
	"strings"
	"testing"
	"time"
)

func TestParsePing(t *testing.T) {
	for words, want := range map[string]string{
		"":         "ping: usage error: Destination address required",
		"-c x h":   "ping: invalid argument: 'x'",
		"-c 0 h":   "ping: invalid argument: '0': out of range: 1 <= value <= 9223372036854775807",
		"-t 300 h": "ping: invalid argument: '300': out of range: 0 <= value <= 255",
		"-s -1 h":  "ping: invalid argument: '-1': out of range: 0 <= value <= 2147483647",
		"-4 -6 h":  "ping: only one -4 or -6 option may be specified",
		"-M foo h": "ping: invalid -M argument: foo",
		"-p zz h":  "ping: patterns must be specified as hex digits: zz",
		"-i -1 h":  "ping: bad timing interval: -1",
		"-W x h":   "ping: option argument contains garbage: x",
		"-i NaN h": "ping: option argument contains garbage: NaN",
		"a b":      "ping: b: want one destination",
		"-Z h":     "ping: invalid option -- 'Z'",
		"-c":       "ping: option requires an argument -- 'c'",
		"-h":       "help requested",
	} {
		_, err := parsePing(nil, strings.Fields(words))
		if err == nil {
			t.Errorf("%q: no error", words)
			continue
		}
		if got, _, _ := strings.Cut(err.Error(), "\n"); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
	q, err := parsePing(nil, strings.Fields("-6 -c 3 -i .5 -W 2 -w 9 -s 10 -t 5 -Q 0x10 -I eth0 -M do -p abc -b -f -q -n host"))
	if err != nil {
		t.Fatal(err)
	}
	if q.Version != 6 || q.Count != 3 || q.Interval != 500*time.Millisecond || q.Timeout != 2*time.Second || q.Deadline != 9*time.Second ||
		q.Size != 10 || q.TTL != 5 || q.TOS != 16 || q.Source != "eth0" || q.Discover != "do" || string(q.Pattern) != "\xab\x0c" ||
		!q.Broadcast || !q.Flood || !q.quiet || q.Host != "host" {
		t.Errorf("%+v", q)
	}
	if q, err := parsePing(nil, []string{"-f", "h"}); err != nil || q.Interval != 0 || q.Size != 56 {
		t.Errorf("%+v, %v", q, err)
	}
}

// TestPingTime: three or four digits, as ping prints them.
func TestPingTime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		31 * time.Microsecond: "0.031", 999 * time.Microsecond: "0.999", 1234 * time.Microsecond: "1.23", 12345 * time.Microsecond: "12.3",
		99_960 * time.Microsecond: "100.0", 123_456 * time.Microsecond: "123", 1500 * time.Millisecond: "1500",
	} {
		if got := pingTime(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestPingErrors: what ICMP errors are called.
func TestPingErrors(t *testing.T) {
	for _, c := range []struct {
		e    PingError
		six  bool
		want string
	}{
		{PingError{Type: 3, Code: 1}, false, "Destination Host Unreachable"},
		{PingError{Type: 3, Code: 4, Info: 1400}, false, "Frag needed and DF set (mtu = 1400)"},
		{PingError{Type: 3, Code: 13}, false, "Packet filtered"},
		{PingError{Type: 3, Code: 99}, false, "Dest Unreachable, Bad Code: 99"},
		{PingError{Type: 11}, false, "Time to live exceeded"},
		{PingError{Type: 11, Code: 1}, false, "Frag reassembly time exceeded"},
		{PingError{Type: 12, Info: 20}, false, "Parameter problem: pointer = 20"},
		{PingError{Type: 99}, false, "Bad ICMP type: 99"},
		{PingError{Type: 1, Code: 3}, true, "Destination unreachable: Address unreachable"},
		{PingError{Type: 1, Code: -1}, true, "Destination unreachable: Unknown code -1"},
		{PingError{Type: 2, Info: 1280}, true, "Packet too big: mtu=1280"},
		{PingError{Type: 3}, true, "Time exceeded: Hop limit"},
		{PingError{Type: 4, Code: 1, Info: 40}, true, "Parameter problem: Unknown header at 40"},
		{PingError{Type: 4, Code: 9}, true, "Parameter problem: code 9"},
		{PingError{Type: 77}, true, "unknown icmp type: 77"},
	} {
		got := icmp4Text(c.e)
		if c.six {
			got = icmp6Text(c.e)
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.e, got, c.want)
		}
	}
}

// FuzzParsePing: no words make it panic, and what it accepts is in range.
func FuzzParsePing(f *testing.F) {
	f.Add("-c 3 -i 0.5 host")
	f.Add("-p ff00 -s 8 -M do -6 ::1")
	f.Fuzz(func(t *testing.T, words string) {
		q, err := parsePing(nil, strings.Fields(words))
		if err == nil && (q.Host == "" || q.Size < 0 || q.Interval < 0 || q.Timeout < 0 || q.Deadline < 0 || q.TTL > 255) {
			t.Errorf("%q: %+v", words, q)
		}
	})
}
