package nft

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/network/route"
)

// TestAddrTypeOfRoutes: the type of an IPv6 address is that of the route which the
// rules lead to; one that says throw, like none at all, does not lead there.
func TestAddrTypeOfRoutes(t *testing.T) {
	m := newTest(t)
	for prefix, typ := range map[string]route.Type{
		"2001:db8:1::/48": route.Throw, "2001:db8:2::/48": route.Blackhole, "2001:db8:3::/48": route.Unreachable, "2001:db8:4::/48": route.Prohibit,
	} {
		if err := m.net.Main.Add(route.Route{Dst: netip.MustParsePrefix(prefix), Type: typ, Table: route.TableMain}, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	for a, want := range map[string]uint64{
		"2001:db8:1::1": rtnUnreachable, "2001:db8:2::1": 6, "2001:db8:3::1": 7, "2001:db8:4::1": 8, "2001:db8:5::1": rtnUnreachable, "ff02::1": rtnMulticast,
	} {
		if got := m.addrType(netip.MustParseAddr(a), 0, 0); got != want {
			t.Errorf("%s is of type %d, want %d", a, got, want)
		}
	}
}
