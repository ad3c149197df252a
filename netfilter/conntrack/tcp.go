package conntrack

import (
	"sync/atomic"
	"time"

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
	scales     sideFlags = 1 << iota // it has offered window scaling
	sacks                            // selective acknowledgements
	finFirst                         // its FIN was the first
	acked                            // maxAck is set
	loose                            // nothing is known of it: let anything pass
	unanswered                       // it has sent data that nobody has acknowledged
	challenge                        // of a remembered SYN: it was answered with an ACK
	unseen                           // segments of it have passed through a flowtable
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
	// Of the last segment if it was a SYN that is only remembered.
	lastScale uint8
	lastFlags sideFlags
	since     clock.Time // UDP: when the exchange began
}

// A tcpSeg is a segment as tracking sees it. Its window is not scaled.
type tcpSeg struct {
	seq, ack, end uint32
	window        uint32
	flags         uint16
	kind          kind
	opts          wire.TCPOptions
}

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

// unadjust turns acknowledgements of a stream whose length a helper has changed
// into what its sender has sent: segments are held against each other here before
// they are changed.
func (s *tcpSeg) unadjust(peer *netfilter.SeqAdjust) {
	if peer == nil || s.flags&tcpACK == 0 {
		return
	}
	s.ack = peer.Received(s.ack)
	for i, b := range s.opts.Blocks() {
		s.opts.Blocks()[i].Left, s.opts.Blocks()[i].Right = peer.Received(b.Left), peer.Received(b.Right)
	}
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
	switch s.kind {
	case kindSYN:
		e.tcp.sides[0].open(&s)
		return true
	case kindACK, kindFIN:
		if !t.loose.Load() || stateNone.next(netfilter.Original, s.kind) == bad {
			return false
		}
		e.tcp.pickUp(&s)
		return true
	}
	return false
}

// open takes the first SYN of a side.
func (a *side) open(s *tcpSeg) {
	*a = side{end: s.end, maxEnd: s.end, window: max(s.window, 1), flags: a.flags & finFirst}
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
	w := max(s.window, 1)
	c.sides[0] = side{end: s.end, maxEnd: s.end + w, window: w, flags: loose | sacks}
	c.sides[1] = side{flags: loose | sacks}
}

func followTCP(t *tracker, e *entry, p *look) outcome {
	var s tcpSeg
	if !p.readTCP(&s) {
		return invalid
	}
	if m := e.More.Load(); m != nil {
		s.unadjust(m.SeqAdjust[1-p.dir].Load())
	}
	c := &e.tcp
	next := c.state.next(p.dir, s.kind)
	switch {
	case next == synSent && c.state >= timeWait && c.state <= closed:
		if c.mayReopen(p.dir) {
			return reopen
		}
		next = ignore
	case next == timeWait && c.answersChallenge(p.dir, &s):
		next = ignore
	}
	switch {
	case next == bad:
		return invalid
	case next == ignore:
		if c.accepts(p.dir, &s) {
			next = c.resync(&s)
			break
		}
		c.remember(p.dir, &s)
		return fine
	}
	held := true // against the window
	if s.kind == kindRST {
		switch c.judgeReset(t, e, p.dir, &s) {
		case resetFalse:
			return invalid
		case resetDoubtful:
			next = c.state
		case resetAnswer:
			held = false
		}
	}
	if held {
		liberal := t.liberal.Load() || c.sides[p.dir].flags&loose != 0
		switch c.inWindow(p.dir, &s) {
		case late:
			if !liberal {
				return fine
			}
		case ahead:
			// When both sides have sent a SYN, the window that the other side has offered
			// begins behind this side's SYN, and is not counted yet: a reset in it is
			// acceptable (RFC 9293 §3.10.7.4).
			if !liberal && (s.kind != kindRST || c.state != synSent2) {
				return fine
			}
		case outside:
			if !liberal {
				c.doubt(t, e, p, s.kind)
				return invalid
			}
		}
	}
	return c.advance(t, e, p, &s, next)
}

// mayReopen reports whether a SYN begins a new connection in place of one that is
// over: that has been closed by FINs, or reset by the same side. Its other end
// judges the sequence number (RFC 9293 §3.6.1).
func (c *tcpState) mayReopen(d netfilter.Dir) bool {
	return (c.sides[0].flags|c.sides[1].flags)&finFirst != 0 || c.lastDir == d && c.kind == kindRST
}

// remember notes a segment that changes no state: its receiver answers it, and the
// answer shows who is right.
func (c *tcpState) remember(d netfilter.Dir, s *tcpSeg) {
	challenged := c.state == synSent && s.kind == kindACK || c.kind == kindSYN && d != c.lastDir && s.kind == kindACK
	c.note(d, s)
	c.lastScale, c.lastFlags = 0, 0
	if s.kind == kindSYN {
		var a side
		a.open(s)
		c.lastScale, c.lastFlags = a.scale, a.flags
	}
	if challenged {
		c.lastFlags |= challenge
	}
}

// accepts reports whether a SYN-ACK shows that its sender has taken a SYN which was
// only remembered: the host has forgotten the connection, and this is another one.
func (c *tcpState) accepts(d netfilter.Dir, s *tcpSeg) bool {
	return s.kind == kindSYNACK && c.kind == kindSYN && d != c.lastDir && s.ack == c.end
}

// resync makes the remembered SYN, which the other side has taken, the beginning of
// the connection.
func (c *tcpState) resync(*tcpSeg) state {
	a, b := &c.sides[c.lastDir], &c.sides[1-c.lastDir]
	w := max(uint32(c.window), 1)
	*a = side{end: c.end, maxEnd: c.end, window: w, scale: c.lastScale, flags: c.lastFlags &^ challenge}
	*b = side{}
	c.state = synSent
	return synRecv
}

