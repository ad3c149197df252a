package conntrack

import "github.com/knitnet/knit/netfilter"

// maxAckWindow is how far behind acknowledgements may be when windows are small:
// retransmissions and reordering.
const maxAckWindow = 66000

// A claim is what a segment says about the streams of both ends.
type claim struct {
	seq, end  uint32
	ack, sack uint32 // sack: the highest octet that it acknowledges
	window    uint32 // scaled
	acks      bool   // ack counts
}

// inWindow holds a segment against what both ends have sent and offered, as van
// Rooij's "Real Stateful TCP Packet Filtering" derives it, and takes in what it
// says. For octets from seq to end of side a, with the other side b:
//
//	I    seq <= a.maxEnd                b has offered the room
//	II   end >= a.end - b.window        it is not older than a window
//	III  sack <= b.end                  it acknowledges what was sent
//	IV   sack >= b.end - max(a.window, maxAckWindow)
//
// What fails I or III nobody has sent who follows the rules. What fails II or IV is
// late: its receiver throws it away, and so it teaches nothing. A segment of a side
// that was picked up in the middle always passes: how its windows are scaled is not
// known.
func (c *tcpState) inWindow(d netfilter.Dir, s *tcpSeg) place {
	a, b := &c.sides[d], &c.sides[1-d]
	k := c.claimOf(a, b, s)
	switch {
	case a.window == 0:
		if a.meet(b, s, &k) {
			return within
		}
	case s.flags&tcpSYN != 0 && after(s.end, a.end) && (c.state == synSent || c.state == synRecv):
		// It has given up its first attempt and begins anew.
		if a.meet(b, s, &k) {
			return within
		}
	case b.window == 0 && b.flags&loose != 0 && s.flags&tcpACK != 0:
		b.end, b.maxEnd = k.sack, k.sack // of b nothing was seen yet
	}
	at := a.place(b, &k)
	if at == within {
		a.take(b, s, &k)
	}
	return at
}

// A place is where a segment lies with respect to the window.
type place uint8

const (
	within  place = iota
	late          // before it
	ahead         // behind it by so little that the other end may take it
	outside       // behind it, or it acknowledges what was not sent
)

func (c *tcpState) claimOf(a, b *side, s *tcpSeg) claim {
	k := claim{seq: s.seq, end: s.end, ack: s.ack, sack: s.ack, window: s.window, acks: s.flags&tcpACK != 0}
	if s.flags&tcpRST != 0 && s.ack == 0 {
		k.acks = false // some stacks set the flag and no number
	}
	if s.flags&tcpSYN == 0 { // a SYN's window is never scaled (RFC 7323 §2.2)
		k.window <<= a.shift(b)
	}
	switch {
	case !k.acks:
		k.ack, k.sack = b.end, b.end
	case a.flags&b.flags&sacks != 0:
		k.sack = highestSACK(s)
	}
	if s.flags&tcpRST != 0 && s.seq == 0 && c.state == synSent {
		k.seq, k.end = a.end, a.end // by a host that knows no connection
	}
	return k
}

// shift is a's shift count, which counts only if both sides scale.
func (a *side) shift(b *side) uint8 {
	if a.flags&b.flags&scales != 0 {
		return a.scale
	}
	return 0
}

// meet takes the first segment of side a, and reports whether there is nothing to
// hold it against.
func (a *side) meet(b *side, s *tcpSeg, k *claim) bool {
	if s.flags&tcpSYN != 0 {
		a.open(s)
		if s.flags&tcpACK != 0 && a.flags&b.flags&scales == 0 {
			// "Both sides MUST send Window Scale options in their <SYN> segments to enable
			// window scaling in either direction" (RFC 7323 §1.3). Who offers it in another
			// SYN later scales its own windows alone, as Linux is observed to take it.
			a.scale, b.scale = 0, 0
		}
		return s.flags&tcpACK == 0 // both sides open at once
	}
	// The beginning was not seen.
	a.end, a.window = s.end, max(k.window, 1)
	a.maxEnd = a.end + a.window
	switch {
	case b.window == 0:
		b.end, b.maxEnd = k.sack, k.sack
	case k.sack == b.end+1:
		b.end++ // the answer to a keep-alive probe
	}
	return false
}

// place holds a segment of side a against the four bounds.
func (a *side) place(b *side, k *claim) place {
	old := b.window != 0 && after(a.end-b.window, k.end)
	lateAck := after(b.end-max(a.window, maxAckWindow), k.sack)
	switch {
	case after(k.seq, a.maxEnd):
		// Some send a little more than they may. If the other end takes it, its
		// acknowledgements have to be believed.
		over := k.end - a.maxEnd + 1
		if b.window != 0 && !old && !lateAck && over <= b.window && !after(k.sack, b.end) {
			a.end = k.end
			a.flags |= unanswered
			return ahead
		}
		return outside
	case after(k.sack, b.end):
		return outside
	case old || lateAck:
		return late
	}
	return within
}

// take takes in what a segment of side a says.
func (a *side) take(b *side, s *tcpSeg, k *claim) {
	a.window = max(a.window, k.window+(k.sack-k.ack))
	if after(k.end, a.end) {
		a.end = k.end
		a.flags |= unanswered
	}
	if k.acks && (a.flags&acked == 0 || after(k.ack, a.maxAck)) {
		a.maxAck, a.flags = k.ack, a.flags|acked
	}
	if b.window != 0 && after(k.end, a.maxEnd) {
		b.window += k.end - a.maxEnd
	}
	if limit := k.sack + k.window; after(limit, b.maxEnd-1) {
		b.maxEnd = limit
		if k.window == 0 {
			b.maxEnd++ // room for a probe
		}
	}
	if k.ack == b.end {
		b.flags &^= unanswered
	}
}

// highestSACK returns the right edge of the highest block, or the ACK.
func highestSACK(s *tcpSeg) uint32 {
	high := s.ack
	for _, b := range s.opts.Blocks() {
		if after(b.Right, high) {
			high = b.Right
		}
	}
	return high
}

func after(a, b uint32) bool { return int32(a-b) > 0 }
