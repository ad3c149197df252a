package ip6_test

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

var (
	beyond    = netip.MustParseAddr("fd01::99") // a stranger on the router's other link
	beyondMAC = wire.MAC{2, 0, 0, 0, 1, 0x99}
)

// A router is host 1 of a Net with a second link.
type router struct {
	*ip6test.Net
	*ip6test.Host
	far    *ip6test.Ether
	farDev *link.Device
}

func newRouter(t *testing.T, mtu int) *router {
	t.Helper()
	w := ip6test.NewNet(t, 1)
	r := &router{Net: w, Host: w.Hosts[0], far: new(ip6test.Ether)}
	r.farDev = r.far.AttachInfo(t, r.Kernel, link.Info{
		Name: "eth1", Type: link.Ether, Hardware: wire.MAC{2, 0, 0, 0, 1, 1}, Features: link.Default, MTU: mtu,
	})
	if err := r.farDev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	r.Addr(r.farDev, "fd01::1/64")
	if err := r.Kernel.Net.Neighbours(network.V6).Set(r.farDev, beyond, beyondMAC, neigh.Permanent, neigh.Add); err != nil {
		t.Fatal(err)
	}
	r.Set("net.ipv6.conf.all.forwarding", "1")
	w.Settle()
	r.far.Frames()
	return r
}

// TestForwardingRules holds what a router does with packets against RFC 8200, 4291
// and 4443.
func TestForwardingRules(t *testing.T) {
	r := newRouter(t, 1300)
	for _, x := range []route.Route{
		{Dst: netip.MustParsePrefix("fd02::/16"), Type: route.Blackhole},
		{Dst: netip.MustParsePrefix("fd03::/16"), Type: route.Unreachable},
		{Dst: netip.MustParsePrefix("fd04::/16"), Type: route.Prohibit},
	} {
		if err := r.Kernel.Net.AddRoute(x, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	linkLocal := netip.MustParseAddr("fe80::99")
	if err := r.Kernel.Net.Neighbours(network.V6).Set(r.Dev, linkLocal, ip6test.StrangerMAC, neigh.Permanent, neigh.Add); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		src, dst netip.Addr
		hops     uint8
		size     int
		forward  bool
		typ      uint8 // of the error; 0: none
		code     uint8
		mtu      uint32
	}{
		{"a packet", ip6test.Stranger, beyond, 64, 100, true, 0, 0, 0},
		{"with two hops left one is left", ip6test.Stranger, beyond, 2, 100, true, 0, 0, 0},
		{"hop limit exceeded in transit", ip6test.Stranger, beyond, 1, 100, false, wire.ICMP6TimeExceeded, wire.ICMP6HopLimitExceeded, 0},
		{"as large as the next link takes", ip6test.Stranger, beyond, 64, 1300 - 48, true, 0, 0, 0},
		{"too big", ip6test.Stranger, beyond, 64, 1301 - 48, false, wire.ICMP6PacketTooBig, 0, 1300},
		{"no route", ip6test.Stranger, netip.MustParseAddr("2001:db8::1"), 64, 100, false, wire.ICMP6Unreachable, wire.ICMP6NoRoute, 0},
		{"blackhole", ip6test.Stranger, netip.MustParseAddr("fd02::1"), 64, 100, false, 0, 0, 0},
		{"unreachable", ip6test.Stranger, netip.MustParseAddr("fd03::1"), 64, 100, false, wire.ICMP6Unreachable, wire.ICMP6AddrUnreachable, 0},
		{"prohibited", ip6test.Stranger, netip.MustParseAddr("fd04::1"), 64, 100, false, wire.ICMP6Unreachable, wire.ICMP6AdminProhibited, 0},
		{"beyond the scope of the source", linkLocal, beyond, 64, 100, false, wire.ICMP6Unreachable, wire.ICMP6BeyondScope, 0},
		{"a link-local destination", ip6test.Stranger, netip.MustParseAddr("fe80::77"), 64, 100, false, 0, 0, 0},
		{"from nobody", netip.IPv6Unspecified(), beyond, 64, 100, false, 0, 0, 0},
		{"from loopback", netip.IPv6Loopback(), beyond, 64, 100, false, 0, 0, 0},
		{"from a group", netip.MustParseAddr("ff02::5"), beyond, 64, 100, false, 0, 0, 0},
		{"from an IPv4-mapped address", netip.MustParseAddr("::ffff:127.0.0.1"), beyond, 64, 100, false, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			back := r.Inject(1, ip6test.ICMP(tt.src, tt.dst, tt.hops, ip6test.Echo(tt.size)))
			out := r.far.Frames()
			if (len(out) == 1) != tt.forward || len(out) > 1 {
				t.Fatalf("%d frames on the other link, want forwarded: %v", len(out), tt.forward)
			}
			if tt.forward {
				m := ip6test.Messages(t, out, wire.ICMP6Echo)
				if len(m) != 1 || m[0].IP.HopLimit() != tt.hops-1 || m[0].Dst != beyondMAC || len(m[0].Payload()) != tt.size {
					t.Errorf("forwarded as %x", out[0])
				}
			}
			if tt.typ == 0 {
				if len(back) != 0 {
					t.Errorf("answered by %x", back)
				}
				return
			}
			m := ip6test.Messages(t, back, tt.typ)
			if len(m) != 1 || m[0].Code() != tt.code || m[0].MTU() != tt.mtu || m[0].IP.Dst() != tt.src {
				t.Errorf("answered by %x, want type %d, code %d, MTU %d", back, tt.typ, tt.code, tt.mtu)
			}
			r.Clock.Advance(10e9)
			r.Ether.Frames()
			r.far.Frames()
		})
	}
}

