package tcb

import (
	"syscall"

	"github.com/knitnet/knit/core/clock"
)

// Deadline returns when Timer must be called next, or clock.Never. It may move
// in both directions with every call; a Timer that comes early does nothing.
func (t *TCB) Deadline() clock.Time {
	d := clock.Never
	if t.rtoAt != 0 {
		d = t.rtoAt
	}
	if t.ackAt != 0 {
		d = min(d, t.ackAt)
	}
	if t.aliveAt != 0 {
		d = min(d, t.aliveAt)
	}
	if t.closeAt != 0 {
		d = min(d, t.closeAt)
	}
	return d
}

// Timer does what is due at now.
func (t *TCB) Timer(now clock.Time) {
	if t.closeAt != 0 && now >= t.closeAt {
		t.closeExpired()
	}
	if t.ackAt != 0 && now >= t.ackAt {
		t.ackAt = 0
		t.out |= outAck
	}
	if t.rtoAt != 0 && now >= t.rtoAt {
		t.rtoAt = 0
		t.rtoExpired(now)
	}
	if t.aliveAt != 0 && now >= t.aliveAt {
		t.aliveAt = 0
		t.aliveExpired(now)
	}
}

// closeExpired ends FIN-WAIT-2 or a linger.
func (t *TCB) closeExpired() {
	t.closeAt = 0
	if t.state == FinWait2 {
		t.finish()
		return
	}
	t.Abort()
}

// rtoExpired is an expiry of the retransmission or persist timer.
func (t *TCB) rtoExpired(now clock.Time) {
	if t.userTimedOut(now) {
		t.timeOut()
		return
	}
	if t.has(flagPersist) {
		t.persistExpired(now)
		return
	}
	if t.una == t.nxt {
		return
	}
	if int(t.retries) >= t.retryLimit() {
		t.timeOut()
		return
	}
	t.retries++
	if int(t.retries) == t.cfg.Retries1 {
		t.events |= EventSuspect
	}
	t.rto = min(2*t.rto, t.cfg.MaxRTO) // RFC 6298 §5.5
	if t.state.synchronized() {
		t.enterLoss(now)
	} else {
		t.out |= outSyn
		t.flags |= flagSynRexmit
	}
	t.armRTO(now)
}

// retryLimit is R2 of RFC 9293 §3.8.3 in the present state.
func (t *TCB) retryLimit() int {
	switch {
	case t.state == SynSent:
		return t.cfg.SynRetries
	case t.state == SynReceived:
		return t.cfg.SynAckRetries
	case t.has(flagNoRead):
		return t.cfg.OrphanRetries
	}
	return t.cfg.Retries2
}

// timeOut gives the connection up. What ICMP said tells more than a timeout
// (RFC 5461 §2).
func (t *TCB) timeOut() {
	if t.soft != 0 {
		t.die(t.soft)
		return
	}
	t.die(uint32(syscall.ETIMEDOUT))
}

// persistExpired probes a window that is closed, with exponential back-off, for
// as long as the peer answers: "the sending TCP peer MUST NOT ... close" (RFC
// 9293 §3.8.6.1). A window that is open, but too small for the sender's silly
// window avoidance, is used now (§3.8.6.2.1, the override timeout).
func (t *TCB) persistExpired(now clock.Time) {
	// Nobody would ever notice a closed connection that a peer keeps like this,
	// so it has an end even when probes are answered (RFC 6429 §3).
	orphaned := t.has(flagNoRead) && int(t.backoff) >= t.cfg.OrphanRetries
	if int(t.retries) >= t.retryLimit() || orphaned {
		t.timeOut()
		return
	}
	if t.sndWnd > 0 {
		t.flags |= flagForce
		t.flags &^= flagPersist
		return
	}
	t.retries++
	t.backoff = min(t.backoff+1, 16)
	t.out |= outProbe
	t.armPersist(now)
}

// armAlive starts the keepalive timer if there is to be one.
func (t *TCB) armAlive(now clock.Time) {
	if t.opt == nil || t.opt.alive.Idle <= 0 || !t.state.synchronized() {
		return
	}
	t.opt.probes = 0
	t.aliveAt = now.Add(t.opt.alive.Idle)
}

// aliveExpired probes a peer that was silent (RFC 9293 §3.8.4). The timer is
// lazy: what arrived meanwhile only moves it now.
func (t *TCB) aliveExpired(now clock.Time) {
	k := &t.opt.alive
	if heard := t.lastRecv; heard >= t.opt.probeAt || t.opt.probes == 0 {
		t.opt.probes = 0
		if due := heard.Add(k.Idle); due > now {
			t.aliveAt = due
			return
		}
	}
	if t.una != t.nxt || t.rtoAt != 0 {
		t.aliveAt = now.Add(k.Idle) // the retransmission timer watches
		return
	}
	waited := now.Sub(t.lastRecv)
	if t.opt.probes > 0 && t.opt.userTimeout > 0 && waited >= t.opt.userTimeout ||
		t.opt.userTimeout <= 0 && int(t.opt.probes) >= k.Count {
		t.timeOut()
		t.out = outRst
		return
	}
	t.opt.probes++
	t.opt.probeAt = now
	t.out |= outProbe
	t.aliveAt = now.Add(k.Interval)
}
