package ip6_test

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// TestEUI64: the example of RFC 4291 appendix A: 34-56-78-9A-BC-DE with its bit
// turned.
func TestEUI64(t *testing.T) {
	id := conf6.EUI64(wire.MAC{0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde})
	if want := [8]byte{0x36, 0x56, 0x78, 0xff, 0xfe, 0x9a, 0xbc, 0xde}; id != want {
		t.Errorf("identifier %x, want %x", id, want)
	}
}

// TestStableID: the same in the same place, another one elsewhere (RFC 7217 §4).
func TestStableID(t *testing.T) {
	s, p := netip.MustParseAddr("::1234"), netip.MustParseAddr("fd00::")
	id := conf6.StableID(s, p, "eth0", 0)
	if id != conf6.StableID(s, p, "eth0", 0) {
		t.Error("not stable")
	}
	for _, other := range [][8]byte{
		conf6.StableID(s, netip.MustParseAddr("fd01::"), "eth0", 0), conf6.StableID(s, p, "eth1", 0),
		conf6.StableID(s, p, "eth0", 1), conf6.StableID(netip.MustParseAddr("::1235"), p, "eth0", 0),
	} {
		if id == other {
			t.Error("the same identifier for another prefix, interface, counter or secret")
		}
	}
	for _, r := range [][8]byte{{}, {0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x80}, {0x02, 0x00, 0x5e, 0xff, 0xfe, 0x00, 0x52, 0x12}} {
		if !conf6.Reserved(r) {
			t.Errorf("%x is not known as reserved (RFC 5453)", r)
		}
	}
}

// TestLinkLocal: what address a device gets by itself, by addr_gen_mode.
func TestLinkLocal(t *testing.T) {
	for _, tt := range []struct {
		mode string
		typ  link.Type
		want string // "": none; "*": any
		flag network.AddrFlags
	}{
		{"0", link.Ether, "fe80::ff:fe00:1", 0},
		{"1", link.Ether, "", 0},
		{"2", link.Ether, "", 0}, // without a stable_secret
		{"3", link.Ether, "*", network.StablePrivacy},
		{"0", link.None, "*", network.StablePrivacy},
	} {
		w := ip6test.NewNet(t, 0)
		k := ip6test.New(t, w.Clock, ip6test.Modules()...)
		k.Set("net.ipv6.conf.default.addr_gen_mode", tt.mode)
		dev := w.Ether.AttachInfo(t, k, link.Info{Name: "x0", Type: tt.typ, Hardware: wire.MAC{2, 0, 0, 0, 0, 1}})
		if err := dev.SetUp(true); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		as := k.Net.Addrs(dev.Index())
		switch {
		case tt.want == "" && len(as) == 0:
		case tt.want != "" && len(as) == 1 && (tt.want == "*" || as[0].IP() == netip.MustParseAddr(tt.want)) &&
			as[0].Flags&network.StablePrivacy == tt.flag && as[0].Scope == route.LinkScope && as[0].Usable():
		default:
			t.Errorf("mode %s on %v: %v", tt.mode, tt.typ, as)
		}
	}
}

func TestStableSecret(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	a.Dev.SetUp(false)
	if as := a.Net.Addrs(a.Dev.Index()); len(as) != 0 {
		t.Errorf("addresses of a device that is down: %v", as)
	}
	a.Set("net.ipv6.conf.eth0.addr_gen_mode", "2")
	a.Set("net.ipv6.conf.eth0.stable_secret", "2001:db8::5ec")
	a.Dev.SetUp(true)
	w.Settle()
	want := conf6.WithID(netip.MustParseAddr("fe80::"), conf6.StableID(netip.MustParseAddr("2001:db8::5ec"), netip.MustParseAddr("fe80::"), "eth0", 0))
	if got := a.LinkLocal(a.Dev); got != want {
		t.Errorf("link-local address %v, want %v", got, want)
	}
}

// TestDisable: disable_ipv6 takes the addresses, refuses new ones and packets, and
// gives the link-local address back.
func TestDisable(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	a.Set("net.ipv6.conf.eth0.disable_ipv6", "1")
	if as := a.Net.Addrs(a.Dev.Index()); len(as) != 0 {
		t.Errorf("addresses %v", as)
	}
	if err := a.Net.AddAddr(a.Dev, network.Addr{Prefix: netip.MustParsePrefix(ip6test.Prefix(1))}); !errors.Is(err, syscall.EACCES) {
		t.Errorf("add: %v, want EACCES", err)
	}
	if f := w.Inject(1, ip6test.ICMP(ip6test.Stranger, netip.MustParseAddr("ff02::1"), 64, ip6test.Echo(1))); len(f) != 0 {
		t.Errorf("answered by %x", f)
	}
	a.Set("net.ipv6.conf.all.disable_ipv6", "0")
	w.Settle()
	a.LinkLocal(a.Dev)
}

