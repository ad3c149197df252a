package ndp

import (
	"net/netip"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/wire"
)

// nonceLen is the length of a nonce option in bytes (RFC 3971 §5.3.2).
const nonceLen = 8

// solicit asks for a neighbour (RFC 4861 §7.2.2); it is the neighbour table's.
func (d *ndp) solicit(dev *link.Device, target netip.Addr, to wire.MAC, hint netip.Addr) {
	src := hint
	// "If the source address of the packet prompting the solicitation is the same as
	// one of the addresses assigned to the outgoing interface, that address SHOULD
	// be placed in the IP Source Address of the outgoing solicitation."
	if a := d.find(dev, hint); a == nil || !a.Usable() {
		fam := d.net.Family(network.V6)
		if fam == nil {
			return
		}
		var ok bool
		if src, ok = fam.SelectSource(wire.SolicitedNode(target), dev); !ok {
			return // all are tentative: the table asks again
		}
	}
	m := msg6.Message{Device: dev, Src: src, Dst: wire.SolicitedNode(target), HopLimit: wire.NDPHopLimit}
	if !to.IsZero() {
		m.Dst = target
	}
	mac := dev.MAC()
	d.send.Send(m, wire.NeighborSolicitLen+wire.NDPLinkAddrLen, func(b []byte) {
		wire.PutNeighborSolicit(b, target.As16())
		wire.PutNDPLinkAddr(b[wire.NeighborSolicitLen:], wire.NDPOptSourceLink, mac)
	})
}

// sendProbe sends a solicitation of Duplicate Address Detection: "the unspecified
// address" asks, without a source link-layer address (RFC 4862 §5.4.2), with a nonce
// by which it knows itself (RFC 7527 §4.1).
func (d *ndp) sendProbe(dev *link.Device, target netip.Addr, nonce [6]byte) {
	m := msg6.Message{Device: dev, Src: netip.IPv6Unspecified(), Dst: wire.SolicitedNode(target), HopLimit: wire.NDPHopLimit}
	d.send.Send(m, wire.NeighborSolicitLen+nonceLen, func(b []byte) {
		wire.PutNeighborSolicit(b, target.As16())
		o := b[wire.NeighborSolicitLen:]
		o[0], o[1] = wire.NDPOptNonce, nonceLen/8
		copy(o[2:], nonce[:])
	})
}

// sendAdvert tells dst that a is ours (RFC 4861 §7.2.4, §7.2.6). While it may be a
// duplicate, "the Override flag [...] MUST be cleared" (RFC 4429 §3.3), so that
// nobody forgets who had it first.
func (d *ndp) sendAdvert(dev *link.Device, a *network.Addr, dst netip.Addr, solicited bool) {
	target, optimistic := a.IP(), a.Flags&network.Tentative != 0
	m := msg6.Message{Device: dev, Src: target, Dst: dst, HopLimit: wire.NDPHopLimit}
	f := wire.NeighborAdvertFields{
		Router: isRouter(d.conf.Of(dev.Index())), Solicited: solicited, Override: !optimistic, Target: target.As16(),
	}
	mac, n := dev.MAC(), wire.NeighborAdvertLen
	if dev.Type() == link.Ether {
		n += wire.NDPLinkAddrLen
	}
	d.send.Send(m, n, func(b []byte) {
		wire.PutNeighborAdvert(b, f)
		if n > wire.NeighborAdvertLen {
			wire.PutNDPLinkAddr(b[wire.NeighborAdvertLen:], wire.NDPOptTargetLink, mac)
		}
	})
}

// isRouter reports whether hosts on a link may take this one for a router. Who
// advertises a lifetime is one even if it forwards nothing itself: hosts drop a
// default router whose advertisements say otherwise (RFC 4861 §7.2.5).
func isRouter(c *conf6.Conf) bool {
	return c.Forwarding.Load() != 0 || c.SendRA.Load() != 0 && c.RALifetime.Load() > 0
}

// linkLocal returns the usable link-local address of dev, or the zero Addr.
func (d *ndp) linkLocal(dev *link.Device) netip.Addr {
	for _, a := range d.net.Addrs(dev.Index()) {
		if a.IP().Is6() && a.IP().IsLinkLocalUnicast() && a.Usable() {
			return a.IP()
		}
	}
	return netip.Addr{}
}
