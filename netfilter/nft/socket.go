package nft

import (
	"net/netip"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// loadSocket compiles what is known of the socket that a packet is from or for. There are
// no control groups here, so no socket is in one.
func loadSocket(x *rule.Socket) (loader, error) {
	var put func(s *network.Socket, dst []byte)
	full := true
	switch x.Key {
	case rule.SocketMark:
		put = func(s *network.Socket, dst []byte) { putNumber(dst, uint64(s.Mark)) }
	case rule.SocketWildcard:
		put = func(s *network.Socket, dst []byte) { dst[0] = 0; putBool(dst, s.Wildcard) }
	case rule.SocketTransparent:
		full = false
		put = func(s *network.Socket, dst []byte) { dst[0] = 0; putBool(dst, s.Transparent) }
	default:
		return func(*eval, []byte) bool { return false }, nil
	}
	return func(ev *eval, dst []byte) bool {
		s := ev.socket()
		if s == nil || full && s.Mini {
			return false
		}
		put(s, dst)
		return true
	}, nil
}

// socket returns the socket that a packet is from, was assigned to, or will find at its
// protocol; nil if there is none.
func (ev *eval) socket() *network.Socket {
	if s := ev.m.net.SocketOf(ev.pkt); s != nil {
		return s
	}
	s, _ := ev.find(network.AnySocket)
	if s == nil {
		s = ev.quotedSocket()
	}
	return s
}

// quotedSocket returns the socket that an ICMP error is about; nil if there is none.
func (ev *eval) quotedSocket() *network.Socket {
	proto, src, dst, ok := ev.quoted()
	if !ok {
		return nil
	}
	s, _ := ev.m.net.FindSocket(network.VersionOf(dst.Addr()), proto, dst, src, ev.in, network.AnySocket)
	return s
}

// maxQuoted is how much of the packet that an ICMP error quotes is looked at: an IPv6
// header, some extension headers, and ports.
const maxQuoted = 128

// quoted returns the protocol and the ends of the packet that an ICMP error quotes.
func (ev *eval) quoted() (proto uint8, src, dst netip.AddrPort, ok bool) {
	h := ev.header(rule.TransportHeader, 0, 1)
	if h == nil || !(ev.l4Proto == wire.ProtoICMP && wire.IsICMP4Error(h[0]) || ev.l4Proto == wire.ProtoICMPv6 && h[0] < wire.ICMP6Echo) {
		return 0, src, dst, false
	}
	b := ev.header(rule.TransportHeader, wire.ICMPLen, min(ev.pkt.Len()-ev.l4Off-wire.ICMPLen, maxQuoted))
	var from, to netip.Addr
	var at int
	if ip, ok := wire.ParseIPv4(b); ok && ev.l4Proto == wire.ProtoICMP && ip.FragOffset() == 0 {
		proto, at, from, to = ip.Protocol(), ip.HeaderLen(), ip.Src(), ip.Dst()
	} else if ip, ok := wire.ParseIPv6(b); ok && ev.l4Proto == wire.ProtoICMPv6 {
		w := ip.WalkExts()
		for more := true; more; {
			_, more = w.Next()
		}
		proto, at = w.Upper()
		from, to = ip.Src(), ip.Dst()
	}
	if proto != wire.ProtoTCP && proto != wire.ProtoUDP || at+4 > len(b) {
		return 0, src, dst, false
	}
	return proto, addrPort(from, b[at:at+2]), addrPort(to, b[at+2:at+4]), true
}

// owner returns the socket that a packet is due to: the one that it is from or was
// assigned to, and at Input the one that it is for, as far as a connection tells that: as
// on Linux, where such packets meet their socket early.
func (ev *eval) owner() *network.Socket {
	if s := ev.m.net.SocketOf(ev.pkt); s != nil || ev.hook != rule.Input {
		return s
	}
	s, _ := ev.find(network.Connected | network.Opening)
	return s
}

// find asks the packet's protocol for the socket that it is for.
func (ev *eval) find(want network.SocketState) (*network.Socket, network.SocketState) {
	src, dst, ok := ev.flow()
	if !ok {
		return nil, network.NoSocket
	}
	return ev.m.net.FindSocket(network.VersionOf(dst.Addr()), ev.l4Proto, src, dst, ev.in, want)
}

// flow returns the addresses and ports of a packet that has them.
func (ev *eval) flow() (src, dst netip.AddrPort, ok bool) {
	from, ok := ev.address(true)
	to, ok2 := ev.address(false)
	h := ev.header(rule.TransportHeader, 0, 4)
	if !ok || !ok2 || h == nil || ev.l4Proto != wire.ProtoTCP && ev.l4Proto != wire.ProtoUDP {
		return src, dst, false
	}
	return addrPort(from, h[:2]), addrPort(to, h[2:4]), true
}

func addrPort(a netip.Addr, port []byte) netip.AddrPort {
	return netip.AddrPortFrom(a, uint16(number(port)))
}
