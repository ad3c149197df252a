package metric

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/knitnet/knit/bench/system"
)

// Share is the rate of forwarding with rules in percent of that with the rules base,
// both measured in turns in one process and in packets for a second of processor time,
// so that what else the machine does takes from both and counts in neither.
func Share(title, base, rules string) Metric {
	return Metric{
		Name: "Share", Title: title, Unit: percent, Higher: true, Once: true,
		Bench: func(b *testing.B, env Env) error { return benchShare(b, env, base, rules) },
	}
}

const percent = "%"

// How often and how long each router of Share is measured.
const (
	turns    = 15
	turnTime = 20 * time.Millisecond
)

func benchShare(b *testing.B, env Env, base, rules string) error {
	first, err := ruledRouter(env, base)
	if err != nil {
		return err
	}
	defer first.Close()
	second := first
	if !first.Alone {
		if second, err = ruledRouter(env, rules); err != nil {
			return err
		}
		defer second.Close()
	}
	var shares []float64
	for range turns {
		x, err := turn(first, base)
		if err != nil {
			return err
		}
		y, err := turn(second, rules)
		if err != nil {
			return err
		}
		shares = append(shares, 100*y/x)
	}
	for range b.N {
		// The work is done; there is nothing to repeat.
	}
	slices.Sort(shares)
	b.ReportMetric(shares[turns/2], percent)
	return nil
}

// turn measures a router once, which is given the rules if there is only one.
func turn(r *system.Router, rules string) (float64, error) {
	if r.Alone {
		if err := r.Load(rules); err != nil {
			return 0, err
		}
		if err := establish(r); err != nil {
			return 0, err
		}
	}
	return rateOf(r, turnTime)
}

// ruledRouter returns a router with rules whose flow was answered, so that it is
// established.
func ruledRouter(env Env, rules string) (*system.Router, error) {
	f, ok := env.System.(system.Forwarder)
	if !ok {
		return nil, system.Unsupportedf("no bare router")
	}
	o := env.Options
	o.Rules = rules
	r, err := f.Router(o)
	if err != nil {
		return nil, err
	}
	if err := establish(r); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// establish sends packets both ways until the router knows its way and the flow.
func establish(r *system.Router) error {
	if err := warmRouter(r); err != nil {
		return err
	}
	if r.Answer == nil {
		return nil
	}
	if err := r.Answer(); err != nil {
		return err
	}
	return warmRouter(r)
}

// rateOf forwards for about d and returns how many packets in a second of processor
// time.
func rateOf(r *system.Router, d time.Duration) (float64, error) {
	before, injected := r.Delivered(), uint64(0)
	begin, busy := time.Now(), processorTime()
	for time.Since(begin) < d {
		for range 16 {
			if err := r.Inject(batch); err != nil {
				return 0, fmt.Errorf("inject: %w", err)
			}
		}
		injected += 16 * batch
	}
	delivered, _ := settle(r, before, injected)
	return float64(delivered) / (processorTime() - busy).Seconds(), nil
}
