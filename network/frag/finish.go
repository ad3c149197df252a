package frag

import (
	"math"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// finish takes a complete datagram out of the table and returns its packet and
// the ECN codepoint that it has to have.
func (t *Table) finish(d *datagram) (whole *packet.Packet, ecn uint8) {
	ecn, ok := mergeECN(d.ecn)
	if !ok {
		t.giveUp(d, stat.IPInHdr)
		return nil, 0
	}
	var q packet.Queue
	q.Append(&d.frags)
	largest := uint16(min(d.largest, math.MaxUint16))
	t.forget(d)
	t.Stats.ReasmOKs.Inc()
	whole = join(&q)
	whole.FragMax = largest
	return whole, ecn
}

// mergeECN says which codepoint a datagram gets whose fragments had those in set:
// "the resulting packet has CE if any fragment has it", except that a mixture with
// Not-ECT is an error (RFC 3168 §5.3).
func mergeECN(set uint8) (ecn uint8, ok bool) {
	const notECT, ect1, ect0, ce = 1 << wire.ECNNotECT, 1 << wire.ECNECT1, 1 << wire.ECNECT0, 1 << wire.ECNCE
	switch {
	case set&notECT != 0:
		return wire.ECNNotECT, set == notECT
	case set&ce != 0:
		return wire.ECNCE, true
	case set == ect1:
		return wire.ECNECT1, true
	}
	return wire.ECNECT0, true
}

// join puts fragments in order together: by reference if that is possible, else
// with one copy.
func join(q *packet.Queue) *packet.Packet {
	first := q.Pop()
	refs, sound := first.Frags(), first.Csum == packet.CsumUnnecessary
	for x := q.Front(); x != nil; x = x.Next() {
		refs += x.Frags()
		if x.HeadLen() > 0 {
			refs = packet.MaxFrags + 1
		}
		sound = sound && x.Csum == packet.CsumUnnecessary
	}
	if refs > packet.MaxFrags {
		copyAll(first, q)
	} else {
		for x := q.Pop(); x != nil; x = q.Pop() {
			first.Join(x)
		}
	}
	first.Csum, first.CsumStart, first.CsumOffset = packet.CsumNone, 0, 0
	if sound {
		first.Csum = packet.CsumUnnecessary
	}
	first.GSO, first.GSOSize, first.GSOSegs = packet.GSONone, 0, 0
	return first
}

// copyAll puts the bytes of q, at most 64 KiB, behind the head of first, in one
// buffer.
func copyAll(first *packet.Packet, q *packet.Queue) {
	n := first.Len() - first.HeadLen()
	for x := q.Front(); x != nil; x = x.Next() {
		n += x.Len()
	}
	buf := first.Pool().Buf(n)
	at := first.CopyOut(first.HeadLen(), buf.Bytes()[:n])
	first.TrimBack(first.Len() - first.HeadLen())
	for x := q.Pop(); x != nil; x = q.Pop() {
		at += x.CopyOut(0, buf.Bytes()[at:n])
		x.Consume()
	}
	first.AddFrag(buf, 0, n)
}
