package link_test

import (
	"slices"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
)

func own() wire.MAC   { return wire.MAC{2, 0, 0, 0, 0, 1} }
func other() wire.MAC { return wire.MAC{2, 0, 0, 0, 0, 9} }

func frame(l *link.Layer, dst wire.MAC, etherType uint16, payload string) *packet.Packet {
	pkt := l.Pool.Get()
	wire.PutEthernet(pkt.Extend(wire.EthernetLen), dst, other(), etherType)
	pkt.Append([]byte(payload))
	return pkt
}

func receive(dev *link.Device, pkts ...*packet.Packet) {
	var q packet.Queue
	for _, p := range pkts {
		q.Push(p)
	}
	dev.Receive(&q)
}

// TestKindsOfFrames: what is for somebody else passes only a promiscuous device,
// and the handler finds the network header in front.
func TestKindsOfFrames(t *testing.T) {
	l := linktest.New(t)
	dev, _ := attach(t, l, link.Info{Name: "e0", Type: link.Ether, Hardware: own()})
	linktest.Up(t, dev)
	var got []packet.Kind
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(dev *link.Device, pkt *packet.Packet) {
		if pkt.In != dev.Index() || int(pkt.L3) != pkt.Offset() || string(linktest.Bytes(pkt)) != "x" {
			t.Errorf("handler got %q, in %d, L3 %d at %d", linktest.Bytes(pkt), pkt.In, pkt.L3, pkt.Offset())
		}
		if h, ok := wire.ParseEthernet(pkt.At(pkt.L2)); !ok || h.Src() != other() {
			t.Error("L2 is not where the Ethernet header is")
		}
		got = append(got, pkt.Kind)
		pkt.Consume()
	})
	all := func() {
		for _, dst := range []wire.MAC{own(), wire.BroadcastMAC(), {1, 0, 0x5e, 0, 0, 1}, other()} {
			receive(dev, frame(l, dst, wire.EtherTypeIPv4, "x"))
		}
	}
	all()
	dev.AddPromisc(1)
	all()
	want := []packet.Kind{
		packet.Host, packet.Broadcast, packet.Multicast,
		packet.Host, packet.Broadcast, packet.Multicast, packet.OtherHost,
	}
	if !slices.Equal(got, want) {
		t.Errorf("kinds %v, want %v", got, want)
	}
	if n := l.Pool.Drops.Load(stat.OtherHost); n != 1 {
		t.Errorf("%d dropped for OTHERHOST, want 1", n)
	}
	if rx := dev.Rx(); rx.Packets.Load() != 8 || rx.Bytes.Load() != 8*15 || rx.Multicast.Load() != 2 {
		t.Errorf("counted %d packets, %d bytes, %d multicast", rx.Packets.Load(), rx.Bytes.Load(), rx.Multicast.Load())
	}
}

func TestBadFrames(t *testing.T) {
	l := linktest.New(t)
	dev, _ := attach(t, l, link.Info{Name: "e0", Type: link.Ether, Hardware: own()})
	receive(dev, frame(l, own(), wire.EtherTypeIPv4, "while down"))
	linktest.Up(t, dev)
	for n := range wire.EthernetLen {
		short := l.Pool.Get()
		short.Extend(n)
		receive(dev, short)
	}
	receive(dev, frame(l, own(), 0x1234, "nobody's"))
	for _, c := range []struct {
		why  stat.Reason
		want uint64
	}{{stat.DevReady, 1}, {stat.DevHdr, wire.EthernetLen}, {stat.UnhandledProto, 1}} {
		if n := l.Pool.Drops.Load(c.why); n != c.want {
			t.Errorf("reason %d: %d dropped, want %d", c.why, n, c.want)
		}
	}
	if rx := dev.Rx(); rx.Errors.Load() != wire.EthernetLen || rx.Dropped.Load() != 2 {
		t.Errorf("%d errors, %d dropped", rx.Errors.Load(), rx.Dropped.Load())
	}
}

