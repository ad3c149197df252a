package tcb

import (
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/stat"
)

// Queue tells that the application put n octets into the send buffer. WriteErr
// must be nil. In SYN-SENT and SYN-RECEIVED they wait for the handshake.
func (t *TCB) Queue(n int) { t.end += Seq(n) }

// TakeAcked returns how many octets at the front of the send buffer were
// acknowledged since the last call; the shell frees them.
func (t *TCB) TakeAcked() int {
	n := t.acked
	t.acked = 0
	return int(n)
}

// Consumed tells that the application read n octets, which opens the window.
// The peer hears of it at once when that is worth a segment.
func (t *TCB) Consumed(now clock.Time, n int) {
	t.unread -= uint32(n)
	if t.has(flagUrgent) && !t.rcvUp.After(t.rcvNxt) {
		t.flags &^= flagUrgent // before the number is so old that it looks new
	}
	if !t.state.receives() {
		return
	}
	t.tuneRcv(now, n)
	if t.windowWorthTelling() {
		t.out |= outAck
	}
}

// Shutdown closes our direction: a FIN follows the queued data (RFC 9293
// §3.10.4). The other direction stays open.
func (t *TCB) Shutdown() {
	switch t.state {
	case Established:
		t.state = FinWait1
	case CloseWait:
		t.state = LastAck
	case SynSent, SynReceived: // establish goes on
	default:
		return
	}
	t.flags |= flagFin
}

// Close closes the connection: nothing can be read any more, and a FIN follows
// the queued data. With data that was not read the peer gets a reset instead,
// so that it learns of the loss (RFC 9293 §3.6.1, RFC 2525 §2.17). In SYN-SENT
// the connection is gone at once. Data that arrives later also makes a reset.
func (t *TCB) Close(now clock.Time) {
	switch {
	case t.state == Closed:
		return
	case t.state == SynSent:
		t.finish()
		return
	case t.unread > 0 && t.state != TimeWait:
		t.Abort()
		return
	}
	t.flags |= flagNoRead
	t.Shutdown()
	if t.state == FinWait2 {
		t.closeAt = now.Add(t.cfg.FinWait2)
	}
}

// Abort ends the connection at once and throws away what is queued. The peer
// gets a reset, which is the next Output, where RFC 9293 §3.10.5 says so.
func (t *TCB) Abort() {
	st := t.state
	t.finish()
	switch st {
	case SynReceived, Established, FinWait1, FinWait2, CloseWait:
		t.out = outRst
	}
}

// AbortAfter aborts the connection d from now unless it is closed by then:
// SO_LINGER, after Close. TIME-WAIT counts as closed.
func (t *TCB) AbortAfter(now clock.Time, d time.Duration) {
	switch t.state {
	case Closed, TimeWait:
	default:
		t.closeAt = now.Add(d)
	}
}

// SetNoDelay turns Nagle's algorithm off or on: TCP_NODELAY (RFC 9293 §3.7.4).
func (t *TCB) SetNoDelay(on bool) { t.setFlag(flagNoDelay, on) }

// SetCork holds back segments that are not full until it is taken off:
// TCP_CORK. A FIN ends it too.
func (t *TCB) SetCork(on bool) { t.setFlag(flagCork, on) }

// SetQuickAck acknowledges the next segments at once: TCP_QUICKACK. Off ends
// that, and the phase at the start of the connection.
func (t *TCB) SetQuickAck(on bool) {
	t.quick = 0
	if on {
		t.quick = uint8(min(t.cfg.QuickAcks, 255))
		if t.ackAt != 0 {
			t.out |= outAck
		}
	}
}

// SetKeepAlive sets or, with the zero value, stops keepalive probes. Interval
// and Count default to 75 s and 9.
func (t *TCB) SetKeepAlive(now clock.Time, k KeepAlive) {
	set(&k.Interval, 75*time.Second)
	set(&k.Count, 9)
	t.options().alive = k
	t.aliveAt = 0
	t.armAlive(now)
}

// SetUserTimeout sets how long data may stay unacknowledged, or a zero window
// closed, before the connection is given up (RFC 9293 §3.8.3; the local part
// of RFC 5482). Zero means that the number of retransmissions decides.
func (t *TCB) SetUserTimeout(d time.Duration) { t.options().userTimeout = d }

// minRcvBuf is the smallest receive buffer that SetRcvBuf sets, as in Linux.
const minRcvBuf = 2304

func (t *TCB) options() *options {
	if t.opt == nil {
		t.opt = new(options)
	}
	return t.opt
}

// SetRcvBuf sets the receive buffer and ends its autotuning: SO_RCVBUF. Before
// the SYN is sent it also decides the window scale; later, the window that
// was advertised is not taken back.
func (t *TCB) SetRcvBuf(n int) {
	t.rcvBuf = uint32(min(max(n, minRcvBuf), maxWindow))
	t.flags |= flagRcvBufFixed
	if t.cfg != nil && t.nxt == t.iss {
		t.scaleWindow()
	}
}

// SndBufHint is how large the send buffer should be to keep the path full:
// twice the congestion window, within Config.SndBuf.
func (t *TCB) SndBufHint() int {
	return max(t.cfg.SndBuf.Default, min(2*int(t.win.Cwnd), t.cfg.SndBuf.Max))
}

// UrgentMark returns which octet of the stream that is received is the last of the
// urgent data, modulo 2^32, after EventUrgent. The data itself is in line (RFC 6093
// §3.1).
func (t *TCB) UrgentMark() uint32 { return uint32(t.rcvUp.Sub(t.irs) - 2) }

// finish enters CLOSED. What is in Ready stays, for the application to read.
func (t *TCB) finish() {
	if t.state == Closed {
		return
	}
	t.state = Closed
	t.events |= EventClosed
	t.out = 0
	t.stop()
}

// stop ends all timers but closeAt's successor and frees what only a living
// connection needs.
func (t *TCB) stop() {
	t.rtoAt, t.ackAt, t.aliveAt, t.closeAt = 0, 0, 0, 0
	t.sb = nil
	t.sacked, t.lost, t.rtxOut = 0, 0, 0
	if t.rx != nil {
		t.rx.drop(stat.TCPClose)
		t.rx = nil
	}
}

// die enters CLOSED because of an error.
func (t *TCB) die(errno uint32) {
	if t.state == Closed {
		return
	}
	t.errno = errno
	t.events |= EventError
	t.finish()
}

// timeWait enters TIME-WAIT. What happens there is a TimeWaitBlock's: all that is
// left to do here is the acknowledgement of the FIN.
func (t *TCB) timeWait() {
	t.state = TimeWait
	t.stop()
}
