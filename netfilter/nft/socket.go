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
		s, state := ev.socket()
		if s == nil || full && state&network.FullSocket == 0 {
			return false
		}
		put(s, dst)
		return true
	}, nil
}

// socket returns the socket that a packet is from, was assigned to, or will find at its
// protocol, and its state.
func (ev *eval) socket() (*network.Socket, network.SocketState) {
	if s := ev.m.net.SocketOf(ev.pkt); s != nil {
		return s, network.FullSocket
	}
	return ev.find(network.AnySocket)
}

// owner returns the socket whose user a packet is due to: the one that it is from or was
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
