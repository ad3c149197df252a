package conntrack

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

const (
	tcpFIN = wire.TCPFin
	tcpSYN = wire.TCPSyn
	tcpRST = wire.TCPRst
	tcpACK = wire.TCPAck
)

// A side is what is known of one end of a TCP connection: what it has sent, and
// how much it may.
type side struct {
	end    uint32 // sequence number after the last octet sent, SYN and FIN included
	maxEnd uint32 // the most that the other end allows: its ACK plus its window
	window uint32 // the largest it has offered, scaled
	maxAck uint32 // the highest it has acknowledged
	scale  uint8
	flags  sideFlags
}

type sideFlags uint8

const (
	scales  sideFlags = 1 << iota // it has offered window scaling
	sacks                         // selective acknowledgements
	finSent                       // it has sent a FIN
	acked                         // maxAck is set
	loose                         // nothing is known of it: let anything pass
)

// A tcpState is the state of a TCP connection.
type tcpState struct {
	sides   [2]side
	state   state
	lastDir netfilter.Dir
	kind    kind  // of the last segment
	repeats uint8 // of the same segment in a row
	// Of the last segment, to recognise a repetition.
	seq, ack, end uint32
	window        uint16
	since         clock.Time // UDP: when the exchange began
}

// A tcpSeg is a segment as tracking sees it. Its window is not scaled.
type tcpSeg struct {
	seq, ack, end uint32
	window        uint32
	flags         uint16
	kind          kind
	opts          wire.TCPOptions
}

var tcpProtocol = protocol{name: "tcp", number: wire.ProtoTCP, begin: beginTCP, follow: followTCP}

// readTCP reads the segment, without its data.
func (p *look) readTCP(s *tcpSeg) bool {
	if !p.pkt.Ensure(p.off + wire.TCPLen) {
		return false
	}
	n := int(p.pkt.Head()[p.off+12]>>4) * 4
	if n < wire.TCPLen || !p.pkt.Ensure(p.off+n) {
		return false
	}
	h, ok := wire.ParseTCP(p.pkt.Head()[p.off:])
	if !ok {
		return false
	}
	s.seq, s.ack, s.window, s.flags = h.Seq(), h.Ack(), uint32(h.Window()), h.Flags()
	s.kind = kindOf(s.flags)
	s.end = s.seq + uint32(p.pkt.Len()-p.off-n)
	if s.flags&tcpSYN != 0 {
		s.end++
	}
	if s.flags&tcpFIN != 0 {
		s.end++
	}
	s.opts = wire.TCPOptions{}
	s.opts.Parse(h.Options())
	return validFlags(s.flags)
}

// validFlags refuses combinations that no end sends (RFC 9293 §3.10.7): those probe
// for reactions.
func validFlags(flags uint16) bool {
	switch flags & (tcpFIN | tcpSYN | tcpRST | tcpACK) {
	case tcpSYN, tcpSYN | tcpACK, tcpRST, tcpRST | tcpACK, tcpFIN | tcpACK, tcpACK:
		return true
	}
	return false
}

func beginTCP(t *tracker, e *entry, p *look) bool {
	var s tcpSeg
	if !p.readTCP(&s) {
		return false
	}
	next := stateNone.next(netfilter.Original, s.kind)
	switch {
	case next >= tcpStates:
		return false
	case s.kind == kindSYN:
		e.tcp.sides[0].open(&s)
		return true
	case !t.loose.Load() || s.kind != kindACK && s.kind != kindFIN:
		return false
	}
	e.tcp.pickUp(&s)
	return true
}

// open takes the first SYN of a side.
func (a *side) open(s *tcpSeg) {
	*a = side{end: s.end, maxEnd: s.end, window: max(s.window, 1)}
	a.takeOptions(s)
}

// takeOptions reads the options that only SYNs have.
func (a *side) takeOptions(s *tcpSeg) {
	if s.opts.Present.Has(wire.TCPHasWindowScale) {
		a.flags |= scales
		a.scale = min(s.opts.WindowScale, 14) // RFC 7323 §2.3
	}
	if s.opts.Present.Has(wire.TCPHasSACKPermitted) {
		a.flags |= sacks
	}
}

