package ndp

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/wire"
)

// A message is a received one: its bytes are good until the handler returns.
type message struct {
	dev      *link.Device
	src, dst netip.Addr
	b        []byte
	// bad is set by a handler for a message that breaks a rule.
	bad stat.Reason
}

// checked returns a handler of messages that passes those on which came from this
// very link: "The IP Hop Limit field has a value of 255, i.e., the packet could not
// possibly have been forwarded by a router" (RFC 4861 §6.1.1 and others).
func (d *ndp) checked(f func(*message)) network.ICMPFunc {
	return func(pkt *packet.Packet) {
		ip, ok := wire.ParseIPv6(pkt.At(pkt.L3))
		dev := d.net.Link.Device(pkt.In)
		switch {
		case !ok || dev == nil || dev.Type() == link.Loopback:
			pkt.Drop(stat.IPv6NDisc)
			return
		case ip.HopLimit() != wire.NDPHopLimit:
			pkt.Drop(stat.IPv6NDiscHopLimit)
			return
		}
		b, release := msg6.Bytes(pkt)
		m := message{dev: dev, src: ip.Src(), dst: ip.Dst(), b: b}
		f(&m)
		release()
		if m.bad != stat.NotSpecified {
			pkt.Drop(m.bad)
			return
		}
		pkt.Consume()
	}
}

// linkAddr returns the hardware address in the option typ; zero if there is none.
func linkAddr(options wire.NDPOptions, typ uint8) (mac wire.MAC) {
	for o, ok := options.Next(); ok; o, ok = options.Next() {
		if m, is := o.LinkAddr(); is && o.Type() == typ && !m.IsMulticast() {
			return m
		}
	}
	return wire.MAC{}
}

// neighborSolicit answers who asks for an address of ours (RFC 4861 §7.2.3).
func (d *ndp) neighborSolicit(m *message) {
	ns, ok := wire.ParseNeighborSolicit(m.b)
	if !ok {
		m.bad = stat.IPv6NDiscBadOptions
		return
	}
	mac := linkAddr(ns.Options(), wire.NDPOptSourceLink)
	target := ns.Target()
	if m.src.IsUnspecified() {
		// RFC 4861 §7.1.1: "the IP destination address is a solicited-node multicast
		// address" and "there is no source link-layer address option".
		if m.dst != wire.SolicitedNode(target) || !mac.IsZero() {
			m.bad = stat.IPv6NDiscBadOptions
			return
		}
	}
	a := d.find(m.dev, target)
	switch {
	case a == nil:
		m.bad = stat.IPv6NDiscNSOtherHost
		return
	case a.Flags&network.Tentative != 0 && (a.Flags&network.Optimistic == 0 || m.src.IsUnspecified()):
		// "If the source address of the Neighbor Solicitation is the unspecified
		// address, the solicitation is from a node performing Duplicate Address
		// Detection" (RFC 4862 §5.4.3); others are ignored.
		if m.src.IsUnspecified() && !d.isOwnProbe(m.dev, target, ns) {
			d.duplicate(m.dev, target)
		}
		return
	}
	if m.src.IsUnspecified() {
		d.sendAdvert(m.dev, a, allNodes, false)
		return
	}
	if !mac.IsZero() {
		d.neigh.Update(m.dev, m.src, mac, neigh.Update{Override: true, Create: true})
	}
	d.sendAdvert(m.dev, a, m.src, true)
}

// neighborAdvert takes in what a neighbour says of itself (RFC 4861 §7.2.5).
func (d *ndp) neighborAdvert(m *message) {
	na, ok := wire.ParseNeighborAdvert(m.b)
	if !ok || m.dst.IsMulticast() && na.Solicited() {
		m.bad = stat.IPv6NDiscBadOptions
		return
	}
	target := na.Target()
	if a := d.find(m.dev, target); a != nil {
		if a.Flags&network.Tentative != 0 {
			d.duplicate(m.dev, target) // RFC 4862 §5.4.4
		} else {
			d.warn.Warn("%s: someone else uses our address %v!", m.dev.Name(), target)
		}
		return
	}
	u := neigh.Update{Solicited: na.Solicited(), Override: na.Override(), Router: neigh.RouterNo}
	if na.Router() {
		u.Router = neigh.RouterYes
	}
	r := d.neigh.Update(m.dev, target, linkAddr(na.Options(), wire.NDPOptTargetLink), u)
	if r.Demoted {
		d.dropRouter(m.dev, target)
	}
}

// find returns the entry of an address of dev, or nil.
func (d *ndp) find(dev *link.Device, ip netip.Addr) *network.Addr {
	for _, a := range d.net.Addrs(dev.Index()) {
		if a.IP() == ip {
			return a
		}
	}
	return nil
}

// redirect follows a router that knows of a better first hop (RFC 4861 §8.3).
func (d *ndp) redirect(m *message) {
	r, ok := wire.ParseNDPRedirect(m.b)
	if !ok || !m.src.IsLinkLocalUnicast() {
		m.bad = stat.IPv6NDiscBadOptions
		return
	}
	c := d.conf.Of(m.dev.Index())
	if c.AcceptRedirects.Load() == 0 || c.Forwarding.Load() != 0 {
		return // "A router MUST NOT update its routing tables upon receipt of a Redirect"
	}
	target, dst := r.Target(), r.Destination()
	if target != dst && !target.IsLinkLocalUnicast() || target.IsUnspecified() || d.net.IsLocalTo(target, m.dev.Index()) || d.net.IsLocalTo(dst, m.dev.Index()) {
		m.bad = stat.IPv6NDiscBadOptions
		return
	}
	// "The IP source address of the Redirect is the same as the current first-hop
	// router for the specified ICMP Destination Address" (§8.1).
	way, err := d.net.Resolve(network.Flow{Dst: dst, Index: m.dev.Index()})
	if err != nil || way.NextHop != m.src || way.Device != m.dev {
		m.bad = stat.IPv6NDisc
		return
	}
	u := neigh.Update{Override: true, Create: true}
	if target != dst {
		u.Router = neigh.RouterYes
	}
	d.neigh.Update(m.dev, target, linkAddr(r.Options(), wire.NDPOptTargetLink), u)
	d.net.LearnRedirect(dst, target, m.dev.Index())
}
