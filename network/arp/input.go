package arp

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/wire"
)

// lockTime is how long the first of several answers holds (Linux's locktime):
// proxies on a link may answer for the host itself, and later than it.
const lockTime = time.Second

// Input implements link.Handler.
func (a *arp) Input(dev *link.Device, q *packet.Queue) {
	if !a.net.ARP.Input.Empty() {
		a.filter(dev, q)
	}
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		if why, ok := a.receive(dev, pkt); ok {
			pkt.Consume()
		} else {
			pkt.Drop(why)
		}
	}
}

// filter shows the hooks what is sound and for this host, and leaves what they let
// pass.
func (a *arp) filter(dev *link.Device, q *packet.Queue) {
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if _, why, ok := a.read(dev, pkt); !ok {
			pkt.Drop(why)
			continue
		}
		q.Push(pkt)
	}
	a.net.ARP.Input.RunBatch(q)
}

// receive reads one packet, answers it and learns from it.
func (a *arp) receive(dev *link.Device, pkt *packet.Packet) (why stat.Reason, ok bool) {
	m, why, ok := a.read(dev, pkt)
	if !ok {
		return why, false
	}
	if !sane(m) {
		return stat.IPInAddrErrors, false
	}
	a.process(dev, m, pkt.Kind == packet.Host)
	return 0, true
}

// read returns what a packet says, if it is for this host and sound.
func (a *arp) read(dev *link.Device, pkt *packet.Packet) (m wire.ARP, why stat.Reason, ok bool) {
	switch {
	case pkt.Kind == packet.OtherHost:
		return m, stat.OtherHost, false
	case dev.Type() != link.Ether || dev.Flags()&link.NoARP != 0:
		return m, stat.InvalidProto, false
	case !pkt.Ensure(wire.ARPLen):
		return m, stat.PktTooSmall, false
	}
	m, ok = wire.ParseARP(pkt.Head())
	return m, stat.InvalidProto, ok
}

// sane reports whether addresses are such that a host can have them.
func sane(m wire.ARP) bool {
	mac, src, dst := m.SenderMAC(), m.SenderIP(), m.TargetIP()
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return !mac.IsZero() && !mac.IsMulticast() &&
		!src.IsMulticast() && !src.IsLoopback() && src != broadcast &&
		!dst.IsMulticast() && !dst.IsLoopback() && dst != broadcast &&
		(m.Op() == wire.ARPRequest || m.Op() == wire.ARPReply)
}

// process does what RFC 826 ("Packet Reception") and RFC 5227 say. alone: the
// frame was sent to us only.
func (a *arp) process(dev *link.Device, m wire.ARP, alone bool) {
	src := m.SenderIP()
	if m.SenderMAC() == dev.MAC() {
		return // our own, come back
	}
	a.prober.hear(dev, m)
	switch {
	case src.IsUnspecified():
		a.answer(dev, m) // a probe: nobody has the address yet (RFC 5227 §1.1)
		return
	case a.net.IsLocalTo(src, dev.Index()):
		// A claim to one of our addresses must be neither learnt nor answered.
		a.conflict(dev, m)
		return
	}
	forUs := m.Op() == wire.ARPRequest && a.net.IsLocalTo(m.TargetIP(), dev.Index())
	a.learn(dev, m, alone, forUs)
	if forUs {
		a.answer(dev, m)
	}
}

// learn updates the sender's entry. Only a request for us makes a new one: its
// sender is about to talk to us. Everything else could fill the table with whoever
// talks to whomever.
func (a *arp) learn(dev *link.Device, m wire.ARP, alone, forUs bool) {
	u := neigh.Update{Override: true}
	switch {
	case forUs:
		u.Create = a.learning.allow(dev, a.clock.Now())
	case m.IsAnnouncement():
	default:
		u.Solicited = alone && m.Op() == wire.ARPReply
		u.Lock = lockTime
	}
	a.table.Update(dev, m.SenderIP(), m.SenderMAC(), u)
}

// answer replies to a request for one of the host's addresses, on whatever device
// it is (Linux's arp_ignore of 0: addresses belong to the host).
func (a *arp) answer(dev *link.Device, m wire.ARP) {
	if m.Op() == wire.ARPRequest && a.net.IsLocalTo(m.TargetIP(), dev.Index()) {
		f := m.Reply(dev.MAC())
		a.send(dev, &f, m.SenderMAC())
	}
}
