package ip4

import (
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Input takes IPv4 packets from the link layer and owns them. What is passed to
// interfaces further up is q itself, because a queue of its own would be allocated.
func (p *ip4) Input(dev *link.Device, q *packet.Queue) {
	p.mib.inReceives.Add(uint64(q.Len()))
	var good packet.Queue
	var t tally
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		if p.check(pkt) {
			t.count(pkt.Head(), pkt.Len())
			good.Push(pkt)
		}
	}
	p.mib.add(&t)
	*q = good
	p.run(&p.hooks.Prerouting, q)
	if p.net.EnterVRF(network.V4, dev, q) {
		p.dropMangled(q)
	}
	p.dispatch(dev, q)
}

// check holds the packet against RFC 1122 §3.2.1 and cuts link padding off.
func (p *ip4) check(pkt *packet.Packet) bool {
	if pkt.Kind == packet.OtherHost {
		pkt.Drop(stat.OtherHost)
		return false
	}
	if !pkt.Ensure(wire.IPv4Len) {
		return p.bad(pkt, stat.PktTooSmall)
	}
	h, ok := wire.ParseIPv4(pkt.Head())
	if !ok && pkt.Ensure(int(pkt.Head()[0]&0xf)*4) { // options that lie in a fragment
		h, ok = wire.ParseIPv4(pkt.Head())
	}
	switch {
	case !ok:
		return p.bad(pkt, stat.IPInHdr)
	case !h.ChecksumOK():
		p.mib.inCsumErrors.Inc()
		return p.bad(pkt, stat.IPCsum)
	case h.TotalLen() > pkt.Len():
		p.mib.inTruncatedPkts.Inc()
		pkt.Drop(stat.PktTooSmall)
		return false
	}
	pkt.TrimTo(h.TotalLen())
	return true
}

func (p *ip4) bad(pkt *packet.Packet, why stat.Reason) bool {
	p.mib.inHdrErrors.Inc()
	pkt.Drop(why)
	return false
}

// run asks the hooks of a point, and drops packets whose header they have left in a state
// that the code behind them cannot rely on.
func (p *ip4) run(at *hook.Point, q *packet.Queue) {
	if !at.RunBatch(q) {
		p.dropMangled(q)
	}
}

func (p *ip4) dropMangled(q *packet.Queue) {
	network.DropMangled(network.V4, q, func(pkt *packet.Packet) { p.bad(pkt, stat.IPInHdr) })
}

// dispatch delivers, forwards or drops packets that are valid.
func (p *ip4) dispatch(dev *link.Device, q *packet.Queue) {
	var local, transit packet.Queue
	var last addrs
	var f fate
	cf := p.conf.Of(dev.Index())
	each := p.net.Needs(false) != 0 // packets of one pair of addresses differ
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		b := pkt.Head()
		a := addrsOf(b)
		if a != last || f == unknown || each {
			last, f = a, p.fate(dev, cf, a, pkt)
		}
		switch {
		case f == host && pkt.Kind == packet.Host && isPlain(b):
			local.Push(pkt)
		case f == host, f == broadcast, f == multicast, f == notMember && p.isMembership(dev, b):
			if pkt = p.receiveSlow(cf, pkt, f, &transit); pkt != nil {
				local.Push(pkt)
			}
		case f == transitory:
			if p.mayForward(cf, pkt) {
				transit.Push(pkt)
			}
		default:
			p.refuse(pkt, f)
		}
	}
	*q = local
	p.deliver(q)
	*q = transit
	p.forward(dev, q)
}

// isPlain reports whether b is an IPv4 header without options of a packet that is
// no fragment.
func isPlain(b []byte) bool { return b[0] == 4<<4|wire.IPv4Len/4 && b[6]&0x3f|b[7] == 0 }

// receiveSlow takes a packet for this host that needs more than a look: it may be
// for many, have options or be a fragment. It returns what is to be delivered now,
// or nil; a source route may send it on, to transit.
func (p *ip4) receiveSlow(cf *conf, pkt *packet.Packet, f fate, transit *packet.Queue) *packet.Packet {
	if (f != host || pkt.Kind != packet.Host) && !p.acceptCast(cf, pkt, f) {
		return nil
	}
	switch p.localOptions(cf, pkt, f) {
	case optionsBad:
		return nil
	case optionsOn:
		if p.mayForward(cf, pkt) {
			transit.Push(pkt)
		}
		return nil
	}
	if h, _ := wire.ParseIPv4(pkt.Head()); h.IsFragment() {
		return p.frags.Input4(pkt)
	}
	return pkt
}

// acceptCast counts packets for groups and for everybody, and refuses those for
// one host in a frame for many if it is told to (RFC 1122 §3.3.6).
func (p *ip4) acceptCast(cf *conf, pkt *packet.Packet, f fate) bool {
	switch {
	case f == broadcast:
		countCast(&p.mib.inBcastPkts, &p.mib.inBcastOctets, pkt)
		pkt.Kind = packet.Broadcast // a device without Ethernet header cannot tell
	case f != host:
		countCast(&p.mib.inMcastPkts, &p.mib.inMcastOctets, pkt)
	case either(&p.conf.All.dropUnicastInL2Multicast, &cf.dropUnicastInL2Multicast):
		p.mib.inDiscards.Inc()
		pkt.Drop(stat.UnicastInL2Multicast)
		return false
	}
	return true
}

// refuse drops a packet whose addresses make it undeliverable.
func (p *ip4) refuse(pkt *packet.Packet, f fate) {
	if f == notMember {
		pkt.Drop(stat.IPInAddrErrors) // no error: the link gives what it has
		return
	}
	if f == unreversed {
		pkt.Drop(stat.IPRPFilter)
		return
	}
	p.mib.inAddrErrors.Inc()
	pkt.Drop(stat.IPInAddrErrors)
}
