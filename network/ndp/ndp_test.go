package ndp_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/wire"
)

// solicit returns a Neighbor Solicitation with options.
func solicit(target netip.Addr, options ...byte) []byte {
	b := make([]byte, wire.NeighborSolicitLen)
	wire.PutNeighborSolicit(b, target.As16())
	return append(b, options...)
}

// advert returns a Neighbor Advertisement with a target link-layer address.
func advert(target netip.Addr, flags wire.NeighborAdvertFields, mac wire.MAC) []byte {
	b := make([]byte, wire.NeighborAdvertLen+wire.NDPLinkAddrLen)
	flags.Target = target.As16()
	wire.PutNeighborAdvert(b, flags)
	wire.PutNDPLinkAddr(b[wire.NeighborAdvertLen:], wire.NDPOptTargetLink, mac)
	return b
}

func linkOption(typ uint8, mac wire.MAC) []byte {
	b := make([]byte, wire.NDPLinkAddrLen)
	wire.PutNDPLinkAddr(b, typ, mac)
	return b
}

func find(h *ip6test.Host, ip netip.Addr) (found neigh.Info) {
	for _, e := range h.Net.Neighbours(network.V6).List() {
		if e.IP == ip {
			found = e
		}
	}
	return found
}

// TestSolicitations holds RFC 4861 §7.1.1 and §7.2.4 against what is answered.
func TestSolicitations(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	us, them := ip6test.IP(1), ip6test.IP(0x50)
	mac := wire.MAC{2, 0, 0, 0, 0, 0x50}
	sllao := linkOption(wire.NDPOptSourceLink, mac)
	node := wire.SolicitedNode(us)
	unset := netip.IPv6Unspecified()
	ok := func(src, dst netip.Addr, hops uint8, b []byte) []byte { return ip6test.ICMP(src, dst, hops, b) }
	bad := ok(them, us, 255, solicit(us, sllao...))
	bad[len(bad)-1] ^= 1
	for _, tt := range []struct {
		name   string
		p      []byte
		answer netip.Addr // zero: none
	}{
		{"by multicast", ok(them, node, 255, solicit(us, sllao...)), them},
		{"by unicast", ok(them, us, 255, solicit(us, sllao...)), them},
		{"from a tentative address: to all", ok(unset, node, 255, solicit(us)), netip.MustParseAddr("ff02::1")},
		{"hop limit 254", ok(them, us, 254, solicit(us, sllao...)), netip.Addr{}},
		{"bad checksum", bad, netip.Addr{}},
		{"code 1", ok(them, us, 255, append([]byte{135, 1}, solicit(us)[2:]...)), netip.Addr{}},
		{"23 octets", ok(them, us, 255, solicit(us)[:23]), netip.Addr{}},
		{"a target that is a group", ok(them, us, 255, solicit(node)), netip.Addr{}},
		{"an option of length 0", ok(them, us, 255, solicit(us, 1, 0, 0, 0, 0, 0, 0, 0)), netip.Addr{}},
		{"from the unspecified address, not to a solicited-node group", ok(unset, us, 255, solicit(us)), netip.Addr{}},
		{"from the unspecified address with a source link-layer address", ok(unset, node, 255, solicit(us, sllao...)), netip.Addr{}},
		{"for an address that is not ours", ok(them, us, 255, solicit(ip6test.IP(9), sllao...)), netip.Addr{}},
	} {
		w.Hosts[0].Net.Neighbours(network.V6).Flush(func(e *neigh.Entry) bool { return e.IP() == them })
		m := ip6test.Messages(t, w.Inject(1, tt.p), wire.ICMP6NeighborAdvert)
		if !tt.answer.IsValid() {
			if len(m) != 0 || find(w.Hosts[0], them).IP.IsValid() {
				t.Errorf("%s: answered or noted", tt.name)
			}
			continue
		}
		if len(m) != 1 {
			t.Errorf("%s: %d answers", tt.name, len(m))
			continue
		}
		na, ok := wire.ParseNeighborAdvert(m[0].Bytes)
		o := na.Options()
		first, has := o.Next()
		tlla, _ := first.LinkAddr()
		if !ok || m[0].IP.Dst() != tt.answer || m[0].IP.HopLimit() != 255 || na.Target() != us || na.Solicited() == tt.answer.IsMulticast() ||
			!na.Override() || na.Router() || !has || first.Type() != wire.NDPOptTargetLink || tlla != w.Hosts[0].Dev.MAC() {
			t.Errorf("%s: answer %x", tt.name, m[0].Bytes)
		}
		if tt.answer == them && (find(w.Hosts[0], them).MAC != mac || find(w.Hosts[0], them).State == neigh.Reachable) {
			t.Errorf("%s: the sender is noted as %+v", tt.name, find(w.Hosts[0], them))
		}
	}
	w.Clock.Advance(100 * time.Second)
}

