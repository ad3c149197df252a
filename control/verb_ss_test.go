package control

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

var testServices = parseServices("# names\nhttp 80/tcp www # web\nhttp 80/udp\ndomain 53/udp\nbroken\nodd x/tcp\n")

func TestParseServices(t *testing.T) {
	for name, want := range map[string]int{"http": 80, "www": 80, "domain": 53, "443": 443, "0x50": 80} {
		if n, ok := testServices.number(name); !ok || n != want {
			t.Errorf("%s is %d, %v, want %d", name, n, ok, want)
		}
	}
	if _, ok := testServices.number("odd"); ok {
		t.Error("a port that is no number was taken")
	}
	if got := testServices.byPort["udp/53"]; got != "domain" {
		t.Errorf("udp/53 is %q", got)
	}
}

var testSockets = func() (list []Socket) {
	ends := []string{"127.0.0.1:80", "10.0.0.1:5000", "[::1]:80", "[2001:db8::1]:40000", "0.0.0.0:0"}
	for _, l := range ends {
		for _, r := range ends {
			list = append(list, Socket{Local: netip.MustParseAddrPort(l), Remote: netip.MustParseAddrPort(r), Dev: map[bool]string{true: "lo"}[l[0] == '[']})
		}
	}
	return list
}()

// written writes a condition with all parentheses, for parsing it again.
func written(e *SSExpr) string {
	switch e.Op {
	case "and", "or":
		var parts []string
		for _, a := range e.Args {
			parts = append(parts, "( "+written(a)+" )")
		}
		return strings.Join(parts, " "+e.Op+" ")
	case "not":
		return "not ( " + written(e.Args[0]) + " )"
	case "autobound":
		return e.Op
	case "dev":
		return "dev " + e.Compare + " " + e.Dev
	}
	host, port := "", "*"
	if e.Prefix.IsValid() {
		host = e.Prefix.String()
		if e.Prefix.Addr().Is6() {
			host = fmt.Sprintf("[%v]/%d", e.Prefix.Addr(), e.Prefix.Bits())
		}
	}
	if e.Port >= 0 {
		port = strconv.Itoa(e.Port)
	}
	return e.Op + " " + e.Compare + " " + host + ":" + port
}

// FuzzSSFilter: a filter that was understood means the same written out and as JSON.
func FuzzSSFilter(f *testing.F) {
	for _, s := range []string{
		"sport = :80", "( sport = :http or dport = :8080 ) and not src 10.0.0.0/8", "dst [::1]:80 | src != *:53", "!sport>=:1000",
		"dev lo", "dev != lo autobound", "src 127.0.0.1 dst 10.0.0.1:5000", "dport lt 100", "(((", "not not not", "src", "= :", "sport = inet6:[::1]:80",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseSSFilter(text, testServices)
		if err != nil {
			if err.Status == 0 || err.Text == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := parseSSFilter(written(e), testServices)
		if err != nil {
			t.Fatalf("%q was understood, %q not: %v", text, written(e), err)
		}
		raw, jerr := json.Marshal(e)
		var back SSExpr
		if jerr == nil {
			jerr = json.Unmarshal(raw, &back)
		}
		if jerr != nil {
			t.Fatal(jerr)
		}
		for i := range testSockets {
			s := &testSockets[i]
			if want := e.Match(s); again.Match(s) != want || back.Match(s) != want {
				t.Fatalf("%q, %q and %s differ on %v -> %v", text, written(e), raw, s.Local, s.Remote)
			}
		}
	})
}

func TestSSFilterDepth(t *testing.T) {
	deep := strings.Repeat("( ", 10000) + "autobound" + strings.Repeat(" )", 10000)
	if _, err := parseSSFilter(deep, services{}); err == nil || !strings.Contains(err.Text, "too deep") {
		t.Errorf("10000 parentheses: %v", err)
	}
}

// TestShortTime holds ss's quirk: seconds with thousandths are called ms.
func TestShortTime(t *testing.T) {
	for ms, want := range map[int64]string{
		200: "200ms", 1204: "1.204ms", 9000: "9sec", 14900: "14sec", 59000: "59sec", 65000: "1min5sec", 7199000: "119min", 0: "",
	} {
		if got := shortTime(ms); got != want {
			t.Errorf("shortTime(%d) = %q, want %q", ms, got, want)
		}
	}
}

// TestSSExtra has the lines of a connection with -oemi, as ss prints them.
func TestSSExtra(t *testing.T) {
	s := Socket{
		Netid: "tcp", State: "ESTAB", RecvQ: 5, Local: netip.MustParseAddrPort("10.0.0.1:5001"), Remote: netip.MustParseAddrPort("10.0.0.2:80"),
		Timer: "on", Expires: 204, Retransmits: 2, ID: 26, Drops: 1,
		TCP: &TCPInfo{
			Options: []string{"ts", "sack", "wscale"}, Congestion: "cubic", SndWScale: 7, RcvWScale: 10, RTO: 204e6, RTT: 39e3, RTTVar: 22e3,
			MSS: 1448, PMTU: 1500, Cwnd: 10, BytesSent: 1000, SegsOut: 3, RetransTotal: 2, RcvSpace: 65536, MinRTT: 8e3, LastSend: 752e6,
		},
	}
	f := ssFormat{timer: true, extended: true, memory: true, info: true, numeric: true}
	want := " timer:(on,204ms,2) ino:26 sk:1a\n\t skmem:(r5,rb65536,t0,tb0,f0,w0,o0,bl0,d1) ts sack cubic wscale:7,10 rto:204 rtt:0.039/0.022" +
		" mss:1448 pmtu:1500 cwnd:10 bytes_sent:1000 segs_out:3 send 2970256410bps lastsnd:752 retrans:0/2 rcv_space:65536 minrtt:0.008"
	if got := f.extra(&s); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	f.oneline = true
	if got := f.extra(&s); strings.ContainsAny(got, "\n\t") {
		t.Errorf("-O: %q", got)
	}
}

func TestSSSummary(t *testing.T) {
	var b strings.Builder
	(&SSSummary{Raw: [2]int{1, 0}, UDP: [2]int{2, 1}, TCP: [2]int{5, 1}, Estab: 4, Closed: 2, TimeWait: 1}).print(&b)
	want := "Total: 10\nTCP:   8 (estab 4, closed 2, orphaned 0, timewait 1)\n\nTransport Total     IP        IPv6\n" +
		"RAW\t  1         1         0        \nUDP\t  3         2         1        \nTCP\t  6         5         1        \n" +
		"INET\t  10        8         2        \nFRAG\t  0         0         0        \n\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
