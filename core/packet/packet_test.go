package packet

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/core/stat"
)

// build returns a packet whose bytes are want, laid out at random over head and
// fragments.
func build(p *Pool, r *rand.Rand, want []byte) *Packet {
	pkt := p.Get()
	n := copy(pkt.Extend(r.IntN(min(len(want), pkt.Tailroom())+1)), want)
	for n < len(want) {
		c := 1 + r.IntN(len(want)-n)
		if pkt.nfrags == MaxFrags-1 {
			c = len(want) - n
		}
		buf := p.Buf(c + 7)
		copy(buf.Bytes()[7:], want[n:n+c])
		if !pkt.AddFrag(buf, 7, c) {
			panic("too many fragments")
		}
		n += c
	}
	return pkt
}

func content(pkt *Packet) []byte {
	b := make([]byte, pkt.Len())
	pkt.CopyOut(0, b)
	return b
}

// TestBytesAreASlice checks every operation against the same one on a byte slice.
func TestBytesAreASlice(t *testing.T) {
	var pool Pool
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		want := make([]byte, r.IntN(3000))
		for i := range want {
			want[i] = byte(r.Uint32())
		}
		pkt := build(&pool, r, want)
		for range 6 {
			want = step(t, &pool, r, pkt, want)
			if got := content(pkt); !bytes.Equal(got, want) || pkt.Len() != len(want) {
				t.Fatalf("content differs: %d bytes, want %d", len(got), len(want))
			}
		}
		pkt.Consume()
	}
	if pool.Live() != 0 || pool.LiveBufs() != 0 {
		t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
	}
}

func step(t *testing.T, pool *Pool, r *rand.Rand, pkt *Packet, want []byte) []byte {
	t.Helper()
	n := r.IntN(len(want) + 1)
	switch r.IntN(9) {
	case 0:
		pkt.TrimFront(n)
		return want[n:]
	case 1:
		pkt.TrimBack(n)
		return want[:len(want)-n]
	case 2:
		pkt.TrimTo(n)
		return want[:n]
	case 3:
		n = min(n, 100)
		if pkt.Ensure(n) && pkt.HeadLen() < n {
			t.Fatalf("Ensure(%d) left %d bytes in the head", n, pkt.HeadLen())
		}
	case 4:
		if pkt.Room() >= 20 {
			copy(pkt.Push(20), "abcdefghijklmnopqrst")
			return append([]byte("abcdefghijklmnopqrst"), want...)
		}
	case 5:
		if pkt.Append(want[:n]) {
			return append(bytes.Clone(want), want[:n]...)
		}
	case 6:
		c := pkt.Clone()
		if !bytes.Equal(content(c), want) {
			t.Fatal("clone differs")
		}
		c.Consume()
	case 7:
		other := build(pool, r, want[:n])
		if pkt.Join(other) {
			return append(bytes.Clone(want), want[:n]...)
		}
		if !bytes.Equal(content(other), want[:n]) {
			t.Fatal("a refused Join changed its argument")
		}
		other.Consume()
	case 8:
		c := pool.Get()
		off := r.IntN(len(want) - n + 1)
		if c.Share(pkt, off, n) && !bytes.Equal(content(c), want[off:off+n]) {
			t.Fatal("Share gave other bytes")
		}
		c.Consume()
	}
	return want
}

func TestSecondEndPanics(t *testing.T) {
	var pool Pool
	pkt := pool.Get()
	pkt.Drop(stat.NoSocket)
	defer func() {
		if recover() == nil {
			t.Error("a packet ended twice without a panic")
		}
	}()
	pkt.Consume()
}

func TestDropCountsReason(t *testing.T) {
	var pool Pool
	mine, err := pool.Drops.New("NFT_QUOTA")
	if err != nil {
		t.Fatal(err)
	}
	pool.Get().Drop(stat.NoSocket)
	pool.Get().Drop(mine)
	pool.Get().Drop(mine)
	got := pool.Drops.List()
	want := []stat.Dropped{{Reason: "SKB_DROP_REASON_NO_SOCKET", Count: 1}, {Reason: "SKB_DROP_REASON_NFT_QUOTA", Count: 2}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("drops = %v, want %v", got, want)
	}
}

