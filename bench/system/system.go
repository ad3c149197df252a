// Package system is the contract between the benchmarks and the network stacks
// that they measure: what a stack must offer to stand in the table.
//
// Each stack has a package below this one. The benchmarks themselves are in
// package metric and know no stack.
package system

import (
	"net"
	"net/netip"
)

// A Topology says which hosts a network has and how they are joined.
type Topology int

const (
	// Link is two hosts, A and Z, joined by one link.
	Link Topology = iota
	// Loopback is one host that talks to itself; A and Z are that host.
	Loopback
	// Routed is two hosts, A and Z, with a router between them.
	Routed
)

// DefaultMTU is the MTU of a link in bytes when Options does not name one.
const DefaultMTU = 1500

// Options describes the network that a benchmark asks for. The zero value is
// one Ethernet-sized link without offload.
type Options struct {
	Topology Topology

	// MTU is that of every link in bytes. Zero means DefaultMTU, or for
	// Loopback whatever the stack's loopback device has.
	MTU int

	// Offload lets a link carry segments larger than its MTU, as devices with
	// segmentation offload do. Without it no packet on any link is larger than
	// the MTU; that a stack cuts large segments before the link and merges small
	// ones behind it is its own affair. So are checksums: no in-process link
	// needs them, and a stack may leave them out in both cases.
	Offload bool

	// Rules is the nft ruleset of a bare router, whose devices are called in and out.
	Rules string
}

// LinkMTU returns the MTU in bytes, or DefaultMTU if none was named.
func (o Options) LinkMTU() int {
	if o.MTU == 0 {
		return DefaultMTU
	}
	return o.MTU
}

// A System is one network stack under measurement, in one configuration.
type System interface {
	// Net builds a fresh network that shares no state with an earlier one.
	// It fails with ErrUnsupported, wrapped with the reason, if the stack
	// or this machine has no such network.
	Net(Options) (*Net, error)
}

// A Net is a network that stands until Close.
type Net struct {
	// A opens connections, Z accepts them.
	A, Z Host

	// Outside reports the bytes of memory that the stack holds outside the Go
	// heap, such as a kernel's socket buffers. Nil means none.
	Outside func() uint64

	// Close takes the network down; the caller closes its sockets first.
	Close func()
}

// A Host is one end of a network. Its methods may be called concurrently and
// mean what they mean in package net.
type Host interface {
	Addr() netip.Addr

	// Dial connects to an address on another host; network is "tcp" or "udp".
	Dial(network string, to netip.AddrPort) (net.Conn, error)
	// Listen accepts TCP connections on a port.
	Listen(port uint16) (net.Listener, error)
	// ListenPacket receives UDP datagrams on a port.
	ListenPacket(port uint16) (net.PacketConn, error)
}

// A Forwarder is a System that can be measured as a bare router, without
// sockets: packets go into one device and come out of another.
type Forwarder interface {
	Router(Options) (*Router, error)
}

// A Router forwards packets of one flow from its first device to its second.
type Router struct {
	// Inject hands n packets of PacketSize bytes to the first device, as one
	// batch if the device takes batches. One goroutine at a time may call it.
	Inject func(n int) error

	// Answer sends a packet from where those of Inject go to where they come from,
	// by its own address and by that of the router's second device, so that with and
	// without masquerade one of them is an answer. Nil if the stack has no rules.
	Answer func() error

	// Begin hands n packets to the first device as Inject does, each the first of a
	// flow of its own. Nil if the stack has no rules.
	Begin func(n int) error

	// Load replaces the rules by others.
	Load func(rules string) error

	// Alone is set if no second router can stand beside this one in a process.
	Alone bool

	// Held returns the bytes of memory that the stack holds. Nil means that of the Go
	// heap.
	Held func() uint64

	// Delivered reports how many packets have left through the second device.
	Delivered func() uint64

	Close func()
}

// PacketSize is the size of a forwarded packet in bytes, IP header included and
// link header excluded.
const PacketSize = 64

// A TAPper is a System that can stand behind a TAP device, or what it uses in
// its place, of this process's network namespace.
type TAPper interface {
	// TAP returns a network whose A is nil: programs that run in this
	// process's network namespace take its place and reach Z by its address.
	TAP(Options) (*Net, error)
}

// A Lookuper is a System whose routing table can be measured on its own.
type Lookuper interface {
	// Routes fills a table with routes to prefixes and returns what looks up the one
	// for an address.
	Routes(prefixes []netip.Prefix) (lookup func(netip.Addr) bool, err error)
}
