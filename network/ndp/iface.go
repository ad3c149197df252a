package ndp

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/network/route"
)

// Bounds of what one link can teach, because anybody on it can advertise.
const (
	maxLearned   = 64 // routes and prefixes
	maxRouters   = 16 // default routers
	maxResolvers = 8
)

// An iface is what is known of one link. Its maps are under ndp.mu.
type iface struct {
	d   *ndp
	dev *link.Device

	learned   map[routeKey]*learned
	resolvers []network.Resolver
	conflicts map[netip.Prefix]int // identifiers that others had
	expiry    clock.Timer

	soliciting bool
	solicits   int           // sent
	wait       time.Duration // before the next one
	solicitor  clock.Timer

	advertiser advertiser
}

// A routeKey tells what was learned apart: a prefix by a router, or on the link if
// via is the zero Addr.
type routeKey struct {
	dst netip.Prefix
	via netip.Addr
}

// A learned route ends at until, unless it is heard of again.
type learned struct {
	route.Route
	until clock.Time
}

// iface returns the state of a device and makes it at first. d.mu is held.
func (d *ndp) iface(dev *link.Device) *iface {
	i := d.ifaces[dev]
	if i == nil {
		i = &iface{d: d, dev: dev, learned: map[routeKey]*learned{}, conflicts: map[netip.Prefix]int{}}
		i.expiry.Init(d.net.Clock, i.expire)
		i.solicitor.Init(d.net.Clock, i.solicit)
		i.advertiser.timer.Init(d.net.Clock, i.fireAdvert)
		if !d.closed && d.net.Link.Device(dev.Index()) == dev {
			d.ifaces[dev] = i
		}
	}
	return i
}

func (i *iface) stop() {
	i.expiry.StopWait()
	i.solicitor.StopWait()
	i.advertiser.timer.StopWait()
}

// forget drops all that was learned on a link that is down: its routes are gone
// with it, and its addresses go now.
func (d *ndp) forget(dev *link.Device) {
	d.mu.Lock()
	i := d.ifaces[dev]
	if i != nil {
		clear(i.learned)
		clear(i.conflicts)
		i.resolvers = nil
		i.soliciting, i.solicits = false, 0
		i.advertiser.stop()
		i.expiry.Stop()
		i.solicitor.Stop()
	}
	d.mu.Unlock()
	for _, a := range d.net.Addrs(dev.Index()) {
		if a.IP().Is6() && a.Proto == route.ProtoRA {
			d.net.DelAddr(dev, a.Prefix)
		}
	}
}

// expire removes what has not been heard of for its lifetime.
func (i *iface) expire(now clock.Time) {
	defer i.d.net.Walks.Enter().Exit()
	var gone []route.Route
	i.d.mu.Lock()
	for k, l := range i.learned {
		if l.until <= now {
			gone = append(gone, l.Route)
			delete(i.learned, k)
		}
	}
	i.resolvers = liveResolvers(i.resolvers, now)
	i.arm()
	i.d.mu.Unlock()
	for _, r := range gone {
		i.d.net.DelRoute(r)
	}
}

// arm sets the timer to the next end of a lifetime. d.mu is held.
func (i *iface) arm() {
	next := clock.Never
	for _, l := range i.learned {
		next = min(next, l.until)
	}
	for _, r := range i.resolvers {
		next = min(next, r.Until)
	}
	i.expiry.Reset(next) // Never stops it
}

// learn takes over a route for so long. A lifetime of zero removes it. It reports
// false when there are too many.
func (i *iface) learn(r route.Route, lifetime time.Duration) bool {
	d, k := i.d, routeKey{r.Dst, r.NextHops[0].Gateway}
	d.mu.Lock()
	old := i.learned[k]
	switch {
	case lifetime <= 0:
		delete(i.learned, k)
	case old == nil && !i.roomFor(k):
		d.mu.Unlock()
		return false
	default:
		i.learned[k] = &learned{r, until(d.net.Clock.Now(), lifetime)}
	}
	i.arm()
	d.mu.Unlock()
	changed := old != nil && old.Metric != r.Metric
	// What is on the link may have gone with an address.
	if lifetime > 0 && (old == nil || changed || !k.via.IsValid()) && !i.onLink(r) {
		d.net.AddRoute(r, route.Append)
	}
	if old != nil && (lifetime <= 0 || changed) { // afterwards: no packet finds none
		d.net.DelRoute(old.Route)
	}
	return true
}

