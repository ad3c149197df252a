package nft

import (
	"fmt"
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// dup compiles `dup to ADDR device DEV`: a copy goes there, the packet goes on. A copy
// that is routed is not copied again.
func (c *compiler) dup(x *rule.Dup) (step, error) {
	out, err := c.wayOut(x.Addr, x.Device, (*eval).sendAsOwn)
	if err != nil {
		return nil, err
	}
	routed := x.Addr != nil
	return func(ev *eval) next {
		if ev.pkt.Encap < maxEncap {
			copied := ev.pkt.Clone()
			copied.Encap++
			if routed {
				copied.Encap = maxEncap
				ev.age(copied)
			}
			out(ev, copied)
		}
		return goOn
	}, nil
}

// age makes a copy that came in one hop older, so that two hosts which copy to each
// other end, and keeps it from being cut: who copies learns of no path MTU.
func (ev *eval) age(pkt *packet.Packet) {
	cameIn := ev.hook == rule.Prerouting || ev.hook == rule.Input
	if h, ok := wire.ParseIPv4(pkt.Head()); ok {
		f := h.Fields()
		f.DF = true
		if cameIn {
			f.TTL--
		}
		wire.PutIPv4(h.Header(), &f)
	} else if h, ok := wire.ParseIPv6(pkt.Head()); ok && cameIn {
		h.SetHopLimit(h.HopLimit() - 1)
	}
}

// fwd compiles `fwd to DEV` and `fwd ip to ADDR device DEV`: the packet itself goes.
func (c *compiler) fwd(x *rule.Fwd) (step, error) {
	out, err := c.wayOut(x.Addr, x.Device, (*eval).sendTo)
	if err != nil {
		return nil, err
	}
	return func(ev *eval) next {
		if ev.pkt.Encap >= maxEncap {
			return dropNow
		}
		ev.pkt.Encap++
		if x.Addr != nil && !ev.hop() {
			return dropNow
		}
		out(ev, ev.pkt)
		return stolenNow
	}, nil
}

// hop counts a packet's way to a neighbour as one hop; false: it was its last.
func (ev *eval) hop() bool {
	ev.parse()
	if h, ok := wire.ParseIPv4(ev.pkt.Head()); ok && ev.net == wire.EtherTypeIPv4 {
		if h.TTL() <= 1 {
			return false
		}
		h.DecrementTTL()
		ev.pkt.Proto = wire.EtherTypeIPv4
		return true
	}
	h, ok := wire.ParseIPv6(ev.pkt.Head())
	if !ok || ev.net != wire.EtherTypeIPv6 || h.HopLimit() <= 1 {
		return false
	}
	h.SetHopLimit(h.HopLimit() - 1)
	ev.pkt.Proto = wire.EtherTypeIPv6
	return true
}

// maxEncap ends loops of copies.
const maxEncap = 4

// wayOut compiles where a packet is sent: to a neighbour, by send, or out of a device as
// it is. The returned function owns the packet.
func (c *compiler) wayOut(addr, device rule.Expr, send func(*eval, netip.Addr, int32, *packet.Packet)) (func(ev *eval, pkt *packet.Packet), error) {
	if addr == nil && device == nil {
		return nil, fmt.Errorf("neither an address nor a device is said")
	}
	loadAddr, an, err := c.optional(addr)
	if err != nil {
		return nil, err
	}
	loadDev, dn, err := c.optional(device)
	if err != nil {
		return nil, err
	}
	at, err := c.scratch(an + dn)
	return func(ev *eval, pkt *packet.Packet) {
		a, d := ev.scratch[at:at+an], ev.scratch[at+an:at+an+dn]
		if loadAddr != nil && !loadAddr(ev, a) || loadDev != nil && !loadDev(ev, d) {
			pkt.Drop(stat.NetfilterDrop)
			return
		}
		index := int32(0)
		if loadDev != nil {
			index = int32(number(d))
		}
		if loadAddr == nil {
			ev.m.transmit(index, pkt)
			return
		}
		to, _ := netip.AddrFromSlice(a)
		send(ev, to, index, pkt)
	}, err
}

func (c *compiler) optional(e rule.Expr) (loader, int, error) {
	if e == nil {
		return nil, 0, nil
	}
	l, err := c.load(e)
	return l, bytesFor(e.Bits()), err
}

// transmit sends a frame out of a device as it came in by another: with its link
// header.
func (m *machine) transmit(index int32, pkt *packet.Packet) {
	dev := m.link.Device(index)
	if dev == nil || !dev.Up() {
		pkt.Drop(stat.NetfilterDrop)
		return
	}
	if dev.HeaderLen() > 0 {
		if pkt.L2 == 0 || pkt.Offset() <= int(pkt.L2) {
			pkt.Drop(stat.NetfilterDrop) // it came without
			return
		}
		pkt.Unpull(pkt.Offset() - int(pkt.L2))
	}
	var q packet.Queue
	q.Push(pkt)
	dev.Transmit(&q)
}

// sendTo sends an IP packet to a neighbour, whatever its destination.
func (ev *eval) sendTo(to netip.Addr, index int32, pkt *packet.Packet) {
	if path := ev.pathTo(to, index, pkt); path != nil {
		var q packet.Queue
		q.Push(pkt)
		path.Transmit(&q)
	}
}

// sendAsOwn is sendTo for a packet that is of this host from now on: it passes OUTPUT
// and POSTROUTING, of no connection. One that does not fit is dropped, because nobody
// waits for what its error would say.
func (ev *eval) sendAsOwn(to netip.Addr, index int32, pkt *packet.Packet) {
	path := ev.pathTo(to, index, pkt)
	if path == nil {
		return
	}
	if pkt.GSO == packet.GSONone && pkt.Len() > path.MTU() {
		pkt.Drop(stat.PktTooBig)
		return
	}
	pkt.In, pkt.Track = 0, 0
	if t := ev.gen.tracker; t != nil {
		t.Set(pkt, nil, netfilter.Untracked)
	}
	var q packet.Queue
	q.Push(pkt)
	hooks := &ev.m.net.Hooks[network.VersionOf(to)]
	hooks.Output.RunBatch(&q)
	hooks.Postrouting.RunBatch(&q)
	if !q.Empty() {
		path.Transmit(&q)
	}
}

// pathTo finds a packet's way to a neighbour; without one the packet is dropped.
func (ev *eval) pathTo(to netip.Addr, index int32, pkt *packet.Packet) *network.Path {
	path, err := ev.m.paths.Resolve(network.Flow{Dst: to, Index: index})
	if err != nil {
		pkt.Drop(stat.IPOutNoRoutes)
		return nil
	}
	pkt.Out = path.Device.Index()
	return path
}
