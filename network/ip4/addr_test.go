package ip4_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/route"
)

// mainRoutes lists the routes of the table main as prefix and devices, and a dead next
// hop with a sign.
func mainRoutes(h *hosttest.Host) (out []string) {
	for _, r := range h.Net.Main.All() {
		s := r.Dst.String()
		for _, x := range r.NextHops {
			s += " " + h.Link.Device(x.Index).Name()
			if x.Dead {
				s += "!"
			}
		}
		out = append(out, s)
	}
	return out
}

func wantRoutes(t *testing.T, h *hosttest.Host, when string, want ...string) {
	t.Helper()
	if got := mainRoutes(h); !slices.Equal(got, want) {
		t.Errorf("%s: routes %q, want %q", when, got, want)
	}
}

// TestSubnetOnTwoLinks: a subnet that is on two links has a route by each, as on Linux.
// The first one counts.
func TestSubnetOnTwoLinks(t *testing.T) {
	h, left, right := host(t)
	h.Addr(t, right.Dev, "10.0.0.9/24")
	wantRoutes(t, h, "both", "10.0.0.0/24 left", "10.0.0.0/24 right", "10.0.1.0/24 right")
	right.Dev.SetUp(false)
	right.Dev.SetUp(true)
	wantRoutes(t, h, "up again", "10.0.0.0/24 left", "10.0.0.0/24 right", "10.0.1.0/24 right")
	if err := h.Net.DelAddr(left.Dev, netip.MustParsePrefix("10.0.0.1/24")); err != nil {
		t.Fatal(err)
	}
	wantRoutes(t, h, "the first is gone", "10.0.0.0/24 right", "10.0.1.0/24 right")
}

// TestLastAddress: with its last IPv4 address a device loses all its IPv4 routes, in
// every table, as on Linux; where there are other ways out, its own is dead.
func TestLastAddress(t *testing.T) {
	h, left, right := host(t)
	hop := func(p *hosttest.Port) route.NextHop { return route.NextHop{Index: p.Dev.Index()} }
	for _, r := range []route.Route{
		{Dst: netip.MustParsePrefix("10.5.0.0/24"), NextHops: []route.NextHop{hop(right)}},
		{Dst: netip.MustParsePrefix("10.6.0.0/24"), Table: 9, NextHops: []route.NextHop{hop(right)}},
		{Dst: netip.MustParsePrefix("10.7.0.0/24"), NextHops: []route.NextHop{hop(right), hop(left)}},
		{Dst: netip.MustParsePrefix("10.8.0.0/24"), Type: route.Unreachable},
	} {
		if err := h.Net.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	h.Addr(t, right.Dev, "10.2.0.1/24")
	del := func(p string) {
		t.Helper()
		if err := h.Net.DelAddr(right.Dev, netip.MustParsePrefix(p)); err != nil {
			t.Fatal(err)
		}
	}
	del("10.0.1.1/24")
	wantRoutes(t, h, "one address is left", "10.0.0.0/24 left", "10.2.0.0/24 right", "10.5.0.0/24 right", "10.7.0.0/24 right left", "10.8.0.0/24")
	del("10.2.0.1/24")
	wantRoutes(t, h, "none is left", "10.0.0.0/24 left", "10.7.0.0/24 right! left", "10.8.0.0/24")
	if n := h.Net.Table(9).Size(false); n != 0 {
		t.Errorf("%d routes in table 9", n)
	}
	h.Addr(t, right.Dev, "10.2.0.1/24")
	wantRoutes(t, h, "one is there again", "10.0.0.0/24 left", "10.2.0.0/24 right", "10.7.0.0/24 right left", "10.8.0.0/24")
}

// TestPathCacheTellsFlowsApart: flows between two addresses that differ in their ports
// alone, as they may once a rule looks at ports, do not push each other out.
func TestPathCacheTellsFlowsApart(t *testing.T) {
	h, _, _ := host(t)
	c := h.Net.NewPathCache()
	var paths []*network.Path
	flow := func(i int) network.Flow {
		return network.Flow{Dst: netip.MustParseAddr("10.0.0.2"), Src: netip.MustParseAddr("10.0.0.1"), Proto: 6, SrcPort: uint16(i), DstPort: 80}
	}
	const flows, least = 64, 40 // about eight of 64 share one of the 512 places
	for i := range flows {
		p, err := c.Resolve(flow(i))
		if err != nil {
			t.Fatal(fmt.Errorf("flow %d: %w", i, err))
		}
		paths = append(paths, p)
	}
	kept := 0
	for i := range flows {
		if p, _ := c.Resolve(flow(i)); p == paths[i] {
			kept++
		}
	}
	if kept < least {
		t.Errorf("%d of %d flows are kept, want %d at least", kept, flows, least)
	}
}

// TestNoRouteByWhatIsDown: a device that goes down while routes and addresses are added
// is left without routes, whoever was first.
func TestNoRouteByWhatIsDown(t *testing.T) {
	h, _, right := host(t)
	route1 := route.Route{Dst: netip.MustParsePrefix("10.5.0.0/24"), NextHops: []route.NextHop{{Index: right.Dev.Index()}}}
	other := network.Addr{Prefix: netip.MustParsePrefix("10.6.0.1/24")}
	for range 2000 {
		added := make(chan error, 2)
		go func() { added <- h.Net.AddRoute(route1, route.Create) }()
		go func() { added <- h.Net.AddAddr(right.Dev, other) }()
		right.Dev.SetUp(false)
		for range cap(added) {
			if err := <-added; err != nil && !errors.Is(err, syscall.ENETDOWN) {
				t.Fatal(err)
			}
		}
		for _, r := range h.Net.Main.All() {
			if r.Uses(right.Dev.Index()) {
				t.Fatalf("the route to %v leaves by a device that is down", r.Dst)
			}
		}
		if err := h.Net.DelAddr(right.Dev, other.Prefix); err != nil {
			t.Fatal(err)
		}
		right.Dev.SetUp(true)
	}
}
