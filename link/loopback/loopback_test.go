package loopback_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/link/loopback"
	"github.com/knitnet/knit/wire"
)

func load(t *testing.T, args ...string) (*link.Layer, *link.Device, *module.Registry) {
	l := linktest.New(t)
	r := linktest.Load(t, l, loopback.Module, args...)
	lo, err := l.Lookup("lo")
	if err != nil {
		t.Fatal(err)
	}
	return l, lo, r
}

func TestDevice(t *testing.T) {
	_, lo, _ := load(t)
	if lo.Type() != link.Loopback || lo.MTU() != 65536 || lo.Features() != link.Default || lo.HeaderLen() != 0 || lo.NeedsNeighbour() {
		t.Errorf("type %v, MTU %d, features %#x", lo.Type(), lo.MTU(), lo.Features())
	}
	if want := link.Up | link.LoopbackDev | link.Running | link.LowerUp; lo.Flags() != want {
		t.Errorf("flags %#x, want %#x", lo.Flags(), want)
	}
}

// TestWhatIsSentIsReceived: as a packet that came in, with its offload marks and
// without what the sending side noted on it.
func TestWhatIsSentIsReceived(t *testing.T) {
	l, lo, _ := load(t)
	got := 0
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(dev *link.Device, pkt *packet.Packet) {
		got++
		if dev != lo || pkt.In != lo.Index() || pkt.Out != 0 || pkt.Kind != packet.Host || pkt.Mark != 0 || pkt.L4 != 0 {
			t.Errorf("meta %+v", pkt.Meta)
		}
		if pkt.Csum != packet.CsumPartial || pkt.GSO != packet.GSOUDP || pkt.GSOSize != 1000 || string(linktest.Bytes(pkt)[28:]) != "payload" {
			t.Errorf("offload marks or bytes changed: %+v", pkt.Meta)
		}
		pkt.Consume()
	})
	pkt := linktest.UDP4(l.Pool, 1, 2, []byte("payload"))
	pkt.GSO, pkt.GSOSize = packet.GSOUDP, 1000
	pkt.Mark, pkt.Out, pkt.Kind = 7, 3, packet.Outgoing
	linktest.Send(lo, pkt, wire.MAC{})
	if got != 1 || lo.Tx().Packets.Load() != 1 || lo.Rx().Packets.Load() != 1 || lo.Rx().Bytes.Load() != 35 {
		t.Errorf("received %d, counted %d out and %d in", got, lo.Tx().Packets.Load(), lo.Rx().Packets.Load())
	}
}

func TestDoesNotAllocate(t *testing.T) {
	l, lo, _ := load(t)
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) { pkt.Consume() })
	var q packet.Queue
	payload := make([]byte, 1400)
	linktest.Allocs(t, func() {
		q.Push(linktest.UDP4(l.Pool, 1, 2, payload))
		lo.Transmit(&q)
	})
}

// TestUnload: the module is in use while lo is up; after that lo goes with it.
func TestUnload(t *testing.T) {
	l, lo, r := load(t, "mtu=1280")
	if lo.MTU() != 1280 {
		t.Errorf("MTU %d with mtu=1280", lo.MTU())
	}
	if err := r.Unload(context.Background(), "loopback"); !errors.Is(err, module.ErrInUse) || !strings.Contains(err.Error(), "1 device") {
		t.Errorf("unload while lo is up: %v", err)
	}
	lo.SetUp(false)
	if err := r.Unload(context.Background(), "loopback"); err != nil || len(l.Devices()) != 0 {
		t.Errorf("unload: %v, devices %v", err, l.Devices())
	}
	if err := r.Load(context.Background(), "loopback"); err != nil {
		t.Errorf("load again: %v", err)
	}
}
