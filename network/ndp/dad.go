package ndp

import (
	"crypto/rand"
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

type addrKey struct {
	dev *link.Device
	ip  netip.Addr
}

// An ownAddr is an address of this host as long as it is assigned: member of its
// solicited-node group, and on the way through Duplicate Address Detection
// (RFC 4862 §5.4) while it is tentative.
type ownAddr struct {
	d     *ndp
	key   addrKey
	timer clock.Timer

	mu     sync.Mutex
	group  *network.Membership
	left   int // probes still to send
	nonce  [6]byte
	active bool // being detected
	gone   bool
}

// addrChanged follows the layer's addresses.
func (d *ndp) addrChanged(e network.Event) {
	if e.Addr == nil || !e.Addr.IP().Is6() || e.Device.Type() == link.Loopback {
		return
	}
	k := addrKey{e.Device, e.Addr.IP()}
	if e.Kind == network.AddrRemoved {
		d.mu.Lock()
		a := d.addrs[k]
		delete(d.addrs, k)
		d.mu.Unlock()
		if a != nil {
			a.stop()
		}
		return
	}
	a, fresh := d.own(k)
	switch {
	case a == nil:
	case e.Addr.Flags&network.Tentative != 0 && e.Addr.Flags&network.DADFailed == 0:
		if e.Device.Up() {
			a.begin()
		}
	case fresh:
		d.ready(e.Device, e.Addr)
	}
}

// own returns the state of an address and makes it at first; nil when the module
// is going.
func (d *ndp) own(k addrKey) (a *ownAddr, fresh bool) {
	d.mu.Lock()
	a = d.addrs[k]
	if a == nil && !d.closed {
		a, fresh = &ownAddr{d: d, key: k}, true
		a.timer.Init(d.net.Clock, a.fire)
		d.addrs[k] = a
	}
	d.mu.Unlock()
	if fresh {
		a.join()
	}
	return a, fresh
}

// join makes the host a member of the address's solicited-node group.
func (a *ownAddr) join() {
	m, err := a.d.net.Join(a.key.dev, wire.SolicitedNode(a.key.ip), network.Filter{Exclude: true})
	if err != nil {
		a.d.warn.Warn("%s: %v", a.key.dev.Name(), err)
		return
	}
	a.mu.Lock()
	a.group = m
	gone := a.gone
	a.mu.Unlock()
	if gone {
		m.Leave()
	}
}

func (a *ownAddr) stop() {
	a.mu.Lock()
	a.gone, a.active = true, false
	m := a.group
	a.mu.Unlock()
	a.timer.Stop()
	if m != nil {
		m.Leave()
	}
}

// begin starts detection unless it is under way. "the node SHOULD delay joining the
// solicited-node multicast address by a random delay between 0 and
// MAX_RTR_SOLICITATION_DELAY": here the group is joined already and the first
// solicitation waits.
func (a *ownAddr) begin() {
	c := a.d.conf.Of(a.key.dev.Index())
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.active || a.gone {
		return
	}
	a.active = true
	a.left = int(c.DADTransmits.Load())
	rand.Read(a.nonce[:])
	a.timer.ResetAfter(random(0, time.Duration(c.RouterSolicitationDelay.Load())*time.Second))
}

// fire sends a probe, or finds that nobody has answered the last one.
func (a *ownAddr) fire(clock.Time) {
	defer a.d.net.Walks.Enter().Exit()
	a.mu.Lock()
	if !a.active {
		a.mu.Unlock()
		return
	}
	probe := a.left > 0
	if probe {
		a.left--
		a.timer.ResetAfter(a.d.neigh.Params(a.key.dev).Retrans)
	}
	a.active = probe
	nonce := a.nonce
	a.mu.Unlock()
	if probe {
		a.d.sendProbe(a.key.dev, a.key.ip, nonce)
		return
	}
	a.d.unique(a.key)
}

// unique ends detection: the address is ours.
func (d *ndp) unique(k addrKey) {
	var now network.Addr
	there := d.net.UpdateAddr(k.dev, netip.PrefixFrom(k.ip, k.ip.BitLen()), func(a *network.Addr) {
		a.Flags &^= network.Tentative | network.Optimistic | network.DADFailed
		now = *a
	})
	if there {
		d.ready(k.dev, &now)
	}
}

// ready is called when an address has become usable on a device.
func (d *ndp) ready(dev *link.Device, a *network.Addr) {
	if !dev.Up() {
		return
	}
	if dev.NeedsNeighbour() && d.conf.Of(dev.Index()).NDiscNotify.Load() != 0 {
		d.sendAdvert(dev, a, allNodes, false)
	}
	if a.IP().IsLinkLocalUnicast() {
		d.maySolicit(dev)
	}
	if d.conf.Of(dev.Index()).SendRA.Load() != 0 {
		d.advertise(dev)
	}
}

// isOwnProbe reports whether a probe came back to us over a looped link (RFC 7527
// §4.2).
func (d *ndp) isOwnProbe(dev *link.Device, target netip.Addr, ns wire.NeighborSolicit) bool {
	d.mu.Lock()
	a := d.addrs[addrKey{dev, target}]
	d.mu.Unlock()
	if a == nil {
		return false
	}
	a.mu.Lock()
	nonce := a.nonce
	a.mu.Unlock()
	options := ns.Options()
	for o, ok := options.Next(); ok; o, ok = options.Next() {
		if o.Type() == wire.NDPOptNonce && len(o.Bytes()) == nonceLen && [6]byte(o.Bytes()[2:]) == nonce {
			return true
		}
	}
	return false
}

// duplicate ends detection: somebody else has the address, which "MUST NOT be
// assigned to an interface" (RFC 4862 §5.4.5).
func (d *ndp) duplicate(dev *link.Device, ip netip.Addr) {
	d.mu.Lock()
	a := d.addrs[addrKey{dev, ip}]
	d.mu.Unlock()
	if a == nil {
		return
	}
	a.mu.Lock()
	detecting := a.active
	a.active = false
	a.mu.Unlock()
	a.timer.Stop()
	if !detecting {
		return
	}
	d.warn.Warn("%s: IPv6 duplicate address %v detected!", dev.Name(), ip)
	entry := d.find(dev, ip)
	switch {
	case entry == nil:
	case entry.Flags&network.StablePrivacy != 0 && entry.Proto != 0:
		d.tryAnother(dev, entry)
	case entry.Flags&network.Permanent == 0:
		d.net.DelAddr(dev, entry.Prefix) // a router may propose it again
	default:
		d.fail(dev, entry)
	}
}

// fail marks an address that stays but is never used.
func (d *ndp) fail(dev *link.Device, a *network.Addr) {
	d.net.UpdateAddr(dev, a.Prefix, func(a *network.Addr) { a.Flags |= network.Tentative | network.DADFailed })
	c := d.conf.Of(dev.Index())
	if c.AcceptDAD.Load() < 2 || dev.Type() != link.Ether || a.IP() != conf6.WithID(a.IP(), conf6.EUI64(dev.MAC())) {
		return
	}
	// "if the address is a link-local address formed from an interface identifier
	// based on the hardware address [...] IP operation on the interface SHOULD be
	// disabled" (RFC 4862 §5.4.5); Linux does so with accept_dad=2.
	if a.IP().IsLinkLocalUnicast() {
		d.warn.Warn("%s: IPv6 being disabled!", dev.Name())
		c.DisableIPv6.Store(1)
	}
}

// maxTries is how many identifiers of RFC 7217 are tried (IDGEN_RETRIES).
const maxTries = 3

// tryAnother replaces an address by the next one of RFC 7217 §6.
func (d *ndp) tryAnother(dev *link.Device, old *network.Addr) {
	d.mu.Lock()
	i := d.iface(dev)
	tries := i.conflicts[old.Prefix.Masked()] + 1
	if len(i.conflicts) < maxLearned || i.conflicts[old.Prefix.Masked()] > 0 {
		i.conflicts[old.Prefix.Masked()] = tries
	}
	d.mu.Unlock()
	if tries > maxTries {
		d.fail(dev, old)
		return
	}
	d.net.DelAddr(dev, old.Prefix)
	id, _, ok := d.conf.Of(dev.Index()).InterfaceID(dev, old.Prefix.Masked().Addr(), tries)
	if !ok {
		return
	}
	next := *old
	next.Prefix = netip.PrefixFrom(conf6.WithID(old.IP(), id), old.Prefix.Bits())
	next.Flags &^= network.Tentative | network.DADFailed
	if next.Proto == route.ProtoKernel || d.room(dev) {
		d.net.AddAddr(dev, next)
	}
}

// again looks for duplicates once more, when a device has come back.
func (d *ndp) again(dev *link.Device, a *network.Addr) {
	own, fresh := d.own(addrKey{dev, a.IP()})
	if own == nil {
		return
	}
	c := d.conf.Of(dev.Index())
	detect := dev.NeedsNeighbour() && dev.Flags()&link.NoARP == 0 && a.Flags&network.NoDAD == 0 &&
		c.DADTransmits.Load() > 0 && c.AcceptDAD.Load() > 0
	own.mu.Lock()
	active := own.active
	own.mu.Unlock()
	switch {
	case active:
	case detect:
		d.net.UpdateAddr(dev, a.Prefix, func(a *network.Addr) {
			a.Flags |= network.Tentative
			a.Flags &^= network.DADFailed
		}) // which begins it
	case fresh, a.Flags&network.Tentative == 0:
		d.ready(dev, a)
	}
}

// stopDetecting ends detection on a device that went down; its addresses stay
// tentative.
func (d *ndp) stopDetecting(dev *link.Device) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, a := range d.addrs {
		if k.dev == dev {
			a.timer.Stop()
			a.mu.Lock()
			a.active = false
			a.mu.Unlock()
		}
	}
}
