// Package nat translates addresses and ports of connections. Rules decide about the
// first packet of a connection; what they decided is part of the connection, and
// its other packets, both ways, and the ICMP errors about them, follow it.
package nat

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

const moduleName = "nf_nat"

// Module is the metadata.
var Module = module.Spec{
	Name:        moduleName,
	Version:     "1.0",
	Description: "network address translation",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Depends:     []string{"nf_conntrack"},
	Exports:     []string{netfilter.TranslatorSymbol},
	Init:        start,
}

// A translator is one kernel's NAT.
type translator struct {
	net      *network.Layer
	clock    *clock.Clock
	track    netfilter.Tracker
	hashSeed maphash.Seed
	seats    seats
	adjusts  atomic.Bool // sequence numbers of some connection are moved, or were
	mappings mappings
	masq     masq
	log      *klog.Logger
	logged   atomic.Int64 // when the last range that is used up was reported
	noPort   stat.Reason
	queries  sync.Pool          // of *query
	keep     netfilter.NATRange // without restrictions: addresses stay
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	track, err := module.Import[netfilter.Tracker](c, netfilter.TrackerSymbol)
	if err != nil {
		return err
	}
	t := &translator{net: n, clock: n.Clock, track: track, hashSeed: maphash.MakeSeed(), log: c.Log()}
	if t.noPort, err = n.Pool.Drops.New(noPortName); err != nil {
		return err
	}
	t.queries.New = func() any { return new(query) }
	t.mappings.init()
	c.Cleanup(track.Watch(t.connEvent))
	c.Cleanup(n.Watch(t.addrChanged))
	c.Cleanup(n.Link.Watch(t.deviceChanged))
	c.Cleanup(t.seats.close)
	return module.Export[netfilter.Translator](c, netfilter.TranslatorSymbol, t)
}

// connEvent keeps account of the connections that use mappings.
func (t *translator) connEvent(e netfilter.Event) {
	switch {
	case e.Kind&(netfilter.EventNew|netfilter.EventRelated) != 0:
		t.mappings.confirm(e.Conn)
	case e.Kind&netfilter.EventDestroy != 0:
		t.mappings.release(e.Conn, t.clock.Now())
	}
}
