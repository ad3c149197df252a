package nat_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// benchBatch is how many packets come at once.
const benchBatch = 64

// A stream lets packets of flows through a box, 64 octets each, all of them UDP from
// lan0 to a server behind wan0.
type stream struct {
	b    *box
	raws [][]byte
	out  *atomic.Int64
	q    packet.Queue // of pass; a variable would be allocated
}

// newStream returns a stream of n flows. The ports of the box throw away what they
// send, and count it.
func newStream(t testing.TB, b *box, n int) *stream {
	s := &stream{b: b, out: new(atomic.Int64)}
	for _, p := range b.ports {
		p.sink = func(q *packet.Queue) { s.out.Add(int64(q.Len())); q.Consume() }
	}
	for i := range n {
		m := udp(fmt.Sprintf("10.0.0.%d:%d", 2+i%200, 1024+i), "192.0.2.2:53", "")
		m.data = make([]byte, 64-28)
		m.ttl = 255
		s.raws = append(s.raws, m.bytes())
	}
	return s
}

// pass lets one batch pass, whose packets are of the flows from at on.
func (s *stream) pass(at int) {
	q := &s.q
	for i := range benchBatch {
		pkt := s.b.Pool.Get()
		raw := s.raws[(at+i)%len(s.raws)]
		copy(pkt.Extend(len(raw)), raw)
		pkt.Proto = wire.EtherTypeIPv4
		q.Push(pkt)
	}
	s.b.ports["lan0"].dev.Receive(q)
}

func benchForward(bm *testing.B, rules string) {
	for _, flows := range []int{1, 1024} {
		bm.Run(fmt.Sprint("flows=", flows), func(bm *testing.B) {
			b := newBox(bm)
			if rules != "" {
				b.load(rules)
			}
			s := newStream(bm, b, flows)
			for i := 0; i < flows; i += benchBatch {
				s.pass(i)
			}
			bm.ReportAllocs()
			s.out.Store(0)
			bm.ResetTimer()
			n := 0
			for ; n < bm.N; n += benchBatch {
				s.pass(n)
			}
			bm.StopTimer()
			if got := s.out.Load(); got != int64(n) {
				bm.Fatalf("%d packets of %d came out", got, n)
			}
		})
	}
}

// BenchmarkForwardPlain forwards datagrams of 64 octets without any rule; an
// operation is a packet.
func BenchmarkForwardPlain(b *testing.B) { benchForward(b, "") }

// BenchmarkForwardTracked is the same with connection tracking.
func BenchmarkForwardTracked(b *testing.B) {
	benchForward(b, "table ip t { chain c { type filter hook forward priority 0; ct state established accept; }; }")
}

// BenchmarkForwardNAT is the same with masquerading.
func BenchmarkForwardNAT(b *testing.B) {
	benchForward(b, natRules("ip", "", "oifname wan0 masquerade"))
}

// BenchmarkSetup begins connections that are masqueraded, on all cores; an operation
// is a connection. The table is emptied now and then, which does not count.
func BenchmarkSetup(bm *testing.B) {
	for name, rules := range map[string]string{
		"masquerade": natRules("ip", "", "oifname wan0 masquerade"), "random": natRules("ip", "", "oifname wan0 masquerade random"),
		"endpoint-independent": behave(endpoint, endpoint),
	} {
		bm.Run(name, func(bm *testing.B) { benchSetup(bm, rules) })
	}
}

func benchSetup(bm *testing.B, rules string) {
	b := newBox(bm)
	b.load(rules)
	s := newStream(bm, b, 1)
	var flow atomic.Uint32
	bm.ReportAllocs()
	bm.ResetTimer()
	for left := bm.N; left > 0; left -= setupChunk {
		var todo atomic.Int64
		todo.Store(int64(min(left, setupChunk)))
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for todo.Add(-benchBatch) > -benchBatch {
					var q packet.Queue
					for range benchBatch {
						q.Push(s.fresh(flow.Add(1)))
					}
					b.ports["lan0"].dev.Receive(&q)
				}
			})
		}
		wg.Wait()
		bm.StopTimer()
		b.track.Each(func(c *netfilter.Conn) bool { b.track.Delete(c); return true })
		bm.StartTimer()
	}
	bm.StopTimer()
	if got := s.out.Load(); got < int64(flow.Load())*99/100 {
		bm.Fatalf("%d packets of %d came out", got, flow.Load())
	}
	bm.ReportMetric(float64(bm.N)/bm.Elapsed().Seconds(), "conns/s")
}

// setupChunk is how many connections there are at most, fewer than the table takes.
const setupChunk = 100000

// sources is how many sockets the client of BenchmarkSetup has.
const sources = 50000

// fresh is a packet of a flow that was not there before: to one server of many.
func (s *stream) fresh(n uint32) *packet.Packet {
	pkt := s.b.Pool.Get()
	raw := s.raws[0]
	b := pkt.Extend(len(raw))
	copy(b, raw)
	pkt.Proto = wire.EtherTypeIPv4
	pkt.Csum = packet.CsumUnnecessary
	binary.BigEndian.PutUint16(b[18:], uint16(n/sources))
	binary.BigEndian.PutUint16(b[20:], uint16(1024+n%sources))
	h, _ := wire.ParseIPv4(b)
	h.UpdateHeaderChecksum()
	return pkt
}
