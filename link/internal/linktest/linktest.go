// Package linktest makes layers and packets for tests of drivers.
package linktest

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// New returns the link layer of a small kernel. At the end of the test no packet,
// buffer or goroutine may be left.
func New(t testing.TB) *link.Layer {
	t.Helper()
	leak.Check(t)
	l := link.New(link.Config{Pool: new(packet.Pool), Clock: clock.NewReal(), Walks: new(rcu.Period)})
	leak.Zero(t, "buffers", l.Pool.LiveBufs)
	leak.Zero(t, "packets", l.Pool.Live)
	t.Cleanup(l.Clock.Close)
	return l
}

// Load loads a module into a registry for l; it is unloaded at the end of the
// test.
func Load(t testing.TB, l *link.Layer, spec module.Spec, args ...string) *module.Registry {
	t.Helper()
	r, err := module.New(module.Config{Grace: l.Walks.Wait}, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Provide(link.Symbol, l); err != nil {
		t.Fatal(err)
	}
	if err := r.Load(context.Background(), spec.Name, args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// SymbolOf returns a symbol that a loaded module exports.
func SymbolOf[T any](t testing.TB, r *module.Registry, owner, name string) (v T) {
	t.Helper()
	user := module.Spec{Name: "user", Depends: []string{owner}, Init: func(c *module.Context) (err error) {
		v, err = module.Import[T](c, name)
		return err
	}}
	if err := r.Add(user); err != nil {
		t.Fatal(err)
	}
	if err := r.Load(context.Background(), "user"); err != nil {
		t.Fatal(err)
	}
	if err := r.Unload(context.Background(), "user"); err != nil {
		t.Fatal(err)
	}
	return v
}

// Up takes devices up.
func Up(t testing.TB, devs ...*link.Device) {
	t.Helper()
	for _, d := range devs {
		if err := d.SetUp(true); err != nil {
			t.Fatal(err)
		}
	}
}

// Func is a link.Handler that calls itself for each packet, which it owns.
type Func func(dev *link.Device, pkt *packet.Packet)

// Input implements link.Handler.
func (f Func) Input(dev *link.Device, q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		f(dev, pkt)
	}
}

// Handle gives the packets of an EtherType to f until the end of the test.
func Handle(t testing.TB, l *link.Layer, etherType uint16, f Func) {
	t.Helper()
	undo, err := l.Handle(etherType, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(undo)
}

// Send gives a packet to a device; dst is for Ethernet devices.
func Send(dev *link.Device, pkt *packet.Packet, dst wire.MAC) {
	dev.PushHeader(pkt, dst)
	var q packet.Queue
	q.Push(pkt)
	dev.Transmit(&q)
}

// Bytes returns a copy of a packet's data.
func Bytes(pkt *packet.Packet) []byte {
	b := make([]byte, pkt.Len())
	pkt.CopyOut(0, b)
	return b
}

// UDP4 returns a datagram from 10.0.0.1 to 10.0.0.2 with CsumPartial: its headers
// in the head and a copy of payload behind them.
func UDP4(p *packet.Pool, sport, dport uint16, payload []byte) *packet.Packet {
	return UDP4Between(p, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, sport, dport, payload)
}

// UDP4Between is UDP4 between other addresses.
func UDP4Between(p *packet.Pool, src, dst [4]byte, sport, dport uint16, payload []byte) *packet.Packet {
	pkt := p.Get()
	n := wire.UDPLen + len(payload)
	h := pkt.Extend(wire.IPv4Len + wire.UDPLen)
	put4(h, src, dst, wire.ProtoUDP, n)
	wire.PutUDP(h[wire.IPv4Len:], sport, dport, len(payload))
	partial(pkt, h, n, 6)
	pkt.Append(payload)
	return pkt
}

// put4 writes an IPv4 header in front of n bytes of payload.
func put4(h []byte, src, dst [4]byte, proto uint8, n int) {
	clear(h[:wire.IPv4Len])
	h[0] = 0x45
	binary.BigEndian.PutUint16(h[2:], uint16(wire.IPv4Len+n))
	h[8], h[9] = 64, proto
	copy(h[12:], src[:])
	copy(h[16:], dst[:])
	v, _ := wire.ParseIPv4(h)
	v.UpdateHeaderChecksum()
}

// partial marks the transport checksum, at of bytes into the transport header, as
// partial.
func partial(pkt *packet.Packet, h []byte, n, at int) {
	v, _ := wire.ParseIPv4(h)
	pseudo := v.PseudoSum(n)
	binary.BigEndian.PutUint16(h[wire.IPv4Len+at:], pseudo.Fold())
	pkt.Proto = wire.EtherTypeIPv4
	pkt.Csum = packet.CsumPartial
	pkt.CsumStart = uint16(pkt.Offset() + wire.IPv4Len)
	pkt.CsumOffset = uint16(at)
	pkt.L3 = uint16(pkt.Offset())
	pkt.L4 = pkt.CsumStart
}

// UDP6 is UDP4Between for IPv6.
func UDP6(p *packet.Pool, src, dst [16]byte, sport, dport uint16, payload []byte) *packet.Packet {
	pkt := p.Get()
	n := wire.UDPLen + len(payload)
	b := pkt.Extend(wire.IPv6Len + wire.UDPLen)
	clear(b)
	b[0], b[6], b[7] = 0x60, wire.ProtoUDP, 64
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	wire.PutUDP(b[wire.IPv6Len:], sport, dport, len(payload))
	h, _ := wire.ParseIPv6(b)
	binary.BigEndian.PutUint16(b[wire.IPv6Len+6:], h.PseudoSum(wire.ProtoUDP, n).Fold())
	pkt.Proto = wire.EtherTypeIPv6
	pkt.Csum = packet.CsumPartial
	pkt.L3 = uint16(pkt.Offset())
	pkt.CsumStart = pkt.L3 + wire.IPv6Len
	pkt.CsumOffset = 6
	pkt.Append(payload)
	return pkt
}

// ChecksumOK reports whether the IPv4 packet b has the right transport checksum.
func ChecksumOK(b []byte) bool {
	h, ok := wire.ParseIPv4(b)
	if !ok {
		return false
	}
	seg := h.Payload()
	return wire.Sum(seg, h.PseudoSum(len(seg))).Valid()
}

// Allocs makes t fail if one allocates.
func Allocs(t *testing.T, one func()) {
	t.Helper()
	if Race {
		t.Skip("the race detector makes sync.Pool forget")
	}
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}

// TCP4 returns a segment with CsumPartial: header is the TCP header.
func TCP4(p *packet.Pool, src, dst [4]byte, header, data []byte) *packet.Packet {
	pkt := p.Get()
	n := len(header) + len(data)
	h := pkt.Extend(wire.IPv4Len + len(header))
	put4(h, src, dst, wire.ProtoTCP, n)
	copy(h[wire.IPv4Len:], header)
	partial(pkt, h, n, 16)
	pkt.Append(data)
	return pkt
}
