package cubic

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// A slow is CUBIC as RFC 9438 writes it: in segments, one acknowledged segment at a
// time, all in floating point.
type slow struct {
	cwnd, ssthresh, wMax, prior, wEst, k float64
	epoch                                float64 // when it began, in seconds; -1: not yet
	afterTimeout                         bool
}

// ack is one acknowledged segment at time now, with the round trip rtt.
func (s *slow) ack(now, rtt float64) {
	n := 1.0
	if s.cwnd < s.ssthresh { // slow start ends at the threshold
		n = max(0, s.cwnd+1-s.ssthresh)
		if s.cwnd = min(s.cwnd+1, s.ssthresh); n == 0 {
			return
		}
	}
	const c, beta = 0.4, 0.7
	if s.epoch < 0 {
		s.epoch = now
		s.wEst = s.cwnd
		if s.afterTimeout || s.wMax < s.cwnd {
			s.wMax = s.cwnd // §4.8, §4.10: K is 0
		}
		s.k = math.Cbrt((s.wMax - s.cwnd) / c)
		s.afterTimeout = false
	}
	cubic := func(t float64) float64 { return c*math.Pow(t-s.k, 3) + s.wMax } // figure 1
	alpha := 3 * (1 - beta) / (1 + beta)
	if s.wEst >= s.prior {
		alpha = 1
	}
	s.wEst += alpha * n / s.cwnd // figure 4
	t := now - s.epoch
	if cubic(t) < s.wEst { // §4.3
		s.cwnd = max(s.cwnd, s.wEst)
		return
	}
	target := min(max(cubic(t+rtt), s.cwnd), 1.5*s.cwnd) // §4.2
	s.cwnd += (target - s.cwnd) / s.cwnd * n             // §4.4, §4.5
}

// reduce is §4.6 and §4.7, with all of the window in flight.
func (s *slow) reduce() {
	s.prior = s.cwnd
	if s.cwnd < s.wMax {
		s.wMax = s.cwnd * (1 + 0.7) / 2
	} else {
		s.wMax = s.cwnd
	}
	s.ssthresh = max(0.7*s.cwnd, 2)
	s.epoch, s.afterTimeout = -1, false // a later loss counts for more than the timeout
}

// TestTwin holds the module against slow through random histories: they differ by no
// more than rounding to bytes explains.
func TestTwin(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 9438))
		const mss = 1000
		rtt := time.Duration(1+r.IntN(200)) * time.Millisecond
		w := cc.Window{Cwnd: 10 * mss, Ssthresh: cc.NoThreshold, MSS: mss, Initial: 10 * mss, SRTT: rtt}
		fast, twin := New(), &slow{cwnd: 10, ssthresh: math.Inf(1), epoch: -1}
		now := clock.Time(time.Second)
		fast.Init(now, &w)
		for step := range 20_000 {
			switch n := r.IntN(3000); {
			case n == 0 || twin.cwnd > 5000:
				fast.OnCongestion(now, &w, w.Cwnd)
				twin.reduce()
				twin.cwnd = twin.ssthresh
			case n == 1:
				fast.OnRTO(now, &w, w.Cwnd)
				w.Cwnd = mss
				twin.reduce()
				twin.cwnd, twin.afterTimeout = 1, true
			default:
				now = now.Add(rtt / time.Duration(max(1, w.Cwnd/mss)))
				fast.OnAck(now, &w, cc.Ack{Bytes: mss, Inflight: w.Cwnd, RTT: rtt, Limited: true})
				twin.ack(time.Duration(now).Seconds(), rtt.Seconds())
			}
			if got := float64(w.Cwnd) / mss; math.Abs(got-twin.cwnd) > 1+twin.cwnd/200 {
				t.Fatalf("seed %d, step %d: cwnd %.2f segments, want %.2f", seed, step, got, twin.cwnd)
			}
		}
	}
}
