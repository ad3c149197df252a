package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/knitnet/knit/control"
)

// TestSaveDeviceOfModule: the device of nat64 and its routes come with the module, and
// the script makes the same kernel with them.
func TestSaveDeviceOfModule(t *testing.T) {
	_, s := newKernel(t)
	for _, line := range []string{
		"modprobe nat64 prefix=2001:db8:64::/96 pool4=192.0.2.0/30", "ip link set nat64 mtu 9000", "ip addr add 10.6.6.1/24 dev nat64",
	} {
		if r := run(s, strings.Fields(line)...); r.Status != 0 {
			t.Fatalf("%s: %+v", line, r)
		}
	}
	saved := run(s, "save")
	if saved.Status != 0 || saved.Stderr != "" || strings.Contains(saved.Stdout, "ip route") {
		t.Errorf("status %d: %s\n%s", saved.Status, saved.Stderr, saved.Stdout)
	}
	_, fresh := newKernel(t)
	boot, err := control.NewScript(&control.Console{}, "saved", saved.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	if err := boot.Run(context.Background(), fresh, &control.Console{}); err != nil {
		t.Fatalf("boot: %v\n%s", err, saved.Stdout)
	}
	for _, line := range []string{"ip -6 route", "ip route", "ip -4 addr show dev nat64", "save"} {
		want, got := run(s, strings.Fields(line)...), run(fresh, strings.Fields(line)...)
		if got.Stdout != want.Stdout || !strings.Contains(got.Stdout, "nat64") {
			t.Errorf("%s:\n%s\nwant\n%s", line, got.Stdout, want.Stdout)
		}
	}
}
