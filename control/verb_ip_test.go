package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzParseIP(f *testing.F) {
	for _, s := range []string{
		"a", "-j -p -4 addr show dev v0 to 10.0.0.0/8 scope link label v*", "l add v0 mtu 1400 type veth peer name v1",
		"l set v0 up address 2:0:0:0:0:1 promisc on", "addr add 10.0.0.1 peer 10.0.0.2/30 brd + dev v0 valid_lft forever",
		"r add default via inet 10.0.0.1 dev v0 onlink metric 0x10", "r add 10/8 nexthop via 10.1.1.1 weight 2 nexthop dev v1",
		"-6 r get ::1 oif v0", "n add 10.1.1.1 lladdr 02:00:00:00:00:01 dev v0 nud sta", "maddr add ff02::1 dev v0",
		"monitor all dev v0", "tuntap add mode tun name t0", "rule", "r s match 10.1.0.0/255.255.0.0", "-f inet6 a flush v0",
		"rule add not from 10/8 to 10.1 tos 0x10 fwmark 0x1/0xff iif v0 ipproto tcp sport 1-5 dport 80 table 77 sup_pl 0 realms 1/2", "ru d goto 5",
		"r explain 10.0.0.1 from 10.0.0.2 iif v0 mark 7 ipproto udp sport 5 uid 0", "-6 r add fd00::/8 from fd01::/16 via fd00::1 table 4294967295",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		q, err := parseIP(strings.Fields(line))
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status == 0 || e.Text == "" {
				t.Fatalf("%q: %#v: want a complaint with a status", line, err)
			}
			if n := len(strings.Fields(line)); e.Word > n && n > 0 {
				t.Fatalf("%q: points at word %d of %d", line, e.Word, n)
			}
			return
		}
		if utf8.ValidString(line) { // JSON carries nothing else
			checkRequest(t, line, &q)
		}
	})
}

// checkRequest: what the handler relies on, also after JSON.
func checkRequest(t *testing.T, line string, q *IPRequest) {
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	var back IPRequest
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%q: %s: %v", line, text, err)
	}
	if again, _ := json.Marshal(&back); !bytes.Equal(text, again) {
		t.Fatalf("%q: %s became %s", line, text, again)
	}
	switch {
	case q.Addr != nil && (q.Addr.Dev == "" || !q.Addr.Local.IsValid()):
		t.Errorf("%q: address without device or value: %s", line, text)
	case q.Route != nil && !q.Route.Dst.IsValid():
		t.Errorf("%q: route without destination: %s", line, text)
	case q.Neigh != nil && (q.Neigh.Dev == "" || !q.Neigh.Dst.IsValid()):
		t.Errorf("%q: neighbour without device or address: %s", line, text)
	case q.Link != nil && q.Command == "set" && q.Link.Dev == "":
		t.Errorf("%q: no device: %s", line, text)
	}
}

func TestParsePrefix(t *testing.T) {
	for _, c := range []struct{ word, family, want string }{
		{"10.1.2.3", "", "10.1.2.3/32"}, {"10.1.2.3/8", "inet", "10.1.2.3/8"}, {"10.1/16", "", "10.1.0.0/16"}, {"10", "", "10.0.0.0/8"},
		{"10.1", "", "10.1.0.0/16"}, {"10.0.0.0/255.0.0.0", "", "10.0.0.0/8"}, {"default", "", "0.0.0.0/0"}, {"any", "inet6", "::/0"},
		{"::1", "", "::1/128"}, {"2001:db8::/32", "inet6", "2001:db8::/32"},
		{"10.0.0.0/255.0.255.0", "", ""}, {"10.0.0.0/33", "", ""}, {"10.0.0.0/", "", ""}, {"10.0.0.0/-1", "", ""}, {"", "", ""},
		{"::1/129", "", ""}, {"::1", "inet", ""}, {"1.2.3.4", "inet6", ""}, {"fe80::1%v0", "", ""}, {"1.2.3.4.5", "", ""}, {"2001:db8::/ffff::", "", ""},
	} {
		p, ok := parsePrefix(c.word, c.family)
		if got := map[bool]string{true: p.String()}[ok]; got != c.want {
			t.Errorf("parsePrefix(%q, %q) = %q, want %q", c.word, c.family, got, c.want)
		}
	}
}

