package frag

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

type bench struct {
	*testing.T
	clock *clock.Clock
	pool  packet.Pool
	table *Table
	r     *rand.Rand
	// expired are the first bytes of payload of what Expired got.
	expired []byte
}

func newBench(t *testing.T, p Params) *bench {
	b := &bench{T: t, clock: clock.NewVirtual(), r: rand.New(rand.NewPCG(1, 2))}
	b.table = New(Config{Clock: b.clock, Params: p, Expired: func(pkt *packet.Packet) {
		var x [1]byte
		pkt.CopyOut(wire.IPv4Len, x[:])
		b.expired = append(b.expired, x[0])
		pkt.Drop(stat.FragReasmTimeout)
	}})
	t.Cleanup(func() {
		b.table.Close()
		if n, bytes := b.table.Usage(); n != 0 || bytes != 0 || b.pool.Live() != 0 || b.pool.LiveBufs() != 0 {
			t.Errorf("left: %d datagrams, %d bytes, %d packets, %d buffers", n, bytes, b.pool.Live(), b.pool.LiveBufs())
		}
	})
	return b
}

// packet4 makes a whole IPv4 packet around payload, some of which lies in the head.
func (b *bench) packet4(f wire.IPv4Fields, payload []byte) *packet.Packet {
	pkt := b.payload(payload)
	f.TotalLen = uint16(f.HeaderLen() + len(payload))
	if f.Protocol == 0 {
		f.Protocol = wire.ProtoUDP
	}
	wire.PutIPv4(pkt.Push(f.HeaderLen()), &f)
	pkt.L3, pkt.Proto = uint16(pkt.Offset()), wire.EtherTypeIPv4
	return pkt
}

func (b *bench) payload(payload []byte) *packet.Packet {
	pkt := b.pool.Get()
	head := min(len(payload), b.r.IntN(80))
	if b.r.IntN(2) == 0 {
		head = 0
	}
	copy(pkt.Extend(head), payload)
	if rest := payload[head:]; len(rest) > 0 {
		buf := b.pool.Buf(len(rest))
		copy(buf.Bytes(), rest)
		pkt.AddFrag(buf, 0, len(rest))
	}
	return pkt
}

// packet6 makes one with a destination options header and a TCP-less payload.
func (b *bench) packet6(payload []byte) (pkt *packet.Packet, unfrag, named int) {
	pkt = b.payload(payload)
	h := pkt.Push(wire.IPv6Len + 8)
	wire.PutIPv6(h, &wire.IPv6Fields{
		PayloadLen: uint16(8 + len(payload)), HopLimit: 64, NextHeader: wire.ProtoHopByHop,
		Src: [16]byte{0: 0xfd, 15: 1}, Dst: [16]byte{0: 0xfd, 15: 2},
	})
	copy(h[wire.IPv6Len:], []byte{wire.ProtoUDP, 0, 1, 4, 0, 0, 0, 0}) // PadN
	pkt.L3, pkt.Proto = uint16(pkt.Offset()), wire.EtherTypeIPv6
	return pkt, wire.IPv6Len + 8, wire.IPv6Len
}

func (b *bench) bytes(n int) []byte {
	x := make([]byte, n)
	for i := range x {
		x[i] = byte(b.r.Uint32())
	}
	return x
}

func content(pkt *packet.Packet) []byte {
	x := make([]byte, pkt.Len())
	pkt.CopyOut(0, x)
	return x
}

// shuffle puts the packets of q into another order.
func (b *bench) shuffle(q *packet.Queue) []*packet.Packet {
	var list []*packet.Packet
	for p := q.Pop(); p != nil; p = q.Pop() {
		list = append(list, p)
	}
	b.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// TestRoundTrip4: what Split4 cuts, twice even, Input4 puts together, in any order
// and with duplicates; every fragment fits and is a valid packet.
func TestRoundTrip4(t *testing.T) {
	b := newBench(t, Params{})
	for i := range 300 {
		f := wire.IPv4Fields{TTL: 64, ID: uint16(i), Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2}, TOS: 0x08 | uint8(b.r.IntN(4))}
		if b.r.IntN(3) == 0 {
			f.Options = []byte{wire.IPv4OptRouterAlert, 4, 0, 0, wire.IPv4OptRecordRoute, 7, 4, 0, 0, 0, 0, 0}
		}
		pkt := b.packet4(f, b.bytes(1+b.r.IntN(60000)>>b.r.IntN(8)))
		want := content(pkt)
		mtu := 400 + b.r.IntN(3000)
		var once, q packet.Queue
		Split4(pkt, mtu, &once)
		for p := once.Pop(); p != nil; p = once.Pop() {
			b.checkFragment4(p, mtu)
			if b.r.IntN(4) == 0 {
				Split4(p, mtu*2/3, &q)
			} else {
				q.Push(p)
			}
		}
		if q.Len() == 1 {
			q.Consume()
			continue
		}
		b.reassemble(&q, want, func(p *packet.Packet) *packet.Packet { return b.table.Input4(p) })
	}
}