func TestMetaIsClearedBetweenLives(t *testing.T) {
	var pool Pool
	slot, undo, err := NewSlot[*int](new(Slots), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	for range 100 {
		pkt := pool.Get()
		if pkt.Meta != (Meta{}) || pkt.Len() != 0 || pkt.Room() != Headroom {
			t.Fatalf("a new packet has %+v, %d bytes, %d headroom", pkt.Meta, pkt.Len(), pkt.Room())
		}
		if _, ok := slot.Get(pkt); ok {
			t.Fatal("a new packet has something in a slot")
		}
		pkt.Mark, pkt.GSO, pkt.L4 = 7, GSOTCP4, 20
		slot.Set(pkt, new(int))
		pkt.Push(10)
		pkt.Consume()
	}
}

func TestQueue(t *testing.T) {
	var pool Pool
	var q, other Queue
	var model []uint32
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 5000 {
		switch r.IntN(5) {
		case 0, 1:
			p := pool.Get()
			p.Mark = uint32(i)
			q.Push(p)
			model = append(model, p.Mark)
		case 2:
			if p := q.Pop(); p != nil {
				if p.Mark != model[0] {
					t.Fatalf("popped %d, want %d", p.Mark, model[0])
				}
				model = model[1:]
				p.Consume()
			}
		case 3:
			other.Append(&q)
			q.Append(&other)
		case 4:
			p := pool.Get()
			p.Mark = uint32(i)
			q.InsertAfter(q.Front(), p)
			if len(model) == 0 {
				model = append(model, p.Mark)
			} else {
				model = append(model[:1], append([]uint32{p.Mark}, model[1:]...)...)
			}
		}
		if q.Len() != len(model) || q.Empty() != (len(model) == 0) {
			t.Fatalf("length %d, want %d", q.Len(), len(model))
		}
		if len(model) > 0 && q.Back().Mark != model[len(model)-1] {
			t.Fatalf("back %d, want %d", q.Back().Mark, model[len(model)-1])
		}
	}
	q.Consume()
	if pool.Live() != 0 {
		t.Errorf("%d packets left", pool.Live())
	}
}

func TestNoAllocation(t *testing.T) {
	var pool Pool
	payload := make([]byte, 1400)
	n := testing.AllocsPerRun(1000, func() {
		pkt := pool.Get()
		pkt.Append(payload)
		pkt.Push(20)
		c := pkt.Clone()
		pkt.Consume()
		c.Drop(stat.NoSocket)
	})
	if n != 0 && !raceEnabled {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}

func BenchmarkGetConsume(b *testing.B) {
	var pool Pool
	for b.Loop() {
		pool.Get().Consume()
	}
}

// TestSlotOfThePredecessor: what a module kept in a packet that outlived it (in a
// queue, in reassembly) is not there for the one that gets its slot next.
func TestSlotOfThePredecessor(t *testing.T) {
	var pool Pool
	var slots Slots
	take := func(owner string) (Slot[*int], func()) {
		t.Helper()
		s, undo, err := NewSlot[*int](&slots, owner)
		if err != nil {
			t.Fatal(err)
		}
		return s, undo
	}
	pkt := pool.Get()
	defer pkt.Consume()
	first, undo := take("first")
	first.Set(pkt, new(int))
	if _, ok := first.Get(pkt); !ok {
		t.Fatal("the owner does not find what it kept")
	}
	undo()
	second, undo := take("second")
	if _, ok := second.Get(pkt); ok {
		t.Error("the second owner got what the first one kept")
	}
	mine := new(int)
	second.Set(pkt, mine)
	if got, ok := second.Get(pkt); !ok || got != mine {
		t.Error("the second owner does not find what it kept")
	}
	undo()
	undo() // a second time is harmless
	third, undo := take("third")
	defer undo()
	if _, ok := third.Get(pkt); ok {
		t.Error("the third owner got what the second one kept")
	}
}