// TestPriorityTags: a tag without a VLAN is looked behind, as Linux does without its
// module 8021q; frames of a VLAN are nobody's here.
func TestPriorityTags(t *testing.T) {
	l := linktest.New(t)
	dev, _ := attach(t, l, link.Info{Name: "e0", Type: link.Ether, Hardware: own()})
	linktest.Up(t, dev)
	var got []string
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) {
		if int(pkt.L3) != pkt.Offset() || pkt.Proto != wire.EtherTypeIPv4 {
			t.Errorf("L3 %d at %d, EtherType %#x", pkt.L3, pkt.Offset(), pkt.Proto)
		}
		got = append(got, string(linktest.Bytes(pkt)))
		pkt.Consume()
	})
	for _, tagged := range []string{
		"\xe0\x00\x08\x00one tag", "\x00\x00\x81\x00\xe0\x00\x08\x00two", "\x00\x05\x08\x00VLAN 5", "\x00\x00\x88\xa8\x00\x05\x08\x00VLAN 5 in 0",
		"\x00\x00\x81\x00\x00", "\x00",
	} {
		receive(dev, frame(l, own(), wire.EtherTypeVLAN, tagged))
	}
	if !slices.Equal(got, []string{"one tag", "two"}) || dev.Rx().Dropped.Load() != 4 {
		t.Errorf("got %q, %d dropped", got, dev.Rx().Dropped.Load())
	}
}

// merger counts what it is asked to merge.
type merger struct{ batches []int }

func (m *merger) Segment(pkt *packet.Packet, out *packet.Queue) {
	for left := pkt.Len(); left > 0; left -= int(pkt.GSOSize) {
		piece := pkt.Pool().Get()
		piece.Share(pkt, pkt.Len()-left, min(left, int(pkt.GSOSize)))
		out.Push(piece)
	}
	pkt.Consume()
}
func (m *merger) Merge(q *packet.Queue) { m.batches = append(m.batches, q.Len()) }

// TestBatchIsCutByEtherType: handlers get runs of their own packets in order, and
// runs of more than one are offered for merging if the device has GRO.
func TestBatchIsCutByEtherType(t *testing.T) {
	l := linktest.New(t)
	dev, _ := attach(t, l, link.Info{Name: "e0", Type: link.Ether, Hardware: own(), Features: link.GRO})
	linktest.Up(t, dev)
	var got string
	for _, proto := range []uint16{wire.EtherTypeIPv4, wire.EtherTypeIPv6} {
		linktest.Handle(t, l, proto, func(_ *link.Device, pkt *packet.Packet) {
			if pkt.Proto != proto {
				t.Errorf("handler of %#x got %#x", proto, pkt.Proto)
			}
			got += string(linktest.Bytes(pkt))
			pkt.Consume()
		})
	}
	m := new(merger)
	undo, err := l.Offload(wire.EtherTypeIPv4, m)
	if err != nil {
		t.Fatal(err)
	}
	batch := func() []*packet.Packet {
		var pkts []*packet.Packet
		for i, v6 := range []bool{false, false, true, false, true, true} {
			proto := uint16(wire.EtherTypeIPv4)
			if v6 {
				proto = wire.EtherTypeIPv6
			}
			pkts = append(pkts, frame(l, own(), proto, string('a'+rune(i))))
		}
		return pkts
	}
	receive(dev, batch()...)
	if got != "abcdef" || !slices.Equal(m.batches, []int{2}) {
		t.Errorf("order %s, merged runs of %v, want abcdef and [2]", got, m.batches)
	}
	dev.SetFeatures(0)
	receive(dev, batch()...)
	if len(m.batches) != 1 {
		t.Error("merged without GRO")
	}
	undo()
	if _, err := l.Handle(wire.EtherTypeIPv4, nil); err == nil {
		t.Error("second handler of an EtherType accepted")
	}
}
