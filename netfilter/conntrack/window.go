package conntrack

import "github.com/knitnet/knit/netfilter"

// maxAckWindow is how far behind acknowledgements may be when windows are small:
// retransmissions and reordering.
const maxAckWindow = 66000

// inWindow holds a segment against what both ends have sent and offered, as van
// Rooij's "Real Stateful TCP Packet Filtering" derives it, and takes in what it
// says. For data octets from s to e of side a, with the other side b:
//
//	I    s      <= a.maxEnd      b has offered the room
//	II   e      >= a.end - b.window   it is not older than a window
//	III  ack    <= b.end         it acknowledges what was sent
//	IV   ack    >= b.end - MAXACKWINDOW
func (c *tcpState) inWindow(d netfilter.Dir, s *tcpSeg, liberal bool) bool {
	a, b := &c.sides[d], &c.sides[1-d]
	if s.flags&tcpSYN != 0 {
		return c.synInWindow(d, s)
	}
	ack, sack := s.ack, s.ack
	if s.flags&tcpACK == 0 {
		ack, sack = b.end, b.end // a reset without: nothing to hold against
	} else if a.flags&sacks != 0 && b.flags&sacks != 0 {
		sack = highestSACK(s)
	}
	if s.flags&tcpRST != 0 && s.seq == 0 && c.state == synSent {
		s.seq, s.end = a.end, a.end // a reset by a host that knows no connection
	}
	if a.flags&loose == 0 && a.maxEnd == 0 && a.end == 0 { // its first segment is not its SYN
		a.end, a.maxEnd, a.window = s.end, s.end+1, max(s.window, 1)
	}
	if b.flags&loose != 0 && after(sack, b.end) {
		b.end = sack
	}
	window := s.window << a.scaleFor(b)
	if !c.within(a, b, s, ack, sack, window) {
		if !liberal {
			return false
		}
	}
	c.take(a, b, s, ack, sack, window)
	return true
}

// scaleFor is a's shift count, which counts only if both sides scale.
func (a *side) scaleFor(b *side) uint8 {
	if a.flags&scales != 0 && b.flags&scales != 0 {
		return a.scale
	}
	return 0
}

func (c *tcpState) within(a, b *side, s *tcpSeg, ack, sack, window uint32) bool {
	if a.flags&loose != 0 || b.flags&loose != 0 {
		return true
	}
	room := max(b.window, maxAckWindow)
	return !after(s.seq, a.maxEnd+1) &&
		!after(a.end-b.window-1, s.end) &&
		!after(sack, b.end) &&
		!after(b.end-room, ack)
}

// take takes in what a segment of side a says.
func (c *tcpState) take(a, b *side, s *tcpSeg, ack, sack, window uint32) {
	a.window = max(a.window, window+(sack-ack))
	if after(s.end, a.end) {
		a.end = s.end
	}
	if s.flags&tcpACK != 0 {
		if a.flags&acked == 0 || after(ack, a.maxAck) {
			a.maxAck, a.flags = ack, a.flags|acked
		}
		if limit := sack + max(window, 1); after(limit, b.maxEnd) {
			b.maxEnd = limit
		}
	}
	if after(s.end, a.maxEnd) && (a.flags|b.flags)&loose != 0 {
		a.maxEnd = s.end
	}
}

// synInWindow takes in a SYN. The second one, of the other side, has to acknowledge
// the first if it acknowledges anything.
func (c *tcpState) synInWindow(d netfilter.Dir, s *tcpSeg) bool {
	a, b := &c.sides[d], &c.sides[1-d]
	if s.flags&tcpACK != 0 && b.flags&loose == 0 && (after(s.ack, b.end) || s.ack == b.end-1) && s.ack != b.end {
		return false
	}
	if a.flags&loose != 0 || a.maxEnd == 0 || s.kind == kindSYN || c.state == synSent || c.state == synSent2 {
		a.open(s)
		a.maxEnd = s.end + b.window
	}
	if s.flags&tcpACK != 0 {
		a.maxAck, a.flags = s.ack, a.flags|acked
		b.maxEnd = s.ack + max(s.window, 1) // a SYN's window is not scaled (RFC 7323 §2.2)
		if a.flags&scales == 0 || b.flags&scales == 0 {
			a.scale, b.scale = 0, 0
		}
	}
	return true
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
