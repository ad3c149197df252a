package ip6test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/loopback"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/icmp6"
	"github.com/knitnet/knit/network/ip6"
	"github.com/knitnet/knit/network/mld"
	"github.com/knitnet/knit/network/ndp"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/wire"
)

// Modules are those of a whole IPv6.
func Modules() []module.Spec {
	return []module.Spec{loopback.Module, ip6.Module, icmp6.Module, ndp.Module, mld.Module}
}

// A Host is a kernel with a whole IPv6 and one device eth0.
type Host struct {
	*Kernel
	Dev *link.Device
}

// A Net is hosts on one Ethernet and a stranger, whose frames tests write.
type Net struct {
	Clock *clock.Clock
	Ether Ether
	Hosts []*Host
}

// Stranger is the address, and StrangerMAC the hardware address, of who is no host
// but known to all as a neighbour.
var (
	Stranger    = netip.MustParseAddr("fd00::99")
	StrangerMAC = wire.MAC{2, 0, 0, 0, 0, 0x99}
)

// NewNet makes n hosts, fd00::1/64 and so on with hardware addresses that end so,
// and waits until their addresses are usable.
func NewNet(t testing.TB, n int) *Net {
	t.Helper()
	w := &Net{Clock: clock.NewVirtual()}
	t.Cleanup(func() {
		if n := w.Clock.Pending(); n != 0 {
			t.Errorf("%d timers left", n)
		}
	})
	for i := range n {
		w.Hosts = append(w.Hosts, w.Add(t, i+1))
	}
	w.Settle()
	return w
}

// Add adds host number i, whose addresses are still tentative.
func (w *Net) Add(t testing.TB, i int) *Host {
	t.Helper()
	k := New(t, w.Clock, Modules()...)
	h := &Host{k, w.Ether.Attach(t, k, "eth0", wire.MAC{2, 0, 0, 0, 0, byte(i)})}
	if err := h.Dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	h.Addr(h.Dev, Prefix(i))
	if err := k.Net.Neighbours(network.V6).Set(h.Dev, Stranger, StrangerMAC, neigh.Permanent, neigh.Replace); err != nil {
		t.Fatal(err)
	}
	return h
}

// Prefix returns the address of host number i with its length.
func Prefix(i int) string { return netip.PrefixFrom(IP(i), 64).String() }

// IP returns the address of host number i.
func IP(i int) netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)}) }

// Settle lets time pass until addresses are usable and nothing more is said of
// them, and forgets the frames of it.
func (w *Net) Settle() {
	w.Clock.Advance(10 * time.Second)
	w.Ether.Frames()
}

// Inject sends an IPv6 packet of the stranger to the hardware address of host
// number i, or of its destination's group, and returns the frames that follow.
func (w *Net) Inject(i int, ip []byte) [][]byte {
	dst := wire.MAC{2, 0, 0, 0, 0, byte(i)}
	if h, ok := wire.ParseIPv6(ip); ok && h.Dst().IsMulticast() {
		dst = wire.MulticastMAC(h.Dst())
	}
	b := make([]byte, wire.EthernetLen, wire.EthernetLen+len(ip))
	wire.PutEthernet(b, dst, StrangerMAC, wire.EtherTypeIPv6)
	w.Ether.Frames()
	w.Ether.Inject(append(b, ip...))
	return w.Ether.Frames()[1:]
}

// Packet returns an IPv6 packet.
func Packet(src, dst netip.Addr, next, hops uint8, payload []byte) []byte {
	b := make([]byte, wire.IPv6Len, wire.IPv6Len+len(payload))
	wire.PutIPv6(b, &wire.IPv6Fields{
		NextHeader: next, HopLimit: hops, PayloadLen: uint16(len(payload)), Src: src.As16(), Dst: dst.As16(),
	})
	return append(b, payload...)
}

// ICMP returns an ICMPv6 message in an IPv6 packet, with the right checksum.
func ICMP(src, dst netip.Addr, hops uint8, message []byte) []byte {
	wire.FinishICMP6(message, src.As16(), dst.As16())
	return Packet(src, dst, wire.ProtoICMPv6, hops, message)
}

// Echo returns an echo request of n bytes.
func Echo(n int) []byte {
	b := make([]byte, wire.ICMPLen+n)
	wire.PutICMP6(b, wire.ICMP6Echo, 0, wire.ICMPEchoRest(0x1234, 1))
	for i := range n {
		b[wire.ICMPLen+i] = byte(i)
	}
	return b
}

// A Message is an ICMPv6 message in a frame.
type Message struct {
	wire.ICMP6
	Bytes []byte
	IP    wire.IPv6
	Dst   wire.MAC
}

// Messages returns the ICMPv6 messages of one of types in frames, behind extension
// headers too, and fails if a checksum is wrong.
func Messages(t testing.TB, frames [][]byte, types ...uint8) (found []Message) {
	t.Helper()
	for _, f := range frames {
		ip, ok := wire.ParseIPv6(f[wire.EthernetLen:])
		if !ok {
			t.Errorf("no IPv6 packet: %x", f)
			continue
		}
		proto, off, first, ok := ip.Upper()
		if !ok || !first || proto != wire.ProtoICMPv6 {
			continue
		}
		b := f[wire.EthernetLen+off:]
		m, ok := wire.ParseICMP6(b)
		if !ok || !m.ChecksumOK(ip.Src16(), ip.Dst16()) {
			t.Errorf("bad checksum: %x", f)
			continue
		}
		for _, typ := range types {
			if m.Type() == typ {
				found = append(found, Message{m, b, ip, wire.MAC(f)})
			}
		}
	}
	return found
}
