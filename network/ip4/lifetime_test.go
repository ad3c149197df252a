package ip4_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/network/route"
)

// lived gives dev an address with lifetimes; 0 is forever.
func lived(t *testing.T, h *hosttest.Host, dev *link.Device, prefix string, valid, preferred time.Duration) {
	t.Helper()
	a := network.Addr{Prefix: netip.MustParsePrefix(prefix)}
	if valid > 0 {
		a.ValidUntil = h.Clock.Now().Add(valid)
	}
	if preferred > 0 {
		a.PreferredUntil = h.Clock.Now().Add(preferred)
	}
	if err := h.Net.AddAddr(dev, a); err != nil {
		t.Fatal(err)
	}
}

func flagsOf(h *hosttest.Host, ip string) (network.AddrFlags, bool) {
	_, a := h.Net.FindAddr(netip.MustParseAddr(ip))
	if a == nil {
		return 0, false
	}
	return a.Flags, true
}

func sourceFor(t *testing.T, h *hosttest.Host, dst string) string {
	t.Helper()
	src, err := h.Net.SourceFor(netip.MustParseAddr(dst), 0)
	if err != nil {
		t.Fatal(err)
	}
	return src.String()
}

// TestLifetimes follows an address to its end; its routes go with it, and a
// secondary address takes its place.
func TestLifetimes(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	p := h.Port(t, link.Info{Name: "p"})
	lived(t, h, p.Dev, "10.0.0.1/24", 20*time.Second, 10*time.Second)
	h.Addr(t, p.Dev, "10.0.0.2/24")
	var events []network.EventKind
	defer h.Net.Watch(func(e network.Event) {
		if e.Addr != nil && e.Addr.IP() == netip.MustParseAddr("10.0.0.1") {
			events = append(events, e.Kind)
		}
	})()

	h.Advance(10*time.Second - 1)
	if f, ok := flagsOf(h, "10.0.0.1"); !ok || f&(network.Deprecated|network.Permanent) != 0 {
		t.Errorf("just before the preferred lifetime ends: %#x %v", f, ok)
	}
	h.Advance(1)
	if f, ok := flagsOf(h, "10.0.0.1"); !ok || f&network.Deprecated == 0 {
		t.Errorf("when the preferred lifetime ends: %#x %v, want deprecated", f, ok)
	}
	h.Advance(10*time.Second - 1)
	if !h.Net.IsLocal(netip.MustParseAddr("10.0.0.1")) {
		t.Error("gone before the valid lifetime ends")
	}
	h.Advance(1)
	if _, ok := flagsOf(h, "10.0.0.1"); ok || h.Net.IsLocal(netip.MustParseAddr("10.0.0.1")) {
		t.Error("there when the valid lifetime has ended")
	}
	if want := []network.EventKind{network.AddrAdded, network.AddrRemoved}; !slices.Equal(events, want) {
		t.Errorf("events %v, want %v: deprecated, removed", events, want)
	}
	if f, _ := flagsOf(h, "10.0.0.2"); f&network.Secondary != 0 {
		t.Error("10.0.0.2 is secondary and there is no primary")
	}
	if r := h.Net.Main.Lookup(netip.MustParseAddr("10.0.0.9")); r == nil || r.Src != netip.MustParseAddr("10.0.0.2") {
		t.Errorf("the subnet's route is %+v, want one from 10.0.0.2", r)
	}
}

// TestLifetimesChange: longer lifetimes and none at all keep an address.
func TestLifetimesChange(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	p := h.Port(t, link.Info{Name: "p"})
	const short, long = 20 * time.Second, time.Hour
	for _, ip := range []string{"10.0.0.1/24", "10.0.1.1/24", "10.0.2.1/24"} {
		lived(t, h, p.Dev, ip, short, short)
	}
	until := h.Clock.Now().Add(long)
	h.Net.UpdateAddr(p.Dev, netip.MustParsePrefix("10.0.1.1/24"), func(a *network.Addr) { a.ValidUntil, a.PreferredUntil = until, until })
	h.Net.UpdateAddr(p.Dev, netip.MustParsePrefix("10.0.2.1/24"), func(a *network.Addr) { a.ValidUntil, a.PreferredUntil = 0, 0 })
	for _, step := range []struct {
		after time.Duration
		left  int
	}{{short - 1, 3}, {1, 2}, {long - short - 1, 2}, {1, 1}, {1000 * time.Hour, 1}} {
		h.Advance(step.after)
		if n := len(h.Net.Addrs(p.Dev.Index())); n != step.left {
			t.Fatalf("%v later %d addresses are left, want %d", step.after, n, step.left)
		}
	}
}

// TestUpdatesTheRightAddress: an address may be there twice, with two prefixes.
func TestUpdatesTheRightAddress(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	p := h.Port(t, link.Info{Name: "p"}, "10.0.0.1/16", "10.0.0.1/24")
	h.Net.UpdateAddr(p.Dev, netip.MustParsePrefix("10.0.0.1/24"), func(a *network.Addr) { a.ValidUntil = h.Clock.Now().Add(time.Second) })
	h.Advance(time.Second)
	as := h.Net.Addrs(p.Dev.Index())
	if len(as) != 1 || as[0].Prefix.Bits() != 16 {
		t.Errorf("%d addresses are left, want 10.0.0.1/16 alone", len(as))
	}
	if !h.Net.IsLocal(netip.MustParseAddr("10.0.0.1")) {
		t.Error("10.0.0.1/16 does not make 10.0.0.1 ours")
	}
}

// TestSourceAvoidsDeprecated: a deprecated address is the source only if there is
// no other in the subnet.
func TestSourceAvoidsDeprecated(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	p := h.Port(t, link.Info{Name: "p"})
	lived(t, h, p.Dev, "10.0.0.1/24", 0, time.Second)
	lived(t, h, p.Dev, "10.0.1.1/24", 0, 0)
	gateway := route.Route{
		Dst:      netip.MustParsePrefix("0.0.0.0/0"),
		NextHops: []route.NextHop{{Gateway: netip.MustParseAddr("10.0.0.254"), Index: p.Dev.Index()}},
	}
	if err := h.Net.AddRoute(gateway, route.Create); err != nil {
		t.Fatal(err)
	}
	check := func(when, dst, want string) {
		t.Helper()
		if got := sourceFor(t, h, dst); got != want {
			t.Errorf("%s: from %s to %s, want from %s", when, got, dst, want)
		}
	}
	check("preferred", "10.0.0.9", "10.0.0.1")
	h.Advance(time.Second)
	check("deprecated", "10.0.0.9", "10.0.0.1")
	check("deprecated", "99.0.0.9", "10.0.0.1")
	h.Addr(t, p.Dev, "10.0.0.2/24")
	check("with another", "10.0.0.9", "10.0.0.2")
	check("with another", "99.0.0.9", "10.0.0.2")
}

// TestSameAddressTwice: what one device has lost stays where another has it.
func TestSameAddressTwice(t *testing.T) {
	h := hosttest.New(t, ip4.Module)
	p := h.Port(t, link.Info{Name: "p"}, "10.0.0.1/24")
	h.Port(t, link.Info{Name: "q"}, "10.0.0.1/24")
	if err := h.Net.DelAddr(p.Dev, netip.MustParsePrefix("10.0.0.1/24")); err != nil {
		t.Fatal(err)
	}
	if !h.Net.IsLocal(netip.MustParseAddr("10.0.0.1")) || h.Net.Main.Lookup(netip.MustParseAddr("10.0.0.9")) == nil {
		t.Error("q has 10.0.0.1/24 and no routes for it")
	}
}
