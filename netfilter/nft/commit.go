package nft

import (
	"github.com/knitnet/knit/netfilter/rule"
)

// commit makes tables the ruleset, in one step, or changes nothing. The caller
// holds m.mu.
func (m *machine) commit(tables []*rule.Table) error {
	next := &generation{tables: tables, bases: map[baseKey]*chain{}}
	states := map[any]any{}
	for _, t := range tables {
		c := &compiler{m: m, table: t, chains: map[string]*chain{}, sets: map[string]*set{}, states: states}
		if err := c.compile(); err != nil {
			return err
		}
		if err := m.need(c); err != nil {
			return err
		}
		if t.Dormant {
			continue
		}
		for _, ch := range t.Chains {
			if ch.Base() {
				next.bases[keyOf(t, ch)] = c.chains[ch.Name]
			}
		}
	}
	fresh, err := m.seatAll(next)
	if err != nil {
		return err
	}
	m.current.Store(next)
	m.states = states
	for k, s := range m.seats {
		if next.bases[k] == nil {
			s.leave()
			delete(m.seats, k)
		}
	}
	for k, s := range fresh {
		m.seats[k] = s
	}
	return nil
}

// seatAll gives seats to the base chains that have none. Until the ruleset changes
// they find no chain there.
func (m *machine) seatAll(next *generation) (map[baseKey]*seat, error) {
	fresh := map[baseKey]*seat{}
	for k := range next.bases {
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
