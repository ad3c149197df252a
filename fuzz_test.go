package knit_test

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// sink is a driver that swallows what it is sent.
type sink struct{}

func (sink) Transmit(_ *link.Device, q *packet.Queue) { q.Consume() }
func (sink) Open(*link.Device) error                  { return nil }
func (sink) Close(*link.Device)                       {}

// target is a kernel in virtual time with everything loaded, an Ethernet device, an
// IP device, and sockets of every kind.
type target struct {
	k       *knit.Kernel
	clock   *clock.Clock
	devices []*link.Device
}

func newTarget(tb testing.TB) *target {
	clk := clock.NewVirtual()
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: clk})
	if err != nil {
		tb.Fatal(err)
	}
	x := &target{k: k, clock: clk}
	for _, m := range []string{"tcp", "udp", "raw", "ping", "hello"} {
		if err := k.Modprobe(context.Background(), m); err != nil {
			tb.Fatal(err)
		}
	}
	for i, kind := range []link.Type{link.Ether, link.None} {
		d, err := k.Link.Attach(link.Info{
			Name: "fuzz%d", Type: kind, Hardware: wire.MAC{2, 0, 0, 0, 0, 1}, Features: link.GRO,
		}, sink{})
		if err != nil {
			tb.Fatal(err)
		}
		for _, p := range []string{"10.0.0.1/24", "fd00::1/64"} {
			q := netip.MustParsePrefix(p)
			if i == 1 {
				q = netip.PrefixFrom(q.Addr().Next(), q.Bits())
			}
			if err := k.Network.AddAddr(d, network.Addr{Prefix: q, Flags: network.NoDAD}); err != nil {
				tb.Fatal(err)
			}
		}
		if err := d.SetUp(true); err != nil {
			tb.Fatal(err)
		}
		x.devices = append(x.devices, d)
	}
	for _, s := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := k.Sysctl.Set(s, "1"); err != nil {
			tb.Fatal(err)
		}
	}
	for _, n := range []string{"udp", "ip4:icmp", "ip6:58"} {
		if _, err := k.Sockets.ListenDatagram(n, "", transport.DatagramOptions{}); err != nil {
			tb.Fatal(n, err)
		}
	}
	return x
}

// receive gives frame to a device as it is, or with the wrapping that gets it past
// the first checks: 1 an Ethernet header, 2 an IPv4 header with a right checksum, 3
// an IPv6 header.
func (x *target) receive(which, wrap uint8, proto uint8, frame []byte) {
	d := x.devices[int(which)%len(x.devices)]
	pkt := x.k.Pool.Get()
	// Drivers put a small frame into the head, a large one behind 128 bytes of it.
	if len(frame) <= 128 || which&2 != 0 && len(frame) <= pkt.Tailroom() {
		copy(pkt.Extend(len(frame)), frame)
	} else {
		copy(pkt.Extend(128), frame)
		buf := x.k.Pool.Buf(len(frame) - 128)
		copy(buf.Bytes(), frame[128:])
		pkt.AddFrag(buf, 0, len(frame)-128)
	}
	pkt.Proto = wire.EtherTypeIPv4
	switch wrap % 4 {
	case 2:
		f := wire.IPv4Fields{TTL: proto % 4, Protocol: proto, Src: [4]byte{10, 0, 0, 9}, Dst: [4]byte{10, 0, 0, 1}, TotalLen: uint16(pkt.Len() + 20)}
		wire.PutIPv4(pkt.Push(wire.IPv4Len), &f)
	case 3:
		f := wire.IPv6Fields{
			NextHeader: proto, HopLimit: 255, PayloadLen: uint16(pkt.Len()),
			Src: netip.MustParseAddr("fe80::9").As16(), Dst: netip.MustParseAddr("fd00::1").As16(),
		}
		wire.PutIPv6(pkt.Push(wire.IPv6Len), &f)
		pkt.Proto = wire.EtherTypeIPv6
	}
	if which&4 != 0 {
		pkt.Csum = packet.CsumUnnecessary // a checksum would keep most inputs out
	}
	if d.Type() == link.Ether && wrap%4 != 0 {
		d.PushHeader(pkt, d.MAC())
	}
	var q packet.Queue
	q.Push(pkt)
	d.Receive(&q)
}

// FuzzDevice: whatever bytes a device receives, the kernel does not panic, and when
// it is closed no packet is left.
func FuzzDevice(f *testing.F) {
	f.Add(uint8(0), uint8(0), uint8(0), []byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x09\x08\x06"))
	f.Add(uint8(1), uint8(2), uint8(6), make([]byte, 40))
	f.Add(uint8(5), uint8(2), uint8(17), []byte("\x00\x35\x00\x35\x00\x0c\x00\x00abcd"))
	f.Add(uint8(5), uint8(3), uint8(58), []byte("\x87\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(uint8(4), uint8(3), uint8(0), make([]byte, 300))
	f.Add(uint8(5), uint8(2), uint8(1), []byte("\x03\x03\x00\x00\x00\x00\x00\x00\x45\x00\x00\x1c"))
	x := newTarget(f)
	f.Cleanup(func() {
		if err := x.k.Close(); err != nil {
			f.Error(err)
		}
		if n, m := x.k.Pool.Live(), x.k.Pool.LiveBufs(); n != 0 || m != 0 {
			f.Errorf("%d packets and %d buffers are left", n, m)
		}
	})
	f.Fuzz(func(t *testing.T, which, wrap, proto uint8, frame []byte) {
		if len(frame) > 3000 {
			return
		}
		for range 2 { // twice: a fragment and its duplicate, a SYN and its repetition
			x.receive(which, wrap, proto, frame)
		}
		x.clock.Advance(1 << 20) // a millisecond
	})
}

// TestRandomBytes is the fuzzer's short cousin for every run of the tests.
func TestRandomBytes(t *testing.T) {
	x := newTarget(t)
	r := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		frame := make([]byte, r.IntN(200))
		for i := range frame {
			frame[i] = byte(r.Uint32())
		}
		x.receive(uint8(r.Uint32()), uint8(r.Uint32()), []uint8{0, 1, 2, 6, 17, 43, 44, 58, 60}[r.IntN(9)], frame)
		if r.IntN(100) == 0 {
			x.clock.Advance(time.Duration(r.IntN(int(time.Second))))
		}
	}
	if err := x.k.Close(); err != nil {
		t.Error(err)
	}
	if n, m := x.k.Pool.Live(), x.k.Pool.LiveBufs(); n != 0 || m != 0 {
		t.Errorf("%d packets and %d buffers are left", n, m)
	}
}
