package reno

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/transport/tcp/cc"
)

// TestTwin holds the module against the formulae of RFC 5681 in floating point, one
// acknowledged segment at a time: cwnd += SMSS in slow start, cwnd += SMSS*SMSS/cwnd
// (equation 3), which is a little less than a segment each round trip, beyond it, and
// ssthresh = max(FlightSize/2, 2*SMSS) (equation 4).
func TestTwin(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 5681))
		const mss = 1000
		w := cc.Window{Cwnd: 10 * mss, Ssthresh: cc.NoThreshold, MSS: mss, Initial: 10 * mss}
		fast := New()
		fast.Init(0, &w)
		cwnd, ssthresh := 10., math.Inf(1)
		rounds := 0. // round trips in congestion avoidance since the window was last reduced
		for step := range 20_000 {
			switch n := r.IntN(1000); {
			case n == 0 || cwnd > 2000:
				fast.OnCongestion(0, &w, w.Cwnd)
				ssthresh = max(cwnd/2, 2)
				cwnd, rounds = ssthresh, 0
			case n == 1:
				fast.OnRTO(0, &w, w.Cwnd)
				w.Cwnd = mss
				ssthresh = max(cwnd/2, 2)
				cwnd, rounds = 1, 0
			default:
				fast.OnAck(0, &w, cc.Ack{Bytes: mss, Inflight: w.Cwnd, Limited: true})
				if cwnd < ssthresh {
					cwnd = min(cwnd+1, max(ssthresh, cwnd))
				} else {
					rounds += 1 / cwnd
					cwnd += 1 / cwnd
				}
			}
			// Growing at the end of each round trip is up to a segment late, and the
			// reductions halve what that has led to.
			if got := float64(w.Cwnd) / mss; math.Abs(got-cwnd) > 2+rounds/10 {
				t.Fatalf("seed %d, step %d: cwnd %.2f segments, want %.2f after %.1f round trips", seed, step, got, cwnd, rounds)
			}
		}
	}
}
