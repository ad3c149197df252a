package control

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTraceroute(t *testing.T) {
	for words, want := range map[string]string{
		"":           "help requested",
		"--help":     "help requested",
		"-n":         `Specify "host" missing argument.`,
		"h 10 x":     "Extra arg `x' (position 3, argc 3)",
		"h x":        "Cannot handle \"packetlen\" cmdline arg `x' on position 2 (argc 2)",
		"h 70000":    "too big packetlen 70000 specified",
		"-f 40 h":    "first hop out of range",
		"-f 0 h":     "first hop out of range",
		"-m 300 h":   "max hops cannot be more than 255",
		"-q 20 h":    "no more than 10 probes per hop",
		"-p 70000 h": "bad port number 70000",
		"-t 256 h":   "bad tos value 256",
		"-N 0 h":     "too many or too few probes at once: 0",
		"-w x h":     "bad wait specifications `x' used",
		"-q x h":     "Cannot handle `--queries' option with arg `x' (argc 1)",
		"-z":         "traceroute: invalid option -- 'z'",
		"--max-hops": "traceroute: option '--max-hops' requires an argument",
	} {
		_, err := parseTraceroute(nil, strings.Fields(words))
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", words, err, want)
		}
	}
	q, err := parseTraceroute(nil, strings.Fields("-6 -n -I -f 2 -m 9 -q 1 -N 4 -w 0.5,3,10 -p 7 -s ::1 -i eth0 -t 4 -F host 200"))
	want := TracerouteRequest{
		Host: "host", Version: 6, Method: "icmp", First: 2, Max: 9, Queries: 1, Squeries: 4, Wait: 500 * time.Millisecond, Port: 7,
		Source: "::1", Device: "eth0", TOS: 4, Length: 200, DontFragment: true,
	}
	if err != nil || q != want {
		t.Errorf("%+v, %v", q, err)
	}
}

// TestPrintTraceroute: a router is named once for the probes it answers in a row.
func TestPrintTraceroute(t *testing.T) {
	var b bytes.Buffer
	q := TracerouteRequest{Host: "there", Max: 30}
	err := printTraceroute(&Console{Stdout: &b}, q, slices.Values([]TracerouteReply{
		{Addr: "10.0.0.9", Length: 60},
		{Hop: 1, From: "10.0.0.1", RTT: time.Millisecond}, {Hop: 1}, {Hop: 1, From: "10.0.0.1", RTT: 1500 * time.Microsecond},
		{Hop: 2, From: "10.0.1.1", RTT: time.Millisecond}, {Hop: 2, From: "10.0.2.1", RTT: time.Millisecond}, {Hop: 2, From: "10.0.2.1", RTT: time.Millisecond, Note: "!H"},
		{Hop: 10}, {Hop: 10}, {Hop: 10},
	}))
	want := `traceroute to there (10.0.0.9), 30 hops max, 60 byte packets
 1  10.0.0.1  1.000 ms *  1.500 ms
 2  10.0.1.1  1.000 ms 10.0.2.1  1.000 ms  1.000 ms !H
10  * * *
`
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// FuzzParseTraceroute: no words make it panic, and what it accepts is in range.
func FuzzParseTraceroute(f *testing.F) {
	f.Add("-I -q 1 host 28")
	f.Fuzz(func(t *testing.T, words string) {
		q, err := parseTraceroute(nil, strings.Fields(words))
		if err == nil && (q.Host == "" || q.First < 1 || q.Max < q.First || q.Max > 255 || q.Queries < 1 || q.Queries > 10 || q.Wait < 0) {
			t.Errorf("%q: %+v", words, q)
		}
	})
}