// TestSmallMTU: "IPv6 requires that every link in the Internet have an MTU of 1280
// octets or greater" (RFC 8200 §5).
func TestSmallMTU(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	if err := a.Dev.SetMTU(1279); err != nil {
		t.Fatal(err)
	}
	if as := a.Net.Addrs(a.Dev.Index()); len(as) != 0 {
		t.Errorf("addresses with an MTU of 1279: %v", as)
	}
	if err := a.Dev.SetMTU(1400); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	a.LinkLocal(a.Dev)
	a.Addr(a.Dev, ip6test.Prefix(1))
	w.Settle()
	if p, err := a.Net.Resolve(network.Flow{Dst: ip6test.Stranger}); err != nil || p.MTU() != 1400 {
		t.Errorf("way %v, %v, want an MTU of 1400", p, err)
	}
}

// TestLifetimes: an address is deprecated, then removed (RFC 4862 §5.5.4), and a
// deprecated one is avoided as a source.
func TestLifetimes(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	now := w.Clock.Now()
	err := a.Net.AddAddr(a.Dev, network.Addr{
		Prefix: netip.MustParsePrefix("fd00::77/64"), Flags: network.NoDAD,
		PreferredUntil: now.Add(100 * time.Second), ValidUntil: now.Add(200 * time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(99 * time.Second)
	if f := a.Find(a.Dev, "fd00::77").Flags; f&(network.Deprecated|network.Permanent) != 0 {
		t.Errorf("flags %#x after 99 s", f)
	}
	w.Clock.Advance(2 * time.Second)
	if f := a.Find(a.Dev, "fd00::77").Flags; f&network.Deprecated == 0 {
		t.Errorf("flags %#x after 101 s: not deprecated", f)
	}
	if src, err := a.Net.SourceFor(netip.MustParseAddr("fd00::76"), 0); err != nil || src != ip6test.IP(1) {
		t.Errorf("source %v, %v, want %v", src, err, ip6test.IP(1))
	}
	w.Clock.Advance(100 * time.Second)
	if a.Find(a.Dev, "fd00::77") != nil {
		t.Error("still there after 201 s")
	}
}

// TestTentativeAddressIsNotAnswered: RFC 4862 §5.4.
func TestTentativeAddressIsNotAnswered(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	a.Addr(a.Dev, "fd00::55/64")
	echo := ip6test.ICMP(ip6test.Stranger, netip.MustParseAddr("fd00::55"), 64, ip6test.Echo(1))
	if f := w.Inject(1, echo); len(f) != 0 {
		t.Errorf("a tentative address answers: %x", f)
	}
	w.Settle()
	if f := w.Inject(1, echo); len(f) != 1 {
		t.Errorf("a usable address does not answer: %x", f)
	}
}

// TestLinkLocalAddressesOfTwoLinks: one on another link is not ours (RFC 4007 §5),
// and both links have their route to fe80::/64.
func TestLinkLocalAddressesOfTwoLinks(t *testing.T) {
	r := newRouter(t, 1500)
	far := r.LinkLocal(r.farDev)
	if f := r.Inject(1, ip6test.ICMP(ip6test.Stranger, far, 64, ip6test.Echo(1))); len(f) != 0 {
		t.Errorf("a link-local address of the other link is answered: %x", f)
	}
	links := map[int32]bool{}
	for _, x := range r.Kernel.Net.Main.All() {
		if x.Dst == netip.MustParsePrefix("fe80::/64") {
			links[x.NextHops[0].Index] = true
		}
	}
	if !links[r.Dev.Index()] || !links[r.farDev.Index()] {
		t.Errorf("routes to fe80::/64 by %v", links)
	}
}

// TestProcFiles have Linux's formats.
func TestProcFiles(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	if b, err := a.Proc.Read("net/if_inet6"); err != nil || !strings.Contains(string(b), "fe80000000000000000000fffe000001 02 40 20 80     eth0\n") {
		t.Errorf("if_inet6 %v:\n%s", err, b)
	}
	b, err := a.Proc.Read("net/snmp6")
	if err != nil || !strings.Contains(string(b), "\nIp6OutRequests                  \t") || !strings.Contains(string(b), "\nIcmp6OutNeighborSolicits        \t") {
		t.Errorf("snmp6 %v:\n%s", err, b)
	}
	if b, err := a.Proc.Read("net/igmp6"); err != nil || !strings.Contains(string(b), "2    eth0            ff0200000000000000000001ff000001     2 00000004 0\n") {
		t.Errorf("igmp6 %v:\n%s", err, b)
	}
}

// TestLoopbackIsNoSource: "::1 [...] must not be used as the source address in IPv6
// packets that are sent outside of a single node" (RFC 4291 §2.5.3), even where a
// device has no address of its own yet.
func TestLoopbackIsNoSource(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	dev := w.Ether.Attach(t, a.Kernel, "eth1", wire.MAC{2, 0, 0, 0, 1, 1})
	if err := dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	if err := a.Net.DelAddr(a.Dev, netip.MustParsePrefix(ip6test.Prefix(1))); err != nil {
		t.Fatal(err)
	}
	// eth1's link-local address is still tentative.
	if src, ok := a.Net.Family(network.V6).SelectSource(netip.MustParseAddr("2001:db8::1"), dev); ok {
		t.Errorf("%v was chosen", src)
	}
	w.Settle()
	want := a.LinkLocal(dev)
	if src, _ := a.Net.Family(network.V6).SelectSource(netip.MustParseAddr("2001:db8::1"), dev); src != want {
		t.Errorf("%v was chosen, want %v", src, want)
	}
}
