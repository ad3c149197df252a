package conntrack

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A run remembers the connection of the packet before: most packets of a batch are
// of one flow, and need no lookup of their own. It remembers those that the batch has
// begun, too, which are in no table yet: another packet of one belongs to it, as if it
// had come later.
type run struct {
	node  *node
	begun [maxBegun]*entry
	n     int // in begun; the oldest are overwritten

	// addrs and ports are those of the packet before, if it was of the usual kind; ports
	// of 0 is none.
	addrs uint64
	ports uint32
	proto uint8
}

const maxBegun = 16

// find looks among the connections that the batch has begun.
func (r *run) find(tuple *netfilter.Tuple) *node {
	for _, e := range r.begun[:min(r.n, maxBegun)] {
		if e.Tuples[netfilter.Original] == *tuple && !e.Is(netfilter.Dying) {
			return &e.nodes[netfilter.Original]
		}
	}
	return nil
}

func (r *run) note(e *entry) {
	r.begun[r.n%maxBegun] = e
	r.n++
}

// usual reports whether b is the IPv4 header, with the ports behind it, of a packet of
// the usual kind: TCP or UDP without options, in one piece.
func usual(b []byte) bool {
	return len(b) >= wire.IPv4Len+4 && plain(b) && (b[9] == wire.ProtoTCP || b[9] == wire.ProtoUDP)
}

// plain reports whether an IPv4 header has no options and is of no fragment: at once the
// first octet, and More Fragments and the offset in the seventh and eighth.
func plain(b []byte) bool {
	const mask, want = 0xff | 0x3f<<48 | 0xff<<56, 4<<4 | wire.IPv4Len/4
	return binary.LittleEndian.Uint64(b)&mask == want
}

// remember notes what the packet looks like that is of r.node.
func (r *run) remember(p *look) {
	r.ports = 0
	if b := p.pkt.Head(); p.v == network.V4 && usual(b) {
		r.addrs, r.ports, r.proto = binary.BigEndian.Uint64(b[12:]), binary.BigEndian.Uint32(b[20:]), b[9]
	}
}

// again reports whether a packet looks like the one before.
func (r *run) again(pkt *packet.Packet) bool {
	if r.ports == 0 {
		return false
	}
	b := pkt.Head()
	return len(b) >= wire.IPv4Len+4 && plain(b) && b[9] == r.proto &&
		binary.BigEndian.Uint64(b[12:]) == r.addrs && binary.BigEndian.Uint32(b[20:]) == r.ports
}

// trackAgain is the rest of trackOne for a packet that looks like the one before.
func (t *tracker) trackAgain(p *look, r *run, zone uint16) bool {
	p.off = wire.IPv4Len
	tuple := &r.node.e.Tuples[r.node.dir]
	if !t.sound(p, tuple) {
		t.unsound(p, tuple)
		return true
	}
	if tuple.Zone == zone {
		return t.resolve(p, r, tuple)
	}
	other := *tuple
	other.Zone = zone
	return t.resolve(p, r, &other)
}

// trackRun gives packets behind p.pkt that look like it their connection, if its protocol
// has no state that each changes: at one time UDP's first packet says all. It leaves p.pkt
// at the last of them and returns how many they are.
func (t *tracker) trackRun(p *look, r *run) (n int) {
	info := netfilter.Info(p.pkt.Track)
	if r.node == nil || r.proto != wire.ProtoUDP || info != netfilter.Established && info != netfilter.EstablishedReply {
		return 0
	}
	e, dir := r.node.e, r.node.dir
	if of, _ := t.slot.Get(p.pkt); of != e {
		return 0
	}
	p.off = wire.IPv4Len
	last := p.pkt
	for {
		p.pkt = last.Next()
		if p.pkt == nil || p.pkt.Track != 0 || !r.again(p.pkt) {
			break
		}
		if of, _ := t.slot.Get(p.pkt); of != nil || !t.sound(p, &e.Tuples[dir]) {
			break
		}
		t.count(e, dir, p.pkt)
		t.set(p.pkt, e, info)
		last = p.pkt
		n++
	}
	p.pkt = last
	return n
}
