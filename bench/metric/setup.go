package metric

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/knitnet/knit/bench/system"
)

// begun is how many flows Setup and ConnMemory begin: fewer than any table of
// connections holds.
const begun = 1600 * batch

// Setup is the rate at which a router begins flows: each packet is the first of one.
func Setup() Metric {
	return Metric{
		Name: "Setup", Title: "flows begun, one packet each", Unit: kiloFlows, Higher: true, Once: true, Packets: begun,
		Bench: benchSetup,
	}
}

// ConnMemory is the memory that a router holds for a flow.
func ConnMemory() Metric {
	return Metric{
		Name: "ConnMemory", Title: "memory of a tracked flow", Unit: bytesPerFlow, Once: true,
		Bench: benchConnMemory,
	}
}

const (
	kiloFlows    = "kflows/s"
	bytesPerFlow = "B/flow"
)

// beginAll begins the flows and returns how many packets came through.
func beginAll(r *system.Router) (uint64, error) {
	before := r.Delivered()
	for range begun / batch {
		if err := r.Begin(batch); err != nil {
			return 0, fmt.Errorf("begin: %w", err)
		}
	}
	n, _ := settle(r, before, begun)
	return n, nil
}

func benchSetup(b *testing.B, env Env) error {
	r, err := beginner(env)
	if err != nil {
		return err
	}
	defer r.Close()
	b.ResetTimer()
	m := start()
	n, err := beginAll(r)
	if err != nil {
		return err
	}
	elapsed := m.stop(b)
	b.StopTimer()
	for range b.N {
		// The work is done; there is nothing to repeat.
	}
	const kilo = 1e3
	b.ReportMetric(float64(n)/kilo/elapsed, kiloFlows)
	b.ReportMetric(max(0, 1-float64(n)/begun), Lost)
	return nil
}

func benchConnMemory(b *testing.B, env Env) error {
	r, err := beginner(env)
	if err != nil {
		return err
	}
	defer r.Close()
	before := held(r)
	n, err := beginAll(r)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("no flow came through")
	}
	after := held(r)
	for range b.N {
		// The work is done; there is nothing to repeat.
	}
	b.ReportMetric(float64(int64(after-before))/float64(n), bytesPerFlow)
	return nil
}

func beginner(env Env) (*system.Router, error) {
	r, err := ruledRouter(env, env.Options.Rules)
	if err != nil {
		return nil, err
	}
	if r.Begin == nil {
		r.Close()
		return nil, system.Unsupportedf("no rules")
	}
	return r, nil
}

func held(r *system.Router) uint64 {
	if r.Held != nil {
		return r.Held()
	}
	for range 3 { // pools need more than one cycle
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