func (b *bench) checkFragment4(p *packet.Packet, mtu int) {
	b.Helper()
	h, ok := wire.ParseIPv4(p.Head())
	if !ok || !h.ChecksumOK() || h.TotalLen() != p.Len() || p.Len() > mtu || int(p.L3) != p.Offset() {
		b.Fatalf("fragment: ok %v, %d bytes, mtu %d", ok, p.Len(), mtu)
	}
	hasRecordRoute := bytes.Contains(h.Options(), []byte{wire.IPv4OptRecordRoute, 7})
	if h.FragOffset() > 0 && hasRecordRoute {
		b.Error("an option without the copied flag is in a later fragment")
	}
}

// reassemble feeds shuffled fragments with duplicates and compares the result.
func (b *bench) reassemble(q *packet.Queue, want []byte, input func(*packet.Packet) *packet.Packet) {
	b.Helper()
	list := b.shuffle(q)
	for i, p := range list {
		if i > 0 && b.r.IntN(3) == 0 && i < len(list)-1 {
			if whole := input(list[i-1].Clone()); whole != nil {
				b.Fatal("a duplicate made the datagram complete")
			}
		}
		keep := p.Clone()
		whole := input(p)
		list[i] = keep
		if last := i == len(list)-1; last != (whole != nil) {
			b.Fatalf("fragment %d of %d: complete %v", i+1, len(list), whole != nil)
		}
		if whole == nil {
			continue
		}
		if got := content(whole); !bytes.Equal(got, want) {
			b.Fatalf("datagram of %d bytes differs: got %d\n%x\n%x", len(want), len(got), got[:60], want[:60])
		}
		if int(whole.L3) != whole.Offset() {
			b.Errorf("L3 is %d, data starts at %d", whole.L3, whole.Offset())
		}
		whole.Consume()
	}
	for _, p := range list {
		p.Consume()
	}
}

func TestRoundTrip6(t *testing.T) {
	b := newBench(t, Params{Timeout: Timeout6})
	for i := range 300 {
		pkt, unfrag, named := b.packet6(b.bytes(1 + b.r.IntN(60000)>>b.r.IntN(8)))
		want := content(pkt)
		mtu := wire.IPv6MinMTU + b.r.IntN(3000)
		var q packet.Queue
		Split6(pkt, unfrag, named, mtu, uint32(i), &q)
		for p := q.Front(); p != nil; p = p.Next() {
			h, ok := wire.ParseIPv6(p.Head())
			if !ok || h.TotalLen() != p.Len() || p.Len() > mtu {
				t.Fatalf("fragment of %d bytes, mtu %d", p.Len(), mtu)
			}
		}
		input := func(p *packet.Packet) *packet.Packet {
			whole, pointer := b.table.Input6(p, unfrag, named)
			if pointer != 0 {
				t.Fatalf("parameter problem at %d", pointer)
			}
			return whole
		}
		if q.Len() == 1 { // an atomic fragment
			if got := input(q.Pop()); !bytes.Equal(content(got), want) {
				t.Fatal("an atomic fragment changed")
			} else {
				got.Consume()
			}
			continue
		}
		b.reassemble(&q, want, input)
	}
}

// piece4 makes a fragment by hand.
func (b *bench) piece4(id, off, n int, more bool) *packet.Packet {
	return b.packet4(wire.IPv4Fields{
		ID: uint16(id), FragOffset: uint16(off), MF: more, TTL: 9, Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2},
	}, bytes.Repeat([]byte{byte(id)}, n))
}

// add feeds a fragment and reports whether a datagram came out.
func (b *bench) add(id, off, n int, more bool) bool {
	whole := b.table.Input4(b.piece4(id, off, n, more))
	if whole == nil {
		return false
	}
	whole.Consume()
	return true
}

