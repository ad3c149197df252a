package server_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

// A policyMaker makes up tables, rules and packets. They are few and near each other,
// so that prefixes hold each other and rules overlap.
type policyMaker struct{ *rand.Rand }

func (r policyMaker) one(words ...string) string { return words[r.IntN(len(words))] }

func (r policyMaker) maybe(percent int, words ...string) string {
	if r.IntN(100) < percent {
		return " " + r.one(words...)
	}
	return ""
}

func (r policyMaker) prefix(v6 bool) string {
	if v6 {
		return r.one("fd05::/16", "fd05:1::/32", "fd05:1:2::/48", "fd05:2::/32", "fd05:1:2::9/128", "fd06::/16", "default")
	}
	return r.one("10.5.0.0/16", "10.5.1.0/24", "10.5.1.128/25", "10.5.1.9/32", "10.5.2.0/24", "10.6.0.0/15", "10.4.0.0/14", "default")
}

func (r policyMaker) dst(v6 bool) string {
	if v6 {
		return r.one("fd05:1:2::9", "fd05:1:2::8", "fd05:1:3::1", "fd05:2::1", "fd05:9::1", "fd06::1", "fd07::1", "fd00::1", "fd00::7", "fd01::1", "fd01::7")
	}
	return r.one("10.5.1.9", "10.5.1.8", "10.5.1.200", "10.5.2.1", "10.5.9.9", "10.6.1.1", "10.7.0.1", "10.9.9.9", "10.0.0.1", "10.0.0.7", "10.1.0.1", "10.1.0.7")
}

func (r policyMaker) route(v6 bool) string {
	way := r.one("via 10.0.0.2", "via 10.0.0.3", "via 10.1.0.2", "dev v0", "dev v1")
	if v6 {
		way = r.one("via fd00::2", "via fd00::3", "via fd01::2", "dev v0", "dev v1")
	}
	dst := r.prefix(v6) + " " + way
	if r.IntN(4) == 0 {
		dst = r.one("blackhole", "unreachable", "prohibit", "throw", "throw") + " " + r.prefix(v6)
	}
	return "route add " + dst + r.maybe(70, "table 100", "table 101") + r.maybe(40, "metric 5", "metric 9")
}

func (r policyMaker) rule(v6 bool) string {
	src := []string{"from 10.0.0.0/24", "from 10.1.0.1", "from 10.8.0.0/16", "from 10.8.3.0/24"}
	dst := []string{"to 10.5.0.0/16", "to 10.5.1.0/24", "to 10.4.0.0/14"}
	if v6 {
		src = []string{"from fd00::/64", "from fd01::1", "from fd08::/16", "from fd08:3::/32"}
		dst = []string{"to fd05::/16", "to fd05:1::/32"}
	}
	s := "rule add" + r.maybe(15, "not") + r.maybe(25, src...) + r.maybe(25, dst...) + r.maybe(25, "fwmark 1", "fwmark 2/0x2", "fwmark 0/0x1") +
		r.maybe(15, "iif v0", "iif v1", "iif lo", "iif nope") + r.maybe(15, "oif v0", "oif v1") + r.maybe(10, "tos 0x10", "tos 0x8") +
		r.maybe(15, "ipproto tcp", "ipproto udp") + r.maybe(15, "dport 80", "dport 70-90", "sport 1000-2000") +
		fmt.Sprintf(" pref %d ", 1000+r.IntN(20)*100)
	return s + r.one("table 100", "table 101", "table 100", "table 101", "table 102", "lookup main", "table 100 suppress_prefixlength 16",
		"lookup main suppress_prefixlength 0", "goto 2500", "nop", "blackhole", "prohibit", "unreachable")
}

func (r policyMaker) query(v6 bool) string {
	from := r.maybe(40, "from 10.0.0.1", "from 10.1.0.1")
	in := []string{" iif v0 from 10.0.0.7", " iif v1 from 10.1.0.7", " iif v1 from 10.8.3.1", " iif v0 from 10.8.9.1"}
	if v6 {
		from = r.maybe(40, "from fd00::1", "from fd01::1")
		in = []string{" iif v0 from fd00::7", " iif v1 from fd01::7", " iif v1 from fd08:3::1", " iif v0 from fd08:9::1"}
	}
	if r.IntN(3) == 0 {
		from = in[r.IntN(len(in))]
	} else if !v6 {
		from += r.maybe(15, "oif v0", "oif v1")
	}
	return "route get " + r.dst(v6) + from + r.maybe(40, "mark 1", "mark 2", "mark 3") + r.maybe(15, "tos 0x10", "tos 0x8") +
		r.maybe(50, "ipproto tcp sport 1500 dport 80", "ipproto tcp dport 443", "ipproto udp sport 5 dport 75", "ipproto icmp")
}

// TestPolicyAsLinux: over tables and rules that are made up, packets go the way that
// they go on Linux, those that come in and those that are made here.
func TestPolicyAsLinux(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip on this machine: ", err)
	}
	const prelude = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding\n" +
		"for i in all v0 v1; do echo %d >/proc/sys/net/ipv4/conf/$i/rp_filter; done\n"
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := policyMaker{rand.New(rand.NewPCG(seed, 4))}
			commands := []ipCommand{
				{args: "link set v0 up"}, {args: "link set v1 up"}, {args: "addr add 10.0.0.1/24 dev v0"}, {args: "addr add 10.1.0.1/24 dev v1"},
				{args: "-6 addr add fd00::1/64 dev v0 nodad"}, {args: "-6 addr add fd01::1/64 dev v1 nodad"},
			}
			add := func(n int, f func(v6 bool) string) {
				for range n {
					v6 := r.IntN(3) == 0
					commands = append(commands, ipCommand{args: map[bool]string{true: "-6 "}[v6] + f(v6)})
				}
			}
			add(24, r.route)
			add(10, r.rule)
			add(100, r.query)
			rpFilter := int(seed % 3)
			linux := runLinuxIn(t, fmt.Sprintf(prelude, rpFilter), commands)
			s := newServer(t)
			for _, line := range []string{
				"net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", fmt.Sprint("net.ipv4.conf.all.rp_filter=", rpFilter),
			} {
				if got := run(s, "sysctl", "-w", line); got.Status != 0 {
					t.Fatal(got.Stderr)
				}
			}
			wrong := 0
			for i, cmd := range commands {
				got := run(s, strings.Fields("ip "+cmd.args)...)
				if got.Status != linux[i].Status || normal(got.Stdout) != normal(linux[i].Stdout) {
					wrong++
				}
				compare(t, cmd, got, linux[i])
			}
			if wrong > 0 {
				for _, words := range [][]string{{"rule"}, {"route", "show", "table", "all"}, {"-6", "rule"}} {
					t.Log(run(s, append([]string{"ip"}, words...)...).Stdout)
				}
			}
		})
	}
}
