//go:build linux

package nat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/knitnet/knit/wire"
)

// A scenario is a ruleset and what hosts say through it.
type scenario struct {
	name, rules string
	talk        func(x *talk)
}

// scenarios are those of both IP versions.
func (p pairOf) scenarios() []scenario {
	masq := natRules(p.family, "", "oifname wan0 masquerade")
	c, s := p.at(p.client, 5000), p.at(p.server, 53)
	return append([]scenario{
		{"masquerade udp", masq, func(x *talk) {
			x.in("lan0", udp(c, s, "question"))
			x.answer("answer")
			x.answer("again")
			x.in("wan0", udp(p.at(p.far, 53), p.at(p.outer, 5000), "a stranger"))
		}},
		{"masquerade tcp", masq, func(x *talk) {
			x.in("lan0", tcp(c, p.at(p.server, 80), wire.TCPSyn, 100, 0, ""))
			x.answer("")
			x.answer("")
			x.in("lan0", tcp(c, p.at(p.server, 80), wire.TCPAck|wire.TCPPsh, 101, 9001, "GET /"))
			x.answer("HTTP/1.0 200")
			x.in("lan0", tcp(c, p.at(p.server, 80), wire.TCPAck|wire.TCPFin, 106, 9013, ""))
			x.answer("")
			x.in("wan0", tcp(p.at(p.server, 80), p.at(p.outer, 5000), wire.TCPAck|wire.TCPFin, 9013, 107, ""))
		}},
		{"masquerade echo", masq, func(x *talk) {
			x.in("lan0", echo(p.client, p.server, 77, 1))
			x.answer("")
			x.in("lan0", echo(p.client, p.server, 77, 2))
			x.answer("")
		}},
		{"errors from outside", masq, func(x *talk) {
			for _, first := range []message{udp(c, s, "question"), tcp(c, s, wire.TCPSyn, 1, 0, ""), echo(p.client, p.server, 78, 1)} {
				unreachable, exceeded := uint8(3), uint8(11)
				if p.family == "ip6" {
					unreachable, exceeded = 1, 3
				}
				x.in("lan0", first)
				sent := x.last
				x.fail(p.server, unreachable, 3, 0)
				x.last = sent
				x.fail(p.far, exceeded, 0, 0)
			}
		}},
		{"redirects", masq, func(x *talk) {
			if p.family == "ip6" {
				return // they are Neighbour Discovery, which nobody forwards
			}
			x.in("lan0", udp(c, s, "question"))
			x.fail(p.far, 5, 1, 0xc0000203)
			x.fail(p.far, 5, 0, 0xc0000203)
			x.answer("answer")
		}},
		{"path mtu errors", masq, func(x *talk) {
			m := udp(c, s, strings.Repeat("x", 1300))
			m.df = true
			x.in("lan0", m)
			if p.family == "ip6" {
				x.fail(p.far, 2, 0, 1280)
			} else {
				x.fail(p.far, 3, 4, 576)
			}
		}},
		{"errors from inside", natRules(p.family, "iifname wan0 udp dport 53 dnat to "+p.client, "oifname wan0 masquerade"), func(x *talk) {
			x.in("wan0", udp(s, p.at(p.outer, 53), "from outside"))
			if p.family == "ip6" {
				x.fail(p.client, 1, 4, 0)
			} else {
				x.fail(p.client, 3, 3, 0)
			}
			x.in("wan0", udp(s, p.at(p.outer, 53), "from outside"))
			if p.family == "ip6" {
				x.fail("fd00::99", 3, 0, 0) // a router inside
			} else {
				x.fail("10.0.0.99", 11, 0, 0)
			}
		}},
		{"ports clash", masq, func(x *talk) {
			x.in("lan0", udp(c, s, "first"))
			x.loose = true
			x.in("lan1", udp(p.at(p.other, 5000), s, "second"))
			x.within(1024, 65535)
			x.note("kept", x.out().src.Port() == 5000)
			x.answer("answer")
		}},
		{"low ports stay low", masq, func(x *talk) {
			x.in("lan0", udp(p.at(p.client, 600), s, "first"))
			x.in("lan0", udp(p.at(p.client, 123), s, "first"))
			x.loose = true
			x.in("lan1", udp(p.at(p.other, 600), s, "second"))
			x.within(600, 1023)
			x.in("lan1", udp(p.at(p.other, 123), s, "second"))
			x.within(1, 511)
		}},
		{"ids clash", masq, func(x *talk) {
			x.in("lan0", echo(p.client, p.server, 77, 1))
			x.loose = true
			x.in("lan1", echo(p.other, p.server, 77, 1))
			x.note("kept", x.out().rest>>16 == 77)
			x.answer("")
		}},
		{"two services at one server", natRules(p.family, "tcp dport { 80, 81 } dnat to "+p.at(p.server, 8080), ""), func(x *talk) {
			x.in("lan0", tcp(c, p.at(p.outer, 80), wire.TCPSyn, 1, 0, ""))
			x.loose = true
			x.in("lan0", tcp(c, p.at(p.outer, 81), wire.TCPSyn, 1, 0, ""))
			x.note("kept", x.out().src.Port() == 5000)
			x.answer("")
		}},
		{"a local process has the port of a client", masq, func(x *talk) {
			x.in("lan0", udp(c, s, "question"))
			x.loose = true
			x.local(p.at(p.outer, 5000), s, "question")
			x.note("kept", x.out().src.Port() == 5000)
			x.answer("")
		}},
		{"redirect", natRules(p.family, "udp dport 53 redirect to :5353", ""), func(x *talk) {
			x.in("lan0", udp(c, p.at(p.server, 53), "nobody listens"))
			x.in("lan0", tcp(c, p.at(p.server, 53), wire.TCPSyn, 5, 0, ""))
		}},
		{"both at once", natRules(p.family, "udp dport 1053 dnat to "+p.at(p.server, 53), "udp dport 53 snat to "+p.at(p.outer, 4444)), func(x *talk) {
			x.in("lan0", udp(c, p.at(p.outer, 1053), "question"))
			x.answer("answer")
			x.in("lan0", udp(c, p.at(p.outer, 1053), "question 2"))
		}},
		{"port range of one", natRules(p.family, "", "meta l4proto udp oifname wan0 masquerade to :7000-7000"), func(x *talk) {
			x.in("lan0", udp(c, s, "first"))
			x.answer("answer")
			x.in("lan1", udp(p.at(p.other, 5000), s, "no port is left"))
			x.in("lan1", udp(p.at(p.other, 5000), p.at(p.far, 53), "but for another server"))
			x.answer("answer")
		}},
		{"port range", natRules(p.family, "", "meta l4proto udp oifname wan0 masquerade to :7000-7003"), func(x *talk) {
			x.in("lan0", udp(p.at(p.client, 7002), s, "keeps it"))
			x.answer("answer")
			x.loose = true
			seen := map[uint16]bool{7002: true}
			for i := range 3 {
				x.in("lan1", udp(p.at(p.other, 5000+i), s, "another"))
				x.within(7000, 7003)
				seen[x.out().src.Port()] = true
				x.answer("answer")
			}
			x.note("ports", len(seen))
			x.in("lan1", udp(p.at(p.other, 5010), s, "none is left"))
		}},
		{"hairpin", natRules(p.family, "ADDR daddr "+p.outer+" tcp dport 80 dnat to "+p.at(p.client, 8080),
			"oifname wan0 masquerade; ADDR saddr "+lan(p)+" ADDR daddr "+lan(p)+" masquerade"), func(x *talk) {
			near := ""
			if p.family == "ip6" {
				near = "fd00::3"
			} else {
				near = "10.0.0.3"
			}
			x.in("lan0", tcp(p.at(near, 6000), p.at(p.outer, 80), wire.TCPSyn, 1, 0, ""))
			x.answer("")
			x.answer("")
		}},
		{"local process to a port inside", localRules(p.family, "ADDR daddr "+p.far+" udp dport 53 dnat to "+p.at(p.client, 5353), ""), func(x *talk) {
			x.local(p.at(localAddr(p), 7000), p.at(p.far, 53), "question")
			x.answer("answer")
			x.local(p.at(localAddr(p), 7000), p.at(p.far, 53), "question")
		}},
		{"local process, port only", localRules(p.family, "udp dport 53 dnat to :5353", "udp dport 5353 masquerade to :6001"), func(x *talk) {
			x.local(p.at(localAddr(p), 7000), p.at(p.server, 53), "question")
		}},
		{"other protocols", masq, func(x *talk) {
			m := message{proto: 50, src: ap(p.client), dst: ap(p.server), data: []byte("encapsulated data")}
			x.in("lan0", m)
			x.answer("encapsulated data")
		}},
		{"garbage", masq, func(x *talk) {
			bad := udp(c, s, "question").bytes()
			bad[len(bad)-1]++
			x.raw("lan0", bad)
			x.raw("lan0", udp(c, s, "question").bytes()[:len(bad)-5])
			m := tcp(c, s, wire.TCPAck, 3, 4, "from the middle")
			x.in("lan0", m)
			x.in("wan0", tcp(s, p.at(p.outer, 9999), wire.TCPAck|wire.TCPSyn, 3, 4, ""))
		}},
	}, p.ranges()...)
}

