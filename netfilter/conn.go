package netfilter

import (
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
)

// A Dir is a direction of a connection.
type Dir uint8

// Directions: Original is that of the packet which began the connection.
const (
	Original Dir = iota
	Reply
)

// An Info says what a packet is to its connection (enum ip_conntrack_info).
type Info uint8

// What packets can be. Invalid packets have no connection, and Untracked ones are
// not looked at.
const (
	Invalid Info = iota
	New
	Established
	Related
	EstablishedReply
	RelatedReply
	Untracked
)

// Dir returns the direction.
func (i Info) Dir() Dir {
	if i >= EstablishedReply && i != Untracked {
		return Reply
	}
	return Original
}

// StateBit returns the bit of the rules' `ct state`.
func (i Info) StateBit() uint32 {
	return [...]uint32{Invalid: 1, Established: 2, EstablishedReply: 2, Related: 4, RelatedReply: 4, New: 8, Untracked: 64}[i]
}

// Status bits of a connection (enum ip_conntrack_status), with Linux's values.
const (
	Expected  uint32 = 1 << 0 // a helper foresaw it
	SeenReply uint32 = 1 << 1
	Assured   uint32 = 1 << 2 // never dropped early
	Confirmed uint32 = 1 << 3 // in the table
	SrcNAT    uint32 = 1 << 4
	DstNAT    uint32 = 1 << 5
	SrcDone   uint32 = 1 << 7 // source translation was decided about
	DstDone   uint32 = 1 << 8
	Dying     uint32 = 1 << 9
	Fixed     uint32 = 1 << 10 // its timeout is not renewed
	Template  uint32 = 1 << 11
	Offload   uint32 = 1 << 14 // in a flowtable
	Unmapped  uint32 = 1 << 31 // knit's own: NAT found no free port, it never gets into the table
)

// A Conn is a connection. What is exported may be read by anybody who holds a
// packet of it; the tuples do not change any more once it is Confirmed. A Conn that
// left the table keeps its memory as long as somebody refers to it.
type Conn struct {
	// Tuples are what the packets of each direction look like when they arrive, by
	// Dir: that of Reply is the mirror of Original but for what NAT changes.
	Tuples [2]Tuple

	Status atomic.Uint32
	Mark   atomic.Uint32
	// Deadline is when it ends without further packets.
	Deadline atomic.Int64 // clock.Time
	ID       uint32
	// MasqIndex is the interface whose address hides it (masquerade); 0: none.
	MasqIndex int32
	// Zone is that of Tuples[Original].

	// Master is the connection whose helper expected this one, or nil.
	Master *Conn
	// Helper looks into its packets, or nil.
	Helper atomic.Pointer[Helper]
	// More is what few connections have; nil until somebody needs it.
	More atomic.Pointer[More]
	// Acct are the counters by Dir; nil without net.netfilter.nf_conntrack_acct.
	Acct *[2]Acct

	// Entry is the tracker's own.
	Entry any
}

// More is the part of a Conn that few have.
type More struct {
	Label   [2]atomic.Uint64 // 128 bits, the first has bits 0 to 63
	SecMark atomic.Uint32
	Start   clock.Time
	// Events are the events that are told of, as rules choose them; 0: all.
	Events atomic.Uint32
	// NAT is nf_nat's own.
	NAT atomic.Pointer[any]
	// SeqAdjust is how far sequence numbers are moved by helpers, by Dir.
	SeqAdjust [2]atomic.Pointer[SeqAdjust]
	// HelperData is the helper's own; it goes with the helper.
	HelperData atomic.Pointer[any]
}

// A SeqAdjust says how a helper has changed the length of a stream.
type SeqAdjust struct {
	Pos           uint32 // sequence number of the last change
	Before, After int32  // what is added to sequence numbers before and after Pos
}

// Sent returns where an octet of the sender's stream is in what the receiver gets.
func (a *SeqAdjust) Sent(seq uint32) uint32 {
	if int32(seq-a.Pos) > 0 {
		return seq + uint32(a.After)
	}
	return seq + uint32(a.Before)
}

// Received is the inverse of Sent: what the receiver's acknowledgement of ack means
// to the sender.
func (a *SeqAdjust) Received(ack uint32) uint32 {
	if int32(ack-uint32(a.Before)-a.Pos) > 0 {
		return ack - uint32(a.After)
	}
	return ack - uint32(a.Before)
}

// Acct counts.
type Acct struct{ Packets, Bytes atomic.Uint64 }

// Is reports whether all bits are set in c's status.
func (c *Conn) Is(bits uint32) bool { return c.Status.Load()&bits == bits }

// Extra returns c.More, made if it is not there.
func (c *Conn) Extra() *More {
	if m := c.More.Load(); m != nil {
		return m
	}
	c.More.CompareAndSwap(nil, new(More))
	return c.More.Load()
}