// TestHostDoesNotForward: "a node [...] is a host" unless it was told otherwise.
func TestHostDoesNotForward(t *testing.T) {
	r := newRouter(t, 1500)
	r.Set("net.ipv6.conf.eth0.forwarding", "0")
	back := r.Inject(1, ip6test.ICMP(ip6test.Stranger, beyond, 64, ip6test.Echo(10)))
	if out := r.far.Frames(); len(out)+len(back) != 0 {
		t.Errorf("%d frames out, %d back, want none", len(out), len(back))
	}
	if r.Stat("Ip6", "InAddrErrors") == 0 {
		t.Error("InAddrErrors does not count it")
	}
}

// TestHooksSeeForwardedPackets: Prerouting, Forward, Postrouting in this order, and
// Input and Output not at all.
func TestHooksSeeForwardedPackets(t *testing.T) {
	r := newRouter(t, 1500)
	h := &r.Kernel.Net.Hooks[network.V6]
	seen := ""
	for name, p := range map[string]*hook.Point{
		"P": &h.Prerouting, "I": &h.Input, "F": &h.Forward, "O": &h.Output, "X": &h.Postrouting,
	} {
		undo := p.Add(hook.Entry{Owner: "test", Func: func(pkt *packet.Packet) hook.Verdict {
			seen += name
			if name == "F" && (pkt.In != r.Dev.Index() || pkt.Out != r.farDev.Index()) {
				t.Errorf("in %d, out %d at Forward", pkt.In, pkt.Out)
			}
			return hook.Accept
		}})
		defer undo()
	}
	r.Inject(1, ip6test.ICMP(ip6test.Stranger, beyond, 64, ip6test.Echo(10)))
	if seen != "PFX" {
		t.Errorf("hooks ran as %q, want PFX", seen)
	}
	seen = ""
	r.Inject(1, ip6test.ICMP(ip6test.Stranger, ip6test.IP(1), 64, ip6test.Echo(10)))
	if seen != "PIOX" {
		t.Errorf("hooks for an answered echo ran as %q, want PIOX", seen)
	}
}

// TestRouterGroups: a router listens to the groups of all routers (RFC 4291 §2.8).
func TestRouterGroups(t *testing.T) {
	r := newRouter(t, 1500)
	for _, g := range []string{"ff01::1", "ff02::1", "ff01::2", "ff02::2", "ff05::2"} {
		if !r.Kernel.Net.IsMember(r.Dev.Index(), netip.MustParseAddr(g)) {
			t.Errorf("a router is not in %s", g)
		}
	}
	r.Set("net.ipv6.conf.all.forwarding", "0")
	if r.Kernel.Net.IsMember(r.Dev.Index(), netip.MustParseAddr("ff02::2")) {
		t.Error("a host is in ff02::2")
	}
}

