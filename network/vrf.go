package network

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
)

// VRF returns the index of the VRF that an interface belongs to or is, 0 for none. It
// is for the packet path.
func (l *Layer) VRF(index int32) int32 { return l.VRFOf(index).Index }

// InnerDevice returns the device by which packets of this host to itself travel in the
// domain of an interface: its VRF's, or else the loopback device; nil while that is
// down or not there.
func (l *Layer) InnerDevice(index int32) *link.Device {
	if vrf := l.VRF(index); vrf != 0 {
		if dev := l.Link.Device(vrf); dev != nil && dev.Up() {
			return dev
		}
		return nil
	}
	return l.Loopback()
}

// IsInner reports whether an interface is one by which packets of this host to itself
// travel: a loopback device or a VRF.
func (l *Layer) IsInner(dev *link.Device) bool {
	return dev.Type() == link.Loopback || l.VRF(dev.Index()) == dev.Index()
}

// IsInnerOf reports whether an interface is the one by which packets of this host to
// itself travel in the domain of another one, 0 for any. A packet to a link-local address
// that came by it counts as come by the address's link.
func (l *Layer) IsInnerOf(inner, index int32) bool {
	dev := l.Link.Device(inner)
	return dev != nil && l.IsInner(dev) && (index == 0 || l.VRF(index) == l.VRF(inner))
}

// Hears reports whether what came in by an interface is for a socket that is bound to
// interface bound, 0 for none. One bound to a VRF hears all of the VRF's devices; one
// that is not bound hears those of no VRF, and of all if everywhere is set
// (net.ipv4.tcp_l3mdev_accept and its like). It is for the packet path.
func (l *Layer) Hears(bound, index int32, everywhere bool) bool {
	switch vrf := l.VRF(index); {
	case bound == 0:
		return vrf == 0 || everywhere
	case bound == index:
		return true
	default:
		return bound == vrf
	}
}

// MainTable returns the number of the table for routes that follow from an interface:
// its VRF's, or else main.
func (l *Layer) MainTable(index int32) uint32 {
	if v := l.VRFOf(index); v.Table != 0 {
		return v.Table
	}
	return route.TableMain
}

// domainTable is a table of the domain of an interface: its VRF's, which holds
// everything, or else the one of number usual.
func (l *Layer) domainTable(index int32, usual uint32) (*route.Table, uint32) {
	if v := l.VRFOf(index); v.Table != 0 {
		if t, err := l.MakeTable(v.Table); err == nil {
			return t, v.Table
		}
	}
	return l.Table(usual), usual
}

// Own returns the route of type local or broadcast that ip has in the domain of an
// interface: its VRF, or for 0 and for interfaces of no VRF this host beside them. It
// is nil for other addresses. It is for the packet path.
func (l *Layer) Own(ip netip.Addr, index int32) *route.Route {
	t := &l.Local
	if v := l.VRFOf(index); v.Table != 0 {
		if t = l.Table(v.Table); t == nil {
			return nil
		}
	}
	if r := t.Lookup(ip); r != nil && (r.Type == route.Local || r.Type == route.Broadcast) {
		return r
	}
	return nil
}

// IsLocalTo reports whether ip belongs to this host in the domain of an interface; see
// Own. It is for the packet path.
func (l *Layer) IsLocalTo(ip netip.Addr, index int32) bool {
	r := l.Own(ip, index)
	return r != nil && r.Type == route.Local
}

// EnterVRF shows packets that came by a device to the Prerouting hooks once more, as
// packets of the VRF that the device is enslaved to: from there on hooks see the VRF as
// the interface they came by (Linux's Documentation/networking/vrf.rst: PREROUTING "with
// skb->dev set to the real ingress device and both INPUT and PREROUTING rules with
// skb->dev set to the VRF device"). It is for Families, on the packet path, and reports
// whether there is such a VRF.
func (l *Layer) EnterVRF(v Version, dev *link.Device, q *packet.Queue) bool {
	vrf := l.VRF(dev.Index())
	if vrf == 0 || vrf == dev.Index() || q.Empty() {
		return false
	}
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		pkt.VRF = vrf
	}
	if h := &l.Hooks[v].Prerouting; !h.Empty() {
		h.RunBatch(q)
	}
	return true
}

// learnVRFs tells the FIB which devices belong to which VRF.
func (l *Layer) learnVRFs() {
	vrfs := make(map[int32]route.VRF)
	for _, dev := range l.Link.Devices() {
		if m := dev.L3Master(); m != nil {
			vrfs[dev.Index()] = route.VRF{Index: m.Index(), Table: m.Driver().(link.L3Master).Table()}
		}
	}
	l.SetVRFs(vrfs)
}

// changeVRF moves the local addresses of a device, which is down, from the domain it
// was in to the one it is in now. Other routes by the device end: those to its prefixes
// come again when it is up.
func (l *Layer) changeVRF(dev *link.Device) {
	as := l.Addrs(dev.Index())
	for _, a := range as {
		l.dropAddrRoutes(dev, a)
	}
	l.dropRoutes(func(r *route.Route) bool { return r.Uses(dev.Index()) })
	l.learnVRFs()
	for _, a := range as {
		l.restoreRoutes(dev, a)
	}
}
