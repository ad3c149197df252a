package offload

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/core/packet"
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
	if h, ok := wire.ParseIPv4(b); ok && !h.IsFragment() && h.Protocol() == wire.ProtoTCP && h.TotalLen() <= len(b) {
		if tcp, ok := wire.ParseTCP(b[h.HeaderLen():h.TotalLen()]); ok {
			return string(b[12:20]) + string(b[h.HeaderLen():][:4]), tcp.Payload()
		}
	}
	if h, ok := wire.ParseIPv6(b); ok && h.NextHeader() == wire.ProtoTCP && h.TotalLen() <= len(b) {
		if tcp, ok := wire.ParseTCP(b[40:h.TotalLen()]); ok {
			return string(b[8:40]) + string(b[40:44]), tcp.Payload()
		}
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

// FuzzMerge: whatever comes, each flow's bytes and their order stay, and no packet
// is lost.
func FuzzMerge(f *testing.F) {
	f.Add(uint64(1), []byte("seed"))
	f.Add(uint64(2), make([]byte, 64))
	f.Fuzz(func(t *testing.T, seed uint64, spoil []byte) {
		var pool packet.Pool
		r := rand.New(rand.NewPCG(seed, 9))
		var q packet.Queue
		for _, p := range randomBatch(&pool, r) {
			spoilAt(p, r, &spoil)
			q.Push(p)
		}
		want := streams(&q)
		New().Merge(&q)
		got := streams(&q)
		for k := range want {
			if !bytes.Equal(got[k], want[k]) {
				t.Errorf("flow %x: %d bytes became %d other ones", k, len(want[k]), len(got[k]))
			}
		}
		// What was merged can be cut again.
		var out packet.Queue
		for p := q.Pop(); p != nil; p = q.Pop() {
			if p.GSO == packet.GSONone {
				out.Push(p)
				continue
			}
			segs := int(p.GSOSegs)
			var cut packet.Queue
			New().Segment(p, &cut)
			if cut.Len() != segs {
				t.Errorf("a packet of %d segments was cut into %d", segs, cut.Len())
			}
			out.Append(&cut)
		}
		again := streams(&out)
		for k := range want {
			if !bytes.Equal(again[k], want[k]) {
				t.Errorf("flow %x changed when it was cut again", k)
			}
		}
		out.Consume()
		if pool.Live() != 0 || pool.LiveBufs() != 0 {
			t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
		}
	})
}

// randomBatch returns segments of some interleaved flows, mostly in order.
func randomBatch(pool *packet.Pool, r *rand.Rand) (batch []*packet.Packet) {
	var seq [12]uint32
	var id [12]uint16
	flows := 1 + r.IntN(len(seq))
	for range r.IntN(60) {
		i := r.IntN(flows)
		s := shape{v6: i%3 == 2, flags: wire.TCPAck, port: uint16(i), seq: seq[i], id: id[i]}
		if r.IntN(12) == 0 {
			s.flags |= 1 << r.IntN(8)
		}
		if i%2 == 1 {
			s.options = timestamps
		}
		n := 100
		if r.IntN(8) == 0 {
			n = r.IntN(200)
		}
		if r.IntN(15) == 0 {
			s.seq += uint32(r.IntN(100))
		}
		seq[i] += uint32(n)
		id[i]++
		p := build(pool, s, randomBytes(r, n))
		if r.IntN(4) == 0 { // headers that lie in a fragment
			q := pool.Get()
			q.Meta = p.Meta
			b := content(p)
			buf := pool.Buf(len(b))
			copy(buf.Bytes(), b)
			q.AddFrag(buf, 0, len(b))
			q.L3, q.L4, q.CsumStart, q.CsumOffset = 0, 0, 0, 0
			q.Csum = packet.CsumUnnecessary
			p.Consume()
			p = q
		}
		batch = append(batch, p)
	}
	return batch
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

// FuzzSegment: any bytes with any Meta of a guest end without panic or leak.
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
		var out packet.Queue
		New().Segment(pkt, &out)
		if out.Len() > 1 {
			complete(&out)
		}
		out.Consume()
		if pool.Live() != 0 || pool.LiveBufs() != 0 {
			t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
		}
	})
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
