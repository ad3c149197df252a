package link_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
)

// TestTransmitDoesWhatTheDriverCannot: a driver without TSO gets pieces, one
// without TxCsum gets finished checksums, and one with both gets what was sent.
func TestTransmitDoesWhatTheDriverCannot(t *testing.T) {
	l := linktest.New(t)
	if _, err := l.Offload(wire.EtherTypeIPv4, new(merger)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		features link.Features
		packets  int
		csum     packet.CsumState
	}{
		{link.AllTx, 1, packet.CsumPartial},
		{link.TxCsum | link.TSO6, 3, packet.CsumNone},
		{link.TSO4, 3, packet.CsumNone}, // segmentation needs checksums
		{0, 3, packet.CsumNone},
	} {
		dev, s := attach(t, l, link.Info{Name: "p%d", Type: link.None, Features: c.features})
		linktest.Up(t, dev)
		pkt := linktest.UDP4(l.Pool, 1, 2, make([]byte, 172))
		pkt.GSO, pkt.GSOSize = packet.GSOTCP4, 80
		linktest.Send(dev, pkt, wire.MAC{})
		if n := s.sent.Len(); n != c.packets || s.sent.Front().Csum != c.csum {
			t.Errorf("features %#x: %d packets, checksum state %d, want %d and %d", c.features, n, s.sent.Front().Csum, c.packets, c.csum)
		}
		if n := dev.Tx().Packets.Load(); n != uint64(c.packets) {
			t.Errorf("features %#x: counted %d", c.features, n)
		}
	}
}

// TestBatchIsCutInBursts: however many pieces a batch is cut into, the driver gets
// them in order, and not all at once.
func TestBatchIsCutInBursts(t *testing.T) {
	l := linktest.New(t)
	if _, err := l.Offload(wire.EtherTypeIPv4, new(merger)); err != nil {
		t.Fatal(err)
	}
	most, next := int64(0), byte(0)
	d := drain(func(q *packet.Queue) {
		most = max(most, l.Pool.Live())
		for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
			if b := linktest.Bytes(pkt)[0]; b != next {
				t.Fatalf("a piece of %d, want one of %d", b, next)
			}
			next++
		}
		q.Consume()
	})
	dev, err := l.Attach(link.Info{Name: "p0", Type: link.None}, d)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Detach()
	linktest.Up(t, dev)
	payload := make([]byte, 1024)
	for i := range payload {
		payload[i] = byte(i)
	}
	var q packet.Queue
	for range 64 {
		pkt := l.Pool.Get()
		pkt.Append(payload)
		pkt.Proto, pkt.GSO, pkt.GSOSize = wire.EtherTypeIPv4, packet.GSOTCP4, 1
		q.Push(pkt)
	}
	dev.Transmit(&q)
	if n := dev.Tx().Packets.Load(); n != 64*1024 || most > 3*1024 {
		t.Errorf("%d pieces sent, want %d; %d packets at once", n, 64*1024, most)
	}
}

// A drain is a driver that calls itself with what it is to send.
type drain func(q *packet.Queue)

func (f drain) Transmit(_ *link.Device, q *packet.Queue) { f(q) }
func (drain) Open(*link.Device) error                    { return nil }
func (drain) Close(*link.Device)                         {}

func TestUnsegmentableIsDropped(t *testing.T) {
	l := linktest.New(t)
	dev, s := attach(t, l, link.Info{Name: "p0", Type: link.None, Features: link.TxCsum})
	linktest.Up(t, dev)
	pkt := linktest.UDP4(l.Pool, 1, 2, make([]byte, 100))
	pkt.GSO, pkt.GSOSize = packet.GSOUDP, 10
	linktest.Send(dev, pkt, wire.MAC{})
	if s.sent.Len() != 0 || l.Pool.Drops.Load(stat.SkbGSOSeg) != 1 || dev.Tx().Dropped.Load() != 1 {
		t.Errorf("sent %d, dropped %d", s.sent.Len(), l.Pool.Drops.Load(stat.SkbGSOSeg))
	}
}

// TestChecksumOverFragments: the sum is that of the bytes, however they lie in
// head and fragments, odd lengths included (RFC 1071 §2(B)).
func TestChecksumOverFragments(t *testing.T) {
	l := linktest.New(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		payload := make([]byte, r.IntN(600))
		for i := range payload {
			payload[i] = byte(r.Uint32())
		}
		pkt := linktest.UDP4(l.Pool, 7, 8, payload)
		scatter(pkt, r)
		if !link.CompleteChecksum(pkt) || !linktest.ChecksumOK(linktest.Bytes(pkt)) {
			t.Fatalf("wrong checksum: %d bytes of payload, %d in the head", len(payload), pkt.HeadLen())
		}
		pkt.Consume()
	}
}