// ranges are scenarios with ranges of addresses, prefixes and maps.
func (p pairOf) ranges() []scenario {
	c, s := p.at(p.client, 5000), p.at(p.server, 53)
	lo, hi, inside, outside := "203.0.113.16", "203.0.113.19", "10.0.0.0/24", "203.0.113.0/24"
	inside2, mapped := "10.0.0.77", "203.0.113.77"
	if p.family == "ip6" {
		lo, hi, inside, outside = "2001:db8:1::10", "2001:db8:1::13", "fd00::/64", "2001:db8:1::/64"
		inside2, mapped = "fd00::77", "2001:db8:1::77"
	}
	return []scenario{
		{"snat to an address", natRules(p.family, "", "oifname wan0 snat to "+lo), func(x *talk) {
			x.in("lan0", udp(c, s, "question"))
			x.answer("answer")
			x.in("lan0", echo(p.client, p.server, 1, 1))
			x.answer("")
		}},
		{"snat persistent", natRules(p.family, "", "oifname wan0 snat to "+lo+"-"+hi+" persistent"), func(x *talk) {
			seen := map[string]bool{}
			for i := range 8 {
				x.loose = true
				x.t.Helper()
				frames := x.g.receive("lan0", udp(c, p.at(p.server, 1000+i), "question").bytes())
				for _, f := range frames {
					m, _ := parse(f.b)
					seen[m.src.Addr().String()] = true
				}
			}
			x.note("addresses for one client", len(seen))
		}},
		{"netmap source", natRules(p.family, "", "oifname wan0 snat prefix to ADDR saddr map { "+inside+" : "+outside+" }"), func(x *talk) {
			x.in("lan0", udp(c, s, "question"))
			x.answer("answer")
			x.in("lan0", udp(p.at(inside2, 7), s, "question"))
			x.note("address", x.out().src.Addr() == ap(mapped).Addr())
			x.answer("answer")
		}},
		{"netmap destination", natRules(p.family, "dnat prefix to ADDR daddr map { "+outside+" : "+inside+" }", ""), func(x *talk) {
			x.in("wan0", udp(s, p.at(mapped, 7), "question"))
			x.answer("answer")
		}},
		{"dnat with a map", natRules(p.family, "dnat to tcp dport map { 80 : "+p.client+", 81 : "+inside2+" }", ""), func(x *talk) {
			x.in("wan0", tcp(s, p.at(p.outer, 80), wire.TCPSyn, 1, 0, ""))
			x.answer("")
			x.in("wan0", tcp(s, p.at(p.outer, 81), wire.TCPSyn, 1, 0, ""))
			x.answer("")
			x.in("wan0", tcp(s, p.at(p.outer, 82), wire.TCPSyn, 1, 0, ""))
		}},
		{"dnat with a map to ports", natRules(p.family, "dnat ADDR addr . port to tcp dport map { 80 : "+p.client+" . 8080, 81 : "+inside2+" . 8081 }", ""), func(x *talk) {
			x.in("wan0", tcp(s, p.at(p.outer, 80), wire.TCPSyn, 1, 0, ""))
			x.answer("")
			x.in("wan0", tcp(s, p.at(p.outer, 81), wire.TCPSyn, 1, 0, ""))
		}},
		{"dnat to a port range", natRules(p.family, "tcp dport 80 dnat to "+p.at(p.client, 8000)+"-8003", ""), func(x *talk) {
			x.loose = true
			for i := range 8 {
				x.in("wan0", tcp(p.at(p.server, 1000+i), p.at(p.outer, 80), wire.TCPSyn, 1, 0, ""))
				d := x.out().dst.Port()
				x.note("in the range", 8000 <= d && d <= 8003)
				x.answer("")
			}
		}},
		{"random", natRules(p.family, "", "meta l4proto udp oifname wan0 masquerade to :30000-30999 random"), func(x *talk) {
			x.loose = true
			for i := range 8 {
				x.in("lan0", udp(p.at(p.client, 5000+i), s, "question"))
				x.within(30000, 30999)
				x.answer("answer")
			}
		}},
		{"fully random", natRules(p.family, "", "oifname wan0 masquerade fully-random"), func(x *talk) {
			x.loose = true
			kept := 0
			for i := range 8 {
				x.in("lan0", udp(p.at(p.client, 5000+i), s, "question"))
				x.within(1024, 65535)
				if x.out().src.Port() == uint16(5000+i) {
					kept++
				}
			}
			x.note("most are changed", kept < 4)
		}},
	}
}

