package tcb

import (
	"fmt"
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
