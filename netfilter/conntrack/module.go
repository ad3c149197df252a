// Package conntrack is connection tracking: it knows the connections that pass a
// kernel, what each packet is to its connection, and when a connection is over.
// Rules ask it (ct state), NAT builds on it.
//
// A connection is known under both its tuples once its first packet has passed all
// hooks. It ends when its protocol's timeout passes without a packet. Everything is
// bounded: net.netfilter.nf_conntrack_max connections, of which those that are assured,
// because they have seen traffic both ways for a while, are not given up for new ones.
package conntrack

import (
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

const moduleName = "nf_conntrack"

// Module is the metadata.
var Module = module.Spec{
	Name:        moduleName,
	Version:     "1.0",
	Description: "connection tracking",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"nf_conntrack-2", "nf_conntrack-10", "ip_conntrack", "nfnetlink-subsys-1", "nfnetlink-subsys-2"},
	Softdep:     module.Softdep{Pre: []string{"nf_defrag_ipv4", "nf_defrag_ipv6"}},
	Exports:     []string{netfilter.TrackerSymbol},
	Params: []module.Param{
		module.Uint("hashsize", 262144, "buckets of the table").Range(uint64(stripes), uint64(1<<24)),
		module.Bool("acct", false, "count packets and bytes of connections"),
	},
	Init: start,
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	slot, undo, err := packet.NewSlot[*entry](&n.Link.Slots, moduleName)
	if err := c.Register(undo, err); err != nil {
		return err
	}
	t := newTracker(n, slot, int(c.Uint("hashsize")))
	t.log, t.users, t.requests = c.Log(), c.Users("connection tracking user"), c
	t.acct.Store(c.Bool("acct"))
	c.Cleanup(t.close)
	if err := t.publish(c); err != nil {
		return err
	}
	return module.Export[netfilter.Tracker](c, netfilter.TrackerSymbol, t)
}

// newTracker returns a tracker with Linux's settings that nobody uses yet.
func newTracker(n *network.Layer, slot packet.Slot[*entry], buckets int) *tracker {
	t := &tracker{net: n, clock: n.Clock, slot: slot, table: newTable(buckets)}
	t.timeouts.init()
	t.loose.Store(true)
	t.checksum.Store(true)
	t.events.Store(2)
	t.maxRetrans.Store(3)
	t.max.Store(int64(len(t.table.buckets)))
	t.expectMax.Store(1024)
	t.gc.Init(t.clock, t.collect)
	return t
}

// close ends what is left. Nobody adds connections any more: the hooks are gone and
// no packet is inside them.
func (t *tracker) close() {
	t.closed.Store(true)
	t.gc.StopWait()
	t.Flush(func(*netfilter.Conn) bool { return true })
}
