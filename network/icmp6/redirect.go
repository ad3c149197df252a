package icmp6

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/wire"
)

// SendRedirect implements network.RedirectSender (RFC 4861 §8.2).
func (m *icmp6) SendRedirect(gateway netip.Addr, pkt *packet.Packet) {
	ip, ok := wire.ParseIPv6(pkt.At(pkt.L3))
	dev := m.net.Link.Device(pkt.In)
	if !ok || dev == nil || !mayAnswer(wire.ICMP6Redirect, 0, ip, pkt) {
		return
	}
	// "the target address [...] MUST be the router's link-local address", or the
	// destination itself if that is a neighbour (§4.5); hosts would not believe us
	// but from a link-local address (§8.1).
	src := m.linkLocal(pkt.In)
	if !src.IsValid() || gateway != ip.Dst() && !gateway.IsLinkLocalUnicast() {
		return
	}
	// "a router MUST limit the rate at which Redirect messages are sent".
	if !m.limit.allow(ip.Src(), m.net.Clock.Now(), time.Duration(m.ratelimit.Load())*time.Millisecond) {
		m.mib.outRateLimited.Inc()
		return
	}
	quoted := make([]byte, min(pkt.Len()+pkt.Offset()-int(pkt.L3), maxRedirected))
	n := copy(quoted, pkt.At(pkt.L3))
	n += pkt.CopyOut(pkt.HeadLen(), quoted[n:])
	target, dst := gateway.As16(), ip.Dst().As16()
	sender := msg6.Sender{Net: m.net, Paths: m.paths, Count: m.count}
	x := msg6.Message{Device: dev, Src: src, Dst: ip.Src(), HopLimit: wire.NDPHopLimit}
	sender.Send(x, wire.NDPRedirectLen+wire.NDPRedirectedLen+(n+7)&^7, func(b []byte) {
		wire.PutNDPRedirect(b, target, dst)
		wire.PutNDPRedirected(b[wire.NDPRedirectLen:], quoted[:n])
	})
}

// maxRedirected is how much of the packet a redirect holds: "as much as possible [...]
// without the redirect packet exceeding the minimum MTU" (RFC 4861 §4.5), and a
// multiple of 8.
const maxRedirected = (wire.IPv6MinMTU - wire.IPv6Len - wire.NDPRedirectLen - wire.NDPRedirectedLen) &^ 7

// linkLocal returns the usable link-local address of an interface, or the zero Addr.
func (m *icmp6) linkLocal(index int32) netip.Addr {
	for _, a := range m.net.Addrs(index) {
		if a.IP().Is6() && a.IP().IsLinkLocalUnicast() && a.Usable() {
			return a.IP()
		}
	}
	return netip.Addr{}
}
