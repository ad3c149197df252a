package nat

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A streak is what becomes, at one seat, of the packets of one direction of an
// established connection. Most packets of a batch are of one, and it is found out once.
type streak struct {
	conn *netfilter.Conn
	info netfilter.Info
	out  int32 // the interface that they leave by
	want netfilter.Tuple
	// addr is what the other address does to checksums, both with the other port, too.
	addr, both wire.ChecksumChange
}

// pass translates the packets from the front of q on that are of established
// connections, in place, and returns how many: the one behind them needs more.
func (t *translator) pass(at *seat, q *packet.Queue) (n int) {
	var s streak
	for pkt := q.Front(); pkt != nil; {
		c, info, run, next := t.track.RunOf(pkt)
		switch {
		case c != nil && info != netfilter.Established && info != netfilter.EstablishedReply:
			return n
		case c == nil || !changes(c, at.manip, info.Dir()):
			n += run
			pkt = next
			continue
		}
		for ; pkt != next; pkt = pkt.Next() {
			if (c != s.conn || info != s.info || pkt.Out != s.out) && !s.begin(at, pkt, c, info) {
				return n
			}
			if !s.rewrite4(at, pkt) && !rewrite(at.v, pkt, &s.want, at.manip) {
				return n
			}
			at.steer(pkt, t.track)
			n++
		}
	}
	return n
}

// changes reports whether a connection's packets in direction d are changed at manip.
func changes(c *netfilter.Conn, manip netfilter.Manip, d netfilter.Dir) bool {
	bit := natBit(manip)
	if d == netfilter.Reply {
		bit ^= netfilter.SrcNAT | netfilter.DstNAT
	}
	return c.Status.Load()&bit != 0
}

// begin finds out what becomes of a packet and those like it, and fails for one that
// must be dropped.
func (s *streak) begin(at *seat, pkt *packet.Packet, c *netfilter.Conn, info netfilter.Info) bool {
	d := info.Dir()
	s.conn, s.info, s.out = c, info, pkt.Out
	if movedOn(at, pkt, c, d) {
		return false
	}
	s.want = mirror(&c.Tuples[1-d])
	is := &c.Tuples[d]
	before, after := wire.Sum(addrOf(is, at.manip)[:], 0), wire.Sum(addrOf(&s.want, at.manip)[:], 0)
	old, port := is.SrcPort, s.want.SrcPort
	if at.manip == netfilter.ManipDst {
		old, port = is.DstPort, s.want.DstPort
	}
	s.addr, s.both = wire.ChangeOf(before, after), wire.ChangeOf(before.Uint16(old), after.Uint16(port))
	return true
}

// rewrite4 is rewrite for the usual packet, TCP or UDP over IPv4 without options, from
// the sums of the streak. It fails, and changes nothing, for others.
func (s *streak) rewrite4(at *seat, pkt *packet.Packet) bool {
	b := pkt.Head()
	if at.v != network.V4 || len(b) < wire.IPv4Len+wire.TCPLen || b[0] != 4<<4|wire.IPv4Len/4 {
		return false
	}
	addr, port, to, value := b[12:16], b[20:22], s.want.Src[:4], s.want.SrcPort
	if at.manip == netfilter.ManipDst {
		addr, port, to, value = b[16:20], b[22:24], s.want.Dst[:4], s.want.DstPort
	}
	var sum []byte
	switch b[9] {
	case wire.ProtoTCP:
		sum = b[36:38]
	case wire.ProtoUDP:
		sum = b[26:28]
	default:
		return false
	}
	copy(addr, to)
	binary.BigEndian.PutUint16(port, value)
	put16(b[10:], s.addr.Update(get16(b[10:])))
	switch old := get16(sum); {
	case pkt.Csum == packet.CsumPartial:
		put16(sum, ^s.addr.Update(^old))
	case b[9] == wire.ProtoTCP:
		put16(sum, s.both.Update(old))
	case old != 0: // RFC 768: none
		if old = s.both.Update(old); old == 0 {
			old = 0xffff
		}
		put16(sum, old)
	}
	return true
}