// TestOverlapCondemns: RFC 5722 §4, for every way two fragments can overlap.
func TestOverlapCondemns(t *testing.T) {
	for name, p := range map[string][3]int{ // offset, length, more
		"tail":            {8, 16, 1},
		"inside":          {24, 8, 1},
		"around":          {8, 64, 1},
		"same start":      {16, 8, 1},
		"same end":        {32, 8, 1},
		"head of next":    {32, 16, 1},
		"another end":     {48, 8, 0},
		"behind the end":  {80, 8, 1},
		"end in the past": {0, 8, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Params{})
			b.add(1, 16, 24, true)
			b.add(1, 64, 8, false)
			b.add(1, p[0], p[1], p[2] == 1)
			// Now everything that was missing comes, and for the rest of its life
			// nothing comes of it.
			b.add(1, 0, 16, true)
			b.add(1, 16, 24, true)
			if b.add(1, 40, 24, true) {
				t.Error("a datagram with overlapping fragments was delivered")
			}
			if got := b.table.Stats.ReasmFails.Load(); got != 1 {
				t.Errorf("ReasmFails = %d, want 1", got)
			}
			b.clock.Advance(Timeout4)
			b.add(1, 0, 8, true)
			if !b.add(1, 8, 8, false) {
				t.Error("the identification cannot be used again after the timeout")
			}
		})
	}
}

// TestTimeout: the first fragment, and only that, comes back for the ICMP error.
func TestTimeout(t *testing.T) {
	b := newBench(t, Params{})
	b.add(1, 0, 8, true)
	b.clock.Advance(10 * time.Second)
	b.add(2, 8, 8, true) // no first fragment: RFC 792 wants no message
	b.add(1, 16, 8, false)
	b.clock.Advance(20 * time.Second)
	if string(b.expired) != "\x01" {
		t.Errorf("expired = %v after 30 s, want [1]", b.expired)
	}
	b.clock.Advance(10 * time.Second)
	n, _ := b.table.Usage()
	if s := &b.table.Stats; len(b.expired) != 1 || n != 0 || s.ReasmTimeout.Load() != 2 || s.ReasmFails.Load() != 2 {
		t.Errorf("expired %v, %d wait, timeouts %d, fails %d", b.expired, n, s.ReasmTimeout.Load(), s.ReasmFails.Load())
	}
}

// TestMemory: beyond High room is made down to Low, at the cost of who uses most.
func TestMemory(t *testing.T) {
	b := newBench(t, Params{High: 100_000, Low: 75_000})
	victim := b.packet4(wire.IPv4Fields{ID: 7, MF: true, Src: [4]byte{10, 9, 9, 9}}, make([]byte, 8))
	b.table.Input4(victim)
	for i := range 1000 {
		b.add(i, 0, 1000, true)
		if _, n := b.table.Usage(); n > 100_000 {
			t.Fatalf("%d bytes wait", n)
		}
	}
	rest := b.packet4(wire.IPv4Fields{ID: 7, FragOffset: 8, Src: [4]byte{10, 9, 9, 9}}, make([]byte, 8))
	whole := b.table.Input4(rest)
	if whole == nil {
		t.Fatal("a flood by one source cost another one its datagram")
	}
	whole.Consume()
}

// TestDistance: a fragment does not join those that are many fragments old: the
// identification may have wrapped around.
func TestDistance(t *testing.T) {
	b := newBench(t, Params{MaxDist: MaxDist4})
	b.add(1, 0, 8, true)
	for i := range 64 {
		b.add(100+i, 0, 8, true)
	}
	if b.add(1, 8, 8, false) {
		t.Error("fragments that are 65 apart made a datagram")
	}
	if got := b.pool.Drops.Load(stat.FragTooFar); got != 1 {
		t.Errorf("%d dropped for FRAG_TOO_FAR, want 1", got)
	}
}

func TestManyFragments(t *testing.T) {
	b := newBench(t, Params{MaxFragments: 10})
	for i := range 10 {
		b.add(1, 8*i, 8, true)
	}
	if b.add(1, 80, 8, false) {
		t.Error("an eleventh fragment was taken")
	}
}

// TestTooLong: no datagram is longer than its length field can say (the ping of
// death).
func TestTooLong(t *testing.T) {
	b := newBench(t, Params{})
	b.add(1, 0, 8, true)
	b.add(1, 65528, 100, false)
	if got := b.pool.Drops.Load(stat.IPInHdr); got != 1 {
		t.Errorf("%d dropped for IP_INHDR, want 1", got)
	}
}

