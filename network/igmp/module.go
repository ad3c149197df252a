// Package igmp is the module for the host side of the Internet Group Management
// Protocol, version 3 (RFC 3376), which speaks version 2 (RFC 2236) or 1 (RFC 1112)
// where a querier of that version is: it tells multicast routers which groups this
// host listens to.
package igmp

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "igmp",
	Version:     "1.0",
	Description: "Internet Group Management Protocol, host side (RFC 3376)",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"net-pf-2-proto-2"},
	Depends:     []string{"ip4"},
	Init:        start,
}

// igmp is one kernel's instance and the network.Handler of IGMP.
type igmp struct {
	net      *network.Layer
	conf     *network.DeviceConf[conf]
	settings settings

	mu     sync.Mutex
	ifaces map[int32]*iface
	closed bool
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	sysctls, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	files, err := module.Import[*proc.Table](c, "proc")
	if err != nil {
		return err
	}
	g := &igmp{net: n, ifaces: map[int32]*iface{}}
	c.Free(g.close)
	if err := g.publish(c, sysctls, files); err != nil {
		return err
	}
	c.Cleanup(n.WatchGroups(g.groupChanged))
	c.Cleanup(n.Link.Watch(g.deviceChanged))
	for _, x := range n.Groups() {
		g.learn(x)
	}
	return c.Register(n.Handle(network.V4, wire.ProtoIGMP, g))
}

// close stops all timers.
func (g *igmp) close() {
	g.mu.Lock()
	g.closed = true
	ifaces := g.ifaces
	g.ifaces = map[int32]*iface{}
	g.mu.Unlock()
	for _, i := range ifaces {
		i.mu.Lock()
		i.dead = true
		i.mu.Unlock()
		i.timer.StopWait()
	}
}

// iface returns the state of a device, made if it is new; nil for devices on which
// there are no routers to tell.
func (g *igmp) iface(dev *link.Device) *iface {
	if dev.Type() == link.Loopback || dev.Flags()&link.MulticastDev == 0 {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.ifaces[dev.Index()]
	if i == nil && !g.closed && g.net.Link.Device(dev.Index()) == dev {
		i = newIface(g, dev)
		g.ifaces[dev.Index()] = i
	}
	return i
}

// deviceChanged reports all groups anew when a device can be heard again, and
// forgets what is gone.
func (g *igmp) deviceChanged(e link.Event) {
	g.mu.Lock()
	i := g.ifaces[e.Device.Index()]
	if e.Kind == link.Removed {
		delete(g.ifaces, e.Device.Index())
	}
	g.mu.Unlock()
	if i == nil {
		return
	}
	switch e.Kind {
	case link.WentUp:
		i.do(func(now clock.Time) { i.reportAll(now) })
	case link.WentDown, link.Removed:
		i.do(func(clock.Time) { i.quiet() })
	}
}

// groupChanged hears what this host listens to.
func (g *igmp) groupChanged(e network.GroupEvent) {
	if !e.Group.Is4() || !g.reports(e.Group.As4()) {
		return
	}
	if i := g.iface(e.Device); i != nil {
		i.do(func(now clock.Time) { i.change(now, e.Group, e.New) })
	}
}

// learn takes over a group that was joined before the module was loaded.
func (g *igmp) learn(x network.GroupInfo) {
	if !x.Group.Is4() || !g.reports(x.Group.As4()) {
		return
	}
	if i := g.iface(x.Device); i != nil {
		i.do(func(now clock.Time) {
			if i.groups[x.Group] == nil {
				i.change(now, x.Group, x.Filter)
			}
		})
	}
}

// reports reports whether routers hear of a group: "the all-systems multicast
// address, 224.0.0.1, is handled as a special case" and never reported (RFC 3376
// §6). Other groups of the link are, unless the administrator does not want it.
func (g *igmp) reports(group [4]byte) bool {
	switch {
	case group == [4]byte{224, 0, 0, 1}:
		return false
	case group[0] == 224 && group[1] == 0 && group[2] == 0:
		return g.settings.linkLocal.Load()
	}
	return true
}

// random draws a delay up to most.
func random(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(most)))
}
