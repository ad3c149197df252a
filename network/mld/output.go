package mld

import (
	"net/netip"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/wire"
)

// fire sends what is due.
func (p *port) fire(now clock.Time) {
	m := p.m
	defer m.net.Walks.Enter().Exit()
	src := m.linkLocal(p)
	m.mu.Lock()
	if m.closed || !p.dev.Up() {
		m.mu.Unlock()
		return
	}
	records, messages := p.state.due(now)
	p.blind = p.blind || src.IsUnspecified() && len(records)+len(messages) > 0
	p.arm()
	m.mu.Unlock()
	for _, x := range messages {
		p.send1(src, x)
	}
	most := int(min(int64(p.dev.MTU()), m.conf.Of(p.dev.Index()).MTU.Load())) - wire.IPv6Len - wire.IPv6RouterAlertLen
	for _, rs := range pack(records, max(most, wire.IPv6MinMTU-wire.IPv6Len-wire.IPv6RouterAlertLen)) {
		p.transmit(src, allV2, length(rs), func(b []byte) { encode(b, rs) })
	}
}

// send1 sends a message of version 1. Done goes to the routers, a report to the
// group (RFC 2710 §4).
func (p *port) send1(src netip.Addr, x message1) {
	typ, dst := uint8(wire.ICMP6MLDReport), x.group
	if x.done {
		typ, dst = wire.ICMP6MLDDone, allRouters
	}
	p.transmit(src, dst, wire.MLDLen, func(b []byte) { wire.PutMLD(b, typ, 0, x.group.As16()) })
}

func (p *port) transmit(src, dst netip.Addr, n int, put func(b []byte)) {
	p.m.send.Send(msg6.Message{Device: p.dev, Src: src, Dst: dst, HopLimit: wire.MLDHopLimit, RouterAlert: true}, n, put)
}

// linkLocal returns the source of messages: "An MLDv2 Report MUST be sent with a
// valid IPv6 link-local source address, or the unspecified address (::), if the
// sending interface has not acquired a valid link-local address yet" (RFC 3810
// §5.2.13).
func (m *mld) linkLocal(p *port) netip.Addr {
	for _, a := range m.net.Addrs(p.dev.Index()) {
		if a.IP().Is6() && a.IP().IsLinkLocalUnicast() && a.Usable() {
			return a.IP()
		}
	}
	return netip.IPv6Unspecified()
}
