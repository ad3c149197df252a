package hook

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// one returns a batch of one packet.
func one(pool *packet.Pool) *packet.Queue {
	q := new(packet.Queue)
	q.Push(pool.Get())
	return q
}

func TestOrderIsPriorityThenAge(t *testing.T) {
	var p Point
	var pool packet.Pool
	var got []string
	add := func(name string, prio Priority) func() {
		return p.Add(Entry{Owner: name, Priority: prio, Func: func(*packet.Packet) Verdict { got = append(got, name); return Accept }})
	}
	add("nat", SrcNAT)
	add("track", Conntrack)
	rm := add("deny", Filter)
	add("deny2", Filter)
	p.RunBatch(one(&pool))
	if want := []string{"track", "deny", "deny2", "nat"}; !slices.Equal(got, want) {
		t.Fatalf("ran %v, want %v", got, want)
	}
	p.Add(Entry{Priority: Filter, Ahead: true, Func: func(*packet.Packet) Verdict { got = append(got, "ahead"); return Accept }})
	got = nil
	p.RunBatch(one(&pool))
	if want := []string{"track", "ahead", "deny", "deny2", "nat"}; !slices.Equal(got, want) {
		t.Fatalf("ran %v, want %v", got, want)
	}
	rm()
	got = nil
	p.RunBatch(one(&pool))
	if want := []string{"track", "ahead", "deny2", "nat"}; !slices.Equal(got, want) {
		t.Fatalf("ran %v, want %v", got, want)
	}
}

// TestVerdicts: a batch keeps its order and loses what was dropped or stolen.
func TestVerdicts(t *testing.T) {
	var pool packet.Pool
	var p Point
	var stolen packet.Queue
	p.Add(Entry{Func: func(pkt *packet.Packet) Verdict {
		switch pkt.Mark % 3 {
		case 0:
			return Drop
		case 1:
			stolen.Push(pkt)
			return Stolen
		}
		return Accept
	}})
	p.Add(Entry{Priority: Last, Batch: func(q *packet.Queue) {
		for range q.Len() {
			if pkt := q.Pop(); pkt.Mark == 5 {
				pkt.Drop(stat.TCIngress)
			} else {
				q.Push(pkt)
			}
		}
	}})
	var q packet.Queue
	for i := range 9 {
		pkt := pool.Get()
		pkt.Mark = uint32(i)
		q.Push(pkt)
	}
	p.RunBatch(&q)
	var marks []uint32
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		marks = append(marks, pkt.Mark)
		pkt.Consume()
	}
	if want := []uint32{2, 8}; !slices.Equal(marks, want) {
		t.Errorf("passed %v, want %v", marks, want)
	}
	if n := stolen.Len(); n != 3 {
		t.Errorf("%d stolen, want 3", n)
	}
	stolen.Consume()
	if n := pool.Drops.Load(stat.NetfilterDrop); n != 3 {
		t.Errorf("%d counted as NETFILTER_DROP, want 3", n)
	}
	if n := pool.Live(); n != 0 {
		t.Errorf("%d packets left", n)
	}
}

func TestAddAndRemoveWhilePacketsPass(t *testing.T) {
	var p Point
	var pool packet.Pool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 2000 {
				q := one(&pool)
				p.RunBatch(q)
				q.Consume()
			}
		})
	}
	wg.Go(func() {
		for i := range 500 {
			p.Add(Entry{Priority: Priority(i % 7), Func: func(*packet.Packet) Verdict { return Verdict(i % 2) }})()
		}
	})
	wg.Wait()
	if !p.Empty() || pool.Live() != 0 {
		t.Errorf("empty = %v, %d packets left", p.Empty(), pool.Live())
	}
}

func BenchmarkRun(b *testing.B) {
	for _, n := range []int{0, 1, 4} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var p Point
			for range n {
				p.Add(Entry{Func: func(*packet.Packet) Verdict { return Accept }})
			}
			var pool packet.Pool
			q := one(&pool)
			for b.Loop() {
				p.RunBatch(q)
			}
		})
	}
}

// TestPanicIsContained: what a function panics at is dropped, the rest goes on, and
// the report comes at the first, second, fourth ... panic.
func TestPanicIsContained(t *testing.T) {
	var pool packet.Pool
	var reports []string
	p := Point{Oops: func(owner string, reason any) { reports = append(reports, fmt.Sprint(owner, ": ", reason)) }}
	p.Add(Entry{Owner: "picky", Func: func(pkt *packet.Packet) Verdict {
		switch pkt.Mark % 3 {
		case 1:
			panic("no")
		case 2:
			pkt.Consume()
			panic("consumed")
		}
		return Accept
	}})
	var q packet.Queue
	for i := range 9 {
		pkt := pool.Get()
		pkt.Mark = uint32(i)
		q.Push(pkt)
	}
	p.RunBatch(&q)
	if q.Len() != 3 || pool.Live() != 3 || pool.Drops.Load(stat.NetfilterDrop) != 3 {
		t.Errorf("%d go on, %d live, %d dropped, want 3 each", q.Len(), pool.Live(), pool.Drops.Load(stat.NetfilterDrop))
	}
	if want := []string{"picky: no", "picky: consumed", "picky: consumed"}; !slices.Equal(reports, want) {
		t.Errorf("reports %q, want %q", reports, want)
	}
	p.Add(Entry{Owner: "batch", Batch: func(q *packet.Queue) { q.Pop().Consume(); panic("half way") }})
	p.RunBatch(&q)
	if !q.Empty() || pool.Live() != 0 {
		t.Errorf("after a batch function's panic %d packets go on and %d live", q.Len(), pool.Live())
	}
}

// TestPanicWithoutOops: a point that has nobody to tell does not swallow panics.
func TestPanicWithoutOops(t *testing.T) {
	var pool packet.Pool
	var p Point
	p.Add(Entry{Func: func(*packet.Packet) Verdict { panic("seen") }})
	defer func() {
		if recover() != "seen" {
			t.Error("the panic was swallowed")
		}
	}()
	p.RunBatch(one(&pool))
}

func TestAddWantsOneFunction(t *testing.T) {
	for _, e := range []Entry{{}, {Func: func(*packet.Packet) Verdict { return Accept }, Batch: func(*packet.Queue) {}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("Add took an entry with no function, or two")
				}
			}()
			new(Point).Add(e)
		}()
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	var pool packet.Pool
	p := Point{Oops: func(string, any) {}}
	p.Add(Entry{Func: func(*packet.Packet) Verdict { return Accept }})
	p.Add(Entry{Batch: func(*packet.Queue) {}})
	q := one(&pool)
	if n := testing.AllocsPerRun(1000, func() { p.RunBatch(q) }); n != 0 {
		t.Errorf("%v allocations per batch, want 0", n)
	}
}
