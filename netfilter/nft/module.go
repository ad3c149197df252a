// Package nft is the rule engine: it keeps the ruleset, compiles it, and lets its
// base chains judge packets at the hook points. A change of the ruleset is one
// transaction: no packet sees half of it.
package nft

import (
	"math/rand/v2"
	"sync"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

const moduleName = "nf_tables"

// Module is the metadata.
var Module = module.Spec{
	Name:        moduleName,
	Version:     "1.0",
	Description: "packet filter",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"nfnetlink-subsys-10"},
	Exports:     []string{netfilter.RulesetSymbol},
	Init:        start,
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	m := newMachine(n)
	m.ctx, m.log = c, c.Log()
	if s, err := module.Import[*sysctl.Table](c, "sysctl"); err == nil {
		m.sysctls = s
	}
	c.Cleanup(m.close)
	return module.Export[netfilter.Ruleset](c, netfilter.RulesetSymbol, m)
}

func newMachine(n *network.Layer) *machine {
	m := &machine{
		net: n, paths: n.NewPathCache(), link: n.Link, clock: n.Clock, hashSeed: rand.Uint32(),
		generators: map[uint64]uint64{}, dynamics: map[setKey]*dynamic{}, seats: map[baseKey]*seat{},
		helpers: map[helperKey]*netfilter.Helper{},
		evals:   sync.Pool{New: func() any { return new(eval) }},
	}
	m.hub.done = make(chan struct{})
	m.current.Store(&generation{mark: 1})
	return m
}

// close takes the ruleset away.
func (m *machine) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	close(m.hub.done)
	old := m.current.Swap(new(generation))
	for _, s := range m.seats {
		s.leave()
	}
	m.closeLanes(old.lanes, nil)
	m.releaseHelpers(nil)
	m.release(needs{})
}
