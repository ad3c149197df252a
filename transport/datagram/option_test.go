package datagram_test

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
)

type silent struct{}

func (silent) Wake(transport.Ready) {}

// kernel returns one with two links to another kernel, on which both have the same
// link-local addresses: fe80::1 and fe80::2.
func kernel(t *testing.T) (k *knit.Kernel, one, two *link.Device) {
	clk := clock.NewVirtual()
	k, z := lab.Kernel(t, clk, "ip4", "ip6"), lab.Kernel(t, clk, "ip4", "ip6")
	for _, p := range []string{"10.0.0.0/24", "10.0.1.0/24"} {
		lab.Connect(t, k, z, lab.Wire{}, netip.MustParsePrefix("fe80::/64"), netip.MustParsePrefix(p))
	}
	one, err := k.Link.Lookup("lab0")
	if err != nil {
		t.Fatal(err)
	}
	if two, err = k.Link.Lookup("lab1"); err != nil {
		t.Fatal(err)
	}
	return k, one, two
}

// TestOptions: each has its range, and says what it was set to.
func TestOptions(t *testing.T) {
	var o datagram.Options
	var q datagram.Queue
	q.Init(silent{}, 0)
	for _, x := range []struct {
		name   string
		option transport.Option
		value  int64
		want   error
	}{
		{"TTL", transport.TTL, 255, nil}, {"TTL", transport.TTL, 256, syscall.EINVAL}, {"TTL", transport.TTL, -1, syscall.EINVAL},
		{"TOS", transport.TOS, 0xb8, nil}, {"TOS", transport.TOS, 256, syscall.EINVAL},
		{"MulticastTTL", transport.MulticastTTL, 5, nil}, {"MulticastTTL", transport.MulticastTTL, 0, nil},
		{"MulticastTTL", transport.MulticastTTL, 256, syscall.EINVAL}, {"MulticastTTL", transport.MulticastTTL, -2, syscall.EINVAL},
		{"MulticastLoop", transport.MulticastLoop, 0, nil}, {"MulticastLoop", transport.MulticastLoop, 1, nil},
		{"BroadcastOK", transport.BroadcastOK, 1, nil}, {"BroadcastOK", transport.BroadcastOK, 0, nil},
		{"MTUDiscover", transport.MTUDiscover, int64(network.FragmentProbe), nil},
		{"MTUDiscover", transport.MTUDiscover, int64(network.FragmentProbe) + 1, syscall.EINVAL},
		{"Mark", transport.Mark, 1<<32 - 1, nil}, {"Mark", transport.Mark, 1 << 32, syscall.EINVAL}, {"Mark", transport.Mark, -1, syscall.EINVAL},
		{"Transparent", transport.Transparent, 1, nil}, {"Transparent", transport.Transparent, 0, nil},
		{"RecvBuffer", transport.RecvBuffer, 100000, nil}, {"NoDelay", transport.NoDelay, 1, syscall.ENOPROTOOPT},
	} {
		before, _ := o.Get(&q, x.option)
		if err := o.Set(&q, x.option, x.value); err != x.want {
			t.Errorf("%s = %d: %v, want %v", x.name, x.value, err, x.want)
		}
		want := x.value
		if x.want != nil {
			want = before
		}
		if got, _ := o.Get(&q, x.option); got != want {
			t.Errorf("%s is %d, want %d", x.name, got, want)
		}
	}
}

