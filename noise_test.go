package knit_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// noise makes what no decent host sends: valid packets that were changed, and random
// bytes. It is seeded, and not safe for concurrent use.
type noise struct {
	*rand.Rand
	net byte // the third byte of addresses: 10.0.net.1 and fd00:net::1 are the target
}

func newNoise(seed uint64, net byte) *noise { return &noise{rand.New(rand.NewPCG(seed, 7)), net} }

func (n *noise) one(in int) bool { return n.IntN(in) == 0 }

func (n *noise) bytes(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n.Uint32())
	}
	return b
}

func pickOf[T any](n *noise, from ...T) T { return from[n.IntN(len(from))] }

// size is that of a payload: mostly small, sometimes larger than the head of a packet
// or an MTU.
func (n *noise) size() int { return n.IntN(pickOf(n, 1, 20, 100, 100, 400, 1600, 5000)) }

// transport returns the upper layer of a packet with a right checksum, given the sum
// of the pseudo header, which for ICMPv4 and IGMP is zero.
func (n *noise) transport(proto byte, pseudo func(length int) wire.PartialSum) []byte {
	var b []byte
	sumAt := 2
	port := func() uint16 { return pickOf(n, 7, 53, 54, 8000, uint16(n.Uint32())) }
	switch proto {
	case wire.ProtoTCP:
		options := 4 * n.IntN(11)
		b = make([]byte, wire.TCPLen)
		wire.PutTCP(b, &wire.TCPFields{
			SrcPort: port(), DstPort: port(), Seq: pickOf(n, 0, 1, n.Uint32()), Ack: pickOf(n, 0, n.Uint32()),
			Flags:  pickOf(n, wire.TCPSyn, wire.TCPAck, wire.TCPAck|wire.TCPPsh, wire.TCPRst, uint16(n.IntN(512))),
			Window: uint16(n.Uint32()), Urgent: uint16(n.Uint32()),
		}, options)
		b = append(b, n.options(options)...)
		sumAt = wire.TCPChecksumOffset
	case wire.ProtoUDP:
		b = make([]byte, wire.UDPLen)
		wire.PutUDP(b, port(), port(), 0)
		sumAt = wire.UDPChecksumOffset
	case wire.ProtoICMP:
		b = []byte{pickOf[byte](n, 0, 3, 4, 5, 8, 8, 11, 12, 13, 17), byte(n.IntN(5)), 0, 0, 0, 0, byte(n.Uint32()), byte(n.Uint32())}
	case wire.ProtoICMPv6:
		b = []byte{pickOf[byte](n, 1, 2, 3, 4, 128, 130, 131, 133, 134, 135, 135, 136, 137, 143), byte(n.IntN(3)), 0, 0, 0, 0, byte(n.Uint32()), byte(n.Uint32())}
		if n.one(2) {
			b = append(b, n.target6().AsSlice()...)
			b = append(b, pickOf[byte](n, 1, 2, 3, 5, 25, 31), byte(n.IntN(3)))
		}
	case wire.ProtoIGMP:
		b = append([]byte{pickOf[byte](n, 0x11, 0x12, 0x16, 0x17, 0x22), byte(n.Uint32()), 0, 0}, 224, 0, 0, byte(n.IntN(4)))
	}
	if icmpError := proto == wire.ProtoICMP && b[0] != 8 || proto == wire.ProtoICMPv6 && b[0] < 128; icmpError && n.one(2) {
		b = append(b, n.quote(proto)...)
	}
	b = append(b, n.bytes(n.size())...)
	if proto == wire.ProtoUDP {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	}
	if len(b) >= sumAt+2 && !n.one(10) {
		binary.BigEndian.PutUint16(b[sumAt:], 0)
		binary.BigEndian.PutUint16(b[sumAt:], wire.Sum(b, pseudo(len(b))).FinishUDP())
	}
	return b
}

// options returns size bytes of TCP or IPv4 options, or something alike.
func (n *noise) options(size int) []byte {
	b := n.bytes(size)
	for i := 0; i+2 < len(b) && n.one(2); {
		b[i], b[i+1] = pickOf[byte](n, 0, 1, 2, 3, 4, 5, 7, 8, 68, 131, 137, 148), byte(2+n.IntN(12))
		i += int(b[i+1])
	}
	return b
}

// quote is the packet in an ICMP error: one that the target may have sent.
func (n *noise) quote(proto byte) []byte {
	if proto == wire.ProtoICMPv6 {
		return n.ip6(n.target6(), n.host6())
	}
	return n.ip4(n.target4(), n.host4())
}

