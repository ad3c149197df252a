package ip4

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Output puts an IPv4 header in front of each packet and sends them; see
// network.Family.
func (p *ip4) Output(s *network.Send, q *packet.Queue) {
	p.mib.outRequests.Add(uint64(q.Len()))
	if !s.HeaderIncluded {
		p.pushHeaders(s, q)
	}
	if !p.hooks.Output.Empty() {
		p.hooks.Output.RunBatch(q)
	}
	if !p.hooks.Postrouting.Empty() {
		p.hooks.Postrouting.RunBatch(q)
	}
	if q.Empty() {
		return
	}
	s.Path.Transmit(q)
}

func (p *ip4) pushHeaders(s *network.Send, q *packet.Queue) {
	f := wire.IPv4Fields{
		TOS: s.TOS, TTL: s.TTL, Protocol: s.Proto, Src: s.Path.Src.As4(), Dst: s.Path.Dst.As4(), Options: s.Options,
		DF: s.Fragment != network.FragmentDont,
	}
	if f.TTL == 0 {
		f.TTL = uint8(p.ttl.Load())
		if s.Path.Type == route.Multicast {
			f.TTL = 1
		}
	}
	n := f.HeaderLen()
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		f.TotalLen = uint16(pkt.Len() + n)
		if !f.DF {
			f.ID = uint16(p.ident.Add(1))
		}
		pkt.L4 = uint16(pkt.Offset())
		wire.PutIPv4(pkt.Push(n), &f)
		pkt.L3 = uint16(pkt.Offset())
		pkt.Proto = wire.EtherTypeIPv4
	}
}

// SelectSource chooses the first address of dev whose subnet holds dst, else the
// first of sufficient scope there, else the first of any device (RFC 1122
// §3.3.4.3, and what Linux's inet_select_addr does).
func (p *ip4) SelectSource(dst netip.Addr, dev *link.Device) (netip.Addr, bool) {
	var found netip.Addr
	for _, a := range p.net.Addrs(dev.Index()) {
		if !a.IP().Is4() || a.Flags&network.Secondary != 0 || a.Scope > route.LinkScope {
			continue
		}
		if a.Prefix.Contains(dst) || a.Peer == dst {
			return a.IP(), true
		}
		if !found.IsValid() {
			found = a.IP()
		}
	}
	if found.IsValid() {
		return found, true
	}
	for _, d := range p.net.Link.Devices() {
		for _, a := range p.net.Addrs(d.Index()) {
			if a.IP().Is4() && a.Scope < route.LinkScope {
				return a.IP(), true
			}
		}
	}
	return netip.Addr{}, false
}

// drop counts what could not be sent.
func (p *ip4) drop(q *packet.Queue, why stat.Reason) {
	p.mib.outDiscards.Add(uint64(q.Len()))
	q.Drop(why)
}
