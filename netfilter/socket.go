package netfilter

import (
	"net/netip"

	"github.com/knitnet/knit/network"
)

// SocketsSymbol is the kernel symbol under which transports export a SocketFinder.
const SocketsSymbol = "socket_lookup"

// A SocketFinder knows which socket of this host a packet is for.
type SocketFinder interface {
	// FindSocket returns the socket that packets of an IP protocol from src to dst are
	// for; index is the interface they come in by.
	FindSocket(v network.Version, proto uint8, src, dst netip.AddrPort, index int32) (Socket, bool)
}

// A Socket is what rules may know of a socket.
type Socket struct {
	Mark        uint32
	UID, GID    uint32
	Transparent bool // IP_TRANSPARENT
	Wildcard    bool // bound to no address
}