// TestECN is RFC 3168 §5.3.
func TestECN(t *testing.T) {
	tests := []struct {
		a, b uint8
		want int // -1: dropped
	}{
		{wire.ECNNotECT, wire.ECNNotECT, wire.ECNNotECT}, {wire.ECNECT0, wire.ECNECT0, wire.ECNECT0},
		{wire.ECNECT0, wire.ECNCE, wire.ECNCE}, {wire.ECNCE, wire.ECNECT1, wire.ECNCE},
		{wire.ECNNotECT, wire.ECNCE, -1}, {wire.ECNNotECT, wire.ECNECT0, -1},
	}
	for _, tt := range tests {
		b := newBench(t, Params{})
		first := b.packet4(wire.IPv4Fields{ID: 1, MF: true, TOS: 0x20 | tt.a}, make([]byte, 8))
		second := b.packet4(wire.IPv4Fields{ID: 1, FragOffset: 8, TOS: 0x20 | tt.b}, make([]byte, 8))
		b.table.Input4(first)
		got := -1
		if whole := b.table.Input4(second); whole != nil {
			h, _ := wire.ParseIPv4(whole.Head())
			got = int(h.TOS()) - 0x20
			whole.Consume()
		}
		if got != tt.want {
			t.Errorf("ECN of %d and %d = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestParameterProblem is RFC 8200 §4.5: where the pointer points.
func TestParameterProblem(t *testing.T) {
	b := newBench(t, Params{})
	fragment := func(off, n int, more bool) (int, *packet.Packet) {
		pkt := b.payload(make([]byte, n))
		h := pkt.Push(48)
		wire.PutIPv6(h, &wire.IPv6Fields{NextHeader: wire.ProtoFragment, PayloadLen: uint16(8 + n)})
		wire.PutIPv6Fragment(h[40:], wire.ProtoUDP, off, more, 1)
		whole, pointer := b.table.Input6(pkt, 40, 6)
		if whole != nil {
			t.Fatal("a datagram came out")
		}
		return pointer, pkt
	}
	if pointer, pkt := fragment(0, 9, true); pointer != 4 {
		t.Errorf("length not a multiple of 8: pointer %d, want 4", pointer)
	} else {
		pkt.Consume()
	}
	if pointer, pkt := fragment(65528, 16, false); pointer != 42 {
		t.Errorf("too long: pointer %d, want 42", pointer)
	} else {
		pkt.Consume()
	}
}

// TestAtomicStandsAlone: RFC 6946 §4.
func TestAtomicStandsAlone(t *testing.T) {
	b := newBench(t, Params{})
	make6 := func(off, n int, more bool) *packet.Packet {
		pkt := b.payload(make([]byte, n))
		h := pkt.Push(48)
		wire.PutIPv6(h, &wire.IPv6Fields{NextHeader: wire.ProtoFragment, PayloadLen: uint16(8 + n)})
		wire.PutIPv6Fragment(h[40:], wire.ProtoUDP, off, more, 1)
		return pkt
	}
	b.table.Input6(make6(0, 16, true), 40, 6)
	whole, _ := b.table.Input6(make6(0, 8, false), 40, 6) // same identification
	if whole == nil || whole.Len() != 48 {
		t.Fatal("an atomic fragment was not processed alone")
	}
	whole.Consume()
	whole, _ = b.table.Input6(make6(16, 8, false), 40, 6)
	if whole == nil {
		t.Fatal("an atomic fragment spoiled a datagram")
	}
	whole.Consume()
}

// TestSourcesOfNetworkShare: one who has a /64 is one source.
func TestSourcesOfNetworkShare(t *testing.T) {
	b := newBench(t, Params{})
	for i := range 10 {
		a := netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)})
		b.table.start(Key{Src: a})
	}
	if len(b.table.sources) != 1 {
		t.Errorf("%d sources, want 1", len(b.table.sources))
	}
}

func TestNoAllocation(t *testing.T) {
	b := newBench(t, Params{})
	pkt := b.packet4(wire.IPv4Fields{ID: 1}, make([]byte, 5000))
	defer pkt.Consume()
	n := testing.AllocsPerRun(200, func() {
		var q packet.Queue
		Split4(pkt.Clone(), 1500, &q)
		for p := q.Pop(); p != nil; p = q.Pop() {
			if whole := b.table.Input4(p); whole != nil {
				whole.Consume()
			}
		}
	})
	if n > 0 && !raceEnabled {
		t.Errorf("%v allocations for a datagram of 4 fragments, want 0", n)
	}
}
