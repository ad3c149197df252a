package ndp

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/wire"
)

// accepts reports whether Router Advertisements count on an interface with
// settings c: accept_ra=1 is for hosts, 2 for routers too.
func accepts(c *conf6.Conf) bool {
	switch c.AcceptRA.Load() {
	case 1:
		return c.Forwarding.Load() == 0
	case 2:
		return true
	}
	return false
}

// maySolicit begins to ask for routers, once there is an address to ask from, unless
// it is under way or nobody would listen to the answer.
func (d *ndp) maySolicit(dev *link.Device) {
	c := d.conf.Of(dev.Index())
	if dev.Flags()&link.MulticastDev == 0 || !accepts(c) || c.RouterSolicitations.Load() == 0 ||
		c.DisableIPv6.Load() != 0 || !d.linkLocal(dev).IsValid() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.iface(dev)
	if i.soliciting || d.closed {
		return
	}
	i.soliciting, i.solicits = true, 0
	// "Before a host sends an initial solicitation, it SHOULD delay the
	// transmission for a random amount of time between 0 and
	// MAX_RTR_SOLICITATION_DELAY" (RFC 4861 §6.3.7).
	i.solicitor.ResetAfter(random(0, time.Duration(c.RouterSolicitationDelay.Load())*time.Second))
}

// solicit sends one Router Solicitation and waits for an answer. The waits grow as
// RFC 7559 §2 says, which has no limit on their number.
func (i *iface) solicit(clock.Time) {
	d := i.d
	defer d.net.Walks.Enter().Exit()
	c := d.conf.Of(i.dev.Index())
	src := d.linkLocal(i.dev)
	d.mu.Lock()
	most := c.RouterSolicitations.Load()
	if !i.soliciting || d.closed || !src.IsValid() || most >= 0 && int64(i.solicits) >= most || !accepts(c) {
		i.soliciting = false
		d.mu.Unlock()
		return
	}
	i.wait = nextWait(i.wait, i.solicits, c)
	i.solicits++
	i.solicitor.ResetAfter(i.wait)
	d.mu.Unlock()
	d.sendSolicit(i.dev, src)
}

// nextWait returns the time to the next solicitation (RFC 7559 §2, which takes the
// arithmetic of RFC 8415 §15): the first one is IRT, each other twice the last one
// and none above MRT, all give or take a tenth at random.
func nextWait(last time.Duration, sent int, c *conf6.Conf) time.Duration {
	irt := time.Duration(c.RouterSolicitationInterval.Load()) * time.Second
	mrt := time.Duration(c.RouterSolicitationMax.Load()) * time.Second
	wait := irt
	if sent > 0 {
		wait = min(2*last, mrt)
	}
	return wait + random(-wait/10, wait/10)
}

func (d *ndp) sendSolicit(dev *link.Device, src netip.Addr) {
	m := msg6.Message{Device: dev, Src: src, Dst: allRouters, HopLimit: wire.NDPHopLimit}
	mac, n := dev.MAC(), wire.RouterSolicitLen
	if dev.Type() == link.Ether {
		n += wire.NDPLinkAddrLen
	}
	d.send.Send(m, n, func(b []byte) {
		wire.PutRouterSolicit(b)
		if n > wire.RouterSolicitLen {
			wire.PutNDPLinkAddr(b[wire.RouterSolicitLen:], wire.NDPOptSourceLink, mac)
		}
	})
}
