// Package tcb is the Transmission Control Protocol (RFC 9293) as a pure state
// machine: the transmission control block of one connection.
//
// Time and segments go in, segments and events come out. The package has no
// clock, lock, goroutine, channel or I/O, and no global state. The shell
// around it, package tcp, owns those: it finds the TCB of a packet, holds the
// connection's lock, turns Segments into wire bytes and back, and keeps the
// bytes of the send buffer.
//
// The shell pulls. After every Input, Timer or call of the application it
//
//  1. calls Output until it returns false, and sends what it returns;
//  2. takes Events, TakeAcked and the Ready queue;
//  3. arms its one timer for Deadline, or, in TIME-WAIT, replaces the TCB by its
//     TimeWaitBlock.
//
// A TCB counts octets of the send buffer by sequence number: the payload of an
// output segment is octets [Seq, Seq+Len), and the first octet of the stream is
// FirstSeq.
package tcb

import (
	"syscall"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/transport/tcp/cc"
)

// A TCB is one connection. The zero value is closed; Connect, Accept or
// AcceptCookie open it, once. All methods need the same lock held. Names follow
// RFC 9293 §3.3.1 where it has one: una is SND.UNA and so on.
type TCB struct {
	// Ready is the payload that arrived in order. The shell drains it, and
	// says with Consumed when the application has read.
	Ready packet.Queue

	// MaxSegment bounds the payload of one Output: how much the device can cut
	// itself. At less than one MSS nobody cuts. The shell may change it at any
	// time, when the route changes.
	MaxSegment uint32

	state  State
	phase  phase
	events Events
	flags  flags
	out    out

	// Sending. Everything before una is acknowledged, before nxt was sent,
	// before end is queued; the FIN, when there will be one, is at end.
	iss, una, nxt, end Seq
	wl1, wl2           Seq    // SND.WL1, SND.WL2
	sndWnd             uint32 // SND.WND in bytes
	maxWnd             uint32 // the largest window that the peer ever offered
	smallEnd           Seq    // end of the last segment below one MSS (Minshall's Nagle)
	acked              uint32 // for TakeAcked

	// Receiving.
	guard
	irs      Seq
	rcvAcked Seq    // Last.ACK.sent of RFC 7323 §4.3
	rcvFin   Seq    // of the peer's FIN, when flagFinSeen
	rcvUp    Seq    // RCV.UP, when flagUrgent
	reply    Seq    // number of the reset that outReply asks for
	rcvBuf   uint32 // bytes that may be unread
	unread   uint32 // bytes in Ready or with the socket
	sndShift uint8
	rcvShift uint8
	quick    uint8 // segments still to be acknowledged at once

	// Segment sizes.
	overhead uint8
	mss      uint16 // payload of a full-sized segment, without SACK
	peerMSS  uint16
	ourMSS   uint16
	rmss     uint16 // the largest segment the peer sent lately, for delayed ACK
	mtu      uint32

	// Timestamps (RFC 7323).
	tsOffset uint32

	// Congestion and loss.
	win     cc.Window
	alg     cc.Algorithm
	plain   plain
	dupAcks uint8
	retries uint8  // expiries of the timer since the peer was last heard
	backoff uint8  // doublings of the persist timer
	recover Seq    // RecoveryPoint
	highRxt Seq    // everything before it that was lost is retransmitted
	lostTo  Seq    // what is before it and not SACKed is lost
	rescued Seq    // RescueRxt of RFC 6675 §4: no second rescue before it is acknowledged
	sacked  uint32 // bytes above una known to have arrived
	lost    uint32 // bytes of [una, lostTo) not SACKed
	rtxOut  uint32 // bytes of [una, highRxt) not SACKed: retransmitted
	sb      *scoreboard
	undo    undo
	rx      *reassembly

	// Round trip (RFC 6298).
	rttvar time.Duration
	rto    time.Duration
	rttSeq Seq // end of the segment that is timed, when flagTiming
	rttAt  clock.Time

	// Timers; zero means off.
	rtoAt   clock.Time // retransmission, or persist when nothing is in flight
	ackAt   clock.Time // delayed ACK
	aliveAt clock.Time // keepalive
	closeAt clock.Time // FIN-WAIT-2, linger

	lastRecv clock.Time
	lastSend clock.Time // of data
	progress clock.Time // since when the oldest octet waits to be acknowledged

	tune drs
	opt  *options
	cfg  *Config
	stat counters

	errno, soft uint32
}

