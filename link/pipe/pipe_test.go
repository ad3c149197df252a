package pipe_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/link/pipe"
	"github.com/knitnet/knit/wire"
)

// join makes two layers with a pipe between them.
func join(t *testing.T, cfg link.PipeConfig) (x, y *link.Device, r *module.Registry) {
	t.Helper()
	a, b := linktest.New(t), linktest.New(t)
	r = linktest.Load(t, a, pipe.Module)
	f := linktest.SymbolOf[link.PipeFunc](t, r, "pipe", link.PipeSymbol)
	x, y, err := f(a, b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return x, y, r
}

// TestPacketsPassByReference: the bytes of a fragment are the same memory on the
// other side, which sees none of the sender's notes; and the packet goes home.
func TestPacketsPassByReference(t *testing.T) {
	x, y, _ := join(t, link.PipeConfig{})
	if x.Name() != "pipe0" || y.Name() != "pipe0" || x.MTU() != 1500 || x.Type() != link.None || x.Features() != link.Default {
		t.Errorf("%s and %s: MTU %d, type %v, features %#x", x.Name(), y.Name(), x.MTU(), x.Type(), x.Features())
	}
	linktest.Up(t, x, y)
	pkt := linktest.UDP4(x.Layer().Pool, 1, 2, make([]byte, 1400))
	pkt.Mark = 7
	sent := &pkt.Frag(0)[0]
	got := 0
	linktest.Handle(t, y.Layer(), wire.EtherTypeIPv4, func(dev *link.Device, pkt *packet.Packet) {
		got++
		if dev != y || pkt.In != y.Index() || pkt.Mark != 0 || pkt.Csum != packet.CsumPartial || &pkt.Frag(0)[0] != sent {
			t.Errorf("meta %+v, same memory: %t", pkt.Meta, &pkt.Frag(0)[0] == sent)
		}
		pkt.Consume()
	})
	linktest.Send(x, pkt, wire.MAC{})
	if got != 1 || x.Tx().Packets.Load() != 1 || y.Rx().Packets.Load() != 1 {
		t.Errorf("received %d", got)
	}
	if x.Layer().Pool.Live() != 0 {
		t.Error("the packet did not go back to its pool")
	}
}

// TestEndsFollowEachOther: an end has a carrier while the other one is up, a
// packet to an end that is down is dropped, and losing one end leaves the other.
func TestEndsFollowEachOther(t *testing.T) {
	x, y, _ := join(t, link.PipeConfig{A: "left", B: "right"})
	linktest.Up(t, x)
	if x.Flags()&link.LowerUp != 0 {
		t.Error("carrier while the peer is down")
	}
	linktest.Send(x, linktest.UDP4(x.Layer().Pool, 1, 2, nil), wire.MAC{})
	if n := x.Layer().Pool.Drops.Load(stat.DevReady); n != 1 || x.Tx().Dropped.Load() != 1 || x.Tx().Packets.Load() != 0 || x.Tx().Bytes.Load() != 0 {
		t.Errorf("%d dropped for DEV_READY, %d counted as sent, want 1 and none", n, x.Tx().Packets.Load())
	}
	linktest.Up(t, y)
	if x.Flags()&y.Flags()&link.LowerUp == 0 {
		t.Error("no carrier although both are up")
	}
	p := x.Driver().(link.Paired)
	if p.Peer(x) != y {
		t.Error("x is not joined to y")
	}
	y.Detach()
	if x.Flags()&link.LowerUp != 0 || p.Peer(x) != nil {
		t.Error("carrier or peer after the other end is gone")
	}
	linktest.Send(x, linktest.UDP4(x.Layer().Pool, 1, 2, nil), wire.MAC{})
}

// TestLargerThanThePeersMTU: what does not fit the receiver is dropped on both sides'
// account, with room for a VLAN tag, and what is to be cut passes (Linux's
// is_skb_forwardable).
func TestLargerThanThePeersMTU(t *testing.T) {
	x, y, _ := join(t, link.PipeConfig{})
	linktest.Up(t, x, y)
	if err := y.SetMTU(1000); err != nil {
		t.Fatal(err)
	}
	var got []int
	linktest.Handle(t, y.Layer(), wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) {
		got = append(got, pkt.Len())
		pkt.Consume()
	})
	var q packet.Queue
	for _, n := range []int{1000, 1005, 1004, 1500} {
		q.Push(linktest.UDP4(x.Layer().Pool, 1, 2, make([]byte, n-28)))
	}
	q.Back().GSO, q.Back().GSOSize = packet.GSOUDP, 100
	x.Transmit(&q)
	if !slices.Equal(got, []int{1000, 1004, 1500}) {
		t.Errorf("received %v, want all but the one of 1005 bytes", got)
	}
	if d, tx := x.Tx().Dropped.Load(), x.Tx().Packets.Load(); d != 1 || tx != 3 || y.Rx().Dropped.Load() != 1 || x.Tx().Bytes.Load() != 3504 {
		t.Errorf("%d dropped and %d sent of %d bytes, %d dropped by the receiver", d, tx, x.Tx().Bytes.Load(), y.Rx().Dropped.Load())
	}
}

func TestWithoutOffload(t *testing.T) {
	x, _, _ := join(t, link.PipeConfig{Features: link.TxCsum, MTU: 9000})
	if x.Features() != link.TxCsum || x.MTU() != 9000 {
		t.Errorf("features %#x, MTU %d", x.Features(), x.MTU())
	}
}

