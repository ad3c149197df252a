// Package nat64 lets IPv6 hosts reach IPv4 servers: it translates packets statefully
// (RFC 6146, RFC 7915).
//
// It makes a device, nat64, to which the translation prefix and the addresses of the
// pool are routed. What is sent there comes back in the other IP version. So rules,
// connection tracking and routing see a translated packet twice, as two routers
// would: the IPv6 packet on its way out by nat64, and the IPv4 packet on its way in
// from there. Both kinds of forwarding must be switched on.
//
// With a pool of this host's own addresses (masquerade) what comes back from outside
// is for this host by its address; it is recognised in PREROUTING, behind the
// destinations that rules change, and brought to the device.
package nat64

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/backlog"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/network/offload"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

const moduleName = "nat64"

// Module is the metadata.
var Module = module.Spec{
	Name:        moduleName,
	Version:     "1.0",
	Description: "lets IPv6 hosts reach IPv4 servers (RFC 6146)",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Depends:     []string{"ip4", "ip6"},
	Softdep:     module.Softdep{Pre: []string{"icmp4", "icmp6"}},
	Params: []module.Param{
		module.Prefix("prefix", wire.WellKnownPref64(), "IPv6 prefix that stands for IPv4 (RFC 6052)"),
		module.List("pool4", []string{masquerade}, "IPv4 addresses and prefixes to translate to, or masquerade: this host's own"),
		module.String("ports", "", "ports of the pool, LOW-HIGH; 61001-65535 of this host's own addresses, else 1-65535"),
		module.Bool("address_dependent", false, "let only those in who were spoken to (address-dependent filtering, RFC 4787)"),
		module.Bool("allow_private", false, "let 64:ff9b::/96 stand for addresses that are not global, which RFC 6052 forbids"),
		module.Uint("lowest_ipv6_mtu", wire.IPv6MinMTU, "bytes of an IPv6 packet that IPv4 would let fragment").Range(wire.IPv6MinMTU, 65535),
		module.Uint("max_sessions", 1<<18, "sessions").Range(1, 1<<24),
		module.Uint("max_client_ports", 16384, "ports and identifiers in use by one /64").Range(1, 1<<24),
		module.Duration("udp_timeout", udpDefault, "idle time of a UDP session").Range(udpMin, longestLifetime),
		module.Duration("tcp_established_timeout", tcpEstMin, "idle time of a TCP session").Range(tcpEstMin, longestLifetime),
		module.Duration("tcp_transitory_timeout", tcpTransMin, "idle time of a TCP session that begins or ends").Range(tcpTransMin, longestLifetime),
		module.Duration("icmp_timeout", icmpDefault, "idle time of an ICMP session").Range(icmpDefault, longestLifetime),
	},
	Init: start,
}

// A translator is one kernel's NAT64, and the driver of its device.
type translator struct {
	net      *network.Layer
	dev      *link.Device
	log      *klog.Logger
	ready    atomic.Bool     // log is set, and the first routes are there
	way      backlog.Backlog // back into the stack
	prefix   wire.Pref64
	private  bool // prefix may stand for any address
	lowest   int  // lowest_ipv6_mtu
	table    table
	frags    [2]*frag.Table
	offload  *offload.Offload
	paths    *network.PathCache
	reasons  reasons
	counters counters
	// queues and buffers are what is passed to interfaces, which would be allocated.
	queues, buffers sync.Pool
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	x, err := newTranslator(c, n)
	if err != nil {
		return err
	}
	c.Free(x.table.close)
	for _, f := range x.frags {
		c.Free(f.Close)
	}
	if err := x.publish(c); err != nil {
		return err
	}
	return x.attach(c)
}

