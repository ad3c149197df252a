package offload

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// streams returns the payload of every flow in the order of the queue. It is the
// slow twin: it looks at one packet at a time and merges nothing.
func streams(q *packet.Queue) map[string][]byte {
	m := map[string][]byte{}
	for p := q.Front(); p != nil; p = p.Next() {
		b := content(p)
		k, pay := slowFlow(b)
		m[k] = append(m[k], pay...)
	}
	return m
}

func slowFlow(b []byte) (flow string, payload []byte) {
	if h, ok := wire.ParseIPv4(b); ok && !h.IsFragment() && h.TotalLen() <= len(b) {
		return slowTransport(b, string(b[12:20]), h.Protocol(), h.Payload())
	}
	if h, ok := wire.ParseIPv6(b); ok && h.TotalLen() <= len(b) {
		return slowTransport(b, string(b[8:40]), h.NextHeader(), b[40:h.TotalLen()])
	}
	return "other", unpadded(b)
}

func slowTransport(b []byte, addrs string, proto uint8, l4 []byte) (flow string, payload []byte) {
	if tcp, ok := wire.ParseTCP(l4); ok && proto == wire.ProtoTCP {
		return "tcp" + addrs + string(l4[:4]), tcp.Payload()
	}
	if proto == wire.ProtoUDP && len(l4) >= wire.UDPLen {
		return "udp" + addrs + string(l4[:4]), l4[wire.UDPLen:]
	}
	return "other", unpadded(b)
}

// unpadded cuts off what is not part of the IP packet: link padding.
func unpadded(b []byte) []byte {
	if h, ok := wire.ParseIPv4(b); ok {
		return b[:min(h.TotalLen(), len(b))]
	}
	if h, ok := wire.ParseIPv6(b); ok {
		return b[:min(h.TotalLen(), len(b))]
	}
	return b
}

// FuzzMerge: whatever comes, each flow's bytes and their order stay, no packet is
// lost, and cutting what was merged gives back what came, byte for byte.
func FuzzMerge(f *testing.F) {
	f.Add(uint64(1), []byte("seed"))
	f.Add(uint64(2), make([]byte, 64))
	f.Fuzz(mergeAndCut)
}

// TestMergeIsReversible is the fuzz target's share of every run.
func TestMergeIsReversible(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for seed := range uint64(500) {
		mergeAndCut(t, seed, randomBytes(r, r.IntN(40)))
	}
}

func mergeAndCut(t *testing.T, seed uint64, spoil []byte) {
	var pool packet.Pool
	r := rand.New(rand.NewPCG(seed, 9))
	var q packet.Queue
	for _, p := range randomBatch(&pool, r) {
		if p.Csum == packet.CsumNone { // else the bytes are vouched for
			spoilAt(p, r, &spoil)
		}
		q.Push(p)
	}
	want, frames := streams(&q), onWire(&q)
	o := &Offload{MergeUDP: seed%2 == 0}
	o.Merge(&q)
	got := streams(&q)
	for k := range want {
		if !bytes.Equal(got[k], want[k]) {
			t.Errorf("seed %d, flow %x: %d bytes became %d other ones", seed, k, len(want[k]), len(got[k]))
		}
	}
	var out packet.Queue
	for p := q.Pop(); p != nil; p = q.Pop() {
		if p.GSO == packet.GSONone {
			out.Push(p)
			continue
		}
		segs := int(p.GSOSegs)
		var cut packet.Queue
		o.Segment(p, &cut)
		if cut.Len() != segs {
			t.Errorf("seed %d: a packet of %d segments was cut into %d", seed, segs, cut.Len())
		}
		out.Append(&cut)
	}
	again := onWire(&out)
	for k := range frames {
		if !slices.Equal(again[k], frames[k]) {
			t.Errorf("seed %d, flow %x: %d packets came back as %d that differ", seed, k, len(frames[k]), len(again[k]))
		}
	}
	out.Consume()
	if pool.Live() != 0 || pool.LiveBufs() != 0 {
		t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
	}
}

// onWire returns the packets of every flow, in order, as they are on a medium: with
// their checksums and without link padding.
func onWire(q *packet.Queue) map[string][]string {
	m := map[string][]string{}
	for p := q.Front(); p != nil; p = p.Next() {
		c := p.Clone()
		link.CompleteChecksum(c)
		b := content(c)
		c.Consume()
		k, _ := slowFlow(b)
		m[k] = append(m[k], string(unpadded(b)))
	}
	return m
}

// A source makes the packets of one flow.
type source struct {
	shape
	step uint16 // of the IPv4 identification
}

// randomSource returns one that is like few others.
func randomSource(r *rand.Rand, port int) source {
	s := source{shape{v6: port%3 == 2, flags: wire.TCPAck, port: uint16(port), udp: port%7 == 6}, 1}
	if r.IntN(2) == 0 {
		s.id = uint16(r.Uint32())
	}
	if r.IntN(3) == 0 {
		s.step = 0
	}
	s.noDF = r.IntN(3) == 0
	if port%2 == 1 {
		s.options = timestamps
	}
	return s
}

// next returns what the flow sends now, with n bytes of payload: mostly what follows
// what it has sent, sometimes something that is different in one field.
func (s *source) next(r *rand.Rand, n int) shape {
	odd := s.shape
	switch r.IntN(30) {
	case 0:
		odd.flags |= 1 << r.IntN(9)
	case 1:
		odd.seq += uint32(r.IntN(100))
	case 2:
		odd.tos++
	case 3:
		odd.ttl = 63
	case 4:
		odd.reserved = true
	case 5:
		odd.urgent = uint16(r.IntN(3))
	case 6:
		odd.window++
	case 7:
		odd.label++
	case 8:
		odd.noDF = !odd.noDF
	case 9:
		odd.id += uint16(r.IntN(3))
	case 10:
		odd.ack++
	}
	s.seq += uint32(n)
	s.id += s.step
	return odd
}

