package nft

import (
	"sync"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
)

// A program is a table, compiled. It is used for as long as the table stays as it is.
type program struct {
	chains map[string]*chain
	sets   map[string]*set
	states map[any]any // counters, quotas and limits by their statements
	needs
}

// needs are the modules that rules use, whether connections have to be counted, and of
// which IP versions they are tracked.
type needs struct {
	ct, nat, flow, acct, limit, log bool
	tracked                         [2]bool
}

func (n *needs) add(o needs) {
	n.ct, n.nat, n.flow, n.acct = n.ct || o.ct, n.nat || o.nat, n.flow || o.flow, n.acct || o.acct
	n.limit, n.log = n.limit || o.limit, n.log || o.log
	n.track(o.tracked)
}

func (n *needs) track(versions [2]bool) {
	for v, wanted := range versions {
		n.tracked[v] = n.tracked[v] || wanted
	}
}

// connections reports whether rules need connection tracking.
func (n *needs) connections() bool { return n.ct || n.nat || n.flow }

// versionsOf are the IP versions that a family's tables see packets of.
func versionsOf(f rule.Family) (versions [2]bool) {
	versions[network.V4], versions[network.V6] = f != rule.IP6, f != rule.IP
	return versions
}

// commit makes tables the ruleset, in one step, or changes nothing. The caller
// holds m.mu.
func (m *machine) commit(tables []*rule.Table, changes map[setKey]*liveChange) error {
	next := &generation{mark: m.current.Load().mark%255 + 1, tables: tables, bases: map[baseKey]*chain{}, programs: make(map[*rule.Table]*program, len(tables))}
	need, fresh, err := m.build(next, changes)
	if err != nil {
		m.releaseHelpers(m.current.Load().tables)
		m.release(m.current.Load().needs)
		return err
	}
	next.needs = need
	next.tracker, next.translator = m.tracker.v, m.translator.v
	next.limiter, next.packetLog = m.limiter.v, m.packetLog.v
	old := m.current.Load()
	m.publish(next, changes)
	m.net.Walks.Wait() // for packets that have met the ruleset before
	m.previous.Store(nil)
	m.switchLanes(old.lanes, next.lanes)
	for k, s := range m.seats {
		if next.bases[k] == nil {
			s.leave()
			delete(m.seats, k)
		}
	}
	for k, s := range fresh {
		m.seats[k] = s
	}
	m.forget(next)
	m.releaseHelpers(tables)
	m.release(need)
	return nil
}

// build compiles what has changed and takes the seats that are new.
func (m *machine) build(next *generation, changes map[setKey]*liveChange) (need needs, fresh map[baseKey]*seat, err error) {
	for _, t := range next.tables {
		p := m.current.Load().programs[t]
		if p == nil {
			if p, err = m.program(t); err != nil {
				return need, nil, err
			}
		}
		if err := m.prepare(t, p, changes); err != nil {
			return need, nil, err
		}
		next.programs[t] = p
		need.add(p.needs)
		if p.needs.connections() {
			need.track(versionsOf(t.Family))
		}
		if t.Dormant {
			continue
		}
		for _, ch := range t.Chains {
			if ch.Base() {
				k := keyOf(t, ch)
				next.bases[k], next.order = p.chains[ch.Name], append(next.order, k)
			}
		}
	}
	if err := m.acquire(need); err != nil {
		return need, nil, err
	}
	if err := m.acquireHelpers(next.tables, need.nat); err != nil {
		return need, nil, err
	}
	if fresh, err = m.seatAll(next); err != nil {
		return need, nil, err
	}
	m.openLanes(next)
	return need, fresh, nil
}

// program compiles a table that is new or has changed.
func (m *machine) program(t *rule.Table) (*program, error) {
	if err := checkTable(t); err != nil {
		return nil, err
	}
	c := &compiler{
		m: m, table: t, chains: make(map[string]*chain, len(t.Chains)), sets: make(map[string]*set, len(t.Sets)),
		states: map[any]any{}, old: m.statesOf(t.Family, t.Name),
	}
	if err := c.compile(); err != nil {
		return nil, err
	}
	for _, ch := range t.Chains {
		c.need.nat = c.need.nat || ch.Type == rule.NATChain
	}
	for _, o := range t.Objects {
		c.need.ct = c.need.ct || o.Kind == rule.CTHelperObject
	}
	c.need.flow = c.need.flow || len(t.Flowtables) > 0
	return &program{c.chains, c.sets, c.states, c.need}, nil
}

