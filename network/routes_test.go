package network_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/network/ip6"
	"github.com/knitnet/knit/network/route"
)

// TestGateways: the answers are Linux's, but for an IPv4 address of this host as
// gateway, which Linux takes.
func TestGateways(t *testing.T) {
	h := hosttest.New(t, ip4.Module, ip6.Module)
	a := h.Port(t, link.Info{Name: "a", MTU: 1500}, "10.0.0.1/24", "fd00::1/64")
	b := h.Port(t, link.Info{Name: "b", MTU: 1500}, "10.1.0.1/24", "fd01::1/64")
	add := func(dst, via string, dev *hosttest.Port, onlink bool) error {
		hop := route.NextHop{Gateway: netip.MustParseAddr(via), Onlink: onlink}
		if dev != nil {
			hop.Index = dev.Dev.Index()
		}
		return h.Net.AddRoute(route.Route{Dst: netip.MustParsePrefix(dst), NextHops: []route.NextHop{hop}}, route.Append)
	}
	if err := add("10.0.0.5/32", "10.0.0.9", nil, false); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		via    string
		dev    *hosttest.Port
		onlink bool
		want   error
	}{
		{"10.0.0.2", a, false, nil},
		{"10.0.0.2", nil, false, nil},
		{"10.1.0.2", a, false, syscall.ENETUNREACH}, // on the link of b
		{"99.0.0.2", a, false, syscall.ENETUNREACH},
		{"99.0.0.2", nil, false, syscall.ENETUNREACH},
		{"10.0.0.5", nil, false, nil}, // behind a gateway, but also on the link
		{"10.0.0.255", a, false, syscall.ENETUNREACH},
		{"10.0.0.255", a, true, syscall.ENETUNREACH},
		{"224.0.0.1", a, false, syscall.ENETUNREACH},
		{"224.0.0.1", a, true, syscall.ENETUNREACH},
		{"10.0.0.1", a, false, syscall.EINVAL},
		{"10.1.0.1", a, true, syscall.EINVAL},
		{"99.0.0.2", a, true, nil},
		{"10.1.0.2", a, true, nil},
		{"99.0.0.2", nil, true, syscall.ENODEV},
		{"fd00::2", a, false, nil},
		{"fd01::2", a, false, syscall.ENETUNREACH},
		{"fd09::2", a, false, syscall.ENETUNREACH},
		{"fd00::1", a, false, syscall.EINVAL},
		{"fd00::1", b, true, syscall.EINVAL},
		{"fe80::9", nil, false, syscall.EINVAL},
		{"fe80::9", a, false, nil},
		{"ff02::9", a, false, syscall.ENETUNREACH},
		{"fd09::2", a, true, nil},
		{"fd01::2", a, true, syscall.EINVAL},
		{"fd09::2", nil, true, syscall.ENODEV},
		{"fe80::9", a, true, nil},
	}
	for _, tt := range tests {
		dst := "20.0.0.0/24"
		if netip.MustParseAddr(tt.via).Is6() {
			dst = "fd20::/64"
		}
		if err := add(dst, tt.via, tt.dev, tt.onlink); !errors.Is(err, tt.want) {
			t.Errorf("via %s dev %v onlink %v: %v, want %v", tt.via, tt.dev, tt.onlink, err, tt.want)
		}
	}
}

// TestOnlinkLeavesByItsDevice: a gateway that no route leads to is asked for on the
// device that was named.
func TestOnlinkLeavesByItsDevice(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	a := h.Port(t, link.Info{Name: "a"}, "10.0.0.1/24")
	gw := netip.MustParseAddr("99.0.0.2")
	err := h.Net.AddRoute(route.Route{
		Dst: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []route.NextHop{{Gateway: gw, Index: a.Dev.Index(), Onlink: true}},
	}, route.Create)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Net.Resolve(network.Flow{Dst: netip.MustParseAddr("9.9.9.9")})
	if err != nil || p.Device != a.Dev || p.NextHop != gw {
		t.Errorf("Resolve = %+v, %v, want by a to %v", p, err, gw)
	}
}