// TestRouterRedirects: RFC 4861 §8.2: a neighbour whose packet goes back to its own
// link is told of the better first hop, and the packet goes on all the same.
func TestRouterRedirects(t *testing.T) {
	r := newRouter(t, 1500)
	better, other := netip.MustParseAddr("fe80::98"), netip.MustParseAddr("fd00::42")
	neighbours := r.Kernel.Net.Neighbours(network.V6)
	for _, ip := range []netip.Addr{better, other, netip.MustParseAddr("fe80::99")} {
		if err := neighbours.Set(r.Dev, ip, wire.MAC{2, 0, 0, 0, 0, 0x98}, neigh.Permanent, neigh.Add); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, gateway := range map[string]netip.Addr{"fd05::/16": better, "fd06::/16": other} {
		x := route.Route{Dst: netip.MustParsePrefix(prefix), NextHops: []route.NextHop{{Gateway: gateway, Index: r.Dev.Index()}}}
		if err := r.Kernel.Net.AddRoute(x, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	far := netip.MustParseAddr("fd05::1")
	for _, tt := range []struct {
		name     string
		src, dst netip.Addr
		target   netip.Addr // zero: no redirect
	}{
		{"by another router", ip6test.Stranger, far, better},
		{"to a neighbour", ip6test.Stranger, other, other},
		{"from a link-local address", netip.MustParseAddr("fe80::99"), far, better},
		{"from who is no neighbour", netip.MustParseAddr("2001:db8::5"), far, netip.Addr{}},
		{"by a router without a link-local address", ip6test.Stranger, netip.MustParseAddr("fd06::1"), netip.Addr{}},
		{"to another link", ip6test.Stranger, beyond, netip.Addr{}},
	} {
		frames := r.Inject(1, ip6test.ICMP(tt.src, tt.dst, 64, ip6test.Echo(1400)))
		frames = append(frames, r.far.Frames()...)
		sent := ip6test.Messages(t, frames, wire.ICMP6Echo)
		if len(sent) != 1 || sent[0].IP.HopLimit() != 63 {
			t.Errorf("%s: forwarded %d times", tt.name, len(sent))
		}
		told := ip6test.Messages(t, frames, wire.ICMP6Redirect)
		if !tt.target.IsValid() {
			if len(told) != 0 {
				t.Errorf("%s: a redirect", tt.name)
			}
			continue
		}
		if len(told) != 1 {
			t.Errorf("%s: %d redirects, want one", tt.name, len(told))
			continue
		}
		m := told[0]
		x, ok := wire.ParseNDPRedirect(m.Bytes)
		if !ok || x.Target() != tt.target || x.Destination() != tt.dst || m.IP.Src() != r.LinkLocal(r.Dev) ||
			m.IP.Dst() != tt.src || m.IP.HopLimit() != 255 || m.IP.TotalLen() > wire.IPv6MinMTU {
			t.Errorf("%s: redirect % x from %v", tt.name, m.Bytes[:40], m.IP.Src())
		}
		options := x.Options()
		o, _ := options.Next()
		quoted, ok := o.Redirected()
		if ip, isIP := wire.ParseIPv6(quoted); !ok || !isIP || ip.Src() != tt.src || ip.Dst() != tt.dst || ip.HopLimit() != 64 {
			t.Errorf("%s: it does not quote the packet", tt.name)
		}
	}
	for range 20 {
		r.Inject(1, ip6test.ICMP(ip6test.Stranger, far, 64, ip6test.Echo(10)))
	}
	if told := ip6test.Messages(t, r.Inject(1, ip6test.ICMP(ip6test.Stranger, far, 64, ip6test.Echo(10))), wire.ICMP6Redirect); len(told) != 0 {
		t.Error("redirects are not limited")
	}
}
