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
func (t *tcp) choosePort(c *conn) (minISS tcb.Seq, err error) {
	lo, hi := t.ports.Range()
	n := uint32(hi) - uint32(lo) + 1
	h := t.secret.hash(forPort, &c.key, 0)
	counter := &t.nextPort[byte(h)]
	for range n {
		port := lo + uint16((uint32(h>>32)+counter.Add(1))%n)
		// A port that makes the connection one to itself would answer although
		// nobody listens there.
		if t.ports.Held(port) || port == c.key.remotePort && c.key.local == c.key.remote {
			continue
		}
		c.key.localPort = port
		if minISS, ok := t.insert(c); ok {
			return minISS, nil
		}
	}
	return 0, syscall.EADDRNOTAVAIL
}

// insert puts c into the table, giving up a connection in TIME-WAIT for it, whose
// sequence numbers then end at minISS.
func (t *tcp) insert(c *conn) (minISS tcb.Seq, ok bool) {
	ok, w := t.conns.insert(c)
	if w == nil {
		return 0, ok
	}
	if minISS, ok = t.waits.giveUp(w); !ok {
		return 0, false
	}
	ok, _ = t.conns.insert(c)
	return minISS, ok
}
