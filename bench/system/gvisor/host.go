package gvisor

import (
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A host is a stack with one address.
type host struct {
	stack *stack.Stack
	addr  netip.Addr
}

func (h *host) Addr() netip.Addr { return h.addr }

func (h *host) Dial(network string, to netip.AddrPort) (net.Conn, error) {
	remote := full(to)
	switch network {
	case "tcp":
		return gonet.DialTCP(h.stack, remote, ipv4.ProtocolNumber)
	case "udp":
		return gonet.DialUDP(h.stack, nil, &remote, ipv4.ProtocolNumber)
	}
	return nil, net.UnknownNetworkError(network)
}

func (h *host) Listen(port uint16) (net.Listener, error) {
	return gonet.ListenTCP(h.stack, full(netip.AddrPortFrom(h.addr, port)), ipv4.ProtocolNumber)
}

func (h *host) ListenPacket(port uint16) (net.PacketConn, error) {
	local := full(netip.AddrPortFrom(h.addr, port))
	return gonet.DialUDP(h.stack, &local, nil, ipv4.ProtocolNumber)
}

func full(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{Addr: tcpip.AddrFromSlice(a.Addr().AsSlice()), Port: a.Port()}
}