// answersChallenge reports whether an ACK that seems to end LAST_ACK is the answer
// to a SYN which was let through (RFC 5961 §4.2).
func (c *tcpState) answersChallenge(d netfilter.Dir, s *tcpSeg) bool {
	return c.state == lastAck && s.kind == kindACK && c.lastDir != d && c.kind == kindSYN
}

// What a reset can be.
type resetKind uint8

const (
	resetTrue     resetKind = iota
	resetFalse              // nobody who knows the connection has sent it
	resetDoubtful           // in the window, but not exactly what its receiver expects
	resetAnswer             // true, and not held against the window
)

// judgeReset holds a reset against what its sender can know. Its receiver believes
// only the very sequence number that it expects next and answers others with a
// challenge (RFC 5961 §3.2); those leave the connection as it is.
func (c *tcpState) judgeReset(t *tracker, e *entry, d netfilter.Dir, s *tcpSeg) resetKind {
	if c.state >= finWait && c.state <= closed {
		return resetAnswer // it is closing: there is nothing left to protect
	}
	// Behind a SYN that was let through nobody knows which numbers count.
	if peer := &c.sides[1-d]; peer.flags&acked != 0 && c.kind != kindSYN {
		exact := s.seq == peer.maxAck
		follows := c.kind == kindACK && c.lastDir == d && s.seq == c.end // the last of a train
		switch {
		case after(peer.maxAck, s.seq) && !t.ignoreBadReset.Load():
			return resetFalse
		case c.state == established && e.Is(netfilter.Assured) && !exact && !follows:
			return resetDoubtful
		}
		return resetTrue
	}
	if c.sides[1-d].flags&unseen != 0 && c.state == established {
		return resetDoubtful // nobody here knows the numbers: its receiver does
	}
	answers := e.Is(netfilter.SeenReply) && c.kind == kindSYN || !e.Is(netfilter.Assured) && c.kind == kindACK
	// Who has sent a SYN answers what acknowledges something else with
	// <SEQ=SEG.ACK><CTL=RST> (RFC 9293 §3.10.7.3).
	refuses := c.state == synSent && c.kind == kindACK && c.lastDir != d && s.seq == c.ack
	if answers && s.ack == c.end || refuses {
		return resetAnswer
	}
	return resetTrue
}

// doubt notes a FIN or a reset outside the window. When both sides send such, the
// ends know more than is known here: the connection is as good as over, and must
// not stay for days.
func (c *tcpState) doubt(t *tracker, e *entry, p *look, k kind) {
	if k != kindRST && k != kindFIN || e.Status.Load()&(netfilter.Assured|netfilter.Fixed) != netfilter.Assured {
		return
	}
	if c.lastDir == p.dir || c.kind != kindRST && c.kind != kindFIN {
		c.lastDir, c.kind = p.dir, k
		return
	}
	if until := int64(p.now.Add(time.Duration(t.timeouts.tcpUnack.Load()))); until < e.Deadline.Load() {
		e.Deadline.Store(until)
	}
}

// advance moves the connection to its next state and renews its timeout.
func (c *tcpState) advance(t *tracker, e *entry, p *look, s *tcpSeg, next state) outcome {
	before := c.state
	c.note(p.dir, s)
	c.lastFlags = 0
	c.state = next
	if next == finWait && before != next {
		c.sides[p.dir].flags |= finFirst
	}
	if next != before {
		p.events |= netfilter.EventProtoInfo
	}
	e.renew(p.now, c.timeout(t, e, s))
	switch seen := e.Is(netfilter.SeenReply); {
	case !seen && s.kind == kindRST:
		return refused
	case seen && next == established && (before == synRecv || before == established):
		if e.set(netfilter.Assured) {
			p.events |= netfilter.EventAssured
		}
	}
	return fine
}

// timeout returns how long the connection lives without another segment: less when
// something is wrong with it.
func (c *tcpState) timeout(t *tracker, e *entry, s *tcpSeg) *atomic.Int64 {
	all := &t.timeouts
	d := &all.tcp[c.state]
	shorter := func(x *atomic.Int64) bool { return x.Load() < d.Load() }
	unacked := c.sides[0].flags&unanswered != 0 || c.sides[1].flags&unanswered != 0
	switch {
	case int64(c.repeats) >= t.maxRetrans.Load() && shorter(&all.tcpRetrans):
		d = &all.tcpRetrans
	case s.kind == kindRST:
		d = &all.tcp[closed]
	case unacked && shorter(&all.tcpUnack):
		d = &all.tcpUnack
	case c.window == 0 && shorter(&all.tcpRetrans):
		d = &all.tcpRetrans
	}
	if !e.Is(netfilter.SeenReply) && c.state == established && shorter(&all.tcpUnack) {
		d = &all.tcpUnack // picked up, and only one side was seen
	}
	return d
}

// note remembers a segment and counts repetitions.
func (c *tcpState) note(d netfilter.Dir, s *tcpSeg) {
	same := c.lastDir == d && c.seq == s.seq && c.ack == s.ack && c.end == s.end && c.window == uint16(s.window)
	switch {
	case s.kind != kindACK:
	case !same:
		c.repeats = 0
	case c.repeats < 255:
		c.repeats++
	}
	c.lastDir, c.seq, c.ack, c.end, c.window, c.kind = d, s.seq, s.ack, s.end, uint16(s.window), s.kind
}