// vanishing are scenarios in which addresses and ways go.
func (p pairOf) vanishing() []scenario {
	masq := natRules(p.family, "", "oifname wan0 masquerade")
	c, s := p.at(p.client, 5000), p.at(p.server, 53)
	second, outer := "192.0.2.9/24", "192.0.2.1/24"
	if p.family == "ip6" {
		second, outer = "2001:db8:77::9/64", "2001:db8::1/64"
	}
	return []scenario{
		{"another address goes", masq, func(x *talk) {
			x.g.addr("wan0", second)
			x.in("lan0", udp(c, s, "question"))
			x.g.delAddr("wan0", second)
			x.answer("answer")
			x.note("left", x.g.left(1))
		}},
		{"the address goes", masq, func(x *talk) {
			x.in("lan0", udp(c, s, "question"))
			x.in("lan0", udp(c, p.at(localAddr(p), 9), "not translated"))
			sent := x.last
			x.g.delAddr("wan0", outer)
			x.note("left", x.g.left(1))
			x.last = sent
			x.g.addr("wan0", outer)
			x.in("lan0", udp(c, s, "question"))
		}},
		{"the route moves", masq, func(x *talk) {
			x.in("lan0", udp(c, p.at(p.far, 53), "question"))
			x.answer("answer")
			host := p.far + "/32"
			if p.family == "ip6" {
				host = p.far + "/128"
			}
			x.g.route(host, "", "lan1")
			x.in("lan0", udp(c, p.at(p.far, 53), "the connection ends here"))
			x.note("left", x.g.left(0))
			x.in("lan0", udp(c, p.at(p.far, 53), "another begins"))
			x.g.delRoute(host)
		}},
		{"the device goes down", masq, func(x *talk) {
			x.in("lan0", udp(c, s, "question"))
			x.in("lan0", udp(c, p.at(localAddr(p), 9), "not translated"))
			x.g.up("wan0", false)
			x.note("left", x.g.left(1))
		}},
	}
}