// scatter lays what is behind the first 28 bytes of pkt out over fragments of
// random lengths.
func scatter(pkt *packet.Packet, r *rand.Rand) {
	const headers = wire.IPv4Len + wire.UDPLen
	rest := linktest.Bytes(pkt)[headers:]
	pkt.TrimTo(headers + r.IntN(min(len(rest), 50)+1))
	for rest = rest[pkt.Len()-headers:]; len(rest) > 0; {
		n := 1 + r.IntN(len(rest))
		if pkt.Frags() == packet.MaxFrags-1 {
			n = len(rest)
		}
		buf := pkt.Pool().Buf(n + 3)
		copy(buf.Bytes()[3:], rest[:n])
		pkt.AddFrag(buf, 3, n)
		rest = rest[n:]
	}
}

// TestChecksumOutsideTheHead: a packet from outside whose IP length ends before
// the checksum that its virtio-net header named must not panic; it is dropped.
func TestChecksumOutsideTheHead(t *testing.T) {
	l := linktest.New(t)
	dev, s := attach(t, l, link.Info{Name: "p0", Type: link.None})
	linktest.Up(t, dev)
	for _, length := range []int{0, 10, 20, 26, 27, 28} {
		pkt := linktest.UDP4(l.Pool, 1, 2, nil)
		pkt.TrimTo(length)
		linktest.Send(dev, pkt, wire.MAC{})
	}
	if s.sent.Len() != 1 || l.Pool.Drops.Load(stat.SkbCsum) != 5 || dev.Tx().Dropped.Load() != 5 {
		t.Errorf("sent %d, dropped %d", s.sent.Len(), l.Pool.Drops.Load(stat.SkbCsum))
	}
}

// TestTapSeesWhatTheDriverGets: received frames before any hook, sent ones after
// hooks, segmentation and checksums.
func TestTapSeesWhatTheDriverGets(t *testing.T) {
	l := linktest.New(t)
	dev, s := attach(t, l, link.Info{Name: "p0", Type: link.None})
	linktest.Up(t, dev)
	mark := func(b byte) hook.Entry {
		return hook.Entry{Func: func(pkt *packet.Packet) hook.Verdict { pkt.Head()[1] = b; return hook.Accept }}
	}
	defer l.Egress.Add(mark(0xe0))()
	defer l.Ingress.Add(mark(0x1e))()
	var seen [2][]byte
	undo := dev.Tap(func(pkt *packet.Packet, outgoing bool) {
		if outgoing {
			seen[1] = linktest.Bytes(pkt)
		} else {
			seen[0] = linktest.Bytes(pkt)
		}
	})
	linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, []byte("payload")), wire.MAC{})
	receive(dev, linktest.UDP4(l.Pool, 1, 2, nil))
	if got := linktest.Bytes(s.sent.Front()); !bytes.Equal(seen[1], got) || got[1] != 0xe0 {
		t.Errorf("tap saw % x sent, driver got % x", seen[1], got)
	}
	if seen[0][1] != 0 {
		t.Errorf("tap saw a received packet after the hook: % x", seen[0])
	}
	undo()
	seen = [2][]byte{}
	linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{})
	if seen[1] != nil {
		t.Error("tap sees packets after undo")
	}
}

func TestTransmitWhileDown(t *testing.T) {
	l := linktest.New(t)
	dev, s := attach(t, l, link.Info{Name: "p0", Type: link.None})
	linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{})
	if s.sent.Len() != 0 || l.Pool.Drops.Load(stat.DevReady) != 1 || dev.Tx().Dropped.Load() != 1 {
		t.Error("a device that is down must drop for DEV_READY and count it")
	}
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	l := linktest.New(t)
	dev, s := attach(t, l, link.Info{Name: "e0", Type: link.Ether, Hardware: own(), Features: link.Default})
	linktest.Up(t, dev)
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) { pkt.Consume() })
	payload := make([]byte, 100)
	var q packet.Queue
	one := func() {
		pkt := linktest.UDP4(l.Pool, 1, 2, payload)
		dev.PushHeader(pkt, own())
		q.Push(pkt)
		dev.Transmit(&q)
		q.Append(&s.sent)
		dev.Receive(&q)
	}
	linktest.Allocs(t, one)
}
