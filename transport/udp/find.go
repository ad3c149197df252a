package udp

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
)

// FindSocket implements network.SocketFinder.
func (u *udp) FindSocket(_ network.Version, src, dst netip.AddrPort, index int32, want network.SocketState) (*network.Socket, network.SocketState) {
	f := flow{src: src.Addr(), dst: dst.Addr(), srcPort: src.Port(), dstPort: dst.Port(), index: index}
	u.place(&f)
	s := u.table.find(&f)
	if s == nil {
		return nil, network.NoSocket
	}
	state := network.Listening
	if s.peer.Load() != nil {
		state = network.Connected
	}
	if state&want == 0 {
		return nil, network.NoSocket
	}
	return s.opts.Identity.Load(), state
}

// assigned returns the socket that a hook has given a datagram to, or nil.
func (u *udp) assigned(pkt *packet.Packet) *socket {
	a := u.net.SocketOf(pkt)
	if a == nil {
		return nil
	}
	if s, ok := a.Keep.(*socket); ok && s.u == u {
		return s
	}
	return nil
}
