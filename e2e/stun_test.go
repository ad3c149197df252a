//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
)

// nft runs nft's commands in a kernel.
func nft(t *testing.T, k *knit.Kernel, text string) {
	t.Helper()
	if err := k.Modprobe(context.Background(), "nf_tables"); err != nil {
		t.Fatal(err)
	}
	rules, _ := module.Find[netfilter.Ruleset](k.Modules, netfilter.RulesetSymbol)
	var out strings.Builder
	if err := rules.Run(context.Background(), &netfilter.NFTRequest{Text: text, Name: "rules"}, &out); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// TestSTUN: Debian's stun client asks Debian's stun server, which has two addresses,
// what kind of NAT is between them: a gateway with a rule of each behaviour, and one
// without any. That client tests hairpinning with its one socket, which has opened its
// filter for itself when it sends to its own outer address.
func TestSTUN(t *testing.T) {
	for _, program := range []string{"stun", "stund"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (packages stun-client and stun-server)", program)
		}
	}
	k, a, z := gateway(t)
	z.run("ip", "addr", "add", "10.2.0.3/24", "dev", "eth0")
	z.start("Opened port 3479", "stund", "-v", "-h", z.v4.String(), "-a", "10.2.0.3")
	for _, x := range []struct{ flags, want string }{
		{"", "Independent Mapping, Port Dependent Filter, preserves ports, no hairpin"},
		{"random", "Dependent Mapping, random port, no hairpin"},
		{"random mapping endpoint-independent", "Independent Mapping, Port Dependent Filter, random port, will hairpin"},
		{"mapping endpoint-independent filtering address-dependent", "Independent Mapping, Address Dependent Filter, preserves ports, will hairpin"},
		{"mapping endpoint-independent filtering endpoint-independent", "Independent Mapping, Independent Filter, preserves ports, will hairpin"},
		{"none", "Open"},
	} {
		rule := fmt.Sprintf("oifname %s masquerade %s", z.device.Name(), x.flags)
		if x.flags == "none" {
			rule = ""
		}
		nft(t, k, fmt.Sprintf("flush ruleset\ntable ip n { chain post { type nat hook postrouting priority srcnat; %s; }; }", rule))
		// Its exit status is the kind of NAT that it has found.
		out, _ := a.try("stun", z.v4.String())
		if !strings.Contains(out, "Primary: "+x.want+"\t\n") {
			t.Errorf("masquerade %s: want %s, stun says\n%s", x.flags, x.want, out)
		}
	}
}