func (n *noise) target4() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, n.net, 1}) }
func (n *noise) target6() netip.Addr { return netip.AddrFrom16([16]byte{0xfd, 3: n.net, 15: 1}) }

// host4 and host6 return addresses of others, some of them of hosts behind other
// devices, which have to be forwarded to.
func (n *noise) host4() netip.Addr {
	if !n.one(3) {
		return netip.AddrFrom4([4]byte{10, 0, n.net, byte(5 + n.IntN(5))})
	}
	return netip.AddrFrom4(pickOf(n, [4]byte{10, 0, byte(n.IntN(16)), 9}, [4]byte{224, 0, 0, byte(n.IntN(4))},
		[4]byte{255, 255, 255, 255}, [4]byte{127, 0, 0, 1}, [4]byte{}, [4]byte(n.bytes(4))))
}

func (n *noise) host6() netip.Addr {
	if !n.one(3) {
		return netip.AddrFrom16([16]byte{0xfd, 3: n.net, 15: byte(5 + n.IntN(5))})
	}
	return netip.AddrFrom16(pickOf(n, [16]byte{0xfd, 3: byte(n.IntN(16)), 15: 9}, [16]byte{0xfe, 0x80, 15: 9},
		[16]byte{0xff, 2, 15: byte(1 + n.IntN(2))}, [16]byte{15: 1}, [16]byte{}, [16]byte(n.bytes(16))))
}

// ip4 returns a packet: sometimes a fragment, sometimes with options.
func (n *noise) ip4(src, dst netip.Addr) []byte {
	proto := pickOf[byte](n, wire.ProtoTCP, wire.ProtoTCP, wire.ProtoUDP, wire.ProtoICMP, wire.ProtoIGMP, byte(n.Uint32()))
	payload := n.transport(proto, func(length int) wire.PartialSum {
		if proto == wire.ProtoICMP || proto == wire.ProtoIGMP {
			return 0
		}
		return wire.Pseudo(src, dst, proto, length)
	})
	f := wire.IPv4Fields{TOS: byte(n.Uint32()), TTL: pickOf[byte](n, 0, 1, 2, 64, 255), Protocol: proto, ID: uint16(n.IntN(5)), DF: n.one(2), Src: src.As4(), Dst: dst.As4()}
	if n.one(6) {
		f.MF, f.FragOffset = n.one(2), uint16(8*n.IntN(30))
		payload = payload[:len(payload)&^7]
	}
	if n.one(6) {
		f.Options = n.options(4 * n.IntN(11))
	}
	f.TotalLen = uint16(f.HeaderLen() + len(payload))
	b := make([]byte, f.HeaderLen())
	wire.PutIPv4(b, &f)
	return append(b, payload...)
}

// ip6 returns a packet, sometimes with extension headers.
func (n *noise) ip6(src, dst netip.Addr) []byte {
	proto := pickOf[byte](n, wire.ProtoTCP, wire.ProtoUDP, wire.ProtoICMPv6, wire.ProtoICMPv6, wire.ProtoNoNext, byte(n.Uint32()))
	next, payload := proto, n.transport(proto, func(length int) wire.PartialSum { return wire.Pseudo(src, dst, proto, length) })
	for n.one(4) {
		x := append([]byte{next, byte(n.IntN(3))}, n.bytes(6+8*n.IntN(3))...)
		if next = pickOf[byte](n, wire.ProtoHopByHop, wire.ProtoRouting, wire.ProtoFragment, wire.ProtoDstOpts, wire.ProtoAH); next == wire.ProtoFragment {
			x = x[:8]
			binary.BigEndian.PutUint16(x[2:], uint16(n.IntN(20)*8+n.IntN(2)))
		}
		payload = append(x, payload...)
	}
	b := make([]byte, wire.IPv6Len)
	wire.PutIPv6(b, &wire.IPv6Fields{
		TrafficClass: byte(n.Uint32()), NextHeader: next, HopLimit: pickOf[byte](n, 0, 1, 64, 255, 255), PayloadLen: uint16(len(payload)),
		FlowLabel: n.Uint32() & 0xfffff, Src: src.As16(), Dst: dst.As16(),
	})
	return append(b, payload...)
}

func (n *noise) arp() []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, byte(1 + n.IntN(2)), 2, 0, 0, 0, 0, byte(n.IntN(4))}
	b = append(b, n.host4().AsSlice()...)
	b = append(b, n.bytes(6)...)
	return append(append(b, n.target4().AsSlice()...), n.bytes(18)...)
}

