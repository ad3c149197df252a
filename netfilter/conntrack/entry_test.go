package conntrack

import (
	"encoding/binary"
	"runtime"
	"testing"
	"unsafe"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// maxEntry is what a connection may cost, in bytes.
const maxEntry = 320

// TestEntrySize: a connection costs 320 bytes at most, all told: the heap grows by no
// more, and by one allocation.
func TestEntrySize(t *testing.T) {
	if n := unsafe.Sizeof(entry{}); n > maxEntry {
		t.Errorf("an entry has %d bytes, want %d at most", n, maxEntry)
	}
	r := newRig(t)
	r.max.Store(0)
	f := newFlood(r)
	f.next() // what is made once
	const n = 20000
	before := heap()
	for range n {
		f.next()
	}
	each := float64(heap()-before) / n
	if r.Count() != n+1 || each > maxEntry+1 {
		t.Errorf("%d connections of %.1f bytes each, want %d at most", r.Count(), each, maxEntry)
	}
	t.Logf("%.1f bytes each", each)
	if a := testing.AllocsPerRun(1000, f.next); a != 1 {
		t.Errorf("%v allocations for a connection, want 1", a)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A flood sends datagrams of ever new connections.
type flood struct {
	r *rig
	b []byte
	n uint32
	q packet.Queue
}

func newFlood(r *rig) *flood {
	r.checksum.Store(false)
	return &flood{r: r, b: udp(clientA, serverA, 4)}
}

// next lets the first datagram of another connection pass.
func (f *flood) next() {
	f.n++
	binary.BigEndian.PutUint32(f.b[12:], f.n)
	pkt := f.r.net.Pool.Get()
	pkt.Append(f.b)
	pkt.In = 1
	f.q.Push(pkt)
	f.r.net.Hooks[network.V4].Prerouting.RunBatch(&f.q)
	f.r.net.Hooks[network.V4].Postrouting.RunBatch(&f.q)
	f.q.Consume()
}

// TestFlood: whatever a stranger sends, the table keeps its limit, and a connection
// that has seen traffic both ways keeps its place.
func TestFlood(t *testing.T) {
	r := newRig(t)
	r.max.Store(1000)
	c := r.want(tcp(clientA, serverA, seg{flags: tcpSYN, seq: 1}), netfilter.New)
	r.want(tcp(serverA, clientA, seg{flags: tcpSYN | tcpACK, seq: 1, ack: 2}), netfilter.EstablishedReply)
	r.want(tcp(clientA, serverA, seg{flags: tcpACK, seq: 2, ack: 2}), netfilter.Established)
	f := newFlood(r)
	for range 20000 {
		f.next()
		if n := r.Count(); n > 1000 {
			t.Fatalf("%d connections, the limit is 1000", n)
		}
	}
	s := r.Stats()
	if s.EarlyDrop+s.Drop != 20000-999 {
		t.Errorf("%d gave way and %d were refused, want %d together", s.EarlyDrop, s.Drop, 20000-999)
	}
	if r.want(tcp(serverA, clientA, seg{flags: tcpACK, seq: 2, ack: 2}), netfilter.EstablishedReply) != c {
		t.Error("an established connection had to go")
	}
}

// BenchmarkNewConnection: the first packet of a connection, from one hook to the
// last, in a full table.
func BenchmarkNewConnection(b *testing.B) {
	r := newRig(b)
	r.max.Store(4 * stripes) // for each bucket as many as by default
	f := newFlood(r)
	b.ReportAllocs()
	for b.Loop() {
		f.next()
	}
}
