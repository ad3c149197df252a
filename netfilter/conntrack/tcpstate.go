package conntrack

import "github.com/knitnet/knit/netfilter"

// A state is the state of a TCP connection as somebody in the middle sees it.
type state uint8

// TCP states, under the names that conntrack prints.
const (
	stateNone state = iota
	synSent
	synRecv
	established
	finWait
	closeWait
	lastAck
	timeWait
	closed
	synSent2 // both sides have sent a SYN
	tcpStates
	ignore // a packet that changes nothing and is not held against the window
	bad    // a packet that cannot be
)

var stateNames = [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}

func (s state) String() string { return stateNames[s] }

// A segment kind is what flags make of a segment, the strongest first.
type kind uint8

const (
	kindRST kind = iota
	kindSYN
	kindSYNACK
	kindFIN
	kindACK
	kindNone // no flag that means anything
)

func kindOf(flags uint16) kind {
	switch {
	case flags&tcpRST != 0:
		return kindRST
	case flags&tcpSYN != 0 && flags&tcpACK != 0:
		return kindSYNACK
	case flags&tcpSYN != 0:
		return kindSYN
	case flags&tcpFIN != 0:
		return kindFIN
	case flags&tcpACK != 0:
		return kindACK
	}
	return kindNone
}

// next returns the state after a segment of a kind in a direction. What cannot be
// in a state is bad, or ignored where the end that gets it will set it right.
func (s state) next(d netfilter.Dir, k kind) state {
	switch k {
	case kindRST:
		if s == stateNone {
			return bad
		}
		return closed
	case kindSYN:
		return s.onSYN(d)
	case kindSYNACK:
		return s.onSYNACK(d)
	case kindFIN:
		return s.onFIN(d)
	case kindACK:
		return s.onACK(d)
	}
	return bad
}

// onSYN: a SYN begins a connection, again when it is repeated, also where an old
// one has ended. The opener may send one any time: its receiver answers with a
// challenge ACK (RFC 5961 §4). The other side has no reason to.
func (s state) onSYN(d netfilter.Dir) state {
	reply := d == netfilter.Reply
	switch s {
	case stateNone:
		if reply {
			return bad
		}
		return synSent
	case synSent:
		if reply {
			return synSent2
		}
		return synSent
	case synSent2:
		return synSent2
	case timeWait:
		return synSent
	case closed:
		if reply {
			return bad
		}
		return synSent
	}
	if reply {
		return bad
	}
	return ignore
}

// onSYNACK: the second step of the handshake comes from the other side, or from
// both if both have opened. Late ones of the other side are answered.
func (s state) onSYNACK(d netfilter.Dir) state {
	switch {
	case s == synSent2, s == synSent && d == netfilter.Reply, s == synRecv && d == netfilter.Original:
		return synRecv
	case s == stateNone, d == netfilter.Original:
		return bad
	}
	return ignore
}

// onFIN: the first FIN makes FIN_WAIT, the second LAST_ACK.
func (s state) onFIN(netfilter.Dir) state {
	switch s {
	case synRecv, established:
		return finWait
	case finWait, closeWait, lastAck:
		return lastAck
	case timeWait, closed:
		return s
	}
	return bad
}

// onACK: an ACK completes the handshake if it is the opener's, and acknowledges
// FINs.
func (s state) onACK(d netfilter.Dir) state {
	reply := d == netfilter.Reply
	switch s {
	case stateNone: // picked up in the middle
		if reply {
			return bad
		}
		return established
	case synSent, synSent2:
		if reply {
			return ignore // of an old connection; the opener will reset it
		}
		return bad
	case synRecv:
		if reply {
			return synRecv
		}
		return established
	case finWait:
		return closeWait
	case lastAck:
		return timeWait
	}
	return s
}