// onLink reports whether a route like r is there, because this host has an address
// in the prefix or has learned it before.
func (i *iface) onLink(r route.Route) bool {
	t := i.d.net.Table(r.Table)
	if t == nil {
		return false
	}
	x := t.LookupIndex(r.Dst.Addr(), i.dev.Index())
	return !r.NextHops[0].Gateway.IsValid() && x != nil && x.Dst == r.Dst && x.Metric == r.Metric
}

// roomFor reports whether one more route may be learned. d.mu is held.
func (i *iface) roomFor(k routeKey) bool {
	routers := 0
	for l := range i.learned {
		if l.dst.Bits() == 0 {
			routers++
		}
	}
	return len(i.learned) < maxLearned && (k.dst.Bits() != 0 || routers < maxRouters)
}

// forever is the lifetime that does not end (RFC 4861 §4.6.2: all ones).
const forever = time.Duration(1<<63 - 1)

// lifetime turns the seconds of an option into a duration.
func lifetime(seconds uint32) time.Duration {
	if seconds == 0xffffffff {
		return forever
	}
	return time.Duration(seconds) * time.Second
}

// until returns when a lifetime that begins now ends.
func until(now clock.Time, d time.Duration) clock.Time {
	if d == forever {
		return clock.Never
	}
	return now.Add(d)
}

// settingChanged follows net.ipv6.conf.*.
func (d *ndp) settingChanged(name string, c *conf6.Conf) {
	for _, dev := range d.net.Link.Devices() {
		if !d.conf.Concerns(c, dev) || !dev.Up() {
			continue
		}
		switch name {
		case "send_ra", "ra_interval", "ra_lifetime", "ra_rdnss":
			d.advertise(dev)
		case "accept_ra":
			d.maySolicit(dev)
		case "forwarding":
			if !accepts(d.conf.Of(dev.Index())) {
				// A router has no default routers by advertisements; Linux drops them
				// at once.
				d.dropRoutes(dev, func(k routeKey) bool { return k.dst == defaultPrefix })
			}
			d.maySolicit(dev)
		}
	}
}

// suspect is added to the metric of a router that does not answer, until it is
// heard of again.
const suspect = 1024

// neighbourChanged takes a default router that does not answer behind others:
// "Routers that are reachable or probably reachable [...] SHOULD be preferred over
// routers whose reachability is unknown or suspect" (RFC 4861 §6.3.6).
func (d *ndp) neighbourChanged(e neigh.Event) {
	if e.State != neigh.Failed || e.Deleted {
		return
	}
	var old, r route.Route
	d.mu.Lock()
	if i := d.ifaces[e.Device]; i != nil {
		if l := i.learned[routeKey{defaultPrefix, e.IP}]; l != nil && l.Metric < suspect+routerMetric-1 {
			old = l.Route
			r = old
			r.Metric += suspect
			i.learned[routeKey{defaultPrefix, e.IP}] = &learned{r, l.until}
		}
	}
	d.mu.Unlock()
	if r.Metric != 0 {
		d.net.AddRoute(r, route.Append)
		d.net.DelRoute(old)
	}
}

// dropRouter removes a router that says that it is none any more (RFC 4861 §7.2.5:
// "the node MUST remove that router from the Default Router List").
func (d *ndp) dropRouter(dev *link.Device, ip netip.Addr) {
	d.dropRoutes(dev, func(k routeKey) bool { return k.via == ip })
}

// dropRoutes forgets routes that were learned on a link.
func (d *ndp) dropRoutes(dev *link.Device, which func(routeKey) bool) {
	var gone []route.Route
	d.mu.Lock()
	if i := d.ifaces[dev]; i != nil {
		for k, l := range i.learned {
			if which(k) {
				gone = append(gone, l.Route)
				delete(i.learned, k)
			}
		}
	}
	d.mu.Unlock()
	for _, r := range gone {
		d.net.DelRoute(r)
	}
}
