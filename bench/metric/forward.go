package metric

import (
	"fmt"
	"testing"
	"time"

	"github.com/knitnet/knit/bench/system"
)

// Forward is the rate at which a router without sockets takes packets from one
// device and sends them through another, counted where they leave. With Options.Rules
// the flow is one that was answered.
func Forward() Metric {
	return Metric{
		Name: "Forward", Title: "forwarding, IPv4 packets of 64 bytes", Unit: kiloPackets, Higher: true,
		Packets: batch,
		Bench:   benchForward,
	}
}

// batch is how many packets arrive at a time.
const batch = 64

// Lost is the name of the extra metric that says which part of the packets did
// not arrive.
const Lost = "lost"

func benchForward(b *testing.B, env Env) error {
	r, err := ruledRouter(env, env.Options.Rules)
	if err != nil {
		return err
	}
	defer r.Close()
	before, injected := r.Delivered(), uint64(0)
	m := start()
	for b.Loop() {
		if err := r.Inject(batch); err != nil {
			return fmt.Errorf("inject: %w", err)
		}
		injected += batch
	}
	m.stop(b)
	delivered, last := settle(r, before, injected)
	const kilo = 1e3
	b.ReportMetric(float64(delivered)/kilo/last.Sub(m.wall).Seconds(), kiloPackets)
	b.ReportMetric(max(0, 1-float64(delivered)/float64(injected)), Lost)
	return nil
}

// warmRouter sends packets until the router knows its way, and fails if none
// comes through.
func warmRouter(r *system.Router) error {
	const batches = 32
	before := r.Delivered()
	for range batches {
		if err := r.Inject(batch); err != nil {
			return fmt.Errorf("inject: %w", err)
		}
	}
	if n, _ := settle(r, before, batches*batch); n == 0 {
		return fmt.Errorf("the router forwards nothing")
	}
	return nil
}

// settle waits until want packets have been delivered since the count was at
// before, or no more come. It returns how many came and when the last was seen.
func settle(r *system.Router, before, want uint64) (n uint64, last time.Time) {
	const patience = 50 * time.Millisecond
	n, last = r.Delivered()-before, time.Now()
	for n < want && time.Since(last) < patience {
		time.Sleep(patience / 50)
		if now := r.Delivered() - before; now > n {
			n, last = now, time.Now()
		}
	}
	return n, last
}
