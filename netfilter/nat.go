package netfilter

import (
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
)

// A Manip is what a translation changes.
type Manip uint8

// Manipulations.
const (
	ManipSrc Manip = iota
	ManipDst
)

// RangeFlags say what a NATRange restricts and how it chooses.
type RangeFlags uint8

// Range flags.
const (
	RangeAddr        RangeFlags = 1 << iota // MinAddr and MaxAddr count
	RangePort                               // MinPort and MaxPort count
	RangeRandom                             // ports at random
	RangeFullyRandom                        // all of it at random
	RangePersistent                         // a client keeps its address
	RangePrefix                             // the host part stays: netmap
)

// A NATRange is what a translation may choose from.
type NATRange struct {
	MinAddr, MaxAddr [16]byte
	MinPort, MaxPort uint16
	Flags            RangeFlags
	// Mapping and Filtering are the behaviour that the rule asks for.
	Mapping, Filtering Behaviour
}

// A Behaviour is what a mapping or a filter depends on (RFC 4787 §4.1, §5). The zero
// Behaviour is Linux's.
type Behaviour uint8

// Behaviours.
const (
	AddressPortDependent Behaviour = iota
	AddressDependent
	EndpointIndependent
)

// A NATChain is a chain of rules that decide about new connections.
type NATChain struct {
	Version  network.Version
	Point    *hook.Point // of network.Hooks
	Priority hook.Priority
	Decide   hook.Func
}

// A Translator is NAT, as nf_nat exports it.
type Translator interface {
	// AddChain lets rules decide about new connections: f runs for the first packet
	// of each at the hook point where the chain sits, in order of priority, until
	// somebody decides. It calls Setup or leaves it. undo takes it out.
	AddChain(ch NATChain) (undo func(), err error)
	// Setup decides about one half of a connection, once; pkt is the packet that begins
	// it, or nil. It fails when nothing in the range is free: the packet has to be
	// dropped.
	Setup(pkt *packet.Packet, c *Conn, m Manip, r *NATRange) bool
	// Masquerade is Setup with the address that the packet's way out has.
	Masquerade(pkt *packet.Packet, c *Conn, r *NATRange) bool
	// Redirect is Setup to this host's own address on the packet's way in.
	Redirect(pkt *packet.Packet, c *Conn, r *NATRange) bool
	// Mangle replaces n bytes at offset off of the payload of a TCP or UDP packet of
	// c, for helpers, and corrects lengths, checksums and later sequence numbers.
	Mangle(pkt *packet.Packet, c *Conn, info Info, off, n int, with []byte) bool
}

// SetAddrs restricts r to the addresses from lo to hi, 4 or 16 bytes each.
func (r *NATRange) SetAddrs(lo, hi []byte) {
	copy(r.MinAddr[:], lo)
	copy(r.MaxAddr[:], hi)
	r.Flags |= RangeAddr
}

// SetPorts restricts r to the ports from lo to hi.
func (r *NATRange) SetPorts(lo, hi uint16) {
	r.MinPort, r.MaxPort = lo, hi
	r.Flags |= RangePort
}