// packet returns what follows the link header, and its EtherType.
func (n *noise) packet(ethernet bool) (b []byte, etherType uint16) {
	switch k := n.IntN(12); {
	case k < 5:
		b, etherType = n.ip4(n.host4(), n.dst(n.target4(), n.host4())), wire.EtherTypeIPv4
	case k < 10:
		b, etherType = n.ip6(n.host6(), n.dst(n.target6(), n.host6())), wire.EtherTypeIPv6
	case k == 10 && ethernet:
		b, etherType = n.arp(), wire.EtherTypeARP
	default:
		b, etherType = n.bytes(n.size()), pickOf[uint16](n, wire.EtherTypeIPv4, wire.EtherTypeIPv6, wire.EtherTypeARP, uint16(n.Uint32()))
	}
	return n.mutate(b, etherType), etherType
}

func (n *noise) dst(target, other netip.Addr) netip.Addr {
	if n.one(3) {
		return other
	}
	return target
}

// mutate changes some bytes or the length. The checksum of an IPv4 header is often
// made right again, so that what is behind it is looked at.
func (n *noise) mutate(b []byte, etherType uint16) []byte {
	if n.one(2) {
		return b
	}
	for range n.IntN(4) {
		if len(b) > 0 {
			b[n.IntN(min(len(b), 80))] = pickOf(n, 0, 0xff, 1, 0x80, byte(n.Uint32()))
		}
	}
	switch n.IntN(6) {
	case 0:
		b = b[:n.IntN(len(b)+1)]
	case 1:
		b = append(b, n.bytes(n.IntN(60))...)
	}
	if h, ok := wire.ParseIPv4(b); ok && etherType == wire.EtherTypeIPv4 && !n.one(4) {
		h.UpdateHeaderChecksum()
	}
	return b
}

// frame puts an Ethernet header, and now and then a VLAN tag, in front.
func (n *noise) frame(to wire.MAC, b []byte, etherType uint16) []byte {
	dst := pickOf(n, to, to, to, wire.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, wire.MAC{0x33, 0x33, 5: 1}, wire.MAC{1, 0, 0x5e}, wire.MAC(n.bytes(6)))
	h := make([]byte, wire.EthernetLen)
	wire.PutEthernet(h, dst, wire.MAC{2, 9}, etherType)
	for n.one(8) {
		tag := make([]byte, wire.VLANLen)
		wire.PutVLAN(tag, pickOf[uint16](n, 0, 0, 5, 0xfff), byte(n.Uint32()), false, binary.BigEndian.Uint16(h[len(h)-2:]))
		binary.BigEndian.PutUint16(h[len(h)-2:], pickOf[uint16](n, wire.EtherTypeVLAN, wire.EtherTypeQinQ))
		h = append(h, tag...)
	}
	f := append(h, b...)
	if n.one(20) {
		f = f[:n.IntN(len(f)+1)]
	}
	return f
}

// A noisy kernel has everything that ships loaded, except what reaches the host's own
// network; sockets of every kind; and forwards.
type noisy struct {
	k     *knit.Kernel
	clock *clock.Clock
	t     *testing.T
	nets  byte // devices with addresses
}

