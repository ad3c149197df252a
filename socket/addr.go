package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/knitnet/knit/transport"
)

// netKind is a parsed network name.
type netKind struct {
	kind    transport.Kind
	name    string // "tcp", "udp", "ip", "ping"
	version int    // 4, 6, or 0 for both
	proto   uint8  // of "ip:proto"
}

// protocols are the names that "ip:NAME" may use.
var protocols = map[string]uint8{"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "icmpv6": 58, "sctp": 132}

func parseNetwork(network string) (n netKind, err error) {
	name, proto, raw := strings.Cut(network, ":")
	n.name = name
	if s, ok := strings.CutSuffix(name, "4"); ok {
		n.name, n.version = s, 4
	} else if s, ok := strings.CutSuffix(name, "6"); ok {
		n.name, n.version = s, 6
	}
	switch {
	case n.name == "tcp" && !raw:
		n.kind = transport.TCP
	case n.name == "udp" && !raw:
		n.kind = transport.UDP
	case n.name == "ip" && raw:
		n.kind = transport.Raw
		p, ok := protocols[proto]
		if v, err := strconv.ParseUint(proto, 10, 8); err == nil {
			p, ok = uint8(v), true
		}
		if !ok {
			return n, fmt.Errorf("unknown IP protocol specified: %s", proto)
		}
		n.proto = p
	case n.name == "ping" && !raw:
		n.kind = transport.Ping
	default:
		return n, net.UnknownNetworkError(network)
	}
	return n, nil
}

// hostOnly reports whether addresses have no port: raw sockets have none, and a
// ping socket's, the ICMP identifier, is chosen by the kernel.
func (n netKind) hostOnly() bool { return n.kind == transport.Raw || n.kind == transport.Ping }

func (n netKind) addr(a netip.AddrPort) net.Addr {
	switch n.name {
	case "tcp":
		return net.TCPAddrFromAddrPort(a)
	case "udp", "ping":
		return net.UDPAddrFromAddrPort(a)
	}
	return &net.IPAddr{IP: a.Addr().AsSlice(), Zone: a.Addr().Zone()}
}

// shown is a listener's address as errors show it: one without a host has none.
func (n netKind) shown(a netip.AddrPort, address string) net.Addr {
	if !n.hostOnly() && (address == "" || address[0] == ':') {
		a = netip.AddrPortFrom(netip.Addr{}, a.Port())
	}
	return n.addr(a)
}

// resolve turns "host:port" (without ports: "host") into addresses of the right
// version.
func (s *Sockets) resolve(ctx context.Context, n netKind, address string) ([]netip.AddrPort, error) {
	host, port := address, uint16(0)
	if !n.hostOnly() {
		h, p, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if port, err = parsePort(n.name, p); err != nil {
			return nil, err
		}
		host = h
	} else {
		host = strings.Trim(host, "[]")
	}
	addrs, err := s.lookup(ctx, n, host)
	if err != nil {
		return nil, err
	}
	var out []netip.AddrPort
	for _, a := range addrs {
		a = a.Unmap()
		if n.version == 0 || (n.version == 4) == a.Is4() {
			out = append(out, netip.AddrPortFrom(a, port))
		}
	}
	if len(out) == 0 {
		return nil, &net.AddrError{Err: "no suitable address found", Addr: host}
	}
	return out, nil
}

func parsePort(network, s string) (uint16, error) {
	if v, err := strconv.ParseUint(s, 10, 16); err == nil {
		return uint16(v), nil
	}
	v, err := net.LookupPort(network, s)
	return uint16(v), err
}

func (s *Sockets) lookup(ctx context.Context, n netKind, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	switch host {
	case "":
		if n.version == 6 {
			return []netip.Addr{netip.IPv6Loopback()}, nil
		}
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	case "localhost":
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	if s.LookupHost == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return s.LookupHost(ctx, host)
}

// thisHost turns the unspecified address, which package net takes for the local
// system, into a loopback address: IPv6's only where IPv4 was excluded.
func (n netKind) thisHost(a netip.AddrPort) netip.AddrPort {
	switch {
	case !a.Addr().IsUnspecified():
		return a
	case n.version == 6:
		return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
}

// addrPort reads any net.Addr.
func addrPort(a net.Addr) (netip.AddrPort, error) {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort(), nil
	case *net.IPAddr:
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			return netip.AddrPort{}, syscall.EINVAL
		}
		return netip.AddrPortFrom(ip.Unmap().WithZone(a.Zone), 0), nil
	case nil:
		return netip.AddrPort{}, errors.New("missing address")
	}
	return netip.ParseAddrPort(a.String())
}

// sysErr names the system call that an errno would have come from.
func sysErr(call string, err error) error {
	if _, ok := err.(syscall.Errno); ok {
		return os.NewSyscallError(call, err)
	}
	return err
}