// TestMemberships: who joined what, and which packets that makes a socket take.
func TestMemberships(t *testing.T) {
	k, one, two := kernel(t)
	group, other := netip.MustParseAddr("ff05::5"), netip.MustParseAddr("ff05::6")
	source, stranger := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	var o datagram.Options
	wants := func(when string, g netip.Addr, d *link.Device, src netip.Addr, want bool) {
		t.Helper()
		if got := o.Wants(g, d.Index(), src); got != want {
			t.Errorf("%s: wants %v by %s from %v: %v", when, g, d.Name(), src, got)
		}
	}
	wants("no member", group, one, source, true)
	if err := o.Join(k.Network, group, one.Index(), source); err != nil {
		t.Fatal(err)
	}
	if err := o.Join(k.Network, group, one.Index(), source); err != syscall.EADDRINUSE {
		t.Errorf("joining twice: %v, want EADDRINUSE", err)
	}
	wants("member for a source", group, one, source, true)
	wants("member for a source", group, one, stranger, false)
	wants("member for a source", group, two, stranger, true)
	wants("member for a source", other, one, stranger, true)
	if err := o.Join(k.Network, group, one.Index(), netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	wants("member for all", group, one, stranger, true)
	if err := o.Join(k.Network, group, 999, netip.Addr{}); err != syscall.ENODEV {
		t.Errorf("on no device: %v, want ENODEV", err)
	}
	if !k.Network.IsMember(one.Index(), group) || k.Network.IsMember(two.Index(), group) {
		t.Error("the host is not a member on the one device alone")
	}
	if err := o.Leave(group, two.Index(), source); err != syscall.EADDRNOTAVAIL {
		t.Errorf("leaving elsewhere: %v, want EADDRNOTAVAIL", err)
	}
	if err := o.Leave(group, one.Index(), netip.Addr{}); err != nil {
		t.Error(err)
	}
	wants("member for a source again", group, one, stranger, false)
	o.Close()
	if k.Network.IsMember(one.Index(), group) {
		t.Error("the host is a member after Close")
	}
	if err := o.Join(k.Network, group, one.Index(), netip.Addr{}); err != syscall.EBADF {
		t.Errorf("Join after Close: %v, want EBADF", err)
	}
	if k.Network.IsMember(one.Index(), group) {
		t.Error("Join after Close made the host a member")
	}
}

// TestEnds: what a socket is bound and connected to decides what it takes.
func TestEnds(t *testing.T) {
	k, one, two := kernel(t)
	ip := netip.MustParseAddr
	lo := k.Network.Loopback().Index()
	for _, x := range []struct {
		local, peer string
		src, dst    string
		index       int32
		want        bool
	}{
		{"", "", "10.0.0.2", "10.0.0.1", one.Index(), true},
		{"10.0.0.1", "", "10.0.0.2", "10.0.0.1", one.Index(), true},
		{"10.0.0.1", "", "10.0.1.2", "10.0.1.1", two.Index(), false},
		{"", "10.0.0.2", "10.0.0.2", "10.0.0.1", one.Index(), true},
		{"", "10.0.0.2", "10.0.0.3", "10.0.0.1", one.Index(), false},
		{"", "10.0.0.2", "10.0.0.2", "10.0.1.1", one.Index(), false},
		{"fe80::1%lab1", "", "fe80::2", "fe80::1", two.Index(), true},
		{"fe80::1%lab1", "", "fe80::2", "fe80::1", one.Index(), false},
		{"fe80::1%lab1", "", "fe80::1", "fe80::1", lo, true},
		{"", "fe80::2%lab1", "fe80::2", "fe80::1", two.Index(), true},
		{"", "fe80::2%lab1", "fe80::2", "fe80::1", one.Index(), false},
	} {
		var e datagram.Ends
		o := transport.DatagramOptions{}
		local := netip.Addr{}
		if ip(x.dst).Is6() {
			o.Version = network.V6
		}
		if x.local != "" {
			local = ip(x.local)
		}
		if err := e.Bind(k.Network, &o, new(transport.Identity), local); err != nil {
			t.Fatal(x.local, err)
		}
		if x.peer != "" {
			if err := e.Connect(ip(x.peer)); err != nil {
				t.Fatal(x.peer, err)
			}
			if got := e.Remote().String(); got != x.peer {
				t.Errorf("connected to %s, want %s", got, x.peer)
			}
		}
		if got := e.Match(ip(x.src), ip(x.dst), x.index); got != x.want {
			t.Errorf("%+v: matches: %v", x, got)
		}
	}
	for local, want := range map[string]error{
		"10.9.9.9": syscall.EADDRNOTAVAIL, "fe80::1%nosuch": syscall.ENODEV, "fe80::9%lab0": syscall.EADDRNOTAVAIL,
	} {
		var e datagram.Ends
		if err := e.Bind(k.Network, &transport.DatagramOptions{}, new(transport.Identity), ip(local)); err != want {
			t.Errorf("bind to %s: %v, want %v", local, err, want)
		}
	}
}

// TestWay: the path to an address is remembered as long as it is right, and one zone
// is not taken for another.
func TestWay(t *testing.T) {
	k, one, two := kernel(t)
	var e datagram.Ends
	if err := e.Bind(k.Network, &transport.DatagramOptions{Version: network.V6}, new(transport.Identity), netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	to := func(a string) *network.Path {
		p, err := e.Way(netip.MustParseAddr(a))
		if err != nil {
			t.Fatal(a, err)
		}
		return p
	}
	first := to("fe80::2%lab0")
	if again := to("fe80::2%lab0"); again != first {
		t.Error("the path was not remembered")
	}
	if p := to("fe80::2%lab1"); p.Device != two || first.Device != one {
		t.Errorf("zone lab1 leads to %s, lab0 to %s", p.Device.Name(), first.Device.Name())
	}
	first = to("fe80::2%lab0")
	k.Network.Invalidate()
	if again := to("fe80::2%lab0"); again == first {
		t.Error("a path that is not valid any more was used")
	}
	if _, err := e.Way(netip.Addr{}); err != syscall.EDESTADDRREQ {
		t.Errorf("to nobody: %v, want EDESTADDRREQ", err)
	}
	if _, err := e.Way(netip.MustParseAddr("10.0.0.2")); err != syscall.EAFNOSUPPORT {
		t.Errorf("to the other version: %v, want EAFNOSUPPORT", err)
	}
}