// only4 are scenarios of IPv4 alone.
func only4() []scenario {
	masq := nat4("", "oifname wan0 masquerade")
	return []scenario{
		{"udp without a checksum", masq, func(x *talk) {
			m := udp("10.0.0.2:5000", "192.0.2.2:53", "no sum")
			m.noSum = true
			x.in("lan0", m)
			x.fail("192.0.2.2", 3, 3, 0)
		}},
		{"an error with a right but damaged quotation", masq, func(x *talk) {
			x.in("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "q"))
			x.last.b[10]++ // the quoted header's checksum (RFC 5508 REQ-3a)
			x.fail("192.0.2.2", 3, 3, 0)
		}},
		{"an error with a wrong checksum", masq, func(x *talk) {
			x.in("lan0", udp("10.0.0.2:5000", "192.0.2.2:53", "q"))
			m := failure("192.0.2.2", "192.0.2.1", 3, 3, 0, x.last.b).bytes()
			m[22]++
			x.raw("wan0", m)
		}},
		{"options", masq, func(x *talk) {
			m := udp("10.0.0.2:5000", "192.0.2.2:53", "q")
			m.options = []byte{1, 1, 1, 0}
			x.in("lan0", m)
			x.fail("192.0.2.2", 3, 3, 0)
		}},
		{"timestamp queries", masq, func(x *talk) {
			m := echo("10.0.0.2", "192.0.2.2", 5, 1)
			m.typ, m.data = 13, make([]byte, 12)
			x.in("lan0", m)
			r := x.out().answer("")
			r.typ, r.data = 14, make([]byte, 12)
			x.in("wan0", r)
		}},
		{"ttl", masq, func(x *talk) {
			m := udp("10.0.0.2:5000", "192.0.2.2:33434", "q")
			m.ttl = 1
			x.in("lan0", m)
			m.ttl = 2
			x.in("lan0", m)
			x.fail("198.51.100.1", 11, 0, 0)
		}},
	}
}

// compare lets a scenario happen at both gateways. They do the same.
func compare(t *testing.T, p pairOf, s scenario, j *judge, b *box) {
	t.Helper()
	rules := strings.ReplaceAll(s.rules, "ADDR", p.family)
	var logs [2]string
	for i, g := range []gateway{j, b} {
		g.load(rules)
		x := &talk{t: t, g: g}
		s.talk(x)
		logs[i] = x.String()
	}
	if logs[0] != logs[1] {
		t.Errorf("%s\n%s", rules, firstDifference(logs[0], logs[1]))
	}
}

// firstDifference shows two records up to the lines where they part.
func firstDifference(linux, knit string) string {
	a, b := strings.Split(linux, "\n"), strings.Split(knit, "\n")
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	show := func(l []string) string { return strings.Join(l[n:min(n+4, len(l))], "\n") }
	return fmt.Sprintf("%s\nLinux:\n%s\nknit:\n%s", strings.Join(a[:n], "\n"), show(a), show(b))
}

// TestAsLinux: the same rules and the same packets go through Linux, in a namespace
// of the test's own, and through a kernel of knit. What comes out is the same to the
// octet, where ports are not chosen at random.
func TestAsLinux(t *testing.T) {
	j, b := newJudge(t), newBox(t)
	for _, p := range pairs {
		list := p.scenarios()
		if p.family == "ip" {
			list = append(list, only4()...)
		}
		for _, s := range list {
			t.Run(p.family+" "+s.name, func(t *testing.T) { compare(t, p, s, j, b) })
		}
	}
}

// TestVanishingAsLinux: masqueraded connections end as on Linux when the address,
// the device or the way goes.
func TestVanishingAsLinux(t *testing.T) {
	for _, p := range pairs {
		for _, s := range p.vanishing() {
			t.Run(p.family+" "+s.name, func(t *testing.T) { compare(t, p, s, newJudge(t), newBox(t)) })
		}
	}
}
