package tcp

import (
	"syscall"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
)

// stateNames are ss's words, by tcb.State.
var stateNames = [...]string{
	tcb.SynSent: "SYN-SENT", tcb.SynReceived: "SYN-RECV", tcb.Established: "ESTAB", tcb.FinWait1: "FIN-WAIT-1",
	tcb.FinWait2: "FIN-WAIT-2", tcb.CloseWait: "CLOSE-WAIT", tcb.Closing: "CLOSING", tcb.LastAck: "LAST-ACK",
	tcb.TimeWait: "TIME-WAIT", tcb.Closed: "UNCONN",
}

// listenState is TCP_LISTEN of /proc/net/tcp.
const listenState = 10

// Sockets implements transport.Lister.
func (t *tcp) Sockets() (out []transport.SocketInfo) {
	for _, l := range t.listeners.all() {
		out = append(out, l.info())
	}
	for _, c := range t.conns.all() {
		out = append(out, c.info())
	}
	for _, w := range t.conns.allWaits() {
		out = append(out, t.waits.info(w))
	}
	return out
}

// Kill implements transport.Killer. A listener is closed as by its owner.
func (t *tcp) Kill(id uint64) bool {
	for _, l := range t.listeners.all() {
		if l.id == id {
			l.Close()
			return true
		}
	}
	for _, c := range t.conns.all() {
		if c.id != id {
			continue
		}
		c.with(func(clock.Time) {
			if !c.gone {
				c.errno.Store(uint32(syscall.ECONNABORTED))
				c.tcb.Abort()
			}
		})
		return true
	}
	for _, w := range t.conns.allWaits() {
		if w.id == id {
			t.waits.end(w)
			return true
		}
	}
	return false
}

func (t *listenTable) all() (out []*listener) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, ls := range t.m {
		out = append(out, ls...)
	}
	return out
}

func (l *listener) info() transport.SocketInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return transport.SocketInfo{
		Proto: "tcp", Local: l.LocalAddr(), State: "LISTEN", StateNumber: listenState,
		RecvQ: len(l.queue), SendQ: l.max, Index: l.opts.Index, Drops: l.drops, ID: l.id,
		V6Only: l.opts.V6Only && l.local.Addr().Is6(), Owner: l.opts.Owner, UID: l.opts.UID, Mark: l.opts.Mark,
	}
}

func (c *conn) info() (s transport.SocketInfo) {
	id := c.identity.Load()
	s = transport.SocketInfo{Proto: "tcp", Local: c.key.localAddr(), Remote: c.key.remoteAddr(), Owner: c.owner, UID: id.UID, Mark: id.Mark}
	c.with(func(now clock.Time) {
		i := c.tcb.Info()
		s.State, s.StateNumber = stateNames[i.State], i.State.Number()
		s.RecvQ = max(0, i.Unread-int(c.rcv.consumed.Load()))
		s.SendQ = i.Unacked + i.NotSent
		s.Index, s.ID = c.index, c.id
		s.Timer, s.Retransmits = i.Timer, i.Backoff
		if at := c.tcb.Deadline(); i.Timer != "" && at != clock.Never {
			s.TimerExpires = max(0, int64(at.Sub(now)))
		}
		s.TCP = tcpInfo(&i)
	})
	return s
}

func tcpInfo(i *tcb.Info) *transport.TCPInfo {
	n := &transport.TCPInfo{
		Congestion: i.CC, SndWScale: i.SndWScale, RcvWScale: i.RcvWScale,
		RTO: int64(i.RTO), ATO: int64(40 * time.Millisecond), RTT: int64(i.RTT), RTTVar: int64(i.RTTVar), MinRTT: int64(i.MinRTT),
		MSS: i.MSS, PMTU: i.PMTU, RcvMSS: i.RcvMSS, AdvMSS: i.AdvMSS,
		BytesSent: i.BytesSent, BytesRetrans: i.BytesRetrans, BytesAcked: i.BytesAcked, BytesReceived: i.BytesReceived,
		SegsOut: uint64(i.SegsOut), SegsIn: uint64(i.SegsIn), DataSegsOut: uint64(i.DataSegsOut), DataSegsIn: uint64(i.DataSegsIn),
		RetransTotal: uint64(i.RetransSegs), NotSent: i.NotSent, RcvSpace: i.RcvSpace, SndWnd: i.SndWnd,
	}
	if i.MSS > 0 {
		segments := func(bytes int) int { return (bytes + i.MSS - 1) / i.MSS }
		n.Cwnd, n.Ssthresh = max(1, i.Cwnd/i.MSS), i.Ssthresh/i.MSS
		n.Unacked, n.Sacked, n.Lost = segments(i.Unacked), uint64(segments(i.Sacked)), uint64(segments(i.Lost))
		n.Retrans, n.Delivered = uint64(segments(i.Retrans)), i.Delivered/uint64(i.MSS)
	}
	for _, o := range []struct {
		on   bool
		name string
	}{{i.Timestamps, "ts"}, {i.SACK, "sack"}, {i.WScale, "wscale"}} {
		if o.on {
			n.Options = append(n.Options, o.name)
		}
	}
	return n
}