// randomBatch returns segments of some interleaved flows, mostly in order.
func randomBatch(pool *packet.Pool, r *rand.Rand) (batch []*packet.Packet) {
	flows := make([]source, 1+r.IntN(12))
	for i := range flows {
		flows[i] = randomSource(r, i)
	}
	for range r.IntN(60) {
		n := 100
		if r.IntN(8) == 0 {
			n = r.IntN(200)
		}
		p := build(pool, flows[r.IntN(len(flows))].next(r, n), randomBytes(r, n))
		if r.IntN(2) == 0 { // from a medium
			link.CompleteChecksum(p)
			p.Csum = packet.CsumState(r.IntN(2)) // nobody, or the link, has checked it
		}
		if r.IntN(4) == 0 && p.Csum != packet.CsumPartial {
			p = inFragment(pool, p)
		}
		batch = append(batch, p)
	}
	return batch
}

// inFragment returns p with all headers in a fragment.
func inFragment(pool *packet.Pool, p *packet.Packet) *packet.Packet {
	q := pool.Get()
	q.Meta = p.Meta
	b := content(p)
	buf := pool.Buf(len(b))
	copy(buf.Bytes(), b)
	q.AddFrag(buf, 0, len(b))
	q.L3, q.L4, q.CsumStart, q.CsumOffset = 0, 0, 0, 0
	p.Consume()
	return q
}

// spoilAt changes one byte of the head, or cuts the packet, as bytes from spoil say.
func spoilAt(p *packet.Packet, r *rand.Rand, spoil *[]byte) {
	if len(*spoil) < 2 || r.IntN(4) > 0 {
		return
	}
	at, v := int((*spoil)[0]), (*spoil)[1]
	*spoil = (*spoil)[2:]
	if at < p.HeadLen() {
		p.Head()[at] = v
	} else {
		p.TrimTo(at)
	}
}

// FuzzSegment: any bytes with any Meta of a guest end without panic or leak, and what
// is cut is cut as the slow twin does it.
func FuzzSegment(f *testing.F) {
	var pool packet.Pool
	for _, s := range shapes() {
		s.ether = false
		s.size = 100
		p := build(&pool, s, make([]byte, 300))
		f.Add(content(p), uint8(p.GSO), uint16(100), uint16(p.CsumStart-p.L3), p.CsumOffset, uint8(p.Csum))
		p.Consume()
	}
	f.Fuzz(func(t *testing.T, b []byte, gso uint8, size, start, offset uint16, csum uint8) {
		if len(b) > 4000 {
			return
		}
		var pool packet.Pool
		pkt := pool.Get()
		pkt.Append(b)
		pkt.GSO, pkt.GSOSize = packet.GSOType(1+gso%3), size
		pkt.L3 = uint16(pkt.Offset())
		pkt.Csum, pkt.CsumStart, pkt.CsumOffset = packet.CsumState(csum%3), pkt.L3+start, offset
		twin := pkt.Clone()
		var out packet.Queue
		New().Segment(pkt, &out)
		if out.Len() > 1 {
			complete(&out)
			repairSums(twin)
			compare(t, twin)
		}
		out.Consume()
		twin.Consume()
		if pool.Live() != 0 || pool.LiveBufs() != 0 {
			t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
		}
	})
}

// repairSums makes the checksums of a packet right that Segment only carries on.
func repairSums(pkt *packet.Packet) {
	p, ok := slowPlan(content(pkt), pkt.GSO)
	if !ok || !pkt.Ensure(p.payload) {
		return
	}
	b := pkt.Head()
	if h, ok := wire.ParseIPv4(b); ok {
		h.UpdateHeaderChecksum()
	}
	if pkt.Csum == packet.CsumPartial {
		be16(b[p.sumAt:], ^slowSum(p.pseudo(b, pkt.Len()-p.l4)))
	}
}

func TestNoAllocation(t *testing.T) {
	var pool packet.Pool
	o := New()
	pkt := build(&pool, shape{flags: wire.TCPAck, size: 1448, options: timestamps}, make([]byte, 60000))
	defer pkt.Consume()
	n := testing.AllocsPerRun(200, func() {
		var q packet.Queue
		o.Segment(pkt.Clone(), &q)
		o.Merge(&q)
		q.Consume()
	})
	// Under the race detector sync.Pool forgets at random; then the pool refills
	// with some packets of 42.
	if n > 0 && !raceEnabled {
		t.Errorf("%v allocations for a packet of 42 segments, want 0", n)
	}
}

func BenchmarkSegment(b *testing.B) {
	benchmark(b, shape{flags: wire.TCPAck, size: 1448, options: timestamps})
}

func benchmark(b *testing.B, s shape) {
	var pool packet.Pool
	o := New()
	pkt := build(&pool, s, make([]byte, 60000))
	segs := (60000 + s.size - 1) / s.size
	b.Run("cut", func(b *testing.B) {
		for b.Loop() {
			var q packet.Queue
			o.Segment(pkt.Clone(), &q)
			q.Consume()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*segs), "ns/segment")
	})
	b.Run("cut+merge", func(b *testing.B) {
		for b.Loop() {
			var q packet.Queue
			o.Segment(pkt.Clone(), &q)
			o.Merge(&q)
			q.Consume()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*segs), "ns/segment")
	})
}
