package knit_test

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A stranger is the far end of a device of a kernel, played by the test: it sends
// the TCP segments it is told to, from any address, and keeps what comes back.
type stranger struct {
	t   testing.TB
	k   *knit.Kernel
	dev *link.Device

	mu  sync.Mutex
	got []segment
	// count says to count what comes instead of keeping it, by flags.
	count map[uint16]int
}

// A segment is a TCP segment between two IPv4 addresses.
type segment struct {
	from, to netip.AddrPort
	wire.TCPFields
	options wire.TCPOptions
	data    string
}

// meet gives k a device with the address 10.0.0.2/8, behind which the stranger is.
func meet(t testing.TB, k *knit.Kernel) *stranger {
	t.Helper()
	s := &stranger{t: t, k: k}
	dev, err := k.Link.Attach(link.Info{Name: "far%d", Kind: "far", Type: link.None}, s)
	if err != nil {
		t.Fatal(err)
	}
	s.dev = dev
	if err := k.Network.AddAddr(dev, network.Addr{Prefix: netip.MustParsePrefix("10.0.0.2/8")}); err != nil {
		t.Fatal(err)
	}
	if err := dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	return s
}

// Open and Close implement link.Driver.
func (*stranger) Open(*link.Device) error { return nil }
func (*stranger) Close(*link.Device)      {}

// Transmit implements link.Driver.
func (s *stranger) Transmit(_ *link.Device, q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		pkt.Consume()
		ip, ok := wire.ParseIPv4(b)
		if !ok || ip.Protocol() != wire.ProtoTCP {
			continue
		}
		h, ok := wire.ParseTCP(b[ip.HeaderLen():])
		if !ok {
			s.t.Errorf("a bad TCP header: %x", b)
			continue
		}
		s.keep(ip, h, b[ip.HeaderLen()+h.HeaderLen():])
	}
}

func (s *stranger) keep(ip wire.IPv4, h wire.TCP, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count != nil {
		s.count[h.Flags()]++
		return
	}
	x := segment{
		from: netip.AddrPortFrom(ip.Src(), h.SrcPort()), to: netip.AddrPortFrom(ip.Dst(), h.DstPort()),
		TCPFields: h.Fields(), data: string(data),
	}
	x.options.Parse(h.Options())
	s.got = append(s.got, x)
}

// received returns what came since the last call.
func (s *stranger) received() []segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// send gives the kernel a segment.
func (s *stranger) send(x segment) {
	pkt := s.k.Pool.Get()
	pkt.Append([]byte(x.data))
	opt := x.options.Len()
	b := pkt.Push(wire.TCPLen + opt)
	x.SrcPort, x.DstPort = x.from.Port(), x.to.Port()
	wire.PutTCP(b, &x.TCPFields, opt)
	x.options.Put(b[wire.TCPLen:])
	ip := pkt.Push(wire.IPv4Len)
	wire.PutIPv4(ip, &wire.IPv4Fields{
		TTL: 64, Protocol: wire.ProtoTCP, Src: x.from.Addr().As4(), Dst: x.to.Addr().As4(), TotalLen: uint16(pkt.Len()),
	})
	pkt.Csum, pkt.Proto = packet.CsumUnnecessary, wire.EtherTypeIPv4
	var q packet.Queue
	q.Push(pkt)
	s.dev.Receive(&q)
}