// pickUp begins in the middle of a connection. How windows are scaled cannot be
// known any more, so it believes both ends.
func (c *tcpState) pickUp(s *tcpSeg) {
	a, b := &c.sides[0], &c.sides[1]
	*a = side{end: s.end, maxEnd: s.end + max(s.window, 1), window: max(s.window, 1), maxAck: s.ack, flags: loose | acked}
	*b = side{end: s.ack, maxEnd: s.ack + max(s.window, 1), window: 1, flags: loose}
}

func followTCP(t *tracker, e *entry, p *look) outcome {
	var s tcpSeg
	if !p.readTCP(&s) {
		return invalid
	}
	c := &e.tcp
	next := c.state.next(p.dir, s.kind)
	switch {
	case next == bad:
		return invalid
	case next == ignore:
		return c.remember(p.dir, &s)
	case next == synSent && (c.state == timeWait || c.state == closed):
		return c.mayReopen(p.dir, &s)
	}
	if s.kind == kindRST && !c.believeReset(p.dir, &s) {
		return invalid
	}
	if !c.inWindow(p.dir, &s, t.liberal.Load()) {
		return invalid
	}
	c.advance(t, e, p, &s, next)
	return fine
}

// remember notes a segment that changes no state: its receiver answers it, and the
// answer shows who is right.
func (c *tcpState) remember(d netfilter.Dir, s *tcpSeg) outcome {
	c.note(d, s)
	return fine
}

// mayReopen lets a SYN begin anew after a connection has ended, unless it is an old
// duplicate (RFC 9293 §3.6.1).
func (c *tcpState) mayReopen(d netfilter.Dir, s *tcpSeg) outcome {
	if c.state == closed || int32(s.seq-c.sides[d].end) > 0 || s.opts.Present.Has(wire.TCPHasTimestamps) {
		return reopen
	}
	return invalid
}

// believeReset holds a reset against what its sender can know: an attacker has to
// guess the sequence number (RFC 5961 §3.2). One that answers a SYN has to
// acknowledge it.
func (c *tcpState) believeReset(d netfilter.Dir, s *tcpSeg) bool {
	peer := &c.sides[1-d]
	if c.state == synSent && d == netfilter.Reply {
		return s.flags&tcpACK != 0 && s.ack == peer.end
	}
	if peer.flags&acked == 0 {
		return true
	}
	return int32(s.seq-peer.maxAck) >= 0
}

// advance moves the connection to its next state and renews its timeout.
func (c *tcpState) advance(t *tracker, e *entry, p *look, s *tcpSeg, next state) {
	before := c.state
	c.note(p.dir, s)
	c.state = next
	if s.kind == kindFIN {
		c.sides[p.dir].flags |= finSent
	}
	if next != before && e.Is(netfilter.Confirmed) {
		t.tell(netfilter.EventProtoInfo, e)
	}
	if next == established && before == synRecv || before == established && e.Is(netfilter.SeenReply) {
		if e.set(netfilter.Assured) {
			t.tell(netfilter.EventAssured, e)
		}
	}
	d := &t.timeouts.tcp[next]
	unanswered := c.sides[1-p.dir].flags&acked != 0 && c.sides[1-p.dir].maxAck != c.sides[p.dir].end
	switch {
	case c.repeats >= maxRepeats && t.timeouts.tcpRetrans.Load() < d.Load():
		d = &t.timeouts.tcpRetrans
	case s.kind == kindRST:
		d = &t.timeouts.tcp[closed]
	case unanswered && t.timeouts.tcpUnack.Load() < d.Load():
		d = &t.timeouts.tcpUnack
	case !e.Is(netfilter.SeenReply) && next == established && t.timeouts.tcpUnack.Load() < d.Load():
		d = &t.timeouts.tcpUnack // picked up, and only one side was seen
	}
	e.renew(p.now, d)
}

// maxRepeats is how often a segment is repeated before its connection is thought
// to be dead (net.netfilter.nf_conntrack_tcp_max_retrans).
const maxRepeats = 3

// note remembers a segment and counts repetitions.
func (c *tcpState) note(d netfilter.Dir, s *tcpSeg) {
	same := c.lastDir == d && c.seq == s.seq && c.ack == s.ack && c.end == s.end && c.window == uint16(s.window) && c.kind == s.kind
	switch {
	case !same:
		c.repeats = 0
	case s.kind == kindACK && c.repeats < 255:
		c.repeats++
	}
	c.lastDir, c.seq, c.ack, c.end, c.window, c.kind = d, s.seq, s.ack, s.end, uint16(s.window), s.kind
}
