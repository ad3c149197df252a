package nft

import (
	"fmt"
	"syscall"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
)

// A lane is a flowtable of the ruleset at work. It stays while the ruleset around it
// is replaced.
type lane struct {
	netfilter.Flowtable
	spec *rule.Flowtable
}

// A laneKey is what a lane stands for: the handles of a table and of a flowtable in it.
type laneKey struct{ table, flowtable uint64 }

// flowOffload compiles `flow add @ft`: the connection's packets skip the rules from
// now on.
func (c *compiler) flowOffload(x *rule.FlowOffload) (step, error) {
	i := flowtableOf(c.table, x.Flowtable)
	if i < 0 {
		return nil, fmt.Errorf("flowtable %s: %w", x.Flowtable, syscall.ENOENT)
	}
	key := laneKey{c.table.Handle, c.table.Flowtables[i].Handle}
	c.need.ct, c.need.flow = true, true
	return func(ev *eval) next {
		ev.track()
		if l := ev.gen.lanes[key]; l != nil && ev.ct != nil && ev.hook == rule.Forward {
			l.Add(ev.pkt, ev.ct, ev.ctInfo)
		}
		return goOn
	}, nil
}

// openLanes finds or makes what works for the flowtables of next.
func (m *machine) openLanes(next *generation) {
	next.lanes = map[laneKey]*lane{}
	old := m.current.Load().lanes
	for _, t := range next.tables {
		for _, f := range t.Flowtables {
			k := laneKey{t.Handle, f.Handle}
			if l := old[k]; l != nil {
				next.lanes[k] = &lane{l.Flowtable, f}
				continue
			}
			next.lanes[k] = &lane{m.openLane(t, f), f}
		}
	}
}

func (m *machine) openLane(t *rule.Table, f *rule.Flowtable) netfilter.Flowtable {
	cfg := netfilter.FlowtableConfig{Priority: f.Priority, Devices: f.Devices, Counter: f.Counter}
	cfg.Versions[network.V4] = t.Family == rule.IP || t.Family == rule.Inet
	cfg.Versions[network.V6] = t.Family == rule.IP6 || t.Family == rule.Inet
	return m.flows.v.AddFlowtable(cfg)
}

// switchLanes makes the lanes of next work as they are declared now, and closes those
// that are in old alone.
func (m *machine) switchLanes(old, next map[laneKey]*lane) {
	for k, l := range next {
		if before := old[k]; before != nil && before.spec != l.spec {
			l.SetDevices(l.spec.Devices)
		}
	}
	m.closeLanes(old, next)
}

// closeLanes closes those that are in from and not in kept.
func (m *machine) closeLanes(from, kept map[laneKey]*lane) {
	for k, l := range from {
		if kept[k] == nil {
			l.Close()
		}
	}
}
