package cubic

import (
	"math"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport/tcp/cc"
)

const (
	// scale is C: how aggressively the window grows, in segments per second
	// cubed (RFC 9438 §5.1).
	scale = 0.4
	// beta is the factor of the decrease (RFC 9438 §4.6).
	beta = 0.7
	// friendly is the additive increase that with beta is as fast as Reno's
	// with its half (RFC 9438 §4.3).
	friendly = 3 * (1 - beta) / (1 + beta)
)

// A cubic grows the window along a cubic curve of the time since the last
// congestion: fast, then slow around the window at which that happened, then
// fast again (RFC 9438). Windows are in segments here.
type cubic struct {
	curve
	before curve      // the curve that the last congestion ended, for Undo
	last   clock.Time // of the last acknowledgement
	cwnd   float64    // w.Cwnd with its fraction, as we last set it
}

// A curve is one congestion avoidance epoch.
type curve struct {
	max   float64    // W_max
	prior float64    // cwnd_prior
	k     float64    // seconds from the start until the curve is at max again
	start clock.Time // of the epoch, when running
	est   float64    // W_est, what Reno would have
	// running is false until congestion avoidance begins.
	running bool
	// timeout says that the epoch follows a timeout, after which the curve
	// begins at its turning point (RFC 9438 §4.8).
	timeout bool
}

var _ cc.Algorithm = (*cubic)(nil)

// New returns an instance for one connection.
func New() cc.Algorithm { return new(cubic) }

func (*cubic) Name() string { return "cubic" }

func (c *cubic) Init(clock.Time, *cc.Window) { *c = cubic{} }

func (c *cubic) OnAck(now clock.Time, w *cc.Window, a cc.Ack) {
	since := now.Sub(c.last)
	c.last = now
	if !a.Limited {
		// Time in which the application sent less does not count (RFC 9438
		// §5.8): the curve would rise though nothing tests it.
		c.start = c.start.Add(since)
		return
	}
	n := a.Bytes
	if w.SlowStart() {
		if n = w.GrowSlowStart(n); n == 0 {
			return
		}
	}
	c.avoid(now, w, n)
}

// avoid is congestion avoidance (RFC 9438 §4.2 to §4.5).
func (c *cubic) avoid(now clock.Time, w *cc.Window, bytes uint32) {
	mss := float64(w.MSS)
	cwnd := float64(w.Cwnd) / mss
	switch {
	case !c.running:
		c.begin(now, cwnd)
	case uint32(c.cwnd*mss) == w.Cwnd:
		cwnd = c.cwnd // with the fraction that bytes do not show
	default:
		// It was put down since, after a silence: Reno's would be too.
		c.est = min(c.est, cwnd)
	}
	acked := float64(bytes) / mss
	if c.est < c.prior {
		c.est += friendly * acked / cwnd
	} else {
		c.est += acked / cwnd // as fast as Reno from here on (§4.3)
	}
	t := now.Sub(c.start).Seconds()
	if c.at(t) < c.est {
		cwnd = max(cwnd, c.est)
	} else {
		target := min(max(c.at(t+w.SRTT.Seconds()), cwnd), 1.5*cwnd)
		cwnd += (target - cwnd) / cwnd * acked
	}
	c.cwnd = min(cwnd, float64(cc.MaxWindow)/mss)
	w.Set(uint32(c.cwnd * mss))
}

// begin starts an epoch at the window cwnd.
func (c *cubic) begin(now clock.Time, cwnd float64) {
	if c.timeout || c.max < cwnd {
		c.max = cwnd
	}
	c.k = math.Cbrt((c.max - cwnd) / scale) // §4.2 figure 2
	c.start, c.est = now, cwnd
	c.running, c.timeout = true, false
}

// at is W_cubic(t): "C * (t - K)^3 + W_max" (RFC 9438 §4.2 figure 1).
func (c *cubic) at(t float64) float64 {
	d := t - c.k
	return scale*d*d*d + c.max
}

func (c *cubic) OnCongestion(_ clock.Time, w *cc.Window, inflight uint32) {
	c.reduce(w, inflight)
	w.Set(w.Ssthresh)
}

func (c *cubic) OnRTO(_ clock.Time, w *cc.Window, inflight uint32) {
	c.reduce(w, inflight)
	c.timeout = true
}

// reduce is the multiplicative decrease with fast convergence (RFC 9438 §4.6,
// §4.7): a flow whose maximum falls gives way to newer ones a little more.
func (c *cubic) reduce(w *cc.Window, inflight uint32) {
	c.before = c.curve
	cwnd := float64(w.Cwnd) / float64(w.MSS)
	top := cwnd
	if cwnd < c.max {
		top = cwnd * (1 + beta) / 2
	}
	c.curve = curve{max: top, prior: cwnd}
	w.Ssthresh = max(uint32(beta*float64(inflight)), 2*w.MSS)
}

func (*cubic) OnRecoveryExit(clock.Time, *cc.Window) {}

// OnIdle moves the epoch by the silence.
func (c *cubic) OnIdle(now clock.Time, _ *cc.Window, idle time.Duration) {
	c.start = c.start.Add(idle)
	c.last = now
}

// Undo goes back to the curve before the reduction (RFC 9438 §4.9).
func (c *cubic) Undo(clock.Time, *cc.Window) { c.curve = c.before }
