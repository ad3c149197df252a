package arp

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// send transmits one ARP packet. No lock may be held.
func (a *arp) send(dev *link.Device, f *wire.ARPFields, to wire.MAC) {
	pkt := a.link.Pool.Get()
	wire.PutARP(pkt.Extend(wire.ARPLen), *f)
	pkt.Proto = wire.EtherTypeARP
	pkt.L3 = uint16(pkt.Offset())
	pkt.Kind = packet.Outgoing
	pkt.Out = dev.Index()
	var q packet.Queue
	q.Push(pkt)
	if !a.net.ARP.Output.Empty() {
		w := a.net.Walks.Enter()
		a.net.ARP.Output.RunBatch(&q)
		w.Exit()
	}
	if q.Empty() {
		return
	}
	dev.PushHeader(pkt, to)
	dev.Transmit(&q)
}

// solicit asks who has target; it is the neighbour table's Solicit. A unicast
// question confirms what is known (RFC 1122 §2.3.2.1 (2)).
func (a *arp) solicit(dev *link.Device, target netip.Addr, to wire.MAC, src netip.Addr) {
	f := wire.ARPRequestFor(target.As4(), dev.MAC(), a.source(dev, target, src))
	if to.IsZero() {
		to = wire.BroadcastMAC()
	} else {
		f.TargetMAC = to
	}
	a.send(dev, &f, to)
}

// source chooses the address to ask from: that of the packet which waits if it is
// ours (Linux's arp_announce of 0), else one of the target's subnet, else any of
// the device, else any of the host in its VRF.
func (a *arp) source(dev *link.Device, target, hint netip.Addr) [4]byte {
	if hint.Is4() && a.net.IsLocalTo(hint, dev.Index()) && !hint.IsLoopback() {
		return hint.As4()
	}
	if ip, ok := pick(a.net.Addrs(dev.Index()), target); ok {
		return ip.As4()
	}
	vrf := a.net.VRF(dev.Index())
	for _, d := range a.link.Devices() {
		if a.net.VRF(d.Index()) != vrf {
			continue
		}
		if ip, ok := pick(a.net.Addrs(d.Index()), target); ok {
			return ip.As4()
		}
	}
	return [4]byte{}
}

// pick returns the first address whose subnet target is in, else the first of all
// that others may see.
func pick(as []*network.Addr, target netip.Addr) (best netip.Addr, ok bool) {
	for _, x := range as {
		switch {
		case !x.IP().Is4() || x.Scope == route.Host || !x.Usable():
		case x.Prefix.Contains(target):
			return x.IP(), true
		case !ok:
			best, ok = x.IP(), true
		}
	}
	return best, ok
}
