package nft

import (
	"net/netip"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// tproxy compiles `tproxy to ADDR:PORT`: the packet is assigned to a transparent socket,
// and goes on unchanged. It comes to the socket if its route is of type local, which is
// what a mark is for that a rule of routing looks at.
func (c *compiler) tproxy(x *rule.TProxy) (step, error) {
	addr, err := c.tproxyPart(x.Addr)
	if err != nil {
		return nil, err
	}
	port, err := c.tproxyPart(x.Port)
	if err != nil {
		return nil, err
	}
	only := uint16(0)
	if x.HasFamily {
		only = wire.EtherTypeIPv4
		if x.Family == rule.IP6 {
			only = wire.EtherTypeIPv6
		}
	}
	return func(ev *eval) next {
		src, dst, ok := ev.flow()
		if !ok || only != 0 && ev.net != only {
			return breakRule
		}
		to, ok := ev.proxy(dst, addr, port)
		if !ok {
			return breakRule
		}
		s := ev.proxied(src, dst, to)
		if s == nil || !s.Transparent {
			return breakRule
		}
		ev.m.net.Assign(ev.pkt, s)
		return goOn
	}, nil
}

// An operand computes an address or a port of a packet; the bytes are valid until the next
// one is computed.
type operand func(ev *eval) ([]byte, bool)

// tproxyPart compiles an address or a port; nil for none.
func (c *compiler) tproxyPart(e rule.Expr) (operand, error) {
	if e == nil {
		return nil, nil
	}
	load, err := c.load(e)
	if err != nil {
		return nil, err
	}
	n := bytesFor(e.Bits())
	at, err := c.scratch(n)
	return func(ev *eval) ([]byte, bool) {
		b := ev.scratch[at : at+n]
		return b, load(ev, b)
	}, err
}

// proxy returns where the socket is bound that gets packets to dst.
func (ev *eval) proxy(dst netip.AddrPort, addr, port operand) (to netip.AddrPort, ok bool) {
	a, p := netip.Addr{}, uint16(0)
	if addr != nil {
		b, ok := addr(ev)
		if !ok {
			return to, false
		}
		a, _ = netip.AddrFromSlice(b)
	}
	if port != nil {
		b, ok := port(ev)
		if !ok {
			return to, false
		}
		p = uint16(number(b))
	}
	if !a.IsValid() || a.IsUnspecified() {
		a = ev.deviceAddr(dst.Addr())
	}
	if p == 0 {
		p = dst.Port()
	}
	return netip.AddrPortFrom(a, p), true
}

// deviceAddr returns the first address of dst's version that the device has by which the
// packet came in, or dst.
func (ev *eval) deviceAddr(dst netip.Addr) netip.Addr {
	for _, a := range ev.m.net.Addrs(ev.in) {
		if ip := a.IP(); ip.Is4() == dst.Is4() && a.Flags&(network.Secondary|network.Deprecated|network.Tentative) == 0 {
			return ip
		}
	}
	return dst
}

// proxied returns the socket that a packet is to be given to: that of its connection, or
// else the one that waits at to. A SYN that follows on a connection which is over begins
// another one.
func (ev *eval) proxied(src, dst, to netip.AddrPort) *network.Socket {
	v := network.VersionOf(dst.Addr())
	s, state := ev.m.net.FindSocket(v, ev.l4Proto, src, dst, ev.in, network.AnySocket&^network.Listening)
	if s != nil && (state != network.Closing || !ev.isSYN()) {
		return s
	}
	if l, _ := ev.m.net.FindSocket(v, ev.l4Proto, src, to, ev.in, network.Listening); l != nil {
		return l
	}
	return s
}

// isSYN reports whether the packet asks for a connection.
func (ev *eval) isSYN() bool {
	h := ev.header(rule.TransportHeader, 0, wire.TCPLen)
	return h != nil && h[13]&(wire.TCPSyn|wire.TCPAck|wire.TCPRst|wire.TCPFin) == wire.TCPSyn
}