// TestRouteExpires: with it goes what followed from it, and nothing before.
func TestRouteExpires(t *testing.T) {
	h := hosttest.New(t, ip6.Module)
	a := h.Port(t, link.Info{Name: "a", MTU: 1500}, "fd00::1/64")
	dst, inside := netip.MustParsePrefix("fd20::/64"), netip.MustParseAddr("fd20::1")
	r := route.Route{Dst: dst, Metric: 1024, NextHops: []route.NextHop{{Index: a.Dev.Index()}}}
	later := r
	later.Dst, later.Expires = netip.MustParsePrefix("fd21::/64"), h.Clock.Now().Add(time.Hour)
	r.Expires = h.Clock.Now().Add(10 * time.Second)
	for _, r := range []route.Route{later, r} {
		if err := h.Net.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	removed := 0
	defer h.Net.Watch(func(e network.Event) {
		if e.Kind == network.RouteRemoved && e.Route.Dst == dst {
			removed++
		}
	})()
	p, err := h.Net.Resolve(network.Flow{Dst: inside})
	if err != nil {
		t.Fatal(err)
	}
	h.Advance(10*time.Second - 1)
	if !p.Valid() {
		t.Error("the path is not valid although its route has not expired")
	}
	h.Advance(1)
	if _, err := h.Net.Resolve(network.Flow{Dst: inside}); p.Valid() || !errors.Is(err, syscall.ENETUNREACH) || removed != 1 {
		t.Errorf("after the end: valid %v, Resolve says %v, %d events, want false, ENETUNREACH, 1", p.Valid(), err, removed)
	}
	if err := h.Net.AddRoute(r, route.Create); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a route that has expired: %v, want EINVAL", err)
	}
	if err := h.Net.DelRoute(route.Route{Dst: later.Dst}); err != nil {
		t.Error(err)
	}
	if n := h.Clock.Pending(); n != 0 {
		t.Errorf("%d timers are armed and nothing expires", n)
	}
}

// TestMultipathOverDeadDevice: as on Linux, flows go by what is left, and come back
// with the device; without the device there is no route.
func TestMultipathOverDeadDevice(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	a := h.Port(t, link.Info{Name: "a"}, "10.0.0.1/24")
	b := h.Port(t, link.Info{Name: "b"}, "10.1.0.1/24")
	err := h.Net.AddRoute(route.Route{Dst: netip.MustParsePrefix("20.0.0.0/24"), NextHops: []route.NextHop{
		{Gateway: netip.MustParseAddr("10.0.0.2")}, {Gateway: netip.MustParseAddr("10.1.0.2")},
	}}, route.Create)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, wantA, wantB bool) {
		t.Helper()
		var byA, byB bool
		for i := range uint32(16) {
			p, err := h.Net.Resolve(network.Flow{Dst: netip.MustParseAddr("20.0.0.9"), Hash: i << 28})
			if err != nil {
				continue
			}
			byA, byB = byA || p.Device == a.Dev, byB || p.Device == b.Dev
		}
		if byA != wantA || byB != wantB {
			t.Errorf("%s: by a %v, by b %v, want %v and %v", when, byA, byB, wantA, wantB)
		}
	}
	set := func(p *hosttest.Port, up bool) {
		t.Helper()
		if err := p.Dev.SetUp(up); err != nil {
			t.Fatal(err)
		}
	}
	check("both up", true, true)
	set(a, false)
	check("a down", false, true)
	set(a, true)
	check("a up again", true, true)
	set(a, false)
	set(b, false)
	set(a, true)
	check("both were down", false, false)
	set(b, true)
	err = h.Net.AddRoute(route.Route{Dst: netip.MustParsePrefix("20.0.0.0/24"), NextHops: []route.NextHop{
		{Gateway: netip.MustParseAddr("10.0.0.2")}, {Gateway: netip.MustParseAddr("10.1.0.2")},
	}}, route.Create)
	if err != nil {
		t.Fatal(err)
	}
	a.Dev.Detach()
	check("without a", false, false)
}

// TestAddrOfGoneDevice: a device that is gone gets no address.
func TestAddrOfGoneDevice(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	a := h.Port(t, link.Info{Name: "a"})
	a.Dev.Detach()
	err := h.Net.AddAddr(a.Dev, network.Addr{Prefix: netip.MustParsePrefix("10.0.0.1/24")})
	if !errors.Is(err, syscall.ENODEV) || h.Net.IsLocal(netip.MustParseAddr("10.0.0.1")) || len(h.Net.Addrs(a.Dev.Index())) != 0 {
		t.Errorf("AddAddr = %v, want ENODEV and nothing changed", err)
	}
}

// TestAddrsAndDevices: addresses that come while their devices go leave nothing.
func TestAddrsAndDevices(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	for range 100 {
		a := h.Port(t, link.Info{Name: "a"})
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Net.AddAddr(a.Dev, network.Addr{Prefix: netip.MustParsePrefix("10.0.0.1/24")})
		}()
		a.Dev.Detach()
		<-done
		if r := h.Net.Main.Lookup(netip.MustParseAddr("10.0.0.2")); r != nil || h.Net.IsLocal(netip.MustParseAddr("10.0.0.1")) || len(h.Net.Addrs(a.Dev.Index())) != 0 {
			t.Fatalf("left: route %+v, local %v, %d addresses", r, h.Net.IsLocal(netip.MustParseAddr("10.0.0.1")), len(h.Net.Addrs(a.Dev.Index())))
		}
	}
}
