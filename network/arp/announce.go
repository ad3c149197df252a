package arp

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// An address is announced twice, two seconds apart (ANNOUNCE_NUM and
// ANNOUNCE_INTERVAL of RFC 5227 §1.1).
const (
	announceNum      = 2
	announceInterval = 2 * time.Second
)

// announcer repeats announcements. One timer serves all of them.
type announcer struct {
	arp   *arp
	timer clock.Timer

	mu     sync.Mutex
	due    []announcement // by time
	closed bool
}

type announcement struct {
	dev  *link.Device
	ip   netip.Addr
	at   clock.Time
	left int
}

func (n *announcer) init(a *arp) {
	n.arp = a
	n.timer.Init(a.clock, n.fire)
}

func (n *announcer) close() {
	n.mu.Lock()
	n.closed, n.due = true, nil
	n.mu.Unlock()
	n.timer.StopWait()
}

// forget ends the announcements on dev.
func (n *announcer) forget(dev *link.Device) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.due = slices.DeleteFunc(n.due, func(x announcement) bool { return x.dev == dev })
}

// repeat announces ip once more after the interval, left times; what was planned
// for ip before is forgotten.
func (n *announcer) repeat(dev *link.Device, ip netip.Addr, left int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.due = slices.DeleteFunc(n.due, func(x announcement) bool { return x.dev == dev && x.ip == ip })
	n.due = append(n.due, announcement{dev, ip, n.arp.clock.Now().Add(announceInterval), left})
	n.timer.Reset(n.due[0].at)
}

// fire is the timer.
func (n *announcer) fire(now clock.Time) {
	defer n.arp.net.Walks.Enter().Exit()
	n.mu.Lock()
	var ready []announcement
	for len(n.due) > 0 && n.due[0].at <= now {
		ready = append(ready, n.due[0])
		n.due = n.due[1:]
	}
	if len(n.due) > 0 {
		n.timer.Reset(n.due[0].at)
	}
	n.mu.Unlock()
	for _, x := range ready {
		if n.arp.owns(x.dev, x.ip) {
			n.arp.announceNow(x.dev, x.ip, x.left)
		}
	}
}

// announceNow sends one announcement and plans the left-1 that follow.
func (a *arp) announceNow(dev *link.Device, ip netip.Addr, left int) {
	f := wire.ARPAnnouncementOf(ip.As4(), dev.MAC())
	a.send(dev, &f, wire.BroadcastMAC())
	if left > 1 {
		a.announcer.repeat(dev, ip, left-1)
	}
}

// announceAll announces all addresses of dev.
func (a *arp) announceAll(dev *link.Device) {
	for _, x := range a.net.Addrs(dev.Index()) {
		a.announceAddr(dev, x)
	}
}

// announceAddr announces x unless nobody should, or can, hear of it.
func (a *arp) announceAddr(dev *link.Device, x *network.Addr) {
	ethernet := dev.Type() == link.Ether && dev.Flags()&link.NoARP == 0
	if a.announce() && ethernet && dev.Up() && x.IP().Is4() && x.Scope != route.Host && x.Usable() {
		a.announceNow(dev, x.IP(), announceNum)
	}
}

// owns reports whether dev has the address ip and is up.
func (a *arp) owns(dev *link.Device, ip netip.Addr) bool {
	return dev.Up() && slices.ContainsFunc(a.net.Addrs(dev.Index()), func(x *network.Addr) bool { return x.IP() == ip && x.Usable() })
}

// addrChanged is the watcher of the network layer.
func (a *arp) addrChanged(e network.Event) {
	if e.Addr == nil || !e.Addr.IP().Is4() {
		return
	}
	switch k := (probeKey{e.Device, e.Addr.IP()}); {
	case e.Kind == network.AddrRemoved:
		a.prober.cancel(k)
	case e.Addr.Flags&network.Tentative != 0:
		a.prober.begin(k)
	default:
		a.announceAddr(e.Device, e.Addr)
	}
}
