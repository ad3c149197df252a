package capture

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
)

// filterView is how many bytes a filter sees of a packet that is not all in its
// head.
const filterView = 512

// see copies a packet into the buffer if it is wanted. It is on the packet's path:
// it allocates nothing, and waits only for others who copy.
func (c *Capture) see(index int, pkt *packet.Packet, outgoing bool) {
	dir := In
	if outgoing {
		dir = Out
	}
	if c.opt.Direction != Unknown && c.opt.Direction != dir {
		return
	}
	c.seen[index].Inc()
	if !c.wanted(pkt) {
		return
	}
	field, sum := checksum(pkt)
	length := pkt.Len()
	n := min(length, c.opt.Snaplen)

	c.mu.Lock()
	wake := false
	if b := c.reserve(index, c.opt.Format.recordSize(n)); b != nil {
		data := c.opt.Format.putRecord(b, index, c.clock.Wall(), dir, n, length)
		pkt.CopyOut(0, data)
		if field >= 0 && field+2 <= n {
			binary.BigEndian.PutUint16(data[field:], sum)
		}
		wake = c.opt.Immediate || len(c.fill) >= c.opt.Buffer/2
		if !wake && len(c.fill) == len(b) {
			c.flush.ResetAfter(flushAfter) // the first record
		}
	}
	c.mu.Unlock()
	if wake {
		c.signal()
	}
}

// reserve returns n bytes of the buffer and counts the packet, or returns nil. mu is
// held.
func (c *Capture) reserve(index, n int) []byte {
	if c.closed {
		return nil
	}
	c.stats[index].Received++
	end := len(c.fill)
	if end+n > cap(c.fill) {
		c.stats[index].Dropped++
		return nil
	}
	c.written++
	c.fill = c.fill[:end+n]
	return c.fill[end:]
}

func (c *Capture) wanted(pkt *packet.Packet) bool {
	switch {
	case c.opt.Filter == nil:
		return true
	case pkt.Frags() == 0 || pkt.HeadLen() >= filterView:
		return c.opt.Filter(pkt.Head(), pkt.Len())
	}
	view := c.views.Get().(*[filterView]byte)
	defer c.views.Put(view)
	n := pkt.CopyOut(0, view[:])
	return c.opt.Filter(view[:n], pkt.Len())
}

// checksum returns the checksum that a packet with CsumPartial has on a medium, and
// its offset from the start of the data; -1 for other packets. A packet that is to be
// cut is shown whole, as Linux does, with the checksum that it would have so.
func checksum(pkt *packet.Packet) (field int, sum uint16) {
	if pkt.Csum != packet.CsumPartial {
		return -1, 0
	}
	from := int(pkt.CsumStart) - pkt.Offset()
	if from < 0 || from > pkt.Len() {
		return -1, 0
	}
	return from + int(pkt.CsumOffset), link.ChecksumFrom(pkt, from, 0).FinishAt(int(pkt.CsumOffset))
}
