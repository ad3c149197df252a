// Package gvisor measures gVisor's netstack (gvisor.dev/gvisor/pkg/tcpip), set
// up as its documentation and its own users do: selective acknowledgements,
// receive buffer moderation, buffers that may grow large, and no delay
// (Nagle's algorithm off, as Go's net package has it too).
package gvisor

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/knitnet/knit/bench/system"
)

// A Driver says which of gVisor's in-process links joins two stacks.
type Driver int

const (
	// Pipe is link/pipe: the sender's goroutine carries a packet into the
	// peer's stack. It is given the checksum offload that it lacks.
	Pipe Driver = iota
	// Veth is link/veth: a goroutine per pair carries the packets.
	Veth
)

// System is gVisor's netstack over one kind of link. The zero value uses Pipe.
type System struct {
	Driver Driver

	// VNet makes TAP use what runsc uses: a packet socket with the virtio-net
	// header on a veth, in place of a TAP device, for which gVisor's driver
	// has no offload.
	VNet bool
}

// nicA is the number of a stack's only or first device, nicZ of its second.
const (
	nicA tcpip.NICID = 1 + iota
	nicZ
)

// Net implements system.System.
func (s System) Net(o system.Options) (*system.Net, error) {
	switch o.Topology {
	case system.Loopback:
		return loopbackNet()
	case system.Link:
		return s.linkNet(o)
	default:
		return s.routedNet(o)
	}
}

func loopbackNet() (*system.Net, error) {
	st, err := newStack()
	if err != nil {
		return nil, err
	}
	h, err := attach(st, nicA, loopback.New(), netip.MustParsePrefix("127.0.0.1/8"))
	if err != nil {
		return nil, err
	}
	return &system.Net{A: h, Z: h, Close: func() { stop(st) }}, nil
}

func (s System) linkNet(o system.Options) (*system.Net, error) {
	a, z, err := s.stacks()
	if err != nil {
		return nil, err
	}
	left, right := s.join(o)
	ha, err := attach(a, nicA, left, netip.MustParsePrefix("10.77.0.1/24"))
	if err != nil {
		return nil, err
	}
	hz, err := attach(z, nicA, right, netip.MustParsePrefix("10.77.0.2/24"))
	if err != nil {
		return nil, err
	}
	return &system.Net{A: ha, Z: hz, Close: func() { stop(a, z) }}, nil
}

func (s System) routedNet(o system.Options) (*system.Net, error) {
	a, z, err := s.stacks()
	if err != nil {
		return nil, err
	}
	r, err := newStack()
	if err != nil {
		return nil, err
	}
	l1, r1 := s.join(o)
	r2, l2 := s.join(o)
	ha, err := attach(a, nicA, l1, netip.MustParsePrefix("10.77.1.1/24"))
	if err != nil {
		return nil, err
	}
	hz, err := attach(z, nicA, l2, netip.MustParsePrefix("10.77.2.1/24"))
	if err != nil {
		return nil, err
	}
	if err := forward(r, r1, r2); err != nil {
		return nil, err
	}
	return &system.Net{A: ha, Z: hz, Close: func() { stop(a, r, z) }}, nil
}

func (System) stacks() (a, z *stack.Stack, err error) {
	if a, err = newStack(); err != nil {
		return nil, nil, err
	}
	z, err = newStack()
	return a, z, err
}

// Buffers of a connection: 1 MiB to begin with, as gVisor has it, and room to
// grow for a fast path.
const (
	defaultBuffer = 1 << 20
	maxBuffer     = 8 << 20
)

func newStack() (*stack.Stack, error) {
	st := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC, udp.NewProtocol},
		HandleLocal:        true,
	})
	var (
		sack     = tcpip.TCPSACKEnabled(true)
		delay    = tcpip.TCPDelayEnabled(false)
		moderate = tcpip.TCPModerateReceiveBufferOption(true)
		send     = tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: defaultBuffer, Max: maxBuffer}
		receive  = tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: defaultBuffer, Max: maxBuffer}
	)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &delay, &moderate, &send, &receive} {
		if err := st.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return nil, fmt.Errorf("set %T: %v", option, err)
		}
	}
	return st, nil
}

// attach gives a stack a device with an address and a default route, and returns
// its host.
func attach(st *stack.Stack, nic tcpip.NICID, link stack.LinkEndpoint, addr netip.Prefix) (*host, error) {
	return attachWith(st, nic, link, addr, stack.NICOptions{})
}

func attachWith(st *stack.Stack, nic tcpip.NICID, link stack.LinkEndpoint, addr netip.Prefix, o stack.NICOptions) (*host, error) {
	if err := addNIC(st, nic, link, addr, o); err != nil {
		return nil, err
	}
	st.AddRoute(tcpip.Route{Destination: ipv4Any(), NIC: nic})
	return &host{stack: st, addr: addr.Addr()}, nil
}

func addNIC(st *stack.Stack, nic tcpip.NICID, link stack.LinkEndpoint, addr netip.Prefix, o stack.NICOptions) error {
	if err := st.CreateNICWithOptions(nic, link, o); err != nil {
		return fmt.Errorf("create a device: %v", err)
	}
	with := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(addr.Addr().AsSlice()), PrefixLen: addr.Bits()},
	}
	if err := st.AddProtocolAddress(nic, with, stack.AddressProperties{}); err != nil {
		return fmt.Errorf("add address %v: %v", addr, err)
	}
	return nil
}

// forward makes st a router between two devices.
func forward(st *stack.Stack, in, out stack.LinkEndpoint) error {
	if err := addNIC(st, nicA, in, netip.MustParsePrefix("10.77.1.2/24"), stack.NICOptions{}); err != nil {
		return err
	}
	if err := addNIC(st, nicZ, out, netip.MustParsePrefix("10.77.2.2/24"), stack.NICOptions{}); err != nil {
		return err
	}
	st.SetRouteTable([]tcpip.Route{
		{Destination: subnet(netip.MustParsePrefix("10.77.1.0/24")), NIC: nicA},
		{Destination: subnet(netip.MustParsePrefix("10.77.2.0/24")), NIC: nicZ},
	})
	if err := st.SetForwardingDefaultAndAllNICs(ipv4.ProtocolNumber, true); err != nil {
		return fmt.Errorf("turn forwarding on: %v", err)
	}
	return nil
}

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(p.Addr().AsSlice()), PrefixLen: p.Bits()}.Subnet()
}

func ipv4Any() tcpip.Subnet { return subnet(netip.MustParsePrefix("0.0.0.0/0")) }

// stop ends stacks and waits for their goroutines.
func stop(stacks ...*stack.Stack) {
	for _, st := range stacks {
		st.Destroy()
	}
}