// options are settings that few connections have.
type options struct {
	alive       KeepAlive
	probes      uint8      // keepalive probes since the peer was last heard
	probeAt     clock.Time // of the last probe
	userTimeout time.Duration
}

// KeepAlive says when an idle connection is probed (RFC 9293 §3.8.4). The zero
// value is off.
type KeepAlive struct {
	Idle     time.Duration // silence before the first probe
	Interval time.Duration // between probes
	Count    int           // unanswered probes before the connection is given up
}

// flags are the yes-or-no state of a connection.
type flags uint32

const (
	flagActive       flags = 1 << iota // opened by Connect
	flagTimestamps                     // negotiated
	flagSACK                           // negotiated
	flagWScale                         // negotiated
	flagNoDelay                        // Nagle off
	flagCork                           // only full segments
	flagSmall                          // smallEnd counts
	flagFin                            // a FIN follows the queued data
	flagNoRead                         // Close: nobody will read what comes
	flagFinSeen                        // rcvFin counts
	flagUrgent                         // rcvUp counts
	flagTiming                         // rttSeq and rttAt count
	flagCwndLimited                    // the window held the sender back
	flagSynRexmit                      // our SYN or SYN-ACK was retransmitted
	flagPersist                        // rtoAt is the persist timer
	flagFirstRexmit                    // the retransmission that opens recovery is due
	flagDrsMeasuring                   // tune has begun
	flagRescue                         // rescued counts
	flagUndo                           // undo counts: the loss may yet turn out to be spurious
	flagForce                          // the next segment ignores SWS avoidance
	flagRcvBufFixed                    // no autotuning of rcvBuf
)

func (t *TCB) has(f flags) bool { return t.flags&f != 0 }

func (t *TCB) setFlag(f flags, on bool) {
	if on {
		t.flags |= f
	} else {
		t.flags &^= f
	}
}

// State returns the state.
func (t *TCB) State() State { return t.state }

// Events returns what happened since the last call, and forgets it.
func (t *TCB) Events() Events {
	e := t.events
	t.events = 0
	return e
}

// Err returns why the connection died, a syscall.Errno such as ECONNREFUSED,
// ECONNRESET or ETIMEDOUT; nil while it lives or when it closed in order.
func (t *TCB) Err() error {
	if t.errno == 0 {
		return nil
	}
	return syscall.Errno(t.errno)
}

// WriteErr returns why the application may not write: EPIPE after Shutdown or
// Close, Err when the connection died; nil when it may.
func (t *TCB) WriteErr() error {
	switch {
	case t.errno != 0:
		return syscall.Errno(t.errno)
	case t.has(flagFin) || t.state == Closed || t.state == TimeWait:
		return syscall.EPIPE
	}
	return nil
}

// PeerClosed reports whether the peer's FIN has arrived in order: what is in
// Ready and unread is all that there will be.
func (t *TCB) PeerClosed() bool { return t.has(flagFinSeen) && t.rcvNxt.After(t.rcvFin) }

// FirstSeq returns the sequence number of the first octet that is sent, from
// which the shell derives the place of a segment in the send buffer.
func (t *TCB) FirstSeq() Seq { return t.iss + 1 }

// MSS returns the largest payload of one segment on the wire.
func (t *TCB) MSS() int { return int(t.mss) }

// Queued returns the octets in the send buffer: not sent or not acknowledged.
func (t *TCB) Queued() int { return t.end.Sub(maxSeq(minSeq(t.una, t.end), t.iss+1)) }

// Unsent returns the queued octets that have never been sent.
func (t *TCB) Unsent() int { return max(0, t.end.Sub(maxSeq(t.nxt, t.iss+1))) }

// Unread returns the octets that arrived in order and were not Consumed.
func (t *TCB) Unread() int { return int(t.unread) }
