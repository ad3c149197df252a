package tcb

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// newWire returns a wire and two hosts whose every property follows from seed.
func newWire(t testing.TB, seed uint64) *wire {
	r := rand.New(rand.NewPCG(seed, 77))
	pick := func(n ...int) int { return n[r.IntN(len(n))] }
	w := &wire{t: t, rnd: r}
	w.delay = time.Duration(pick(0, 1, 10, 100, 500)) * time.Millisecond / 2
	w.jitter = w.delay * time.Duration(pick(0, 0, 1, 3)) / 2
	w.loss = float64(pick(0, 0, 1, 5, 20)) / 100
	w.dup = float64(pick(0, 0, 1, 10)) / 100
	w.split = r.IntN(3) > 0
	end := func(name string) *host {
		rcv := pick(4<<10, 64<<10, 256<<10)
		c := Config{
			RcvBuf: Range{4 << 10, rcv, rcv * pick(1, 8)},
			NoSACK: r.IntN(3) == 0, NoTimestamps: r.IntN(3) == 0, NoWindowScale: r.IntN(4) == 0,
		}
		// With a fifth of all segments lost, and the answers, the default
		// number of tries is not for ever.
		c.SynRetries, c.SynAckRetries, c.Retries2 = 30, 30, 60
		h := newHost(name, c.Defaults(), text(pick(0, 1, 5000, 200_000)+r.IntN(3000), byte(seed)))
		h.mtu = uint32(pick(576, 1500, 9000))
		h.MaxSegment = uint32(pick(0, 16<<10, 64<<10))
		h.sndBuf = pick(2000, 64<<10, 1<<20)
		h.readMax = pick(1000, 1<<20)
		h.readEach = time.Duration(pick(0, 0, 1)) * time.Millisecond
		h.setFlag(flagNoDelay, r.IntN(2) == 0)
		return h
	}
	a, b := end("a"), end("b")
	join(w, a, b)
	return w
}

// RFC 9293 §3.8.1: whatever the network loses, doubles or reorders, "TCP
// provides a reliable, in-order, byte-stream service".
func TestReliable(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 50
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWire(t, uint64(seed))
			w.run()
			w.verify()
		})
	}
}

// A Reno flow that loses one segment in a hundred at random goes as fast as the
// square root law says (RFC 3649 §2: W = 1.2/sqrt(p) segments a round trip), and
// sends little twice that was not lost.
func TestThroughput(t *testing.T) {
	const (
		loss = 0.01
		rtt  = 20 * time.Millisecond
		n    = 4_000_000
	)
	for _, burst := range []uint32{0, 64 << 10} {
		var took time.Duration
		lost, again := 0, 0
		for seed := range uint64(8) {
			w := &wire{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), loss: loss, delay: rtt / 2, split: true}
			a, b := newHost("a", Config{}.Defaults(), text(n, 1)), newHost("b", Config{}.Defaults(), nil)
			a.MaxSegment = burst
			a.sndBuf = 4 << 20
			join(w, a, b)
			begin := w.now
			for w.pump(a); len(b.got) < n && w.step(); {
			}
			took += w.now.Sub(begin)
			again += int(a.Info().RetransSegs)
			lost += w.lost
			a.Discard()
			b.Discard()
		}
		rate := 8 * n / took.Seconds()
		want := 1.2 / math.Sqrt(loss) * 1448 / rtt.Seconds()
		if rate < 0.6*want || rate > 2*want {
			t.Errorf("burst %d: %.0f bytes/s, the law says %.0f", burst, rate, want)
		}
		if again > lost*5/4 {
			t.Errorf("burst %d: %d segments sent again, %d were lost", burst, again, lost)
		}
	}
}
