package nat_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

// passes reports whether a packet that comes in by one port leaves by another.
func (b *box) passes(in string, m message, out string) bool {
	return slices.ContainsFunc(b.receive(in, m.bytes()), func(f frame) bool { return f.port == out })
}

// TestRFC4787REQ7: a NAT must "be able to translate and forward traffic between all
// internal nodes and all external nodes whose IP addresses numerically conflict with the
// internal network": by a second network that stands for the outer one with the inner
// one's addresses, whose packets are marked and routed by the mark.
func TestRFC4787REQ7(t *testing.T) {
	b := newBox(t)
	b.load(`table ip n {
	chain tag { type filter hook prerouting priority mangle; iifname lan0 ip daddr 10.9.0.0/24 meta mark set 1; }
	chain pre { type nat hook prerouting priority dstnat; ip daddr 10.9.0.0/24 dnat ip prefix to 10.0.0.0/24; }
	chain post { type nat hook postrouting priority srcnat; oifname wan0 masquerade; }
}`)
	hop := route.NextHop{Index: b.ports["wan0"].dev.Index(), Gateway: netip.MustParseAddr(gateway4)}
	if err := b.Network.AddRoute(route.Route{Dst: netip.MustParsePrefix("0.0.0.0/0"), Table: 100, NextHops: []route.NextHop{hop}}, route.Create); err != nil {
		t.Fatal(err)
	}
	if err := b.Network.AddRule(network.V4, route.Rule{Priority: 100, Action: route.ToTable, Table: 100, Mark: 1, Mask: 1}, true); err != nil {
		t.Fatal(err)
	}
	// The other one has even the client's own address.
	for _, host := range []string{"2", "3"} {
		client, other := "10.0.0.2:5000", "10.0.0."+host+":53"
		out := b.sends("lan0", udp(client, "10.9.0."+host+":53", "to the outer one"), "wan0")
		if out.src.Addr() != ap("192.0.2.1").Addr() || out.dst != ap(other) {
			t.Fatalf("outside it is %v", out)
		}
		back := b.sends("wan0", out.answer("back"), "lan0")
		if back.src != ap("10.9.0."+host+":53") || back.dst != ap(client) {
			t.Errorf("the answer is %v", back)
		}
	}
	if !b.passes("lan1", udp("10.0.1.2:5000", "10.0.0.3:53", "to the inner one"), "lan0") {
		t.Error("the inner one of two with one address is not reached any more")
	}
}

// helpersFor are rules that switch gateways for applications on, each by itself.
func helpersFor(ftp, tftp bool) string {
	rules := "table ip h {\n\tct helper f { type \"ftp\" protocol tcp; }\n\tct helper t { type \"tftp\" protocol udp; }\n" +
		"\tchain p { type filter hook prerouting priority filter;\n"
	if ftp {
		rules += "\t\ttcp dport 21 ct helper set \"f\"\n"
	}
	if tftp {
		rules += "\t\tudp dport 69 ct helper set \"t\"\n"
	}
	return rules + "\t}\n}\n"
}

// TestRFC4787REQ10: "NAT ALGs for UDP-based protocols SHOULD be turned off", and "it is
// RECOMMENDED that the NAT allow the NAT administrator to enable or disable each ALG
// separately". What passes without is untouched.
func TestRFC4787REQ10(t *testing.T) { applications(t) }

// TestRFC5382REQ6: "If a NAT includes ALGs that affect TCP, it is RECOMMENDED that all of
// those ALGs (except for FTP) be disabled by default", and each can be by itself.
func TestRFC5382REQ6(t *testing.T) { applications(t) }

func applications(t *testing.T) {
	for _, x := range []struct{ ftp, tftp bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		b := newBox(t)
		rules := behave("", "")
		if x.ftp || x.tftp {
			rules += helpersFor(x.ftp, x.tftp)
		}
		b.load(rules)
		// TFTP answers from another port (RFC 1350 §4).
		request := b.sends("lan0", udp("10.0.0.2:5000", "192.0.2.2:69", "\x00\x01file\x00octet\x00"), "wan0")
		if string(request.data) != "\x00\x01file\x00octet\x00" {
			t.Errorf("%+v: the request became %q", x, request.data)
		}
		if got := b.passes("wan0", udp("192.0.2.2:1069", request.src.String(), "\x00\x03\x00\x01data"), "lan0"); got != x.tftp {
			t.Errorf("%+v: TFTP's answer passes: %v", x, got)
		}
		// Active FTP (RFC 959 §4.1.2).
		const port = "PORT 10,0,0,2,23,113\r\n"
		b.open("lan0", "10.0.0.2:4000", "192.0.2.2:21")
		said := b.sends("lan0", tcp("10.0.0.2:4000", "192.0.2.2:21", ack, 101, 501, port), "wan0")
		if changed := string(said.data) != port; changed != x.ftp {
			t.Errorf("%+v: %q became %q", x, port, said.data)
		}
		if got := b.passes("wan0", tcp("192.0.2.2:20", "192.0.2.1:6001", syn, 1, 0, ""), "lan0"); got != x.ftp {
			t.Errorf("%+v: FTP's data connection passes: %v", x, got)
		}
		if n := strings.Count(b.nft("list ruleset"), "ct helper set"); n != btoi(x.ftp)+btoi(x.tftp) {
			t.Errorf("%+v: %d helpers are listed", x, n)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestRFC5508REQ9: "A NAT device MAY implement a policy control that prevents ICMP
// messages being generated toward certain interface(s)": by rules at the output hook.
func TestRFC5508REQ9(t *testing.T) {
	b := newBox(t)
	b.load(behave(endpoint, endpoint) + `table ip quiet {
	chain out { type filter hook output priority filter; oifname wan0 icmp type { destination-unreachable, time-exceeded } drop; }
}`)
	for port, want := range map[string]bool{"wan0": false, "lan0": true} {
		m := udp("192.0.2.2:5000", "10.0.0.2:33434", "traceroute")
		if port == "lan0" {
			m.src, m.dst = m.dst, m.src
		}
		m.ttl = 1
		if got := b.passes(port, m, port); got != want {
			t.Errorf("time exceeded towards %s: %v, want %v", port, got, want)
		}
	}
}

// TestRFC5508REQ11: "A NAT device MAY drop or appropriately handle Non-QueryError ICMP
// messages": redirects and router advertisements speak of one link, and are neither
// translated nor remembered.
func TestRFC5508REQ11(t *testing.T) {
	b := rfcBox(t)
	sent := b.receive("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "q").bytes())[0].b
	before := b.track.Count()
	for _, typ := range []uint8{5, 9, 10} {
		if m := failure("198.51.100.1", "192.0.2.1", typ, 0, 0, sent); b.passes("wan0", m, "lan0") {
			t.Errorf("type %d passes", typ)
		}
	}
	var alive int
	b.track.Each(func(*netfilter.Conn) bool { alive++; return true })
	if alive != before {
		t.Errorf("there were %d connections, and are %d", before, alive)
	}
}
