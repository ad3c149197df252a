package nat

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// attachSeq adds the hook that moves sequence numbers, behind the helpers.
func (t *translator) attachSeq(v network.Version, p *hook.Point) {
	t.seats.undo = append(t.seats.undo, p.Add(hook.Entry{
		Owner: moduleName, Priority: hook.ConntrackHelper + 1,
		Batch: func(q *packet.Queue) { t.adjustAll(v, q) }, KeepsHeaders: true,
	}))
}

func (t *translator) adjustAll(v network.Version, q *packet.Queue) {
	if !t.adjusts.Load() {
		return
	}
	var out packet.Queue
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		c, info := t.track.Of(pkt)
		if c == nil || c.More.Load() == nil || adjustSeq(v, pkt, c, info.Dir()) {
			out.Push(pkt)
			continue
		}
		pkt.Drop(stat.NetfilterDrop)
	}
	*q = out
}

// adjust notes that the stream in a direction has grown behind seq.
func adjust(c *netfilter.Conn, d netfilter.Dir, seq uint32, grown int32) {
	p := &c.Extra().SeqAdjust[d]
	next := netfilter.SeqAdjust{Pos: seq, After: grown}
	if old := p.Load(); old != nil {
		if int32(seq-old.Pos) <= 0 {
			return // a repetition of what was changed already
		}
		next.Before, next.After = old.After, old.After+grown
	}
	p.Store(&next)
}

// adjustSeq moves the sequence numbers of a connection's packet by what helpers have
// added to its stream, and the acknowledgments by what they have added to the other.
// It fails for packets whose header is damaged.
func adjustSeq(v network.Version, pkt *packet.Packet, c *netfilter.Conn, d netfilter.Dir) bool {
	more := c.More.Load()
	own, peer := more.SeqAdjust[d].Load(), more.SeqAdjust[1-d].Load()
	if own == nil && peer == nil || c.Tuples[netfilter.Original].Proto != wire.ProtoTCP {
		return true
	}
	m := mangling{pkt: pkt, v: v}
	if !m.parse() || m.proto != wire.ProtoTCP {
		return false
	}
	h := pkt.Head()[m.l4:m.payload]
	if own != nil {
		m.put32(h, 4, own.Sent(binary.BigEndian.Uint32(h[4:])))
	}
	if peer == nil || h[13]&wire.TCPAck == 0 {
		return true
	}
	m.put32(h, 8, peer.Received(binary.BigEndian.Uint32(h[8:])))
	return m.adjustSACK(h, peer)
}

// adjustSACK does it with the edges of selective acknowledgments.
func (m *mangling) adjustSACK(h []byte, peer *netfilter.SeqAdjust) bool {
	for at := wire.TCPLen; at < len(h); {
		kind := h[at]
		if kind == wire.TCPOptEnd {
			return true
		}
		if kind == wire.TCPOptNop {
			at++
			continue
		}
		if at+2 > len(h) || h[at+1] < 2 || at+int(h[at+1]) > len(h) {
			return false
		}
		n := int(h[at+1])
		if kind == wire.TCPOptSACK {
			for edge := at + 2; edge+4 <= at+n; edge += 4 {
				m.put32(h, edge, peer.Received(binary.BigEndian.Uint32(h[edge:])))
			}
		}
		at += n
	}
	return true
}

// put32 writes a number into the TCP header h and brings the checksum up to date.
func (m *mangling) put32(h []byte, at int, v uint32) {
	var old [4]byte
	copy(old[:], h[at:])
	binary.BigEndian.PutUint32(h[at:], v)
	if m.pkt.Csum == packet.CsumPartial {
		return
	}
	before, after := wire.Sum(old[:], 0), wire.Sum(h[at:at+4], 0)
	if at%2 != 0 {
		before, after = before.Swap(), after.Swap()
	}
	sum := h[sumAt(wire.ProtoTCP):]
	put16(sum, wire.UpdateChecksum(get16(sum), before, after))
}
