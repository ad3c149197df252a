// Package flowtable is the flow fast path: packets of established connections that
// are forwarded take one lookup from the device they come in by to the neighbour they
// go to, past all rules, however many there are.
//
// A rule at FORWARD decides which connections (`flow add @ft`). A packet that needs
// more than to be sent on takes the slow way through the hooks, as if there was no
// flowtable: fragments, IP options and extension headers, a hop limit that ends here,
// what is larger than the next link takes, whatever is damaged, ICMP. SYN, FIN and RST
// end the flow, and connection tracking has the connection back; so it has when no
// packet came for net.netfilter.nf_flowtable_tcp_timeout or ..._udp_timeout seconds.
//
// What is known of the way holds for one generation of the network layer: after any
// change of routes, addresses, devices and MTUs the next packet of a flow takes the slow
// way, which checks everything again and brings it back here.
//
// A flow costs about 500 bytes, and there are never more of them than connections,
// which net.netfilter.nf_conntrack_max bounds.
package flowtable

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

const moduleName = "nf_flow_table"

// Module is the metadata.
var Module = module.Spec{
	Name:        moduleName,
	Version:     "1.0",
	Description: "flow fast path",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"nf-flowtable-1", "nf-flowtable-2", "nf-flowtable-10", "nf_flow_table_ipv4", "nf_flow_table_ipv6", "nf_flow_table_inet"},
	Depends:     []string{"nf_conntrack"},
	Exports:     []string{netfilter.FlowsSymbol},
	Init:        start,
}

// Flows are one kernel's flowtables.
type flows struct {
	net   *network.Layer
	track netfilter.Tracker
	// tcpTimeout and udpTimeout are how many seconds a flow stays without a packet.
	tcpTimeout, udpTimeout atomic.Int64

	mu     sync.Mutex
	tables []*table
}

// idle is how many seconds a flow stays without a packet unless it is set.
const idle = 30

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	track, err := module.Import[netfilter.Tracker](c, netfilter.TrackerSymbol)
	if err != nil {
		return err
	}
	settings, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	f := newFlows(n, track)
	for _, e := range []sysctl.Entry{
		sysctl.Int("net.netfilter.nf_flowtable_tcp_timeout", &f.tcpTimeout, 0, math.MaxInt32),
		sysctl.Int("net.netfilter.nf_flowtable_udp_timeout", &f.udpTimeout, 0, math.MaxInt32),
	} {
		if err := c.Register(settings.Register(e)); err != nil {
			return err
		}
	}
	c.Cleanup(f.close)
	return module.Export[netfilter.Flows](c, netfilter.FlowsSymbol, f)
}

func newFlows(n *network.Layer, track netfilter.Tracker) *flows {
	f := &flows{net: n, track: track}
	f.tcpTimeout.Store(idle)
	f.udpTimeout.Store(idle)
	return f
}

// AddFlowtable implements netfilter.Flows.
func (f *flows) AddFlowtable(cfg netfilter.FlowtableConfig) netfilter.Flowtable {
	t := newTable(f, cfg)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tables = append(f.tables, t)
	return t
}

func (f *flows) remove(t *table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tables = slices.DeleteFunc(f.tables, func(x *table) bool { return x == t })
}

func (f *flows) close() {
	f.mu.Lock()
	tables := slices.Clone(f.tables)
	f.mu.Unlock()
	for _, t := range tables {
		t.Close()
	}
}

// timeout returns how many seconds a flow of a protocol stays without a packet.
func (f *flows) timeout(proto uint8) int64 {
	if proto == wire.ProtoTCP {
		return f.tcpTimeout.Load()
	}
	return f.udpTimeout.Load()
}
