package tcp

import (
	"syscall"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
	"github.com/knitnet/knit/wire"
)

// Input implements network.Handler. Runs of packets of one connection are given
// to it together.
func (t *tcp) Input(q *packet.Queue) {
	var run packet.Queue
	var c *conn
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		t.mib.inSegs.Add(uint64(max(pkt.GSOSegs, 1)))
		h, ok := t.checkSegment(pkt)
		if !ok {
			continue
		}
		k := t.tupleOf(pkt, h)
		if c == nil || c.key != k {
			if c != nil {
				c.inputBatch(&run)
			}
			c = t.lookup(&k)
		}
		if c == nil {
			t.stray(pkt, h)
			continue
		}
		run.Push(pkt)
	}
	if c != nil {
		c.inputBatch(&run)
	}
}

// stray takes a segment that belongs to no conn: for one in TIME-WAIT, for a
// listener, for the interceptor, or for nobody.
func (t *tcp) stray(pkt *packet.Packet, h wire.TCP) {
	k := t.tupleOf(pkt, h)
	// minISS is where the sequence numbers of the one in TIME-WAIT ended whose place
	// a new connection takes.
	var minISS tcb.Seq
	if w := t.conns.lookupWait(&k); w != nil {
		var taken bool
		if minISS, taken = t.waits.input(w, pkt, h, t.takesSYN(pkt, &k)); taken {
			return
		}
	}
	if l := t.assigned(pkt); l != nil {
		l.input(pkt, h, &k, minISS)
		return
	}
	foreign := t.isForeign(&k)
	if foreign && t.intercept(pkt, h, &k, minISS, true) {
		return
	}
	if l := t.listeners.lookup(&k, pkt.In); l != nil {
		l.input(pkt, h, &k, minISS)
		return
	}
	if !foreign && t.intercept(pkt, h, &k, minISS, false) {
		return
	}
	t.reset(pkt, h, nil)
	pkt.Drop(stat.NoSocket)
}

// takesSYN reports whether somebody would answer a SYN.
func (t *tcp) takesSYN(pkt *packet.Packet, k *tuple) bool {
	return t.interceptor.Load() != nil || t.assigned(pkt) != nil || t.listeners.lookup(k, pkt.In) != nil
}

// Error implements network.Handler: an ICMP error about a segment of ours is
// left in the connection's inbox. A busy connection must not be waited for: its
// holder may be the sender of the packet that led to this error.
func (t *tcp) Error(e *network.Error) {
	src, dst, seq, ok := quotedPorts(e.Payload)
	if !ok {
		return
	}
	k := tuple{version: network.VersionOf(e.Dst), local: bytes16(e.Src), remote: bytes16(e.Dst), localPort: src, remotePort: dst}
	k.index = t.domain(e.Dst, e.Index)
	c := t.lookup(&k)
	if c == nil {
		return
	}
	c.inbox.Lock()
	c.inbox.icmp = icmpNews{true, e.Kind, seq, e.Index, e.MTU}
	c.inbox.Unlock()
	c.kick(workICMP)
}

// takeICMP acts on an error (RFC 9293 §3.9.2.2), if it quotes a segment that is
// in flight (RFC 5927 §4.1).
func (c *conn) takeICMP(now clock.Time) {
	c.inbox.Lock()
	e := c.inbox.icmp
	c.inbox.icmp = icmpNews{}
	c.inbox.Unlock()
	if !e.fresh || c.gone {
		return
	}
	if !c.tcb.InWindow(e.seq) {
		c.t.mib.outOfWindowICMPs.Inc()
		return
	}
	switch {
	case e.kind == network.PacketTooBig:
		c.t.net.LearnMTU(c.key.remoteAddr().Addr(), e.index, e.mtu)
		c.path(now) // which that has made invalid
	case e.kind.Hard():
		c.tcb.HardError(e.kind.Errno())
	default:
		c.tcb.SoftError(e.kind.Errno())
	}
}

func errnoOf(err error) syscall.Errno {
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return syscall.EHOSTUNREACH
}