// newTranslator reads the parameters.
func newTranslator(c *module.Context, n *network.Layer) (*translator, error) {
	prefix, err := wire.NewPref64(c.Prefix("prefix"))
	if err != nil {
		return nil, fmt.Errorf("parameter prefix: %w", err)
	}
	pool, err := parsePool(c.List("pool4"), c.String("ports"))
	if err != nil {
		return nil, err
	}
	x := &translator{
		net: n, prefix: prefix, private: c.Bool("allow_private"), lowest: int(c.Uint("lowest_ipv6_mtu")),
		offload: offload.New(), paths: n.NewPathCache(),
	}
	x.queues.New = func() any { return new(packet.Queue) }
	x.buffers.New = func() any { return new(scratch) }
	x.frags[network.V4] = frag.New(frag.Config{Clock: n.Clock, Walks: n.Walks, Params: frag.Params{MaxDist: frag.MaxDist4}})
	x.frags[network.V6] = frag.New(frag.Config{Clock: n.Clock, Walks: n.Walks, Params: frag.Params{Timeout: frag.Timeout6}})
	x.table = table{
		clock: n.Clock, pool: pool, dependent: c.Bool("address_dependent"),
		maxSessions: int(c.Uint("max_sessions")), maxClient: int(c.Uint("max_client_ports")),
		timeouts: timeouts{
			udp: c.Duration("udp_timeout"), tcpEst: c.Duration("tcp_established_timeout"),
			tcpTrans: c.Duration("tcp_transitory_timeout"), icmp: c.Duration("icmp_timeout"),
		},
		probe: x.probe, refused: x.refused,
	}
	x.table.init()
	return x, nil
}

// publish makes the counters and tables visible.
func (x *translator) publish(c *module.Context) error {
	if err := x.reasons.init(&x.net.Pool.Drops); err != nil {
		return err
	}
	if err := c.Register(x.net.Stats.Add("Nat64", x.counters.fields(&x.table)...)); err != nil {
		return err
	}
	files, err := module.Import[*proc.Table](c, "proc")
	if err != nil {
		return err
	}
	if err := c.Register(files.Register("net/nat64/bib", x.writeBindings)); err != nil {
		return err
	}
	return c.Register(files.Register("net/nat64/sessions", x.writeSessions))
}

// attach makes the device, the routes to it and the hook.
func (x *translator) attach(c *module.Context) error {
	dev, err := x.net.Link.Attach(link.Info{
		Name: moduleName, Type: link.None, MTU: deviceMTU, MaxMTU: deviceMTU,
		Without: link.MulticastDev, Features: link.Default,
	}, x)
	if err != nil {
		return err
	}
	x.dev = dev
	c.Cleanup(dev.Detach)
	settings, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	if x.table.pool.own { // what comes from the device has an address of this host
		if err := settings.Set("net.ipv4.conf."+dev.Name()+".accept_local", "1"); err != nil {
			return err
		}
	}
	if err := dev.SetUp(true); err != nil {
		return err
	}
	c.Cleanup(x.net.Watch(x.networkChanged))
	if err := x.addRoutes(); err != nil {
		return err
	}
	x.log = c.Log()
	x.ready.Store(true)
	c.Cleanup(x.net.Hooks[network.V4].Prerouting.Add(x.entry()))
	return nil
}

// addRoutes leads the prefix and the pool to the device.
func (x *translator) addRoutes() error {
	for _, p := range append([]netip.Prefix{x.prefix.Prefix()}, x.table.pool.prefixes...) {
		r := route.Route{Dst: p, Proto: route.ProtoKernel, NextHops: []route.NextHop{{Index: x.dev.Index()}}}
		if p.Addr().Is6() {
			r.Metric = metric6
		} else {
			r.Scope = route.LinkScope
		}
		if err := x.net.AddRoute(r, route.Create); err != nil {
			return err
		}
	}
	return nil
}

const (
	// deviceMTU is more than any link has: what is too large for the way behind the
	// device is for the router there to say (RFC 7915 §4, §5).
	deviceMTU = 65535
	// metric6 is that of IPv6 routes which nobody gave another one (Linux's
	// IP6_RT_PRIO_USER).
	metric6 = 1024
)

// networkChanged forgets what stands for an address that this host has lost.
func (x *translator) networkChanged(e network.Event) {
	if e.Kind != network.AddrRemoved || !x.table.pool.own || !e.Addr.IP().Is4() {
		return
	}
	if a := e.Addr.IP(); !x.net.IsLocal(a) {
		x.table.forget(a.As4())
	}
}
