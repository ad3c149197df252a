package tcp

import (
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
	"github.com/knitnet/knit/wire"
)

// A timeWait is a connection in TIME-WAIT. It takes the place of the conn, whose
// buffers and timer are free then: busy hosts have tens of thousands of them.
type timeWait struct {
	key     tuple
	manner  manner
	id      uint64
	release func() // of the local port

	// Guarded by waitList.mu.
	over         bool // somebody has ended it, or is about to
	block        tcb.TimeWaitBlock
	older, newer *timeWait
}

// waitList holds the connections in TIME-WAIT in the order in which they end, which
// is that in which they began, or began anew: all last equally long. There are at
// most max (net.ipv4.tcp_max_tw_buckets): the oldest go when there are more.
type waitList struct {
	t     *tcp
	max   atomic.Int64
	timer clock.Timer // for the oldest

	mu             sync.Mutex
	oldest, newest *timeWait
	n              int64
}

func (l *waitList) init(t *tcp) {
	l.t = t
	l.max.Store(65536)
	l.timer.Init(t.clock, l.expire)
}

// timeWait replaces the connection, which has sent its last segment, by what
// TIME-WAIT needs of it. c.mu is held.
func (c *conn) timeWait(now clock.Time) {
	w := &timeWait{
		key: c.key, manner: c.manner(), id: c.id, release: c.release,
		block: c.tcb.TimeWait(now),
	}
	c.release = nil
	c.t.conns.replace(c, w)
	c.t.waits.add(w)
	c.discard()
}

// add puts w at the end, and ends the oldest if there are too many.
func (l *waitList) add(w *timeWait) {
	l.mu.Lock()
	if !w.over && !l.has(w) { // a segment may have met w before
		l.push(w)
	}
	l.mu.Unlock()
	l.limit()
}

// has reports whether w is in the list. l.mu is held.
func (l *waitList) has(w *timeWait) bool { return w.older != nil || l.oldest == w }

// push puts w at the end. l.mu is held.
func (l *waitList) push(w *timeWait) {
	w.older, w.newer = l.newest, nil
	if l.newest != nil {
		l.newest.newer = w
	} else {
		l.oldest = w
		l.timer.Reset(w.block.Ends())
	}
	l.newest = w
	l.n++
}

// pull takes w out if it is in. l.mu is held.
func (l *waitList) pull(w *timeWait) {
	if !l.has(w) {
		return
	}
	if w.older != nil {
		w.older.newer = w.newer
	} else {
		l.oldest = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		l.newest = w.older
	}
	w.older, w.newer = nil, nil
	if l.n--; l.n == 0 {
		l.timer.Stop()
	}
}

// limit ends the oldest while there are too many.
func (l *waitList) limit() {
	l.endOldest(func(*timeWait) bool { return l.n > l.max.Load() })
}

// expire ends those whose time has come.
func (l *waitList) expire(now clock.Time) {
	l.endOldest(func(w *timeWait) bool { return w.block.Ends() <= now })
	l.mu.Lock()
	if l.oldest != nil {
		l.timer.Reset(l.oldest.block.Ends())
	}
	l.mu.Unlock()
}

// endOldest ends the oldest ones for as long as due says, with l.mu held.
func (l *waitList) endOldest(due func(*timeWait) bool) {
	for {
		l.mu.Lock()
		w := l.oldest
		if w == nil || !due(w) {
			l.mu.Unlock()
			return
		}
		w.over = true
		l.pull(w)
		l.mu.Unlock()
		l.forget(w)
	}
}

// end ends w, unless that was done.
func (l *waitList) end(w *timeWait) {
	l.mu.Lock()
	over := w.over
	if !over {
		w.over = true
		l.pull(w)
	}
	l.mu.Unlock()
	if !over {
		l.forget(w)
	}
}

// forget frees the tuple and the port of w, which is over.
func (l *waitList) forget(w *timeWait) {
	l.t.conns.forget(w)
	if w.release != nil {
		w.release()
	}
}

// stop ends all of them.
func (l *waitList) stop() {
	l.timer.StopWait()
	l.endOldest(func(*timeWait) bool { return true })
}

// giveUp ends w for a connection of ours with the same tuple, if that may be, and
// returns what the initial sequence number has to be after.
func (l *waitList) giveUp(w *timeWait) (minISS tcb.Seq, ok bool) {
	l.mu.Lock()
	minISS, ok = w.block.CanConnect(l.t.clock.Now())
	ok = ok || w.over
	l.mu.Unlock()
	if ok {
		l.end(w)
		l.t.conns.forget(w) // who ended it may not have come to that yet
	}
	return minISS, ok
}

// input takes a segment for w, and pkt, unless it is a SYN that opens a new
// connection in its place, if reuse says that somebody would, or w is over: then it
// returns false, and what the new one's initial sequence number has to be after.
func (l *waitList) input(w *timeWait, pkt *packet.Packet, h wire.TCP, reuse bool) (minISS tcb.Seq, taken bool) {
	var seg tcb.Segment
	readSegment(pkt, h, &seg)
	now := l.t.clock.Now()
	l.mu.Lock()
	if w.over {
		l.mu.Unlock()
		pkt.Unpull(h.HeaderLen())
		return 0, false
	}
	if minISS, ok := w.block.CanReuse(&seg); ok && reuse {
		l.mu.Unlock()
		l.end(w)
		pkt.Unpull(h.HeaderLen())
		return minISS, false
	}
	ends := w.block.Ends()
	answer, ok := w.block.Input(now, &seg)
	if w.block.Ends() != ends {
		l.pull(w)
		l.push(w)
	}
	l.mu.Unlock()
	pkt.Drop(stat.TCPClose)
	if ok {
		l.answer(w, &answer)
	}
	return 0, true
}

func (l *waitList) answer(w *timeWait, seg *tcb.Segment) {
	if p, err := l.t.way(&w.key, w.manner); err == nil {
		l.t.transmit(&w.key, p, w.manner, seg)
	}
}

// info shows w as ss and /proc/net/tcp do.
func (l *waitList) info(w *timeWait) transport.SocketInfo {
	l.mu.Lock()
	left := w.block.Ends().Sub(l.t.clock.Now())
	l.mu.Unlock()
	return transport.SocketInfo{
		Proto: "tcp", Local: w.key.localAddr(), Remote: w.key.remoteAddr(), Index: w.manner.index, ID: w.id,
		State: stateNames[tcb.TimeWait], StateNumber: tcb.TimeWait.Number(),
		Timer: "timewait", TimerExpires: max(0, int64(left)),
	}
}
