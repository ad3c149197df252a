package backlog_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/backlog"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
)

// mirror is the driver of a device that receives what it sends.
type mirror struct{ way backlog.Backlog }

func (m *mirror) Transmit(dev *link.Device, q *packet.Queue) { m.way.Receive(dev, q) }
func (m *mirror) Open(*link.Device) error                    { return nil }
func (m *mirror) Close(*link.Device)                         {}

func newMirror(t testing.TB, l *link.Layer) *link.Device {
	dev, err := l.Attach(link.Info{Name: "m0", Type: link.None, Features: link.AllTx}, new(mirror))
	if err != nil {
		t.Fatal(err)
	}
	linktest.Up(t, dev)
	return dev
}

// TestAnswersDoNotNest: a handler that answers every packet with a packet of the
// same flow is never entered again before it has returned, and the answers arrive
// before the first call returns.
func TestAnswersDoNotNest(t *testing.T) {
	l := linktest.New(t)
	dev := newMirror(t, l)
	const rounds = 100_000
	depth, n := 0, 0
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(dev *link.Device, pkt *packet.Packet) {
		depth++
		if depth > 1 {
			t.Fatal("nested")
		}
		if n++; n < rounds {
			linktest.Send(dev, pkt, wire.MAC{})
		} else {
			pkt.Consume()
		}
		depth--
	})
	linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{})
	if n != rounds {
		t.Errorf("%d packets had arrived when Transmit returned, want %d", n, rounds)
	}
}

// TestManyFlowsNestWithinBounds: answers on other flows nest at most once a lane.
func TestManyFlowsNestWithinBounds(t *testing.T) {
	l := linktest.New(t)
	dev := newMirror(t, l)
	depth, deepest, n := 0, 0, 0
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(dev *link.Device, pkt *packet.Packet) {
		pkt.Consume()
		depth++
		deepest = max(deepest, depth)
		if n++; n < 10_000 {
			linktest.Send(dev, linktest.UDP4(l.Pool, uint16(n), 2, nil), wire.MAC{})
		}
		depth--
	})
	linktest.Send(dev, linktest.UDP4(l.Pool, 0, 2, nil), wire.MAC{})
	if deepest > 16 {
		t.Errorf("nested %d deep, want at most 16", deepest)
	}
}

// TestOrderAndNoLoss: many goroutines on many flows; no packet is lost, none stays
// behind, and the packets that one goroutine sends on one flow stay in order. A
// batch may hold several flows.
func TestOrderAndNoLoss(t *testing.T) {
	l := linktest.New(t)
	dev := newMirror(t, l)
	const senders, flows, each = 8, 5, 400
	var last [senders][flows]atomic.Uint32
	var got atomic.Int64
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) {
		got.Add(1)
		s, f := pkt.Mark>>8, pkt.Mark&0xff
		if was := last[s][f].Swap(pkt.Seq); was >= pkt.Seq {
			t.Errorf("sender %d flow %d: %d after %d", s, f, pkt.Seq, was)
		}
		pkt.Consume()
		runtime.Gosched() // let others find the lane busy
	})
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				var q packet.Queue
				for f := range flows {
					pkt := linktest.UDP4(l.Pool, uint16(f), 2, nil)
					pkt.Mark, pkt.Seq = uint32(s<<8|f), uint32(i+1)
					q.Push(pkt)
				}
				dev.Transmit(&q)
			}
		})
	}
	wg.Wait()
	dropped := int64(l.Pool.Drops.Load(stat.CPUBacklog))
	if got.Load()+dropped != senders*flows*each {
		t.Errorf("%d received and %d dropped of %d", got.Load(), dropped, senders*flows*each)
	}
}

// TestOverflow: who floods a lane from inside it loses what does not fit, for the
// reason Linux gives; of a batch the front fits.
func TestOverflow(t *testing.T) {
	for _, batch := range []int{1, 7, 1500} {
		l := linktest.New(t)
		dev := newMirror(t, l)
		const flood, limit = 1500, 1000
		n := 0
		linktest.Handle(t, l, wire.EtherTypeIPv4, func(dev *link.Device, pkt *packet.Packet) {
			if n++; n > 1 && pkt.Mark != uint32(n-1) {
				t.Errorf("packet %d where %d was to come", pkt.Mark, n-1)
			}
			var q packet.Queue
			for i := 1; n == 1 && i <= flood; i++ {
				p := linktest.UDP4(l.Pool, 1, 2, nil)
				p.Mark = uint32(i)
				if q.Push(p); q.Len() == batch || i == flood {
					dev.Transmit(&q)
				}
			}
			pkt.Consume()
		})
		linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{})
		if n != 1+limit || l.Pool.Drops.Load(stat.CPUBacklog) != flood-limit || dev.Rx().Dropped.Load() != flood-limit {
			t.Errorf("batches of %d: %d received, %d dropped, want %d and %d", batch, n, l.Pool.Drops.Load(stat.CPUBacklog), 1+limit, flood-limit)
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	l := linktest.New(b)
	dev := newMirror(b, l)
	linktest.Handle(b, l, wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) { pkt.Seq++ })
	pkt := linktest.UDP4(l.Pool, 1, 2, nil)
	var way backlog.Backlog
	var q packet.Queue
	b.Run("direct", func(b *testing.B) {
		for b.Loop() {
			q.Push(pkt)
			dev.Receive(&q)
		}
	})
	b.Run("backlog", func(b *testing.B) {
		for b.Loop() {
			q.Push(pkt)
			way.Receive(dev, &q)
		}
	})
	pkt.Consume()
}