// TestAbbreviations: the object or command that comes first in iproute2's order.
func TestAbbreviations(t *testing.T) {
	for _, c := range []struct{ line, object, command string }{
		{"a", "address", "show"}, {"ad l", "address", "show"}, {"l", "link", "show"}, {"r", "route", "show"}, {"ro ge 1.1.1.1", "route", "get"},
		{"ru", "rule", "show"}, {"n", "neigh", "show"}, {"neighbour s", "neigh", "show"}, {"m", "maddress", "show"}, {"mo", "monitor", "monitor"},
		{"r a 10/8 dev v0", "route", "add"}, {"r d 10/8", "route", "delete"}, {"r del 10/8", "route", "delete"}, {"a d ::1 dev v0", "address", "delete"},
		{"r r 10/8 dev v0", "route", "replace"}, {"r c 10/8 dev v0", "route", "change"}, {"l s v0 up", "link", "set"}, {"l sh v0", "link", "show"},
	} {
		q, err := parseIP(strings.Fields(c.line))
		if err != nil || q.Object != c.object || q.Command != c.command {
			t.Errorf("ip %s: %s %s, %v, want %s %s", c.line, q.Object, q.Command, err, c.object, c.command)
		}
	}
}

// TestErrorWords: boot scripts point at the wrong word.
func TestErrorWords(t *testing.T) {
	for _, c := range []struct {
		line string
		word int
	}{
		{"frob", 1}, {"addr add 10.0.0.1/33 dev v0", 3}, {"-4 route add 10.0.0.0/8 via x", 6}, {"link set v0 mtu x", 5}, {"link set v0 mtu", 4},
		{"neigh add 10.0.0.1 dev v0 nud frob", 7}, {"-x", 1}, {"addr frob", 2},
	} {
		_, err := parseIP(strings.Fields(c.line))
		var e *Error
		if !errors.As(err, &e) || e.Word != c.word {
			t.Errorf("ip %s: %v at word %v, want %d", c.line, err, e, c.word)
		}
	}
}

// TestMonitorStamps: -t has a line of its own, -ts stands in front.
func TestMonitorStamps(t *testing.T) {
	reply := IPReply{
		Event:  &IPEvent{Kind: "route", Deleted: true, Time: time.Date(2026, 11, 4, 6, 47, 40, 914463000, time.Local)},
		Routes: []IPRoute{{Family: "inet", Dst: netip.MustParsePrefix("10.0.0.0/8"), Type: "unicast", Table: "main", Proto: "boot", Scope: "link", NextHops: []IPNextHop{{Dev: "v0"}}}},
	}
	for options, want := range map[string]string{
		"monitor":           "Deleted 10.0.0.0/8 dev v0 scope link \n",
		"-t monitor route":  "Timestamp: Wed Nov  4 06:47:40 2026 914463 usec\nDeleted 10.0.0.0/8 dev v0 scope link \n",
		"-ts monitor label": "[2026-11-04T06:47:40.914463] [ROUTE]Deleted 10.0.0.0/8 dev v0 scope link \n",
		"-j monitor all":    "[ROUTE]Deleted 10.0.0.0/8 dev v0 scope link \n",
	} {
		q, err := parseIP(strings.Fields(options))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := printIP(&Console{Stdout: &b}, q, slices.Values([]IPReply{reply})); err != nil || b.String() != want {
			t.Errorf("ip %s: %q, %v, want %q", options, b.String(), err, want)
		}
	}
}

// TestPrettyJSON: -p changes the layout and nothing else.
func TestPrettyJSON(t *testing.T) {
	reply := IPReply{
		Links: []IPLink{
			{Index: 1, Name: `o"<dd>`, Flags: []string{}, Addrs: []IPAddr{}},
			{Index: 2, Name: "v0", Peer: "v1", Flags: []string{"UP", "LOWER_UP"}, Kind: "veth", Addrs: []IPAddr{{Family: "inet", Local: netip.MustParseAddr("10.0.0.1"), Flags: []string{"secondary"}}}},
		},
		Routes: []IPRoute{{Family: "inet", Dst: netip.MustParsePrefix("10.0.0.0/8"), NextHops: []IPNextHop{{Dev: "a", Onlink: true}, {Dev: "b"}}, MTU: 1400}},
		Neighs: []IPNeigh{{Dst: netip.MustParseAddr("10.0.0.2"), Dev: "v0", State: "STALE", Router: true}},
		Rules:  []IPRule{{Priority: new(uint32), Table: "local", Not: true, In: "v0", InGone: true, SrcPorts: &IPSpan{1, 2}}},
	}
	for _, line := range []string{"-s -s -d link", "addr", "-br addr", "route", "-s neigh", "rule", "link show up"} {
		text := func(options string) string {
			q, err := parseIP(strings.Fields(options + " " + line))
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := printIP(&Console{Stdout: &b}, q, slices.Values([]IPReply{reply})); err != nil {
				t.Fatal(err)
			}
			return strings.TrimSuffix(b.String(), "\n")
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(text("-j -p"))); err != nil {
			t.Errorf("ip -j -p %s: %v\n%s", line, err, text("-j -p"))
		} else if compact.String() != text("-j") {
			t.Errorf("ip %s: -p makes another value:\n%s\n%s", line, compact.String(), text("-j"))
		}
	}
}
