// Package linux measures the Linux kernel through Go's net package: over the
// loopback device, over veth pairs between network namespaces, and as a router.
//
// The process must have been started in a namespace of its own (package netns)
// for all but the loopback device.
package linux

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/knitnet/knit/bench/netns"
	"github.com/knitnet/knit/bench/system"
)

// System is Linux. The zero value is ready to use.
type System struct {
	// Software lets Linux cut large segments just before a link and merge small
	// ones behind it (GSO and GRO). A veth does not merge unless told to.
	Software bool
}

// Net implements system.System.
func (s System) Net(o system.Options) (*system.Net, error) {
	var (
		n   *system.Net
		err error
	)
	switch o.Topology {
	case system.Loopback:
		n, err = loopback()
	case system.Link:
		n, err = s.link(o)
	default:
		n, err = s.routed(o)
	}
	if err != nil {
		return nil, err
	}
	n.Outside = slab
	return n, nil
}

// TAP implements system.TAPper. Linux needs no TAP to be reached by programs:
// a veth pair into another namespace takes its place.
func (s System) TAP(o system.Options) (*system.Net, error) {
	n, err := s.link(o)
	if err != nil {
		return nil, err
	}
	n.A = nil
	return n, nil
}

func loopback() (*system.Net, error) {
	if netns.Inside() {
		if err := netns.Up(); err != nil {
			return nil, err
		}
	}
	h := host{addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	return &system.Net{A: h, Z: h, Close: func() {}}, nil
}

// A host is an address in a namespace; ns is nil for that of the process, where
// dialling needs no locked thread and so no detour.
type host struct {
	addr netip.Addr
	ns   *netns.NS
}

func (h host) Addr() netip.Addr { return h.addr }

func (h host) Dial(network string, to netip.AddrPort) (c net.Conn, err error) {
	err = h.do(func() error {
		c, err = net.Dial(network, to.String())
		return err
	})
	return c, err
}

func (h host) Listen(port uint16) (l net.Listener, err error) {
	err = h.do(func() error {
		l, err = net.Listen("tcp", netip.AddrPortFrom(h.addr, port).String())
		return err
	})
	return l, err
}

func (h host) ListenPacket(port uint16) (p net.PacketConn, err error) {
	err = h.do(func() error {
		p, err = net.ListenPacket("udp", netip.AddrPortFrom(h.addr, port).String())
		return err
	})
	return p, err
}

func (h host) do(f func() error) error {
	if h.ns == nil {
		return f()
	}
	return h.ns.Do(f)
}

// slab returns the bytes that the kernel holds in its slab caches, where sockets
// and their descriptors live; zero if it does not say.
func slab() uint64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "Slab:" {
			kib, _ := strconv.ParseUint(f[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}
