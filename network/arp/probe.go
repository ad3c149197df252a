package arp

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Constants of RFC 5227 §1.1.
const (
	probeWait         = time.Second     // PROBE_WAIT: the first probe waits so long at most
	probeMin          = time.Second     // PROBE_MIN and
	probeMax          = 2 * time.Second // PROBE_MAX are between probes
	announceWait      = 2 * time.Second // ANNOUNCE_WAIT: from the last probe to the use
	maxConflicts      = 10              // MAX_CONFLICTS: after so many on a device
	rateLimitInterval = time.Minute     // RATE_LIMIT_INTERVAL is between attempts
)

// A prober asks whether addresses are in use before this host uses them (RFC 5227
// §2.1). One timer serves all of them.
type prober struct {
	arp   *arp
	timer clock.Timer
	n     atomic.Int32 // probing, so that packets need no lock when nobody is

	mu        sync.Mutex
	probing   map[probeKey]*probe
	conflicts map[*link.Device]*conflicts
	closed    bool
}

type probeKey struct {
	dev *link.Device
	ip  netip.Addr
}

type probe struct {
	left int        // probes to be sent
	at   clock.Time // of the next one, or of the use when none is left
}

// conflicts are those of one device since it went up.
type conflicts struct {
	n    int
	last clock.Time // when the last attempt began
}

func (p *prober) init(a *arp) {
	p.arp = a
	p.probing, p.conflicts = map[probeKey]*probe{}, map[*link.Device]*conflicts{}
	p.timer.Init(a.clock, p.fire)
}

// CheckAddr implements network.AddrChecker: a new address that is to be probed is
// tentative.
func (a *arp) CheckAddr(dev *link.Device, x *network.Addr) error {
	if a.detects(dev, x) {
		x.Flags |= network.Tentative
	}
	return nil
}

// detects reports whether x is probed on dev.
func (a *arp) detects(dev *link.Device, x *network.Addr) bool {
	return a.probes(dev.Index()) > 0 && dev.Type() == link.Ether && dev.Flags()&link.NoARP == 0 &&
		x.IP().Is4() && x.Flags&network.NoDAD == 0 && x.Scope != route.Host
}

// probeAll probes all addresses of dev, which has just gone up: "when an interface
// transitions from an inactive to an active state" others may have taken them
// (RFC 5227 §2.1).
func (a *arp) probeAll(dev *link.Device) {
	for _, x := range a.net.Addrs(dev.Index()) {
		if a.detects(dev, x) {
			a.net.UpdateAddr(dev, x.Prefix, func(x *network.Addr) {
				x.Flags = x.Flags&^network.DADFailed | network.Tentative
			})
		}
	}
}

// begin begins to probe unless that is under way: "a host should then wait for a
// random time interval selected uniformly in the range zero to PROBE_WAIT seconds".
func (p *prober) begin(k probeKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.probing[k] != nil || !k.dev.Up() {
		return // a device that goes up begins anew
	}
	at := p.arp.clock.Now()
	if c := p.conflicts[k.dev]; c != nil {
		if c.n >= maxConflicts {
			at = max(at, c.last.Add(rateLimitInterval))
		}
		c.last = at
	}
	p.probing[k] = &probe{left: max(p.arp.probes(k.dev.Index()), 1), at: at.Add(rand.N(probeWait + 1))}
	p.arm()
}

// arm sets the timer. p.mu is held.
func (p *prober) arm() {
	p.n.Store(int32(len(p.probing)))
	next := clock.Never
	for _, x := range p.probing {
		next = min(next, x.at)
	}
	p.timer.Reset(next) // Never stops it
}

// cancel ends the probing of an address that is gone.
func (p *prober) cancel(k probeKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.probing, k)
	p.arm()
}

// forget ends all probing on a device that is down.
func (p *prober) forget(dev *link.Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conflicts, dev)
	for k := range p.probing {
		if k.dev == dev {
			delete(p.probing, k)
		}
	}
	p.arm()
}

// close ends everything. Addresses that are tentative become usable: nobody will
// find out about them any more.
func (p *prober) close() {
	p.mu.Lock()
	p.closed = true
	clear(p.probing)
	p.arm()
	p.mu.Unlock()
	p.timer.StopWait()
	for _, dev := range p.arp.link.Devices() {
		for _, x := range p.arp.net.Addrs(dev.Index()) {
			if x.IP().Is4() {
				p.arp.settle(probeKey{dev, x.IP()}, 0)
			}
		}
	}
}

// settle ends the tentative state of an address, with flags.
func (a *arp) settle(k probeKey, flags network.AddrFlags) {
	for _, x := range a.net.Addrs(k.dev.Index()) { // it may be there with several prefixes
		if x.IP() == k.ip && x.Flags&network.Tentative != 0 {
			a.net.UpdateAddr(k.dev, x.Prefix, func(x *network.Addr) { x.Flags = x.Flags&^network.Tentative | flags })
		}
	}
}

// fire is the timer: it sends the probes that are due, and ends the wait for
// addresses that nobody has claimed.
func (p *prober) fire(now clock.Time) {
	defer p.arp.net.Walks.Enter().Exit()
	var send, free []probeKey
	p.mu.Lock()
	for k, x := range p.probing {
		switch {
		case x.at > now:
		case x.left > 0:
			send = append(send, k)
			x.next(now)
		default:
			free = append(free, k)
			delete(p.probing, k)
		}
	}
	p.arm()
	p.mu.Unlock()
	for _, k := range send {
		f := wire.ARPProbeFor(k.ip.As4(), k.dev.MAC())
		p.arp.send(k.dev, &f, wire.BroadcastMAC())
	}
	for _, k := range free {
		p.arp.settle(k, 0) // whose event makes it announced
	}
}

// next plans what follows a probe that is sent now: "PROBE_NUM probe packets, each
// of these probe packets spaced randomly and uniformly, PROBE_MIN to PROBE_MAX
// seconds apart", then ANNOUNCE_WAIT.
func (x *probe) next(now clock.Time) {
	x.left--
	if x.left > 0 {
		x.at = now.Add(probeMin + rand.N(probeMax-probeMin+1))
		return
	}
	x.at = now.Add(announceWait)
}

// hear looks whether a packet is about an address that is being probed: one "where
// the packet's 'sender IP address' is the address being probed for", or a probe of
// somebody else for it (RFC 5227 §2.1.1).
func (p *prober) hear(dev *link.Device, m wire.ARP) {
	if p.n.Load() == 0 {
		return
	}
	k := probeKey{dev, m.SenderIP()}
	if m.IsProbe() {
		k.ip = m.TargetIP()
	}
	if p.arp.isOurs(m.SenderMAC()) {
		return // another of our devices on the same link
	}
	p.mu.Lock()
	x := p.probing[k]
	if x != nil {
		delete(p.probing, k)
		p.count(dev)
		p.arm()
	}
	p.mu.Unlock()
	if x == nil {
		return
	}
	p.arp.log.Warn("IPv4 address conflict: %v is used by %v, not by %s", k.ip, m.SenderMAC(), dev.Name())
	p.arp.settle(k, network.DADFailed)
}

// count counts a conflict. p.mu is held.
func (p *prober) count(dev *link.Device) {
	c := p.conflicts[dev]
	if c == nil {
		c = new(conflicts)
		p.conflicts[dev] = c
	}
	c.n++
	c.last = max(c.last, p.arp.clock.Now())
}
