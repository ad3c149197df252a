package vrf_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network/route"
)

// nft runs commands and returns what they print.
func (w *world) nft(text string) string {
	w.t.Helper()
	w.do(w.r.Modprobe(context.Background(), "nf_tables"))
	r, ok := module.Find[netfilter.Ruleset](w.r.Modules, netfilter.RulesetSymbol)
	if !ok {
		w.t.Fatal("no ruleset")
	}
	var out strings.Builder
	w.do(r.Run(context.Background(), &netfilter.NFTRequest{Text: text}, &out))
	return out.String()
}

// counted checks that a rule has counted packets, or none.
func (w *world) counted(rule string, want bool) {
	w.t.Helper()
	list := w.nft("list ruleset")
	for line := range strings.Lines(list) {
		if strings.Contains(line, rule+" counter") {
			if got := !strings.Contains(line, "packets 0 "); got != want {
				w.t.Errorf("%s: want it to match %v\n%s", rule, want, list)
			}
			return
		}
	}
	w.t.Errorf("no rule %s in\n%s", rule, list)
}

// TestHooksSeeTheVRF: "Iptables on ingress supports PREROUTING with skb->dev set to the
// real ingress device and both INPUT and PREROUTING rules with skb->dev set to the VRF
// device" (Linux's Documentation/networking/vrf.rst).
func TestHooksSeeTheVRF(t *testing.T) {
	w := newWorld(t)
	real := w.slaves["red"].Name()
	w.nft(`table inet t {
	chain pre {
		type filter hook prerouting priority -350;
		iifname "` + real + `" counter
		iifname "red" counter
		iifname "blue" counter
	}
	chain in {
		type filter hook input priority 0;
		iifname "` + real + `" meta l4proto tcp counter
		iifname "red" meta sdifname "` + real + `" ct state new counter
		iifname "red" fib daddr type local counter
		iifname "red" fib saddr . iif oif exists counter
		ct state invalid counter
		tcp dport 81 reject with tcp reset
	}
}`)
	w.serve(w.r, w.vrfs["red"], "seen")
	for _, to := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
		w.wantSays(w.behind["red"], nil, to, "seen")
	}
	for rule, want := range map[string]bool{
		`iifname "` + real + `"`: true, `iifname "red"`: true, `iifname "blue"`: false,
		`iifname "` + real + `" meta l4proto tcp`:                 false,
		`iifname "red" meta sdifname "` + real + `" ct state new`: true,
		`iifname "red" fib daddr type local`:                      true,
		`iifname "red" fib saddr . iif oif exists`:                true,
		`ct state invalid`:                                        false,
	} {
		w.counted(rule, want)
	}
	if _, err := dial(w.behind["red"], nil, "10.0.0.1:81"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a reset did not find its way back: %v", err)
	}
}

// TestForwardSeesTheVRF: FORWARD sees the VRF as the way in and the device as the way out,
// and masquerading takes an address of that.
func TestForwardSeesTheVRF(t *testing.T) {
	w := newWorld(t)
	w.do(w.r.Sysctl.Set("net.ipv4.ip_forward", "1"))
	green := w.add("green", 30)
	w.do(w.slaves["blue"].SetMaster(green))
	blue, red := w.behind["blue"], w.behind["red"]
	dev, err := blue.Link.Lookup("pipe0")
	w.do(err)
	w.addr(w.r, w.slaves["blue"], "10.2.0.1/24")
	w.addr(blue, dev, "10.2.0.2/24")
	out := w.slaves["blue"].Name()
	w.nft(`table inet t {
	chain f {
		type filter hook forward priority 0;
		iifname "red" meta sdifname "` + w.slaves["red"].Name() + `" oifname "` + out + `" counter
	}
	chain p {
		type nat hook postrouting priority 100;
		oifname "` + out + `" masquerade
	}
}`)
	w.serve(blue, nil, "through")
	w.route(10, "10.2.0.0/24", "green", "")
	w.do(w.r.Network.DelAddr(w.slaves["blue"], netip.MustParsePrefix("10.0.0.1/24")))
	w.route(30, "10.0.0.0/24", "red", "") // for the answers, which are for 10.0.0.2 again
	w.do(red.Network.AddRoute(route.Route{
		Dst: netip.MustParsePrefix("10.2.0.0/24"), NextHops: []route.NextHop{{Gateway: netip.MustParseAddr("10.0.0.1")}},
	}, route.Create))
	w.wantSays(red, nil, "10.2.0.2:80", "through")
	w.counted(`iifname "red" meta sdifname "`+w.slaves["red"].Name()+`" oifname "`+out+`"`, true)
}
