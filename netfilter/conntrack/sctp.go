package conntrack

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
)

// An sctpState is what is known of an SCTP association (RFC 9260).
type sctpState struct {
	// tags are the verification tags of the packets of each direction, which their
	// receiver has chosen; 0: not known.
	tags  [2]uint32
	state assoc
}

const (
	sctpHeaderLen = netfilter.SCTPHeaderLen
	chunkLen      = 4 // of a chunk's header
	initLen       = 20
	// reflected is the flag T of ABORT and SHUTDOWN COMPLETE: the tag is that of the
	// packet that is answered, as its sender knows no other (RFC 9260 §8.5.1).
	reflected = 1
	// maxChunks is how many chunks of a packet are looked at. Those that matter come
	// first.
	maxChunks = 16
)

// A chunk is the header of a chunk, and the tag in it if it is INIT or INIT ACK.
type chunk struct {
	typ, flags uint8
	initTag    uint32
}

// chunksOf reads the chunks' headers of a packet into list; ok is false if the chain is
// broken or has none.
func (p *look) chunksOf(list *[maxChunks]chunk) (n int, ok bool) {
	at, end := p.off+sctpHeaderLen, p.pkt.Len()
	for n < maxChunks && at < end {
		var b [initLen]byte
		got := p.pkt.CopyOut(at, b[:min(len(b), end-at)])
		length := int(binary.BigEndian.Uint16(b[2:]))
		if got < chunkLen || length < chunkLen || length > end-at {
			return n, false
		}
		c := chunk{typ: b[0], flags: b[1]}
		if c.typ == chunkInit || c.typ == chunkInitAck {
			if length < initLen {
				return n, false
			}
			c.initTag = binary.BigEndian.Uint32(b[4:])
		}
		list[n] = c
		n++
		at += (length + 3) &^ 3
	}
	return n, n > 0 && bundled(list[:n])
}

// bundled reports whether chunks may stand in one packet: INIT, INIT ACK and SHUTDOWN
// COMPLETE are alone (RFC 9260 §6.10), and those with cookies first (§5.1).
func bundled(list []chunk) bool {
	for i, c := range list {
		switch c.typ {
		case chunkInit, chunkInitAck, chunkShutdownComplete:
			if len(list) > 1 {
				return false
			}
		case chunkCookieEcho, chunkCookieAck:
			if i > 0 {
				return false
			}
		}
	}
	return true
}

func (p *look) tag() uint32 {
	var b [4]byte
	p.pkt.CopyOut(p.off+4, b[:])
	return binary.BigEndian.Uint32(b[:])
}

// beginSCTP looks at the first packet.
func beginSCTP(p *look) bool {
	var list [maxChunks]chunk
	n, ok := p.chunksOf(&list)
	return ok && n > 0 && assocBegun(list[0].typ) != assocBad && (list[0].typ != chunkInit || list[0].initTag != 0)
}

func followSCTP(t *tracker, e *entry, p *look) outcome {
	var list [maxChunks]chunk
	n, ok := p.chunksOf(&list)
	if !ok {
		return invalid
	}
	tag, now := p.tag(), e.sctp
	for _, c := range list[:n] {
		if !now.take(p.dir, tag, c) {
			return invalid
		}
	}
	if now.state != e.sctp.state {
		p.events |= netfilter.EventProtoInfo
	}
	came := e.sctp.state
	e.sctp = now
	e.renew(p.now, &t.timeouts.sctp[now.state])
	if now.state == assocEstablished && came != now.state && e.set(netfilter.Assured) {
		p.events |= netfilter.EventAssured
	}
	return fine
}

// take takes a chunk in, unless the tag of its packet shows that its sender does not
// know the association (RFC 9260 §8.5).
func (a *sctpState) take(d netfilter.Dir, tag uint32, c chunk) bool {
	came := d
	switch c.typ {
	case chunkInit:
		if tag != 0 {
			return false
		}
	case chunkAbort, chunkShutdownComplete:
		if c.flags&reflected != 0 {
			d = 1 - d
		}
		if tag != a.tags[d] {
			return false
		}
	case chunkHeartbeat, chunkHeartbeatAck, chunkShutdownAck:
		return a.takeUp(d, tag, c)
	default:
		if tag != a.tags[d] {
			return false
		}
	}
	if c.initTag != 0 {
		a.tags[1-came] = c.initTag
	}
	return a.advance(came, c.typ)
}

// advance reports whether a chunk can be in the state, and moves it.
func (a *sctpState) advance(d netfilter.Dir, chunk uint8) bool {
	next := a.state.next(d, chunk)
	if next == assocBad {
		return false
	}
	a.state = next
	return true
}

// takeUp is take for chunks that come where nobody has seen the beginning, as an
// association has several paths. A heartbeat tells the tag if it is not known. One with
// another tag may be of an association that began anew on another path (RFC 9260 §5.2.4);
// its receiver knows.
func (a *sctpState) takeUp(d netfilter.Dir, tag uint32, c chunk) bool {
	known := a.tags[d] != 0
	switch {
	case c.typ == chunkShutdownAck && a.state == assocNone:
		a.tags[1-d] = tag // who knows no association reflects it (RFC 9260 §8.4)
	case c.typ == chunkShutdownAck:
		if known && tag != a.tags[d] {
			return false
		}
	case !known:
		a.tags[d] = tag
	case tag != a.tags[d]:
		return c.typ == chunkHeartbeat
	}
	return a.advance(d, c.typ)
}

// sctpSum reports whether the checksum of an SCTP packet is right.
func sctpSum(pkt *packet.Packet, off int) bool {
	sum, ok := netfilter.SCTPChecksum(pkt, off)
	return ok && sum == binary.LittleEndian.Uint32(pkt.Head()[off+8:])
}
