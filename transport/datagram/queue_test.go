package datagram

import (
	"math/rand/v2"
	"net"
	"syscall"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/transport"
)

// wakes counts what a Waker was told.
type wakes struct{ readable, writable int }

// Wake implements transport.Waker.
func (w *wakes) Wake(r transport.Ready) {
	if r&transport.Readable != 0 {
		w.readable++
	}
	if r&transport.Writable != 0 {
		w.writable++
	}
}

func newQueue(t *testing.T, limit int) (*Queue, *wakes, *packet.Pool) {
	pool, w, q := new(packet.Pool), new(wakes), new(Queue)
	leak.Zero(t, "packets", pool.Live)
	leak.Zero(t, "buffers", pool.LiveBufs)
	q.Init(w, limit)
	t.Cleanup(q.Close)
	return q, w, pool
}

func packetOf(p *packet.Pool, b string) *packet.Packet {
	pkt := p.Get()
	pkt.Append([]byte(b))
	return pkt
}

// take returns the next packet's bytes, or the error.
func take(q *Queue) (string, error) {
	pkt, err := q.Take()
	if err != nil {
		return "", err
	}
	b := make([]byte, 70000)
	return string(b[:q.Read(pkt, b, new(transport.Message))]), nil
}

// TestQueueAgainstTwin: random calls, against a slice that is counted anew each time.
func TestQueueAgainstTwin(t *testing.T) {
	const limit = 8000
	q, _, pool := newQueue(t, limit)
	r := rand.New(rand.NewPCG(1, 2))
	var twin []int
	drops, full := uint64(0), 0
	for range 20000 {
		sum, cost := 0, 0
		for _, n := range twin {
			sum, cost = sum+n, cost+n+overhead
		}
		if got := q.Len(); got != sum {
			t.Fatalf("%d bytes wait, want %d", got, sum)
		}
		if r.IntN(5) < 3 {
			n := r.IntN(3000)
			fits := len(twin) == 0 || cost+n+overhead <= limit
			if got := q.Put(packetOf(pool, string(make([]byte, n)))); got != fits {
				t.Fatalf("%d bytes to %d of %d: taken: %v, want %v", n, cost, limit, got, fits)
			}
			if fits {
				twin = append(twin, n)
			} else {
				drops++
				full++
			}
			continue
		}
		b, err := take(q)
		if len(twin) == 0 {
			if err != transport.ErrWouldBlock {
				t.Fatalf("take from an empty queue: %v", err)
			}
			continue
		}
		if err != nil || len(b) != twin[0] {
			t.Fatalf("took %d bytes, %v; want %d", len(b), err, twin[0])
		}
		twin = twin[1:]
	}
	if got := q.Drops(); got != drops || full == 0 {
		t.Errorf("%d drops, want %d, more than none", got, drops)
	}
}

// TestQueueWakes: a reader that found nothing is told once, by whatever comes next:
// also by the rest of a packet that another reader gives back.
func TestQueueWakes(t *testing.T) {
	q, w, pool := newQueue(t, 0)
	q.Put(packetOf(pool, "unasked"))
	if w.readable != 0 {
		t.Error("told though nobody waits")
	}
	pkt, err := q.Take()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Take(); err != transport.ErrWouldBlock {
		t.Fatalf("take: %v", err)
	}
	pkt.GSO, pkt.GSOSize = packet.GSOUDP, 2
	if n := q.Read(pkt, make([]byte, 10), new(transport.Message)); n != 2 || w.readable != 1 {
		t.Errorf("read %d bytes, told %d times; want 2 bytes, once", n, w.readable)
	}
	q.Put(packetOf(pool, "x"))
	if w.readable != 1 {
		t.Errorf("told %d times, want once", w.readable)
	}
	for _, want := range []string{"as", "ke", "d", "x"} {
		if got, err := take(q); err != nil || got != want {
			t.Errorf("took %q, %v; want %q", got, err, want)
		}
	}
}

// TestQueueErrors: the last pending error comes once, before what is queued, and both
// sides are told.
func TestQueueErrors(t *testing.T) {
	q, w, pool := newQueue(t, 0)
	q.Put(packetOf(pool, "data"))
	q.Fail(syscall.EHOSTUNREACH)
	q.Fail(syscall.ECONNREFUSED)
	if w.readable != 2 || w.writable != 2 {
		t.Errorf("told %+v, want each side of each error", *w)
	}
	if _, err := take(q); err != syscall.ECONNREFUSED {
		t.Errorf("take: %v, want ECONNREFUSED", err)
	}
	if got, err := take(q); got != "data" || err != nil {
		t.Errorf("then %q, %v", got, err)
	}
	q.Close()
	if q.Put(packetOf(pool, "late")) {
		t.Error("a closed queue took a packet")
	}
	if _, err := q.Take(); err != net.ErrClosed {
		t.Errorf("take after Close: %v, want net.ErrClosed", err)
	}
	q.Return(packetOf(pool, "rest")) // ends it
}

// TestQueueTruncates: what a buffer is too small for is lost, and said to be.
func TestQueueTruncates(t *testing.T) {
	q, _, pool := newQueue(t, 0)
	for n, want := range map[int]bool{0: true, 3: true, 4: false, 9: false} {
		q.Put(packetOf(pool, "four"))
		pkt, err := q.Take()
		if err != nil {
			t.Fatal(err)
		}
		m := transport.Message{}
		if got := q.Read(pkt, make([]byte, n), &m); got != min(n, 4) || m.Truncated != want {
			t.Errorf("a buffer of %d bytes: %d read, truncated: %v", n, got, m.Truncated)
		}
	}
	if q.Len() != 0 {
		t.Errorf("%d bytes are left", q.Len())
	}
}

// TestQueueLimit: zero is the default, and one full packet fits always.
func TestQueueLimit(t *testing.T) {
	q, _, pool := newQueue(t, 0)
	for n, want := range map[int]int{0: DefaultRecvBuffer, -5: 2048 + overhead, 1: 2048 + overhead, 1 << 20: 1 << 20} {
		if q.SetLimit(n); q.Limit() != want {
			t.Errorf("limit %d counts as %d, want %d", n, q.Limit(), want)
		}
	}
	q.SetLimit(1)
	if !q.Put(packetOf(pool, string(make([]byte, 65000)))) {
		t.Error("an empty queue refused a packet")
	}
}