// statesOf returns the states of a table as they are, by statement.
func (m *machine) statesOf(f rule.Family, name string) map[any]any {
	g := m.current.Load()
	for _, t := range g.tables {
		if t.Family == f && t.Name == name {
			return g.programs[t].states
		}
	}
	return nil
}

// prepare compiles the elements of a table that are added to sets of the packet path.
func (m *machine) prepare(t *rule.Table, p *program, changes map[setKey]*liveChange) error {
	for _, s := range t.Sets {
		if ch := changes[keyOfSet(t, s)]; ch != nil {
			c := &compiler{m: m, table: t, chains: p.chains, sets: p.sets, states: map[any]any{}}
			if err := c.prepare(s, ch); err != nil {
				return err
			}
			p.needs.add(c.need)
		}
	}
	return nil
}

// publish switches to the next generation. Lookups in sets that change with it wait
// for that moment.
func (m *machine) publish(next *generation, changes map[setKey]*liveChange) {
	var locked []*sync.RWMutex
	for k, ch := range changes {
		if ch.made == nil {
			continue // its table has gone again
		}
		d := m.dynamics[k]
		d.mu.Lock()
		locked = append(locked, &d.mu)
	}
	m.previous.Store(m.current.Load())
	m.current.Store(next)
	for k, ch := range changes {
		if ch.made != nil {
			ch.apply(m.dynamics[k], m.clock.Now())
		}
	}
	for _, mu := range locked {
		mu.Unlock()
	}
}

// forget drops the elements of sets that are gone.
func (m *machine) forget(next *generation) {
	kept := make(map[setKey]*dynamic, len(m.dynamics))
	for _, t := range next.tables {
		for _, s := range t.Sets {
			if d := m.dynamics[keyOfSet(t, s)]; d != nil {
				kept[keyOfSet(t, s)] = d
			}
		}
	}
	m.dynamics = kept
}

// seatAll gives seats to the base chains that have none, in the order in which they
// were declared: among equals the last one runs first. Until the ruleset changes they
// find no chain there.
func (m *machine) seatAll(next *generation) (map[baseKey]*seat, error) {
	fresh := map[baseKey]*seat{}
	for _, k := range next.order {
		if m.seats[k] != nil {
			continue
		}
		s, err := m.sit(k)
		if err != nil {
			for _, s := range fresh {
				s.leave()
			}
			return nil, err
		}
		fresh[k] = s
	}
	return fresh, nil
}

// acquire loads and holds the modules that rules need.
func (m *machine) acquire(n needs) error {
	if n.connections() {
		if err := m.tracker.get(m.ctx, netfilter.TrackerSymbol); err != nil {
			return err
		}
	}
	m.hold(n.tracked)
	if n.acct && m.sysctls != nil {
		if err := m.sysctls.Set("net.netfilter.nf_conntrack_acct", "1"); err != nil {
			return err
		}
	}
	if n.nat {
		if err := m.translator.get(m.ctx, netfilter.TranslatorSymbol); err != nil {
			return err
		}
	}
	if n.limit {
		if err := m.limiter.get(m.ctx, netfilter.LimiterSymbol); err != nil {
			return err
		}
	}
	if n.log {
		if err := m.packetLog.get(m.ctx, netfilter.PacketLogSymbol); err != nil {
			return err
		}
	}
	if n.flow {
		return m.flows.get(m.ctx, netfilter.FlowsSymbol)
	}
	return nil
}

// release lets the modules go that rules do not need any more.
func (m *machine) release(n needs) {
	if !n.limit {
		m.limiter.put()
	}
	if !n.log {
		m.packetLog.put()
	}
	if !n.flow {
		m.flows.put()
	}
	if !n.nat {
		m.translator.put()
	}
	for v, release := range m.tracking {
		if release != nil && !n.tracked[v] {
			release()
			m.tracking[v] = nil
		}
	}
	if !n.connections() {
		m.tracker.put()
	}
}

// hold has the connections of IP versions tracked.
func (m *machine) hold(versions [2]bool) {
	for v, wanted := range versions {
		if wanted && m.tracking[v] == nil {
			var one [2]bool
			one[v] = true
			m.tracking[v] = m.tracker.v.Hold(one)
		}
	}
}
