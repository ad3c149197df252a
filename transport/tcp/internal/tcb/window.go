package tcb

import "github.com/knitnet/knit/core/clock"

// segSize returns how much payload a full-sized segment has now, beside the
// SACK blocks that it would carry.
func (t *TCB) segSize() int {
	if t.rx == nil || !t.has(flagSACK) {
		return int(t.mss)
	}
	return int(t.mss) - t.rx.reportBytes(t.sackRoom())
}

// burst returns the most that one Output may carry: whole segments of size.
func (t *TCB) burst(size int) int {
	return max(int(t.MaxSegment)/size, 1) * size
}

// allowed returns how much new data may go out in the next segment, and
// whether the FIN goes with it. ok is false when nothing may.
//
// It is the sender's silly window avoidance (RFC 9293 §3.8.6.2.1) and Nagle's
// algorithm (§3.7.4) in one: full segments always go; a small one when it is
// all there is and no small one is unacknowledged, or when it is half of the
// largest window the peer ever offered.
func (t *TCB) allowed() (n int, fin, ok bool) {
	size := t.segSize()
	avail := t.end.Sub(t.nxt)
	wnd := t.una.Sub(t.nxt) + int(t.sndWnd)
	room := int(t.win.Cwnd) - int(t.pipe())
	n = min(avail, t.burst(size), wnd)
	t.setFlag(flagCwndLimited, n > room && room < wnd)
	n = min(n, room)
	fin = t.has(flagFin) && n == avail && wnd > n && room >= n
	switch {
	case n < avail && n >= size:
		n -= n % size
		return n, false, !t.worthWaiting(n)
	case n == avail:
		if tail := n % size; tail == 0 || fin || t.has(flagForce) || t.smallMayGo() {
			return n, fin, n > 0 || fin
		} else if n > size {
			return n - tail, false, true
		}
	}
	if n > 0 && n == min(avail, wnd) && (t.has(flagForce) || n >= int(t.maxWnd)/2 && !t.has(flagCork)) {
		return n, false, true
	}
	return 0, false, false
}

// smallMayGo is Nagle's algorithm in Minshall's form: a small segment waits
// only for an earlier small one, so that a large write does not wait for its
// own first part.
func (t *TCB) smallMayGo() bool {
	if t.has(flagCork) {
		return false
	}
	return t.una == t.nxt || t.has(flagNoDelay) || !t.has(flagSmall) || !t.smallEnd.After(t.una)
}

// worthWaiting reports whether a burst of n, which is less than what is queued,
// should wait until the next acknowledgement makes it larger: many small bursts
// cost as much as many segments. Seven eighths of the window are in flight then,
// so the acknowledgement is certain to come, and little is lost by waiting.
func (t *TCB) worthWaiting(n int) bool {
	return t.phase == open && n < int(t.MaxSegment)-int(t.mss) && n < int(min(t.win.Cwnd, t.sndWnd)/8) &&
		t.una != t.nxt
}

// restart puts the congestion window down to the restart window when nothing
// was sent for longer than a retransmission timeout (RFC 5681 §4.1).
func (t *TCB) restart(now clock.Time) {
	idle := now.Sub(t.lastSend)
	if idle <= t.rto {
		return
	}
	t.win.Cwnd = min(t.win.Cwnd, t.win.Initial)
	t.control().OnIdle(now, &t.win, idle)
	t.lastSend = now
}

// advertise returns the window field and remembers its right edge, which never
// moves to the left. It moves only by a full segment or half the buffer, which
// is the receiver's silly window avoidance (RFC 9293 §3.8.6.2.2).
func (t *TCB) advertise() uint16 {
	w := t.rcvAdv.Sub(t.rcvNxt)
	if free := t.freeSpace(); free-w >= t.windowStep(w) {
		// Whole units of the scale only: the peer cannot see the rest.
		w = free >> t.rcvShift << t.rcvShift
		t.rcvAdv = maxSeq(t.rcvAdv, t.rcvNxt.Add(w))
	}
	return uint16(min(max(w, 0)>>t.rcvShift, 65535))
}

// freeSpace is the largest window that we could advertise.
func (t *TCB) freeSpace() int {
	return min(max(int(t.rcvBuf)-int(t.unread), 0), t.maxAdvertise())
}

// maxAdvertise is the largest window that the header and the settings allow.
func (t *TCB) maxAdvertise() int { return min(t.cfg.WindowClamp, 65535<<t.rcvShift) }

// synWindow is the window of a SYN, which is not scaled.
func (t *TCB) synWindow() int { return min(t.freeSpace(), 65535) }

// windowStep is by how much a window of w must grow before the peer hears of it:
// a segment, or half of a smaller buffer (RFC 9293 §3.8.6.2.2). When the
// application is slower than the peer, so that the window is nearly closed, it is
// an eighth of the buffer: seven eighths wait to be read, so nobody starves, and
// the peer sends large bursts instead of a segment for every read.
func (t *TCB) windowStep(w int) int {
	most := min(int(t.rcvBuf), t.maxAdvertise())
	step := min(most/2, int(t.ourMSS))
	if w < most/4 {
		step = max(step, most/8)
	}
	return step
}

// windowWorthTelling reports whether an acknowledgement for the window alone is
// due after the application has read: when it at least doubles what the peer
// knows of, by no less than a step.
func (t *TCB) windowWorthTelling() bool {
	w := t.rcvAdv.Sub(t.rcvNxt)
	gain := t.freeSpace() - w
	return gain >= w && gain >= t.windowStep(w)
}

// armPersist starts the persist timer: something is queued, nothing is in
// flight, and the window is closed or too small to use (RFC 9293 §3.8.6.1).
func (t *TCB) armPersist(now clock.Time) {
	d := t.rto << min(t.backoff, 16)
	t.rtoAt = now.Add(min(d, t.cfg.MaxRTO))
	if t.opt != nil {
		t.capByUserTimeout()
	}
	if !t.has(flagPersist) {
		t.flags |= flagPersist
		t.progress = now
	}
}
