package ip4_test

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// TestReversePathFilter: strict and loose mode of RFC 3704, and the larger setting
// of the device's and of "all" counts.
func TestReversePathFilter(t *testing.T) {
	for _, tt := range []struct {
		src      string
		dev, all string
		want     bool
	}{
		{"192.0.2.9", "0", "0", true},
		{"10.0.0.9", "1", "0", true},
		{"10.0.1.9", "1", "0", false}, // its way back is by right
		{"10.0.1.9", "2", "0", true},
		{"10.0.1.9", "0", "1", false},
		{"10.0.1.9", "1", "2", true},
		{"192.0.2.9", "1", "0", false}, // no way back at all
		{"192.0.2.9", "2", "0", false},
		{"198.51.100.9", "2", "0", false}, // a blackhole
		{"203.0.113.9", "1", "0", true},   // one of two ways is by left
	} {
		h, left, right := host(t)
		sink := h.Sink(t, wire.ProtoUDP)
		for _, r := range []route.Route{
			{Dst: netip.MustParsePrefix("198.51.100.0/24"), Type: route.Blackhole},
			{Dst: netip.MustParsePrefix("203.0.113.0/24"), NextHops: []route.NextHop{{Index: right.Dev.Index()}, {Index: left.Dev.Index()}}},
		} {
			if err := h.Net.AddRoute(r, route.Create); err != nil {
				t.Fatal(err)
			}
		}
		b := hosttest.IPv4(from(tt.src, "10.0.0.1"), payload(8))
		receive4(left, b) // what was decided before the setting must not count
		h.Set(t, "net.ipv4.conf.left.rp_filter", tt.dev)
		h.Set(t, "net.ipv4.conf.all.rp_filter", tt.all)
		sink.Packets = nil
		receive4(left, b)
		if got := len(sink.Packets) == 1; got != tt.want || (h.Pool.Drops.Load(stat.IPRPFilter) == 0) != tt.want {
			t.Errorf("from %s, rp_filter %s, of all %s: taken %v, want %v; drops %v", tt.src, tt.dev, tt.all, got, tt.want, h.Pool.Drops.List())
		}
	}
}
