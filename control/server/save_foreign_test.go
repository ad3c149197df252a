package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
)

// TestSaveTellsWhatItLeavesOut: a device that the program made is a comment with the
// commands about it, and a warning; what is left makes a kernel.
func TestSaveTellsWhatItLeavesOut(t *testing.T) {
	k, s := newKernel(t, "dummy")
	z, _ := newKernel(t)
	p0, _, err := k.Join(z, link.PipeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p0.Rename("p0"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"link add d0 type dummy", "link set d0 up", "link set p0 up", "addr add 10.0.0.1/24 dev p0",
		"route add 10.5.0.0/16 nexthop via 10.0.0.2 nexthop dev d0", "neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev p0",
	} {
		if r := run(s, strings.Fields("ip "+line)...); r.Status != 0 {
			t.Fatalf("ip %s: %+v", line, r)
		}
	}
	k.Sysctl.Set("net.ipv4.conf.p0.rp_filter", "1")
	r := run(s, "save")
	if r.Status != 0 || r.Stderr != "save: p0 is not saved: it leads into another kernel\n" {
		t.Errorf("status %d: %s", r.Status, r.Stderr)
	}
	_, comment, _ := strings.Cut(r.Stdout, "# p0 leads into another kernel; once it is there again:\n")
	for _, line := range []string{
		"sysctl -q -w net.ipv4.conf.p0.rp_filter=1", "ip link set dev p0 up", "ip addr add 10.0.0.1/24 dev p0",
		"ip route append 10.5.0.0/16 nexthop via 10.0.0.2 dev p0 nexthop dev d0",
		"ip neigh replace 10.0.0.9 lladdr 02:00:00:00:00:09 dev p0 nud permanent",
	} {
		if !strings.Contains(comment, "# "+line+"\n") {
			t.Errorf("no comment %q in\n%s", line, r.Stdout)
		}
	}
	_, fresh := newKernel(t)
	boot, err := control.NewScript(&control.Console{}, "saved", r.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	if err := boot.Run(context.Background(), fresh, &control.Console{}); err != nil {
		t.Errorf("boot: %v", err)
	}
}

// TestSaveFlowtableOfForeign: a ruleset whose flowtable names a device that the script
// does not make would end the boot; it is part of the comment about that device.
func TestSaveFlowtableOfForeign(t *testing.T) {
	k, s := newKernel(t)
	z, _ := newKernel(t)
	p0, _, err := k.Join(z, link.PipeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p0.Rename("p0"); err != nil {
		t.Fatal(err)
	}
	rules := "table inet t { flowtable f { hook ingress priority 0; devices = { p0 }; }; chain c { type filter hook forward priority 0; flow add @f; }; }"
	if r := run(s, "nft", rules); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	saved := run(s, "save").Stdout
	_, comment, _ := strings.Cut(saved, "# p0 leads into another kernel; once it is there again:\n")
	if !strings.Contains(comment, "# nft 'table inet t {\n# \tflowtable f {\n") {
		t.Errorf("no comment with the ruleset in\n%s", saved)
	}
	_, fresh := newKernel(t)
	boot, err := control.NewScript(&control.Console{}, "saved", saved)
	if err != nil {
		t.Fatal(err)
	}
	if err := boot.Run(context.Background(), fresh, &control.Console{}); err != nil {
		t.Errorf("boot: %v", err)
	}
}
