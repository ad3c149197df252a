// Package mld is the listener's side of Multicast Listener Discovery: it tells the
// routers of each link which groups, and which of their sources, this host listens
// to (MLDv2, RFC 3810), in version 1 (RFC 2710) where a router knows only that.
package mld

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/proc"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "mld",
	Version:     "1.0",
	Description: "Multicast Listener Discovery for IPv6, listener's side",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Imports:     []string{conf6.Symbol, msg6.CountSymbol},
	Init:        start,
}

// An mld is the protocol's state in one kernel.
type mld struct {
	net  *network.Layer
	conf *conf6.Table
	send msg6.Sender

	mu     sync.Mutex
	ports  map[*link.Device]*port
	closed bool
}

// A port is one device: a state machine with a timer. It is under mld.mu.
type port struct {
	m     *mld
	dev   *link.Device
	timer clock.Timer
	state state
	// blind: reports were sent from the unspecified address, which routers may
	// ignore (RFC 3590 §4).
	blind bool
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	conf, err := module.Import[*conf6.Table](c, conf6.Symbol)
	if err != nil {
		return err
	}
	count, err := module.Import[msg6.Count](c, msg6.CountSymbol)
	if err != nil {
		return err
	}
	files, err := module.Import[*proc.Table](c, "proc")
	if err != nil {
		return err
	}
	m := &mld{
		net: n, conf: conf, ports: map[*link.Device]*port{},
		send: msg6.Sender{Net: n, Paths: n.NewPathCache(), Count: count},
	}
	for typ, f := range map[uint8]network.ICMPFunc{
		wire.ICMP6MLDQuery: m.query, wire.ICMP6MLDReport: m.report,
		wire.ICMP6MLDDone: ignore, wire.ICMP6MLDv2Report: ignore,
	} {
		if err := c.Register(n.HandleICMP(network.V6, typ, f)); err != nil {
			return err
		}
	}
	if err := c.Register(files.Register("net/igmp6", m.writeGroups)); err != nil {
		return err
	}
	c.Cleanup(m.close)
	c.Cleanup(n.Watch(m.addrChanged))
	c.Cleanup(n.Link.Watch(m.deviceChanged))
	c.Cleanup(n.WatchGroups(m.groupChanged))
	for _, g := range n.Groups() {
		m.groupChanged(network.GroupEvent{Device: g.Device, Group: g.Group, New: g.Filter})
	}
	return nil
}

func (m *mld) close() {
	m.mu.Lock()
	ports := m.ports
	m.ports, m.closed = map[*link.Device]*port{}, true
	m.mu.Unlock()
	for _, p := range ports {
		p.timer.StopWait()
	}
}

// port returns the state of a device and makes it at first; nil for devices without
// routers that could listen. m.mu is held.
func (m *mld) port(dev *link.Device) *port {
	p := m.ports[dev]
	if p == nil && !m.closed && dev.Type() != link.Loopback && dev.Flags()&link.MulticastDev != 0 {
		p = &port{m: m, dev: dev}
		p.state.init(func(most time.Duration) time.Duration { return rand.N(most + 1) })
		p.timer.Init(m.net.Clock, p.fire)
		m.ports[dev] = p
	}
	return p
}

// groupChanged hears of what this host listens to.
func (m *mld) groupChanged(e network.GroupEvent) {
	if !e.Group.Is6() || !reported(e.Group) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.port(e.Device); p != nil {
		p.configure()
		p.state.change(m.net.Clock.Now(), e.Group, e.New)
		p.arm()
	}
}

// reported reports whether routers hear of a group: "no MLD messages are ever sent
// regarding neither the link-scope all-nodes multicast address, nor any multicast
// address of scope 0 (reserved) or 1 (node-local)" (RFC 3810 §6).
func reported(group netip.Addr) bool {
	return group != allNodes && group.As16()[1]&0xf > 1
}

// Groups that messages go to (RFC 3810 §5.2.14, RFC 2710 §4).
var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
	allV2      = netip.MustParseAddr("ff02::16")
)

// deviceChanged follows the devices: on a link that is new all is told anew.
func (m *mld) deviceChanged(e link.Event) {
	m.mu.Lock()
	p := m.ports[e.Device]
	if p == nil {
		m.mu.Unlock()
		return
	}
	switch e.Kind {
	case link.WentUp:
		p.configure()
		p.state.restart(m.net.Clock.Now())
		p.arm()
	case link.WentDown:
		p.state.stop()
		p.blind = false
		p.timer.Stop()
	case link.Removed:
		delete(m.ports, e.Device)
		p.timer.Stop()
	}
	m.mu.Unlock()
}

// addrChanged tells all again when there is an address to tell from, because routers
// may have ignored what came from the unspecified one (RFC 3590 §4).
func (m *mld) addrChanged(e network.Event) {
	if e.Kind != network.AddrAdded || !e.Addr.IP().Is6() || !e.Addr.IP().IsLinkLocalUnicast() || !e.Addr.Usable() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.ports[e.Device]; p != nil && p.blind {
		p.blind = false
		p.state.restart(m.net.Clock.Now())
		p.arm()
	}
}

// configure takes over the settings.
func (p *port) configure() {
	c := p.m.conf.Of(p.dev.Index())
	p.state.force = int(c.ForceMLDVersion.Load())
	p.state.interval1 = time.Duration(c.MLDv1Unsolicited.Load()) * time.Millisecond
	p.state.interval2 = time.Duration(c.MLDv2Unsolicited.Load()) * time.Millisecond
}

// arm sets the timer to what is due next.
func (p *port) arm() {
	if !p.dev.Up() {
		p.timer.Stop()
		return
	}
	p.timer.Reset(p.state.next()) // Never stops it
}

// writeGroups writes /proc/net/igmp6: index, device, group, users, flags, timer.
func (m *mld) writeGroups(w io.Writer) error {
	for _, g := range m.net.Groups() {
		if !g.Group.Is6() {
			continue
		}
		b := g.Group.As16()
		if _, err := fmt.Fprintf(w, "%-4d %-15s %x %5d %08X %d\n", g.Device.Index(), g.Device.Name(), b[:], g.Users, 4, 0); err != nil {
			return err
		}
	}
	return nil
}
