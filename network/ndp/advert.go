package ndp

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Constants of RFC 4861 §10.
const (
	maxInitialInterval = 16 * time.Second       // MAX_INITIAL_RTR_ADVERT_INTERVAL
	initialAdverts     = 3                      // MAX_INITIAL_RTR_ADVERTISEMENTS
	minDelayBetween    = 3 * time.Second        // MIN_DELAY_BETWEEN_RAS
	maxDelay           = 500 * time.Millisecond // MAX_RA_DELAY_TIME
)

// An advertiser sends Router Advertisements on one link (RFC 4861 §6.2), so that a
// namespace behind it configures itself. It advertises the /64 prefixes of the
// device's own addresses.
type advertiser struct {
	on    bool
	sent  int
	last  clock.Time // when the last one went to all nodes
	timer clock.Timer
}

func (a *advertiser) stop() {
	a.on = false
	a.timer.Stop()
}

// advertise starts or ends advertising, as send_ra says.
func (d *ndp) advertise(dev *link.Device) {
	c := d.conf.Of(dev.Index())
	want := c.SendRA.Load() != 0 && dev.Flags()&link.MulticastDev != 0 && d.linkLocal(dev).IsValid()
	d.mu.Lock()
	i := d.iface(dev)
	a := &i.advertiser
	was := a.on
	if d.closed || !want {
		a.stop()
	} else {
		a.on, a.sent = true, 0
		a.timer.ResetAfter(random(0, maxDelay))
	}
	d.mu.Unlock()
	if was && !want && d.linkLocal(dev).IsValid() {
		// "the router SHOULD transmit one or more [...] final multicast Router
		// Advertisements on the interface with a Router Lifetime field of zero"
		// (§6.2.5).
		d.sendRouterAdvert(dev, allNodes, true)
	}
}

// fireAdvert sends one to all nodes.
func (i *iface) fireAdvert(now clock.Time) {
	d := i.d
	defer d.net.Walks.Enter().Exit()
	a := &i.advertiser
	most := time.Duration(d.conf.Of(i.dev.Index()).RAInterval.Load()) * time.Second
	d.mu.Lock()
	if !a.on {
		d.mu.Unlock()
		return
	}
	a.sent++
	a.last = now
	// MinRtrAdvInterval is 0.33 of MaxRtrAdvInterval (§6.2.1).
	next := random(max(most/3, minDelayBetween), most)
	if a.sent < initialAdverts {
		next = min(next, maxInitialInterval)
	}
	a.timer.ResetAfter(next)
	d.mu.Unlock()
	d.sendRouterAdvert(i.dev, allNodes, false)
}

// routerSolicit brings the next advertisement forward: "Router Advertisements sent in
// response to a Router Solicitation MUST be delayed by a random time between 0 and
// MAX_RA_DELAY_TIME seconds", and those to all nodes are MIN_DELAY_BETWEEN_RAS apart
// (§6.2.6).
func (d *ndp) routerSolicit(m *message) {
	rs, ok := wire.ParseRouterSolicit(m.b)
	mac := wire.MAC{}
	if ok {
		mac = linkAddr(rs.Options(), wire.NDPOptSourceLink)
	}
	if !ok || m.src.IsUnspecified() && !mac.IsZero() {
		m.bad = stat.IPv6NDiscBadOptions
		return
	}
	d.mu.Lock()
	i := d.ifaces[m.dev]
	on := i != nil && i.advertiser.on
	if on {
		a := &i.advertiser
		at := d.net.Clock.Now().Add(random(0, maxDelay))
		if a.sent > 0 {
			at = max(at, a.last.Add(minDelayBetween))
		}
		if next, armed := a.timer.Deadline(); !armed || at < next {
			a.timer.Reset(at)
		}
	}
	d.mu.Unlock()
	if on && !mac.IsZero() {
		d.neigh.Update(m.dev, m.src, mac, neigh.Update{Override: true, Create: true, Router: neigh.RouterNo})
	}
}

// sendRouterAdvert sends one; final says that this router goes away.
func (d *ndp) sendRouterAdvert(dev *link.Device, dst netip.Addr, final bool) {
	c := d.conf.Of(dev.Index())
	f := wire.RouterAdvertFields{HopLimit: uint8(c.HopLimit.Load()), Lifetime: uint16(c.RALifetime.Load())}
	if final {
		f.Lifetime = 0
	}
	src := d.linkLocal(dev)
	m := msg6.Message{Device: dev, Src: src, Dst: dst, HopLimit: wire.NDPHopLimit}
	options := d.advertOptions(dev, c)
	d.send.Send(m, wire.RouterAdvertLen+len(options), func(b []byte) {
		wire.PutRouterAdvert(b, f)
		copy(b[wire.RouterAdvertLen:], options)
	})
}

// advertOptions returns the options: the sender's hardware address, the MTU, the
// prefixes of the device's addresses and the DNS server.
func (d *ndp) advertOptions(dev *link.Device, c *conf6.Conf) []byte {
	var b []byte
	option := func(n int) []byte {
		b = append(b, make([]byte, n)...)
		return b[len(b)-n:]
	}
	if dev.Type() == link.Ether {
		wire.PutNDPLinkAddr(option(wire.NDPLinkAddrLen), wire.NDPOptSourceLink, dev.MAC())
	}
	wire.PutNDPMTU(option(wire.NDPMTULen), uint32(min(int64(dev.MTU()), c.MTU.Load())))
	seen := map[netip.Prefix]bool{}
	for _, a := range d.net.Addrs(dev.Index()) {
		p := a.Prefix.Masked()
		if !a.IP().Is6() || a.IP().IsLinkLocalUnicast() || p.Bits() != 64 || a.Proto == route.ProtoRA || !a.Usable() || seen[p] {
			continue
		}
		seen[p] = true
		wire.PutNDPPrefix(option(wire.NDPPrefixLen), d.advertisedPrefix(a, p))
	}
	if s := c.RDNSS.Load(); s != nil && !s.IsUnspecified() {
		// "The value of Lifetime SHOULD by default be at least 3 * MaxRtrAdvInterval"
		// (RFC 8106 §5.1).
		wire.PutNDPRDNSS(option(wire.NDPRDNSSLen+16), uint32(3*c.RAInterval.Load()), s.As16())
	}
	return b
}

// Lifetimes that are advertised (RFC 4861 §6.2.1: AdvValidLifetime and
// AdvPreferredLifetime), in seconds.
const (
	advValid     = 2592000 // 30 days
	advPreferred = 604800  // 7 days
)

// advertisedPrefix describes the prefix of one of our addresses, for no longer than
// we have it ourselves.
func (d *ndp) advertisedPrefix(a *network.Addr, p netip.Prefix) wire.NDPPrefix {
	out := wire.NDPPrefix{
		Bits: uint8(p.Bits()), OnLink: true, Autonomous: true, Valid: advValid, Preferred: advPreferred, Prefix: p.Addr().As16(),
	}
	left := func(end clock.Time, most uint32) uint32 {
		if end == 0 {
			return most
		}
		return uint32(min(max(end.Sub(d.net.Clock.Now())/time.Second, 0), time.Duration(most)))
	}
	out.Valid = left(a.ValidUntil, out.Valid)
	out.Preferred = min(left(a.PreferredUntil, out.Preferred), out.Valid)
	return out
}
