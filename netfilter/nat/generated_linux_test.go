package nat_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/knitnet/knit/wire"
)

// TestGeneratedAsLinux: rulesets and conversations that are made up, with ports that
// never clash, so that all of it is the same as on Linux to the octet.
func TestGeneratedAsLinux(t *testing.T) {
	j, b := newJudge(t), newBox(t)
	seeds := uint64(30)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		for _, p := range pairs {
			rnd := rand.New(rand.NewPCG(seed, uint64(len(p.family))))
			rules := p.madeUpRules(rnd)
			s := scenario{rules: rules, talk: func(x *talk) { p.madeUpTalk(x, rand.New(rand.NewPCG(seed, 9))) }}
			compare(t, p, s, j, b)
			if t.Failed() {
				t.Fatalf("seed %d, %s", seed, p.family)
			}
		}
	}
}

// madeUpRules returns a ruleset in which nothing is left to chance.
func (p pairOf) madeUpRules(rnd *rand.Rand) string {
	matches := []string{
		"", "udp dport 53", "tcp dport { 80, 443 }", "ADDR saddr " + p.client, "ADDR daddr " + p.outer, "iifname lan0", "iifname wan0",
		"meta l4proto { tcp, udp }", "ADDR daddr " + p.far, "th dport 50-90",
	}
	before := []string{
		"dnat to " + p.client, "dnat to " + p.other, "dnat to " + p.far, "redirect", "accept", "return", "meta mark set 1", "counter",
		"dnat to ADDR daddr map { " + p.outer + " : " + p.client + ", " + p.far + " : " + p.server + " }",
	}
	after := []string{
		"masquerade", "snat to " + p.outer, "snat to " + p.far, "accept", "counter", "masquerade persistent",
		"snat to ADDR saddr map { " + p.client + " : " + p.outer + ", " + p.other + " : " + p.far + " }",
	}
	chain := func(verdicts, more []string) string {
		var l []string
		for range 1 + rnd.IntN(4) {
			l = append(l, matches[rnd.IntN(len(matches))]+" "+verdicts[rnd.IntN(len(verdicts))])
		}
		for range rnd.IntN(2) {
			l = append(l, more[rnd.IntN(len(more))])
		}
		return strings.Join(l, "\n\t\t")
	}
	target := p.at(p.client, 5353)
	toPort := []string{"udp dport 53 dnat to " + target, "tcp dport 80 redirect to :8080", "udp dport { 53, 80 } dnat to :1053"}
	out := []string{"oifname wan0 masquerade", "oifname lan0 masquerade", "oifname lan1 snat to " + p.outer}
	return natRules(p.family, chain(before, toPort), chain(after, out))
}

// madeUpTalk sends packets of every kind from everywhere to everywhere, which are
// answered, or reported, or asked again.
func (p pairOf) madeUpTalk(x *talk, rnd *rand.Rand) {
	at := map[string]string{"lan0": p.client, "lan1": p.other, "wan0": p.server}
	names := []string{"lan0", "lan1", "wan0"}
	targets := []string{p.client, p.other, p.server, p.far, p.outer}
	for i := range 25 {
		in := names[rnd.IntN(len(names))]
		src, dst, port := at[in], targets[rnd.IntN(len(targets))], []int{53, 80, 443, 9}[rnd.IntN(4)]
		var m message
		switch rnd.IntN(4) {
		case 0:
			m = tcp(p.at(src, 20000+i), p.at(dst, port), wire.TCPSyn, 7, 0, "")
		case 1:
			m = echo(src, dst, uint16(1000+i), 1)
		default:
			m = udp(p.at(src, 20000+i), p.at(dst, port), fmt.Sprint("packet ", i))
		}
		if src == dst {
			continue
		}
		x.in(in, m)
		for range rnd.IntN(4) {
			sent := x.last
			if sent.b == nil || x.out().ttl == 64 {
				break // what the gateway itself says is no conversation
			}
			switch rnd.IntN(4) {
			case 0:
				x.in(in, m)
			case 1:
				typ, code := uint8(3), uint8(rnd.IntN(4))
				if p.family == "ip6" {
					typ = 1
				}
				x.fail([]string{p.far, x.out().dst.Addr().String()}[rnd.IntN(2)], typ, code, 0)
				x.last = sent
			default:
				x.answer("answer")
			}
		}
	}
}