func newNoisy(t *testing.T) *noisy {
	t.Helper()
	leak.Check(t)
	x := &noisy{clock: clock.NewVirtual(), t: t}
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: x.clock})
	if err != nil {
		t.Fatal(err)
	}
	x.k = k
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		x.clock.Close()
		if n, m := k.Pool.Live(), k.Pool.LiveBufs(); n != 0 || m != 0 {
			t.Errorf("%d packets and %d buffers are left", n, m)
		}
	})
	for _, m := range std.Modules() {
		args := map[string][]string{"dns64": {"upstream=127.0.0.1:7"}}[m.Name]
		if m.Name == "uplink" {
			continue
		}
		if err := k.Modprobe(context.Background(), m.Name, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.accept_source_route"} {
		if err := k.Sysctl.Set(s, "1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []string{"udp", "ip4:icmp", "ip6:58", "ip4:17"} {
		if _, err := k.Sockets.ListenDatagram(s, "", transport.DatagramOptions{}); err != nil {
			t.Fatal(s, err)
		}
	}
	if _, err := k.ListenPacket("udp", ":54"); err != nil {
		t.Fatal(err)
	}
	return x
}

// start gives a device its addresses, sets it up and returns the noise for it.
func (x *noisy) start(dev *link.Device) *noise {
	x.t.Helper()
	x.nets++
	n := newNoise(uint64(x.nets), x.nets)
	for _, p := range []netip.Prefix{netip.PrefixFrom(n.target4(), 24), netip.PrefixFrom(n.target6(), 64)} {
		if err := x.k.Network.AddAddr(dev, network.Addr{Prefix: p, Flags: network.NoDAD}); err != nil {
			x.t.Fatal(err)
		}
	}
	if err := dev.SetUp(true); err != nil {
		x.t.Fatal(err)
	}
	return n
}

func (x *noisy) create(kind, name string, options map[string]string) *link.Device {
	x.t.Helper()
	dev, err := x.k.Link.Create(kind, name, options)
	if err != nil {
		x.t.Fatal(err)
	}
	return dev
}

func (x *noisy) lookup(name string) *link.Device {
	x.t.Helper()
	dev, err := x.k.Link.Lookup(name)
	if err != nil {
		x.t.Fatal(err)
	}
	return dev
}

// give makes a packet of b and gives it to f in a batch of its own. The bytes lie in
// head and fragments as drivers leave them, or otherwise.
func (x *noisy) give(n *noise, etherType uint16, b []byte, f func(*packet.Queue)) {
	pkt := x.k.Pool.Get()
	head := min(len(b), pickOf(n, 0, 14, 34, 54, 128, pkt.Tailroom()), pkt.Tailroom())
	copy(pkt.Extend(head), b)
	for rest := b[head:]; len(rest) > 0; {
		size := min(len(rest), pickOf(n, 1+n.IntN(100), packet.MaxBuf))
		if pkt.Frags() == packet.MaxFrags-1 {
			size = len(rest)
		}
		buf := x.k.Pool.Buf(size)
		copy(buf.Bytes(), rest[:size])
		pkt.AddFrag(buf, 0, size)
		rest = rest[size:]
	}
	pkt.Proto, pkt.L3 = etherType, uint16(pkt.Offset())
	pkt.Csum = pickOf(n, packet.CsumNone, packet.CsumUnnecessary)
	var q packet.Queue
	q.Push(pkt)
	f(&q)
}

// TestNoiseOnDevicesOfThisProcess: whatever is sent or received, by devices of every
// kind that needs no host, nothing panics and nothing is left. Devices change while
// they are at it.
func TestNoiseOnDevicesOfThisProcess(t *testing.T) {
	x := newNoisy(t)
	x.create("veth", "v0", map[string]string{"peer": "v1"})
	x.create("pipe", "p0", map[string]string{"peer": "p1"})
	x.create("pipe", "e0", map[string]string{"peer": "e1", "ethernet": "on", "offload": "off"})
	type end struct {
		from, to *link.Device
		*noise
	}
	var ends []end
	for _, names := range [][2]string{{"v0", "v1"}, {"p0", "p1"}, {"e0", "e1"}} {
		from, to := x.lookup(names[0]), x.lookup(names[1])
		if err := from.SetUp(true); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end{from, to, x.start(to)})
	}
	lo, dummy := x.lookup("lo"), x.create("dummy", "d0", nil)
	ends = append(ends, end{lo, lo, x.start(lo)}, end{dummy, dummy, x.start(dummy)})
	rounds := 50_000
	if testing.Short() {
		rounds = 5_000
	}
	r := newNoise(99, 0)
	for range rounds {
		e := ends[r.IntN(len(ends))]
		ethernet := e.to.Type() == link.Ether
		b, etherType := e.packet(ethernet)
		if ethernet {
			b = e.frame(e.to.MAC(), b, etherType)
		} else if etherType != wire.EtherTypeIPv6 {
			etherType = wire.EtherTypeIPv4 // drivers of such devices know these two
		}
		f := e.from.Transmit
		if r.one(4) {
			f = e.to.Receive
		}
		x.give(e.noise, etherType, b, f)
		switch r.IntN(400) {
		case 0:
			x.clock.Advance(time.Duration(r.IntN(int(time.Second))))
		case 1:
			e.to.SetUp(false)
			if err := e.to.SetUp(true); err != nil {
				t.Fatal(err)
			}
		case 2:
			if err := e.to.SetMTU(pickOf(r, 1280, 1500, 9000)); err != nil {
				t.Fatal(err)
			}
		case 3:
			e.to.SetPromisc(r.one(2))
		}
	}
	for _, e := range ends {
		if e.to.Rx().Packets.Load() == 0 && e.to != dummy {
			t.Errorf("%s has received nothing: the test tests nothing", e.to.Name())
		}
	}
}