// TestResolution: a packet waits while its neighbour is asked for, three times a
// second apart, and is answered with "address unreachable" if nobody is there
// (RFC 4861 §7.2.2).
func TestResolution(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	a.Send(network.Flow{Dst: ip6test.IP(0x50)}, network.Send{Proto: wire.ProtoUDP}, make([]byte, 8))
	m := ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6NeighborSolicit)
	if len(m) != 1 || m[0].IP.Src() != ip6test.IP(1) || m[0].IP.Dst() != wire.SolicitedNode(ip6test.IP(0x50)) || m[0].IP.HopLimit() != 255 ||
		m[0].Dst != (wire.MAC{0x33, 0x33, 0xff, 0, 0, 0x50}) {
		t.Fatalf("solicitations %v", m)
	}
	mac := wire.MAC{2, 0, 0, 0, 0, 0x50}
	out := w.Inject(1, ip6test.ICMP(ip6test.IP(0x50), ip6test.IP(1), 255, advert(ip6test.IP(0x50), wire.NeighborAdvertFields{Solicited: true}, mac)))
	if len(out) != 1 || wire.MAC(out[0]) != mac || find(a, ip6test.IP(0x50)).State != neigh.Reachable {
		t.Errorf("after the answer: %x, %+v", out, find(a, ip6test.IP(0x50)))
	}
	before := a.Stat("Icmp6", "InDestUnreachs")
	a.Send(network.Flow{Dst: ip6test.IP(0x51)}, network.Send{Proto: wire.ProtoUDP}, make([]byte, 8))
	w.Clock.Advance(10 * time.Second)
	if n := len(ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6NeighborSolicit)); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
	if a.Stat("Icmp6", "InDestUnreachs") != before+1 {
		t.Error("this host does not hear that its packet was in vain")
	}
	w.Clock.Advance(200 * time.Second)
}

// TestAdvertisements holds some of RFC 4861 §7.1.2 and §7.2.5; the rest is the
// neighbour table's.
func TestAdvertisements(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	them, mac := ip6test.IP(0x50), wire.MAC{2, 0, 0, 0, 0, 0x50}
	in := func(dst netip.Addr, f wire.NeighborAdvertFields) {
		w.Inject(1, ip6test.ICMP(them, dst, 255, advert(them, f, mac)))
	}
	in(ip6test.IP(1), wire.NeighborAdvertFields{Solicited: true})
	if find(a, them).IP.IsValid() {
		t.Error("nobody had asked for it: an entry was made")
	}
	a.Send(network.Flow{Dst: them}, network.Send{Proto: wire.ProtoUDP}, nil)
	in(netip.MustParseAddr("ff02::1"), wire.NeighborAdvertFields{Solicited: true})
	if find(a, them).State != neigh.Incomplete {
		t.Error("\"If the IP Destination Address is a multicast address the Solicited flag is zero\": taken although it was set")
	}
	in(ip6test.IP(1), wire.NeighborAdvertFields{Solicited: true, Router: true})
	if e := find(a, them); e.State != neigh.Reachable || !e.Router {
		t.Errorf("%+v", e)
	}
	w.Clock.Advance(200 * time.Second)
}

// TestDAD: two hosts that come up with one address: the second finds out.
func TestDAD(t *testing.T) {
	w := ip6test.NewNet(t, 2)
	b := w.Hosts[1]
	b.Addr(b.Dev, ip6test.Prefix(1))
	if f := b.Find(b.Dev, ip6test.IP(1).String()).Flags; f&network.Tentative == 0 {
		t.Errorf("flags %#x: not tentative", f)
	}
	w.Clock.Advance(10 * time.Second)
	if f := b.Find(b.Dev, ip6test.IP(1).String()).Flags; f&network.DADFailed == 0 || f&network.Tentative == 0 {
		t.Errorf("flags %#x: the duplicate was not detected", f)
	}
	told := false
	for _, e := range b.Log.Since(0) {
		told = told || strings.Contains(e.Text, "eth0: IPv6 duplicate address fd00::1 detected!")
	}
	if !told {
		t.Error("dmesg does not tell of it")
	}
	if f := w.Hosts[0].Find(w.Hosts[0].Dev, ip6test.IP(1).String()).Flags; f&(network.DADFailed|network.Tentative) != 0 {
		t.Errorf("flags %#x of who had it first", f)
	}
	probes := ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6NeighborSolicit)
	if len(probes) != 1 || !probes[0].IP.Src().IsUnspecified() || probes[0].IP.Dst() != wire.SolicitedNode(ip6test.IP(1)) {
		t.Errorf("%d probes", len(probes))
	}
}

// TestDADAtOnce: another node asks for the address while we do, and so neither takes
// it (RFC 4862 §5.4.3). Who asks from an address of its own only wants to talk.
func TestDADAtOnce(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	a.Set("net.ipv6.conf.eth0.router_solicitation_delay", "0")
	for _, tt := range []struct {
		target, src netip.Addr
		failed      bool
	}{
		{netip.MustParseAddr("fd00::77"), netip.IPv6Unspecified(), true},
		{netip.MustParseAddr("fd00::78"), ip6test.Stranger, false},
	} {
		a.Addr(a.Dev, tt.target.String()+"/64")
		w.Clock.Advance(500 * time.Millisecond)
		w.Inject(1, ip6test.ICMP(tt.src, wire.SolicitedNode(tt.target), 255, solicit(tt.target)))
		w.Settle()
		if f := a.Find(a.Dev, tt.target.String()).Flags; f&network.DADFailed != 0 != tt.failed {
			t.Errorf("asked by %v: flags %#x", tt.src, f)
		}
	}
}

