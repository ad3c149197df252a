package frag

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// What a datagram and a fragment cost besides their bytes: roughly the memory of
// the structures. Tiny fragments would be free otherwise.
const (
	datagramCost = 256
	fragmentCost = 1024
)

// A piece is a fragment as the table sees it.
type piece struct {
	Key
	off, end int  // of its payload in the datagram's, in bytes
	more     bool // it is not the last one
	header   int  // bytes in front of its payload
	ecn      uint8
}

// add takes a fragment and returns the datagram, if that makes it complete: the
// headers of the first fragment, then all payload. p's payload is not empty, and
// ends at 65535 at most.
func (t *Table) add(pkt *packet.Packet, p *piece) (whole *packet.Packet, ecn uint8) {
	t.Stats.ReasmReqds.Inc()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		pkt.Drop(stat.ModuleUnload)
		return nil, 0
	}
	d := t.waiting[p.Key]
	if d == nil {
		d = t.start(p.Key)
	}
	t.checkDistance(d)
	switch d.insert(pkt, p, t.params.MaxFragments) {
	case duplicate:
		pkt.Drop(stat.DupFrag)
		return nil, 0
	case illegal:
		pkt.Drop(stat.DupFrag)
		t.condemn(d)
		return nil, 0
	}
	t.charge(d, pkt.Len()+fragmentCost)
	if d.have == d.total {
		return t.finish(d)
	}
	t.shrink()
	return nil, 0
}

// start makes a datagram.
func (t *Table) start(k Key) *datagram {
	d := t.spareDatagrams.get()
	*d = datagram{key: k, total: -1, arrived: t.clock.Now(), prev: t.newest}
	if d.prev == nil {
		t.oldest = d
	} else {
		d.prev.next = d
	}
	t.newest = d
	t.waiting[k] = d
	d.src = t.source(k.Src)
	d.src.n++
	d.at = d.src.seen
	t.charge(d, datagramCost)
	if t.oldest == d {
		t.arm()
	}
	return d
}

func (t *Table) source(a netip.Addr) *source {
	if a.Is6() {
		p, _ := a.Prefix(64) // who has one address of it has all
		a = p.Addr()
	}
	s := t.sources[a]
	if s == nil {
		s = t.spareSources.get()
		*s = source{addr: a}
		t.sources[a] = s
	}
	return s
}

func (t *Table) charge(d *datagram, n int) {
	d.cost += n
	d.src.bytes += n
	t.bytes += n
}

// checkDistance counts one more fragment, and gives up the earlier ones of its
// datagram when the source has sent too many others since.
func (t *Table) checkDistance(d *datagram) {
	d.src.seen++
	far := d.src.seen - d.at
	d.at = d.src.seen
	if t.params.MaxDist > 0 && far > uint32(t.params.MaxDist) && !d.frags.Empty() {
		t.Stats.ReasmFails.Inc()
		t.empty(d, stat.FragTooFar)
	}
}

// empty drops what d holds, so that it begins anew.
func (t *Table) empty(d *datagram, why stat.Reason) {
	d.frags.Drop(why)
	d.have, d.total, d.largest, d.ecn = 0, -1, 0, 0
	t.charge(d, datagramCost-d.cost)
}

// condemn drops what d holds and will come of it: "the datagram (and any
// constituent fragments, including those not yet received) MUST be silently
// discarded" (RFC 5722 §4).
func (t *Table) condemn(d *datagram) {
	if !d.condemned {
		t.Stats.ReasmFails.Inc()
	}
	t.empty(d, stat.DupFrag)
	d.condemned = true
}

// forget takes d, whose fragments are gone, out of the table.
func (t *Table) forget(d *datagram) {
	t.charge(d, -d.cost)
	delete(t.waiting, d.key)
	if d.prev == nil {
		t.oldest = d.next
	} else {
		d.prev.next = d.next
	}
	if d.next == nil {
		t.newest = d.prev
	} else {
		d.next.prev = d.prev
	}
	s := d.src
	if s.n--; s.n == 0 {
		delete(t.sources, s.addr)
		t.spareSources.put(s)
	}
	t.spareDatagrams.put(d)
}

// giveUp drops d with its fragments.
func (t *Table) giveUp(d *datagram, why stat.Reason) {
	if !d.condemned {
		t.Stats.ReasmFails.Inc()
	}
	d.frags.Drop(why)
	t.forget(d)
}

// What insert found.
type outcome uint8

const (
	taken outcome = iota
	duplicate
	illegal // overlaps others or contradicts them
)

// insert puts a fragment in its place among the others.
func (d *datagram) insert(pkt *packet.Packet, p *piece, most int) outcome {
	if d.condemned {
		return illegal
	}
	prev, o := d.place(uint32(p.off), uint32(p.end))
	switch {
	case o != taken:
		return o
	case d.frags.Len() >= most,
		d.total >= 0 && (p.end > d.total || !p.more),
		!p.more && !d.frags.Empty() && d.frags.Back().End > uint32(p.end):
		return illegal
	}
	if !p.more {
		d.total = p.end
	}
	pkt.Seq, pkt.End = uint32(p.off), uint32(p.end)
	if p.off > 0 {
		pkt.TrimFront(p.header)
	}
	d.frags.InsertAfter(prev, pkt)
	d.have += p.end - p.off
	d.largest = max(d.largest, p.header+p.end-p.off)
	d.ecn |= 1 << (p.ecn & wire.ECNMask)
	return taken
}

// place finds the fragment behind which one from off to end belongs. Usually it
// is the last.
func (d *datagram) place(off, end uint32) (prev *packet.Packet, o outcome) {
	if last := d.frags.Back(); last != nil && last.End <= off {
		return last, taken
	}
	for x := d.frags.Front(); x != nil && x.Seq < end; x = x.Next() {
		switch {
		case x.Seq == off && x.End == end:
			return nil, duplicate
		case x.End > off:
			return nil, illegal
		}
		prev = x
	}
	return prev, taken
}