// TestDeleteInTheOtherKernel: which does not know the kind.
func TestDeleteInTheOtherKernel(t *testing.T) {
	x, y, _ := join(t, link.PipeConfig{})
	if err := y.Layer().Delete(y); err != nil || len(x.Layer().Devices())+len(y.Layer().Devices()) != 0 {
		t.Errorf("Delete: %v, left %v and %v", err, x.Layer().Devices(), y.Layer().Devices())
	}
}

// TestEthernet: a pair of Ethernet devices across two kernels.
func TestEthernet(t *testing.T) {
	x, y, _ := join(t, link.PipeConfig{Ethernet: true})
	linktest.Up(t, x, y)
	got := 0
	linktest.Handle(t, y.Layer(), wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) {
		got++
		pkt.Consume()
	})
	linktest.Send(x, linktest.UDP4(x.Layer().Pool, 1, 2, nil), y.MAC())
	linktest.Send(x, linktest.UDP4(x.Layer().Pool, 1, 2, nil), x.MAC())
	if got != 1 {
		t.Errorf("%d of two frames accepted, want the one to the device's address", got)
	}
}

// TestUnload: refused while an end is up, in whichever kernel; then both go.
func TestUnload(t *testing.T) {
	x, y, r := join(t, link.PipeConfig{})
	linktest.Up(t, y)
	if err := r.Unload(context.Background(), "pipe"); !errors.Is(err, module.ErrInUse) {
		t.Errorf("unload while the far end is up: %v", err)
	}
	y.SetUp(false)
	if err := r.Unload(context.Background(), "pipe"); err != nil {
		t.Fatal(err)
	}
	if len(x.Layer().Devices())+len(y.Layer().Devices()) != 0 {
		t.Error("devices left after unload")
	}
}

// TestNameTaken: when the second end cannot be made the first one does not stay.
func TestNameTaken(t *testing.T) {
	l := linktest.New(t)
	linktest.Load(t, l, pipe.Module)
	if _, err := l.Create("pipe", "p0", map[string]string{"peer": "p0"}); !errors.Is(err, link.ErrExists) {
		t.Errorf("both ends of one name: %v", err)
	}
	if len(l.Devices()) != 0 {
		t.Errorf("left over: %v", l.Devices())
	}
	dev, err := l.Create("pipe", "", map[string]string{"offload": "off", "ethernet": "on"})
	if err != nil || dev.Features() != link.TxCsum || dev.Type() != link.Ether || len(l.Devices()) != 2 {
		t.Fatalf("Create: %v, %v", err, l.Devices())
	}
	if err := l.Delete(dev); err != nil || len(l.Devices()) != 0 {
		t.Errorf("Delete of one end: %v, left %v", err, l.Devices())
	}
}

// TestEchoBetweenKernels: two kernels that answer each other's packets at once use
// no more stack for many rounds than for one.
func TestEchoBetweenKernels(t *testing.T) {
	x, y, _ := join(t, link.PipeConfig{})
	linktest.Up(t, x, y)
	const rounds = 50_000
	depth, deepest, n := 0, 0, 0
	for _, dev := range []*link.Device{x, y} {
		linktest.Handle(t, dev.Layer(), wire.EtherTypeIPv4, func(dev *link.Device, pkt *packet.Packet) {
			depth++
			deepest = max(deepest, depth)
			if n++; n < rounds {
				linktest.Send(dev, pkt, wire.MAC{})
			} else {
				pkt.Consume()
			}
			depth--
		})
	}
	linktest.Send(x, linktest.UDP4(x.Layer().Pool, 1, 2, nil), wire.MAC{})
	if n != rounds || deepest > 2 {
		t.Errorf("%d rounds, nested %d deep, want %d and at most 2", n, deepest, rounds)
	}
}

// TestUpDownUnderTraffic: nothing is lost or ended twice when ends go up and down
// while both send.
func TestUpDownUnderTraffic(t *testing.T) {
	x, y, _ := join(t, link.PipeConfig{})
	for _, dev := range []*link.Device{x, y} {
		linktest.Handle(t, dev.Layer(), wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) { pkt.Consume() })
	}
	var wg sync.WaitGroup
	for _, dev := range []*link.Device{x, y} {
		wg.Go(func() {
			for i := range 3000 {
				linktest.Send(dev, linktest.UDP4(dev.Layer().Pool, uint16(i), 2, nil), wire.MAC{})
			}
		})
		wg.Go(func() {
			for i := range 300 {
				dev.SetUp(i%2 == 0)
			}
		})
	}
	wg.Wait()
	for _, dev := range []*link.Device{x, y} {
		dev.SetUp(true)
	}
	if x.Flags()&y.Flags()&link.LowerUp == 0 {
		t.Error("both are up and one has no carrier")
	}
}

func TestDoesNotAllocate(t *testing.T) {
	x, y, _ := join(t, link.PipeConfig{})
	linktest.Up(t, x, y)
	linktest.Handle(t, y.Layer(), wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) { pkt.Consume() })
	var q packet.Queue
	payload := make([]byte, 1400)
	linktest.Allocs(t, func() {
		q.Push(linktest.UDP4(x.Layer().Pool, 1, 2, payload))
		x.Transmit(&q)
	})
}
