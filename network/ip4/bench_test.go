package ip4

import (
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/wire"
)

type consumer struct{}

func (consumer) Input(q *packet.Queue) { q.Consume() }
func (consumer) Error(*network.Error)  {}

// discard is a driver for wires on which nobody listens.
type discard struct{}

func (discard) Transmit(_ *link.Device, q *packet.Queue) { q.Consume() }
func (discard) Open(*link.Device) error                  { return nil }
func (discard) Close(*link.Device)                       {}

type bed struct {
	h       *hosttest.Host
	p       *ip4
	in, out *link.Device
}

// newBed returns a router between 10.0.0.0/24 and 10.0.1.0/24 whose TCP and output
// discard everything.
func newBed(t testing.TB) *bed {
	b := &bed{h: hosttest.New(t, Module)}
	b.p = b.h.Net.Family(network.V4).(*ip4)
	for i, d := range []**link.Device{&b.in, &b.out} {
		dev, err := b.h.Link.Attach(link.Info{Name: "d%d", Type: link.None, Features: link.AllTx}, discard{})
		if err != nil {
			t.Fatal(err)
		}
		if err := dev.SetUp(true); err != nil {
			t.Fatal(err)
		}
		b.h.Addr(t, dev, []string{"10.0.0.1/24", "10.0.1.1/24"}[i])
		*d = dev
	}
	undo, err := b.h.Net.Handle(network.V4, wire.ProtoTCP, consumer{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(undo)
	b.h.Set(t, "net.ipv4.ip_forward", "1")
	return b
}

// template returns a received segment from 10.0.0.2 to dst.
func (b *bed) template(dst string) []byte {
	return hosttest.IPv4(wire.IPv4Fields{
		Protocol: wire.ProtoTCP, Src: hosttest.A4("10.0.0.2"), Dst: hosttest.A4(dst), DF: true,
	}, make([]byte, wire.TCPLen))
}

// packet returns a received packet.
func (b *bed) packet(bytes []byte) *packet.Packet {
	pkt := b.h.Pool.Get()
	copy(pkt.Extend(len(bytes)), bytes)
	pkt.In, pkt.Proto, pkt.L3 = b.in.Index(), wire.EtherTypeIPv4, uint16(pkt.Offset())
	return pkt
}

func (b *bed) inputOne(q *packet.Queue, bytes []byte, n int) {
	for range n {
		q.Push(b.packet(bytes))
	}
	b.p.Input(b.in, q)
}

func (b *bed) send() network.Send {
	path, err := b.h.Net.Resolve(network.Flow{Dst: netip.MustParseAddr("10.0.1.2")})
	if err != nil {
		panic(err)
	}
	return network.Send{Path: path, Proto: wire.ProtoTCP}
}

func (b *bed) outputOne(s *network.Send, q *packet.Queue, n int) {
	for range n {
		pkt := b.h.Pool.Get()
		clear(pkt.Extend(wire.TCPLen))
		q.Push(pkt)
	}
	b.p.Output(s, q)
}

func BenchmarkInput(bm *testing.B)   { benchmarkInput(bm, "10.0.0.1") }
func BenchmarkForward(bm *testing.B) { benchmarkInput(bm, "10.0.1.2") }

func benchmarkInput(bm *testing.B, dst string) {
	b := newBed(bm)
	tmpl := b.template(dst)
	for _, n := range []int{1, 32} {
		bm.Run(map[int]string{1: "one", 32: "batch"}[n], func(bm *testing.B) {
			var q packet.Queue
			bm.ReportAllocs()
			for i := 0; i < bm.N; i += n {
				b.inputOne(&q, tmpl, n)
			}
		})
	}
}

func BenchmarkOutput(bm *testing.B) {
	b := newBed(bm)
	s := b.send()
	for _, n := range []int{1, 32} {
		bm.Run(map[int]string{1: "one", 32: "batch"}[n], func(bm *testing.B) {
			var q packet.Queue
			bm.ReportAllocs()
			for i := 0; i < bm.N; i += n {
				b.outputOne(&s, &q, n)
			}
		})
	}
}

// BenchmarkPool is what the benchmarks above do besides: taking a packet, filling
// it and giving it back.
func BenchmarkPool(bm *testing.B) {
	b := newBed(bm)
	tmpl := b.template("10.0.0.1")
	var q packet.Queue
	for range bm.N {
		pkt := b.h.Pool.Get()
		copy(pkt.Extend(len(tmpl)), tmpl)
		q.Push(pkt)
		q.Consume()
	}
}

func TestDoesNotAllocate(t *testing.T) {
	if race {
		t.Skip("the race detector makes sync.Pool forget")
	}
	b := newBed(t)
	here, there := b.template("10.0.0.1"), b.template("10.0.1.2")
	s := b.send()
	var q packet.Queue
	for name, one := range map[string]func(){
		"input":   func() { b.inputOne(&q, here, 1) },
		"batch":   func() { b.inputOne(&q, here, 32) },
		"forward": func() { b.inputOne(&q, there, 1) },
		"output":  func() { b.outputOne(&s, &q, 1) },
	} {
		if n := testing.AllocsPerRun(1000, one); n != 0 {
			t.Errorf("%s: %v allocations per batch, want 0", name, n)
		}
	}
}
