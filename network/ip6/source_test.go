package ip6_test

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip6"
)

// TestSelectNewest: of addresses that RFC 6724 ranks alike the newest is chosen, and of
// devices that the packet does not leave by the first: Linux does the same.
func TestSelectNewest(t *testing.T) {
	h := hosttest.New(t, ip6.Module)
	a := h.Port(t, link.Info{Name: "a"}, "2001:db8:1::1/64", "2001:db8:1::2/64", "2001:db8:1::3/64")
	h.Port(t, link.Info{Name: "b"}, "2001:db8:2::1/64")
	c := h.Port(t, link.Info{Name: "c"})
	addRoute(t, h, "::/0", 0, a)
	addRoute(t, h, "2001:dba::/64", 0, c)
	source := func(dst, want string) {
		t.Helper()
		if got, err := h.Net.SourceFor(netip.MustParseAddr(dst), 0); err != nil || got != netip.MustParseAddr(want) {
			t.Errorf("to %s from %v %v, want %s", dst, got, err, want)
		}
	}
	source("2001:db8:1::99", "2001:db8:1::3")
	source("2001:db9::1", "2001:db8:1::3")
	source("2001:dba::1", "2001:db8:1::3")
	if err := h.Net.DelAddr(a.Dev, netip.MustParsePrefix("2001:db8:1::1/64")); err != nil {
		t.Fatal(err)
	}
	h.Addr(t, a.Dev, "2001:db8:1::1/64")
	source("2001:db8:1::99", "2001:db8:1::1")
}
