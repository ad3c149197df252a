// Package packet holds the buffer that travels through every layer.
//
// A Packet is a private header area (the head) followed by references to payload
// fragments. Its bytes are the head's data, then the fragments in order. Headers
// are read and written in the head only: Ensure moves bytes there when they came
// in a fragment.
//
// Ownership: a Packet has exactly one owner. A function that takes a *Packet, or
// a Queue of them, owns it and must do exactly one of these: pass it on, keep it,
// Consume it or Drop it. Nobody touches a Packet after giving it away. A Packet
// is not safe for concurrent use, its owner is alone.
package packet

import (
	"github.com/knitnet/knit/core/stat"
)

const (
	// Headroom is the space, in bytes, in front of the data of a new packet, so
	// that every layer can Push its header without copying: 12 virtio-net, 14
	// Ethernet, 4 VLAN, 40 IPv6, 60 TCP make 130.
	Headroom = 136

	// HeadSize is the size of the head in bytes. What is left behind Headroom
	// takes a small packet whole.
	HeadSize = 448

	// MaxFrags is how many fragments a packet can refer to. 64 KiB in 4 KiB
	// pages and two partial ones would fit, as in Linux (MAX_SKB_FRAGS).
	MaxFrags = 18
)

// A Kind says for whom a frame was, seen from the link layer (PACKET_HOST...).
type Kind uint8

// Kinds of frames.
const (
	Host      Kind = iota // to this kernel
	Broadcast             // to everybody on the link
	Multicast             // to a group
	OtherHost             // to somebody else; seen in promiscuous mode
	Outgoing              // sent by this kernel
)

// A CsumState says what is known of the transport checksum.
type CsumState uint8

// Checksum states, named as Linux names them.
const (
	// CsumNone: the checksum is in the packet and nobody has checked it.
	CsumNone CsumState = iota
	// CsumUnnecessary: the checksum was checked, or cannot be wrong.
	CsumUnnecessary
	// CsumPartial: the checksum field holds the sum of the pseudo header only.
	// Who puts the packet on a medium sums from CsumStart on and stores the
	// result CsumOffset bytes behind it. In a packet that came from another
	// kernel in memory it means: the bytes are good.
	CsumPartial
)

// A GSOType says how a packet that is larger than the MTU is to be cut.
type GSOType uint8

// Segmentation offload types (virtio-net's).
const (
	GSONone GSOType = iota
	GSOTCP4
	GSOTCP6
	GSOUDP // UDP_SEGMENT: each datagram has GSOSize bytes of payload, the last may be shorter
)

// Meta is what travels beside the bytes. The zero Meta is that of a new packet.
type Meta struct {
	// In and Out are the interface indexes the packet came in by and leaves by; 0
	// means this kernel itself, or not known yet.
	In, Out int32

	// VRF is the device of the VRF that In is enslaved to, once the hooks of the packet
	// see that one as the interface it came by; 0: there is none, or In is seen.
	VRF int32

	// Mark is netfilter's mark, Priority the class for queueing, Hash the flow
	// hash (0: not computed).
	Mark, Priority, Hash uint32

	// Seq and End are scratch space of the current owner.
	Seq, End uint32

	// Proto is the EtherType of the network header.
	Proto uint16

	// L2, L3 and L4 are where headers start, as offsets into the head; see
	// Packet.At. Zero means not set.
	L2, L3, L4 uint16

	// CsumStart is the offset into the head where summing starts, CsumOffset the
	// place of the checksum counted from there; for CsumPartial only.
	CsumStart, CsumOffset uint16

	// GSOSize is the payload of each segment in bytes, GSOSegs their number.
	GSOSize, GSOSegs uint16

	// FragMax is the length in bytes of the largest fragment, header included, that a
	// packet on its way through was put together from; 0: it came in one piece. Who
	// sends it on cuts it into fragments no larger than that.
	FragMax uint16

	GSO  GSOType
	Csum CsumState
	Kind Kind

	// Encap counts how many times the packet went through a tunnel or back into
	// the stack, so that a loop of devices ends.
	Encap uint8

	// Track is connection tracking's note of what the packet is to its connection
	// (netfilter.Info); 0: nothing.
	Track uint8

	// Rules is nf_tables' note of the ruleset that the packet has met; 0: none.
	Rules uint8

	// Trace: nf_tables tells of the packet's way through its rules.
	Trace bool

	// Reroute: an Output hook has changed what the packet's way depends on, and wants
	// it to be looked for again. Other changes leave the packet on the way it was sent.
	Reroute bool
}

type frag struct {
	buf    *Buf
	off, n uint32
}

// A Packet is one frame on its way up or down. See the package comment for who
// may touch it.
type Packet struct {
	next *Packet // link of the Queue it is in
	pool *Pool

	Meta

	off, end uint16 // the head's data is head[off:end]
	nfrags   uint8
	alive    bool
	slots    uint8  // bit i: ext[i] is set
	fragLen  uint32 // bytes in fragments

	keys  [maxSlots]uint32 // whose ext[i] is; see Slot
	ext   [maxSlots]any
	frags [MaxFrags]frag
	head  [HeadSize]byte
}

// Pool returns the pool p came from.
func (p *Packet) Pool() *Pool { return p.pool }

// Drop ends p's life and records why.
func (p *Packet) Drop(why stat.Reason) {
	p.pool.Drops.Count(why)
	p.Consume()
}

// Consume ends p's life without blame: somebody used it.
func (p *Packet) Consume() {
	if !p.alive {
		panic("packet: ended twice")
	}
	p.alive = false
	p.releaseFrags()
	p.clearSlots()
	p.Meta = Meta{}
	p.next = nil
	p.pool.put(p)
}

// clearSlots forgets what is kept in p. One by one costs less than clear, which tells the
// garbage collector of all.
func (p *Packet) clearSlots() {
	for i := 0; p.slots != 0; i++ {
		if p.slots&1 != 0 {
			p.ext[i] = nil
		}
		p.slots >>= 1
	}
}

// Ended reports whether p was consumed or dropped. Only who owned p until then may
// ask, and only before p can have begun another life.
func (p *Packet) Ended() bool { return !p.alive }

func (p *Packet) releaseFrags() {
	for i := range p.nfrags {
		p.frags[i].buf.Release(1)
		p.frags[i].buf = nil
	}
	p.nfrags, p.fragLen = 0, 0
}

// Clone returns a packet with a copy of p's head and meta that shares the
// fragments. Slots are not copied. Both may change their heads; neither may
// change bytes of fragments any more.
func (p *Packet) Clone() *Packet {
	c := p.pool.Get()
	c.Meta = p.Meta
	c.off, c.end = p.off, p.end
	copy(c.head[c.off:c.end], p.head[p.off:p.end])
	// Headers that were pulled already still count: offsets refer to them.
	copy(c.head[:c.off], p.head[:p.off])
	for i := range p.nfrags {
		f := p.frags[i]
		f.buf.Retain(1)
		c.frags[i] = f
	}
	c.nfrags, c.fragLen = p.nfrags, p.fragLen
	return c
}

// Scrub forgets what one kernel noted on p before another gets it: marks,
// interfaces, slots, header offsets. What it is for the medium, its checksum and
// segmentation state, stays.
func (p *Packet) Scrub() {
	p.clearSlots()
	m := &p.Meta
	p.Meta = Meta{
		CsumStart: m.CsumStart, CsumOffset: m.CsumOffset, Csum: m.Csum,
		GSO: m.GSO, GSOSize: m.GSOSize, GSOSegs: m.GSOSegs,
		Proto: m.Proto, Encap: m.Encap,
	}
}
