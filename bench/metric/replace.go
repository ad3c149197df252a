package metric

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit/bench/system"
)

// Replace is the time that it takes to replace a ruleset of n rules while packets are
// forwarded, of which none may be lost.
func Replace(n int) Metric {
	return Metric{
		Name: "Replace", Title: fmt.Sprintf("replacing %d rules under traffic", n), Unit: milliseconds, Once: true,
		Bench: func(b *testing.B, env Env) error { return benchReplace(b, env, Rules(n, "", "")) },
	}
}

const milliseconds = "ms"

// replaced is how often the rules are replaced; the quickest counts, because the
// packets take their part of the machine.
const replaced = 5

func benchReplace(b *testing.B, env Env, rules string) error {
	r, err := ruledRouter(env, rules)
	if err != nil {
		return err
	}
	defer r.Close()
	if r.Load == nil {
		return system.Unsupportedf("no rules")
	}
	before := r.Delivered()
	traffic := trickle(r)
	best := time.Hour
	for range replaced {
		begin := time.Now()
		if err := r.Load(rules); err != nil {
			traffic.end()
			return err
		}
		best = min(best, time.Since(begin))
	}
	injected, err := traffic.end()
	if err != nil {
		return err
	}
	delivered, _ := settle(r, before, injected)
	for range b.N {
		// The work is done; there is nothing to repeat.
	}
	b.ReportMetric(float64(best.Microseconds())/1e3, milliseconds)
	b.ReportMetric(max(0, 1-float64(delivered)/float64(injected)), Lost)
	return nil
}

// A flood is a goroutine that injects packets, a few at a time.
type flood struct {
	wait     sync.WaitGroup
	stop     chan struct{}
	injected uint64
	err      error
}

func trickle(r *system.Router) *flood {
	f := &flood{stop: make(chan struct{})}
	f.wait.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for f.err == nil {
			select {
			case <-f.stop:
				return
			case <-tick.C:
				f.err = r.Inject(batch)
				f.injected += batch
			}
		}
	})
	return f
}

func (f *flood) end() (injected uint64, err error) {
	close(f.stop)
	f.wait.Wait()
	return f.injected, f.err
}
