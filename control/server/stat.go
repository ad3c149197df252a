package server

import (
	"context"
	"path"
	"slices"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/stat"
)

func stats() Handler {
	return Handle(control.Stat(), func(_ context.Context, e *Env, q control.StatRequest, emit func(control.StatReply) error) error {
		match := func(name string) bool {
			return len(q.Patterns) == 0 || slices.ContainsFunc(q.Patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok })
		}
		r := control.StatReply{Counters: []control.Counter{}, Drops: []stat.Dropped{}}
		for _, g := range e.Kernel.Stats.Groups() {
			for _, f := range g.Fields {
				name, value := counterName(g.Name, f.Name), f.Load()
				if match(name) && (value != 0 || q.Zeros) {
					r.Counters = append(r.Counters, control.Counter{Name: name, Value: value})
				}
			}
		}
		for _, d := range e.Kernel.Pool.Drops.List() {
			if match(d.Reason) {
				r.Drops = append(r.Drops, d)
			}
		}
		return emit(r)
	})
}

// counterName is what nstat calls a counter.
func counterName(group, field string) string { return group + field }
