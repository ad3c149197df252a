package tcp

import (
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/transport/tcp/internal/tcb"
)

// portTable holds the counters of RFC 6056 §3.3.4.
type portTable [256]atomic.Uint32

// choosePort finds a local port for a connection and puts it into the table:
// the double-hash selection of RFC 6056 §3.3.4. Ports look random to strangers,
// and one destination gets them in sequence, so that they repeat late.
func (t *tcp) choosePort(c *conn) error {
	lo, hi := t.ports.Range()
	n := uint32(hi) - uint32(lo) + 1
	h := t.secret.hash(forPort, &c.key, 0)
	counter := &t.nextPort[byte(h)]
	for range n {
		port := lo + uint16((uint32(h>>32)+counter.Add(1))%n)
		if t.ports.Held(port) {
			continue
		}
		c.key.localPort = port
		if t.insert(c) {
			return nil
		}
	}
	return syscall.EADDRNOTAVAIL
}

// insert puts c into the table, giving up a connection in TIME-WAIT for it.
func (t *tcp) insert(c *conn) bool {
	old := t.conns.insert(c)
	return old == nil || t.giveUp(old) && t.conns.insert(c) == nil
}

// giveUp ends a connection in TIME-WAIT for a new one with the same tuple:
// with timestamps, the new one's are larger a second later, so that no old
// segment can be taken for one of it (RFC 6191).
func (t *tcp) giveUp(old *conn) bool {
	if !old.mu.TryLock() {
		return false
	}
	defer old.kick(0) // what came meanwhile
	defer old.mu.Unlock()
	i := old.tcb.Info()
	if old.gone || i.State != tcb.TimeWait || !i.Timestamps || t.clock.Now().Sub(old.waitSince) < reuseAfter {
		return false
	}
	old.discard()
	return true
}
