// Package vrf is the module for Virtual Routing and Forwarding: devices that each stand
// for a routing domain with a table of its own, so that one kernel routes for networks
// that must not see each other and may have the same addresses.
//
//	ip link add red type vrf table 10
//	ip link set red up
//	ip link set eth1 master red
//
// The addresses of eth1 and its connected routes are then in table 10, what comes in by
// eth1 is routed there, and so is what sockets send that are bound to red or eth1. It
// works by one rule of each IP version, which the first VRF makes:
//
//	1000:	from all lookup [l3mdev-table]
//
// The domain itself is known to package route (FIB.SetVRFs) and network (Layer.VRF),
// from the devices' masters. Here is the device: what a domain's own sockets send to its
// own addresses is received by it, as by the loopback device. Packets between a domain
// and the outside pass it by.
//
// The module is in use while a VRF is up or has devices.
package vrf

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
)

const kind = "vrf"

// Module is the metadata.
var Module = module.Spec{
	Name:        kind,
	Version:     "1.0",
	Description: "Virtual Routing and Forwarding",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"rtnl-link-" + kind},
	Init:        start,
}

// vrf is the module in one kernel.
type vrf struct {
	net   *network.Layer
	users *module.Users
	ruled atomic.Bool // the rules were made
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	v := &vrf{net: n, users: c.Users("device")}
	undo, err := n.Link.RegisterKind(kind, link.Kind{
		New:    v.add,
		Delete: func(dev *link.Device) error { dev.Detach(); return nil },
	})
	if err != nil {
		return err
	}
	c.Cleanup(v.delRules)
	c.Cleanup(func() { n.Link.DetachKind(kind) })
	c.Cleanup(undo)
	return nil
}

// MTUs are bounded as for what no medium carries: IPv6's header and the largest payload
// behind it.
const minMTU, maxMTU = 1280, 40 + 65535

// add makes a VRF. Its one option, table, must be there: a VRF has its table for good.
func (v *vrf) add(name string, options map[string]string) (*link.Device, error) {
	o := link.NewOptions(kind, options)
	text := o.String("table", "")
	if err := o.Err(); err != nil {
		return nil, err
	}
	if text == "" {
		return nil, fmt.Errorf("vrf: %w: VRF table id is missing", syscall.EINVAL)
	}
	table, err := strconv.ParseUint(text, 0, 32)
	if err != nil || !allowed(uint32(table)) {
		return nil, fmt.Errorf("vrf: table %q: %w: want a number from 1 to 4294967295, but for those of main, local and default", text, syscall.EINVAL)
	}
	t, err := v.net.MakeTable(uint32(table))
	if err != nil {
		return nil, err
	}
	t.Use(false)
	t.Use(true)
	// While it is being made the device counts as in use, so that an unload does not
	// miss it.
	if err := link.Hold(v.users); err != nil {
		return nil, err
	}
	defer v.users.Put()
	dev, err := v.net.Link.Attach(link.Info{
		Name: name, Kind: kind, Type: link.Ether, MTU: maxMTU, MinMTU: minMTU, MaxMTU: maxMTU,
		Flags: link.NoARP | link.MasterDev, Without: link.BroadcastDev | link.MulticastDev, Features: link.Default,
		Detail: fmt.Sprintf("vrf table %d", table),
	}, &driver{hold: v.users, table: uint32(table)})
	if err != nil {
		return nil, err
	}
	v.addRules()
	return dev, nil
}

// allowed reports whether a VRF may have a table: those of the host itself would mix the
// domain with what it is to be kept from.
func allowed(table uint32) bool {
	return table != 0 && table != route.TableMain && table != route.TableLocal && table != route.TableDefault
}

// addRules makes the rules of both IP versions, with the first VRF. Who does not want
// them there may delete them and add others: they do not come again.
func (v *vrf) addRules() {
	if v.ruled.Swap(true) {
		return
	}
	v.net.AddRule(network.V4, route.VRFRule(), true) // fails only if the user has made the same
	v.net.AddRule(network.V6, route.VRFRule(), true)
}

// delRules takes away what addRules has made, if it is there still.
func (v *vrf) delRules() {
	if !v.ruled.Load() {
		return
	}
	is := func(r *route.Rule) bool { return *r == route.VRFRule() }
	v.net.DelRule(network.V4, is)
	v.net.DelRule(network.V6, is)
}
