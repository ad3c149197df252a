package nat64

import (
	"time"

	"github.com/knitnet/knit/wire"
)

// A tcpState is that of a TCP session (RFC 6146 §3.5.2.1).
type tcpState uint8

const (
	closed tcpState = iota
	v4Init
	v6Init
	established
	v4Fin
	v6Fin
	bothFin
	trans
)

var tcpStateNames = [...]string{
	closed: "CLOSED", v4Init: "V4_INIT", v6Init: "V6_INIT", established: "ESTABLISHED",
	v4Fin: "V4_FIN_RCV", v6Fin: "V6_FIN_RCV", bothFin: "V4_FIN_V6_FIN_RCV", trans: "TRANS",
}

// String returns the name that RFC 6146 gives the state.
func (s tcpState) String() string { return tcpStateNames[s] }

// A side is where a packet comes from.
type side uint8

const (
	from4 side = iota
	from6
)

// A life says what a packet does to a session's lifetime.
type life uint8

const (
	keepLife  life = iota
	transLife      // TCP_TRANS
	estLife        // TCP_EST
)

// next returns the state of a session after a packet, and what becomes of its
// lifetime (RFC 6146 §3.5.2.2). A session begins with a SYN in closed.
func (s tcpState) next(from side, flags uint8) (tcpState, life) {
	syn := flags&(wire.TCPSyn|wire.TCPRst) == wire.TCPSyn
	fin, rst := flags&wire.TCPFin != 0, flags&wire.TCPRst != 0
	switch s {
	case closed:
		if from == from6 {
			return v6Init, transLife
		}
		return v4Init, transLife
	case v4Init, v6Init:
		return s.opening(from, syn)
	case established:
		switch {
		case rst:
			return trans, transLife
		case fin && from == from4:
			return v4Fin, estLife
		case fin:
			return v6Fin, estLife
		}
		return established, estLife
	case v4Fin, v6Fin:
		if fin && (s == v4Fin) == (from == from6) {
			return bothFin, transLife
		}
		return s, estLife
	case trans:
		if !rst {
			return established, estLife
		}
	}
	return s, keepLife
}

// opening is next before the other side has sent its SYN, too.
func (s tcpState) opening(from side, syn bool) (tcpState, life) {
	other := s == v4Init && from == from6 || s == v6Init && from == from4
	switch {
	case syn && other:
		return established, estLife
	case syn && s == v6Init: // the first one again
		return s, transLife
	}
	return s, keepLife
}

// The least values that RFC 6146 §4 allows; UDP's and ICMP's are the defaults (§4).
const (
	udpMin          = 2 * time.Minute
	udpDefault      = 5 * time.Minute
	tcpTransMin     = 4 * time.Minute
	tcpEstMin       = 2*time.Hour + 4*time.Minute
	tcpIncomingSyn  = 6 * time.Second
	icmpDefault     = time.Minute
	longestLifetime = 30 * 24 * time.Hour
)

// timeouts are the lifetimes of sessions (RFC 6146 §4).
type timeouts struct{ udp, tcpEst, tcpTrans, icmp time.Duration }

// of returns the lifetime that a life means for TCP; 0 for none.
func (t *timeouts) of(l life) time.Duration {
	switch l {
	case transLife:
		return t.tcpTrans
	case estLife:
		return t.tcpEst
	}
	return 0
}
