package udp

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Input implements network.Handler.
func (u *udp) Input(q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		u.input(pkt)
	}
}

func (u *udp) input(pkt *packet.Packet) {
	var f flow
	v := addresses(pkt, &f)
	m := &u.mib[v]
	h, why := check(pkt, v)
	if why != stat.NotSpecified {
		m.inErrors.Inc()
		if why == stat.UDPCsum {
			m.csumErrors.Inc()
		}
		pkt.Drop(why)
		return
	}
	f.srcPort, f.dstPort, f.index = h.SrcPort(), h.DstPort(), pkt.In
	u.place(&f)
	pkt.Pull(wire.UDPLen)
	if pkt.Kind != packet.Host || f.dst.IsMulticast() {
		u.deliverAll(pkt, &f, m)
		return
	}
	if s := u.assigned(pkt); s != nil {
		u.deliver(s, pkt, m)
		return
	}
	s := u.table.find(&f)
	if u.interceptor.Load() != nil && (s == nil || !s.intercepted) && u.intercept(pkt, &f, m, s != nil) {
		return
	}
	if s == nil {
		m.noPorts.Inc()
		u.net.SendError(v, network.PortUnreachable, pkt)
		pkt.Drop(stat.NoSocket)
		return
	}
	u.deliver(s, pkt, m)
}

// place notes in which domain a datagram is, and whether it is from this host to a
// link-local address of its own.
func (u *udp) place(f *flow) {
	f.vrf, f.everywhere = u.net.VRF(f.index), u.l3mdevAccept.Load()
	f.own = f.dst.Is6() && f.dst.IsLinkLocalUnicast() && u.net.IsInnerOf(f.index, 0)
}

// addresses reads the IP header.
func addresses(pkt *packet.Packet, f *flow) network.Version {
	ip := pkt.At(pkt.L3)
	if ip[0]>>4 == 4 {
		f.src, f.dst = netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
		return network.V4
	}
	f.src, f.dst = netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
	return network.V6
}

// check holds the header against RFC 768 and cuts off what is behind the
// datagram. NotSpecified means that it is good.
func check(pkt *packet.Packet, v network.Version) (h wire.UDP, why stat.Reason) {
	if !pkt.Ensure(wire.UDPLen) {
		return h, stat.PktTooSmall
	}
	h, ok := wire.ParseUDP(pkt.Head())
	if !ok {
		return h, stat.PktTooSmall
	}
	if pkt.GSO == packet.GSONone {
		n := h.Len()
		if n > pkt.Len() || n < wire.UDPLen {
			return h, stat.PktTooSmall
		}
		pkt.TrimTo(n)
	}
	if pkt.Csum != packet.CsumNone {
		return h, stat.NotSpecified
	}
	if h.Checksum() == 0 {
		if v == network.V6 { // RFC 8200 §8.1: receivers must discard
			return h, stat.UDPCsum
		}
		return h, stat.NotSpecified
	}
	if !link.ChecksumFrom(pkt, 0, pseudo(pkt.At(pkt.L3), pkt.Len())).Valid() {
		return h, stat.UDPCsum
	}
	return h, stat.NotSpecified
}

func pseudo(ip []byte, n int) wire.PartialSum {
	if ip[0]>>4 == 4 {
		return wire.PseudoIPv4([4]byte(ip[12:16]), [4]byte(ip[16:20]), wire.ProtoUDP, n)
	}
	return wire.PseudoIPv6([16]byte(ip[8:24]), [16]byte(ip[24:40]), wire.ProtoUDP, n)
}

func (u *udp) deliver(s *socket, pkt *packet.Packet, m *mib) {
	n := uint64(max(pkt.GSOSegs, 1))
	if !s.queue.Put(pkt) {
		m.rcvbufErrors.Add(n)
		m.inErrors.Add(n)
		return
	}
	m.inDatagrams.Add(n)
}

// deliverAll gives a broadcast or multicast datagram to every socket that fits.
func (u *udp) deliverAll(pkt *packet.Packet, f *flow, m *mib) {
	var last *socket
	for _, s := range u.table.at(f.dstPort) {
		if s.score(f) < 0 || f.dst.IsMulticast() && !s.opts.Wants(f.dst, f.index, f.src) {
			continue
		}
		if last != nil {
			u.deliver(last, pkt.Clone(), m)
		}
		last = s
	}
	if last == nil {
		m.ignoredMulti.Inc()
		pkt.Drop(stat.NoSocket)
		return
	}
	u.deliver(last, pkt, m)
}