// TestLoopedProbe: one's own probe that comes back is no duplicate (RFC 7527 §4).
func TestLoopedProbe(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	a.Set("net.ipv6.conf.eth0.router_solicitation_delay", "0")
	a.Addr(a.Dev, "fd00::77/64")
	w.Clock.Advance(500 * time.Millisecond)
	for _, f := range w.Ether.Frames() {
		w.Ether.Inject(f)
	}
	w.Settle()
	if f := a.Find(a.Dev, "fd00::77").Flags; f&(network.DADFailed|network.Tentative) != 0 {
		t.Errorf("flags %#x", f)
	}
}

// TestStableAddressTriesAnother: "the DAD_Counter [...] incremented" (RFC 7217 §6).
func TestStableAddressTriesAnother(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	secret := netip.MustParseAddr("2001:db8::1")
	prefix := netip.MustParseAddr("fe80::")
	w.Hosts[0].Addr(w.Hosts[0].Dev, netip.PrefixFrom(conf6.WithID(prefix, conf6.StableID(secret, prefix, "eth0", 0)), 64).String())
	w.Settle()
	b := ip6test.New(t, w.Clock, ip6test.Modules()...)
	b.Set("net.ipv6.conf.default.addr_gen_mode", "2")
	b.Set("net.ipv6.conf.default.stable_secret", secret.String())
	dev := w.Ether.Attach(t, b, "eth0", wire.MAC{2, 0, 0, 0, 0, 7})
	if err := dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	if got, want := b.LinkLocal(dev), conf6.WithID(prefix, conf6.StableID(secret, prefix, "eth0", 1)); got != want || !b.Find(dev, got.String()).Usable() {
		t.Errorf("link-local address %v, want %v", got, want)
	}
}

// TestDADWhenUp: an address that was added while its device was down is looked for
// once it is up.
func TestDADWhenUp(t *testing.T) {
	w := ip6test.NewNet(t, 2)
	b := w.Hosts[1]
	b.Dev.SetUp(false)
	b.Addr(b.Dev, ip6test.Prefix(2))
	if err := w.Hosts[0].Net.AddAddr(w.Hosts[0].Dev, network.Addr{Prefix: netip.MustParsePrefix(ip6test.Prefix(2)), Flags: network.NoDAD}); err != nil {
		t.Fatal(err)
	}
	b.Dev.SetUp(true)
	w.Settle()
	if f := b.Find(b.Dev, ip6test.IP(2).String()).Flags; f&network.DADFailed == 0 {
		t.Errorf("flags %#x: not looked for", f)
	}
}

// TestNoDAD: dad_transmits=0, and NoDAD, make addresses usable at once.
func TestNoDAD(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	if err := a.Net.AddAddr(a.Dev, network.Addr{Prefix: netip.MustParsePrefix("fd00::77/64"), Flags: network.NoDAD}); err != nil {
		t.Fatal(err)
	}
	a.Set("net.ipv6.conf.eth0.dad_transmits", "0")
	a.Addr(a.Dev, "fd00::78/64")
	if !a.Find(a.Dev, "fd00::77").Usable() || !a.Find(a.Dev, "fd00::78").Usable() {
		t.Error("not usable at once")
	}
}

// TestOptimistic: an optimistic address is used at once, but does not take the place
// of who has it (RFC 4429 §3.3), and is a duplicate like any other.
func TestOptimistic(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	a.Set("net.ipv6.conf.eth0.router_solicitation_delay", "0")
	add := func(ip netip.Addr) {
		x := network.Addr{Prefix: netip.PrefixFrom(ip, 64), Flags: network.Optimistic}
		if err := a.Net.AddAddr(a.Dev, x); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(500 * time.Millisecond)
	}
	ask := func(src, ip netip.Addr) []ip6test.Message {
		frames := w.Inject(1, ip6test.ICMP(src, wire.SolicitedNode(ip), 255, solicit(ip)))
		return ip6test.Messages(t, frames, wire.ICMP6NeighborAdvert)
	}
	unique, double := netip.MustParseAddr("fd00::77"), netip.MustParseAddr("fd00::78")
	for _, settled := range []bool{false, true} {
		if settled {
			w.Settle()
		} else {
			add(unique)
		}
		m := ask(ip6test.Stranger, unique)
		if len(m) != 1 {
			t.Fatalf("settled: %v: %d answers", settled, len(m))
		}
		if na, _ := wire.ParseNeighborAdvert(m[0].Bytes); na.Override() != settled {
			t.Errorf("settled: %v: the Override flag is %v", settled, na.Override())
		}
	}
	add(double)
	if m := ask(netip.IPv6Unspecified(), double); len(m) != 0 {
		t.Error("a probe for an optimistic address was answered")
	}
	w.Settle()
	if f := a.Find(a.Dev, double.String()).Flags; f&network.DADFailed == 0 {
		t.Errorf("flags %#x: the duplicate was not detected", f)
	}
}
