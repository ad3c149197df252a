// Package cc is the contract between TCP and its congestion controls.
//
// A congestion control is a module that registers a constructor in the
// kernel's Table. Every connection owns one Algorithm, which turns news about
// the connection (bytes acknowledged, loss, a timeout) into a congestion
// window. Everything is counted in bytes (RFC 3465), never in segments.
//
// What belongs to TCP and not here: when a loss is a loss (RFC 6675, RFC
// 6298), what is sent next, and the arithmetic of what is in flight.
package cc

import (
	"time"

	"github.com/knitnet/knit/core/clock"
)

// Symbol is the name of the kernel symbol that holds the *Table.
const Symbol = "tcp.cc"

// NoThreshold is the slow start threshold of a connection that has not yet
// met congestion: "arbitrarily high" (RFC 5681 §3.1).
const NoThreshold = 1<<31 - 1

// MaxWindow is the largest congestion window in bytes. RFC 7323 §2.3 limits
// the peer's window to a gigabyte, so a larger one would never be used.
const MaxWindow = 1 << 30

// A Window is what a congestion control reads and writes of its connection.
// The connection owns it and hands it to each call; an Algorithm does not keep
// the pointer.
type Window struct {
	Cwnd     uint32 // congestion window in bytes
	Ssthresh uint32 // slow start threshold in bytes
	MSS      uint32 // payload bytes of a full-sized segment; read only
	Initial  uint32 // initial window in bytes (RFC 6928); read only

	SRTT   time.Duration // smoothed round trip; 0 before the first sample; read only
	MinRTT time.Duration // smallest sample; 0 before the first; read only
}

// SlowStart reports whether the window is below the threshold, where it grows
// exponentially (RFC 5681 §3.1).
func (w *Window) SlowStart() bool { return w.Cwnd < w.Ssthresh }

// An Ack is the news of one acknowledgement.
type Ack struct {
	Bytes    uint32        // newly acknowledged by it
	Inflight uint32        // bytes in flight before it
	RTT      time.Duration // sample that it gave; 0 for none
	// Limited says that the window, and not the application, held the sender
	// back. A window that was not used has not been tested and must not grow
	// (RFC 7661 §4.3).
	Limited bool
}

// An Algorithm decides how much may be in flight. One instance serves one
// connection, under that connection's lock, and keeps no reference to it.
// Calls do not block and, Init excepted, do not allocate.
type Algorithm interface {
	// Name is the name it is registered under, such as "cubic".
	Name() string
	// Init starts the algorithm on a connection. w holds the initial window,
	// or, for a connection that changes its algorithm, what the one before
	// left; Init keeps both values.
	Init(now clock.Time, w *Window)
	// OnAck is called for an acknowledgement of new data outside fast
	// recovery, and grows w.Cwnd.
	OnAck(now clock.Time, w *Window, a Ack)
	// OnCongestion is called once per window of data, when fast recovery
	// begins. It sets w.Ssthresh and w.Cwnd (RFC 5681 §3.2, RFC 6675 §5).
	OnCongestion(now clock.Time, w *Window, inflight uint32)
	// OnRecoveryExit is called when all that was outstanding at OnCongestion
	// or OnRTO has been acknowledged.
	OnRecoveryExit(now clock.Time, w *Window)
	// OnRTO is called for the first expiry of the retransmission timer of a
	// window of data. It sets w.Ssthresh; the connection sets w.Cwnd to one
	// segment (RFC 5681 §3.1).
	OnRTO(now clock.Time, w *Window, inflight uint32)
	// OnIdle is called before sending after a silence of idle, which is
	// longer than one retransmission timeout. The connection has already put
	// w.Cwnd down to the restart window (RFC 5681 §4.1).
	OnIdle(now clock.Time, w *Window, idle time.Duration)
	// Undo is called when the last OnCongestion or OnRTO turned out to be
	// spurious (RFC 4015). The connection has already restored w.
	Undo(now clock.Time, w *Window)
}
