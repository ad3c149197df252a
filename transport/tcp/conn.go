package tcp

import (
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
	"github.com/knitnet/knit/wire"
)

// A conn is the shell around one tcb.TCB: it owns the lock, the timer and the
// buffers, and turns segments into packets and back.
//
// Whoever holds mu runs the machine. Nobody waits for it on the packet path: work
// that finds the connection busy is left in work (and in inbox), and the holder
// does it before it goes. The holder keeps mu while it sends, so what the peer
// answers in the same call, over an in-process link, lands in the inbox and the
// stack does not grow.
type conn struct {
	t    *tcp
	key  tuple
	work atomic.Uint32

	inbox struct {
		sync.Mutex // held for moments
		q          packet.Queue
		icmp       icmpNews // the latest; older ones are forgotten
	}

	snd sendBuffer
	rcv recvBuffer

	// identity is what the layers below know of the socket. send has it, too.
	identity transport.Identity
	waker    atomic.Pointer[wakerBox]
	state    atomic.Uint32 // condition bits, for the application's side
	errno    atomic.Uint32 // why it died

	mu       sync.Mutex // guards what follows
	tcb      tcb.TCB
	send     network.Send
	out      packet.Queue // being built by output
	pseudo   wire.PartialSum
	timer    clock.Timer
	armed    clock.Time // what timer is set to; clock.Never: not
	mtu      int        // of the path, last told to the machine
	listener *listener  // until accepted
	queued   bool       // in listener's accept queue
	counted  bool       // in CurrEstab
	gone     bool       // out of the table, resources released
	index    int32      // bound to an interface
	id       uint64     // stands for the inode number
	owner    string     // transport.SocketInfo.Owner; never changes once it can be found
	linger   int64      // seconds; -1: off
	release  func()     // of the local port
	keep     tcb.KeepAlive
	keepOn   bool // SO_KEEPALIVE
	cork     bool // TCP_CORK
	sndFixed bool // SO_SNDBUF was set
}

// icmpNews is what counts of an ICMP error.
type icmpNews struct {
	fresh bool
	kind  network.ErrorKind
	seq   tcb.Seq // of the segment it quotes
	index int32   // the interface it came by
	mtu   int
}

type wakerBox struct{ transport.Waker }

// Kinds of work.
const (
	workInput uint32 = 1 << iota // packets in inbox
	workRead                     // the application consumed bytes
	workWrite                    // the application committed bytes
	workTimer                    // the timer fired
	workICMP                     // an ICMP error is in inbox
)

// Conditions.
const (
	isOpen    uint32 = 1 << iota // the handshake was completed
	isDead                       // nothing can be sent any more
	isShut                       // CloseWrite, Close or Abort was called
	isOrphan                     // Close or Abort was called
	wantRoom                     // a Send waits
	isTold                       // the application has seen why it died
	isPassive                    // a listener opened it
)

// kick leaves work and does all there is, unless somebody else is at it.
func (c *conn) kick(w uint32) {
	c.work.Or(w)
	for c.work.Load() != 0 && c.mu.TryLock() {
		c.run()
		c.mu.Unlock()
	}
}

// with runs f as the holder, waiting for the lock: for the application's rare
// calls, never for the packet path.
func (c *conn) with(f func(now clock.Time)) {
	c.mu.Lock()
	now := c.t.clock.Now()
	f(now)
	c.after(now)
	c.mu.Unlock()
	c.kick(0)
}

// run does the work that is there. c.mu is held.
func (c *conn) run() {
	w := c.work.Swap(0)
	now := c.t.clock.Now()
	if w&workInput != 0 {
		c.takeInput(now)
	}
	if w&workICMP != 0 {
		c.takeICMP(now)
	}
	if w&workRead != 0 {
		c.takeConsumed(now)
	}
	if w&workWrite != 0 {
		c.takeQueued()
	}
	if w&workTimer != 0 && !c.gone {
		c.armed = clock.Never
		c.tcb.Timer(now)
	}
	c.after(now)
}

func (c *conn) takeConsumed(now clock.Time) {
	if n := c.rcv.consumed.Swap(0); n > 0 {
		c.tcb.Consumed(now, int(n))
	}
}

func (c *conn) takeQueued() {
	n := c.snd.fresh.Swap(0)
	if c.gone || c.tcb.WriteErr() != nil {
		return
	}
	c.tcb.Queue(int(n))
	// Without fresh bytes too: those may have been taken before the writer said
	// that they were the last ones.
	c.tcb.SetCork(c.cork || c.snd.more.Load())
}

// takeInput gives the machine the segments of the inbox.
func (c *conn) takeInput(now clock.Time) {
	c.inbox.Lock()
	q := c.inbox.q
	c.inbox.q = packet.Queue{}
	c.inbox.Unlock()
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		c.input(now, pkt)
	}
}

func (c *conn) input(now clock.Time, pkt *packet.Packet) {
	h, ok := wire.ParseTCP(pkt.Head())
	if !ok || c.gone {
		c.stray(pkt, h, ok)
		return
	}
	var seg tcb.Segment
	readSegment(pkt, h, &seg)
	c.tcb.Input(now, &seg, pkt)
	if c.tcb.State() == tcb.TimeWait {
		c.after(now) // the rest of the inbox is not ours any more
	}
}

// stray is for packets that come when the connection is gone: for the one that has
// taken its place, or for nobody.
func (c *conn) stray(pkt *packet.Packet, h wire.TCP, ok bool) {
	if !ok {
		pkt.Drop(stat.TCPClose)
		return
	}
	k := c.t.tupleOf(pkt, h)
	if next := c.t.lookup(&k); next != nil && next != c {
		var q packet.Queue
		q.Push(pkt)
		next.inputBatch(&q)
		return
	}
	c.t.stray(pkt, h)
}

// after does what follows from anything that happened to the machine: it passes
// data and news on, sends, and sets the timer. c.mu is held.
func (c *conn) after(now clock.Time) {
	if c.gone {
		c.tcb.Ready.Consume()
		return
	}
	c.news()
	c.count()
	c.output(now)
	if e := c.tcb.Events(); e != 0 { // what sending led to
		c.event(e)
	}
	if c.gone {
		return
	}
	if c.tcb.State() == tcb.TimeWait {
		c.timeWait(now)
		return
	}
	// The timer is only ever brought forward: expiring early costs less than
	// moving it for every acknowledgement.
	if at := c.tcb.Deadline(); at < c.armed {
		c.armed = at
		c.timer.Reset(at)
	}
}

// news passes received data, freed room and events on.
func (c *conn) news() {
	e := c.tcb.Events()
	if e&tcb.EventUrgent != 0 { // before the data, so that no reader misses it
		c.rcv.mark.Store(marked | uint64(c.tcb.UrgentMark()))
	}
	if !c.tcb.Ready.Empty() && c.rcv.put(&c.tcb.Ready) {
		c.wake(transport.Readable)
	}
	if n := c.tcb.TakeAcked(); n > 0 {
		c.snd.free(n)
		c.roomForWriter()
	}
	if e != 0 {
		c.event(e)
	}
}

// roomForWriter wakes a Send that waits once a third of the buffer is free: a
// wake-up for every segment would cost more than it brings.
func (c *conn) roomForWriter() {
	if hint := int64(c.tcb.SndBufHint()); hint > c.snd.limit.Load() && !c.sndFixed {
		c.snd.limit.Store(hint)
	}
	if c.state.Load()&wantRoom != 0 && c.snd.room() >= c.snd.limit.Load()/3 {
		c.state.And(^wantRoom)
		c.wake(transport.Writable)
	}
}

func (c *conn) wake(r transport.Ready) {
	if w := c.waker.Load(); w != nil {
		w.Wake(r)
	}
}

// event acts on what the machine reports.
func (c *conn) event(e tcb.Events) {
	if e&tcb.EventEstablished != 0 {
		c.established()
	}
	if e&tcb.EventPeerClosed != 0 && c.rcv.finish(io.EOF) {
		c.wake(transport.Readable)
	}
	if e&tcb.EventSuspect != 0 {
		c.send.Path = nil // resolved anew before the next segment
	}
	if e&(tcb.EventError|tcb.EventClosed) != 0 {
		c.died()
	}
}

func (c *conn) established() {
	c.state.Or(isOpen)
	if c.listener != nil {
		c.opened(c.listener)
		c.listener.ready(c)
		return
	}
	c.wake(transport.Writable)
}

// died releases everything when the machine is closed. c.mu is held.
func (c *conn) died() {
	if c.gone {
		return
	}
	if e, ok := c.tcb.Err().(syscall.Errno); ok {
		c.errno.Store(uint32(e))
	}
	c.gone = true
	was := c.state.Or(isDead)
	c.timer.Stop()
	c.armed = clock.Never
	c.t.conns.remove(c)
	if c.listener != nil {
		c.listener.lost(c)
	}
	c.endBuffers()
	if c.release != nil {
		c.release()
		c.release = nil
	}
	if was&isOpen == 0 {
		c.t.mib.attemptFails.Inc()
	}
	if c.counted {
		c.t.mib.estabResets.Inc()
	}
	c.count()
}

// count keeps CurrEstab, the connections in ESTABLISHED or CLOSE-WAIT (RFC 4022
// §4). c.mu is held.
func (c *conn) count() {
	s := c.tcb.State()
	open := s == tcb.Established || s == tcb.CloseWait
	if open == c.counted {
		return
	}
	c.counted = open
	if open {
		c.t.mib.currEstab.Add(1)
	} else {
		c.t.mib.currEstab.Add(^uint64(0))
	}
}

// endBuffers frees what is to be sent, and puts the reason behind what can still
// be read. c.mu is held.
func (c *conn) endBuffers() {
	var end error = io.EOF
	if e := syscall.Errno(c.errno.Load()); e != 0 {
		end = e
	}
	c.tcb.Ready.Consume()
	c.rcv.finish(end)
	c.snd.close()
	c.wake(transport.Readable | transport.Writable)
}

// discard ends the connection without a word. c.mu is held.
func (c *conn) discard() {
	c.tcb.Discard()
	c.died()
}

// inputBatch leaves packets, all of this connection, in the inbox.
func (c *conn) inputBatch(q *packet.Queue) {
	c.inbox.Lock()
	if c.inbox.q.Len() > maxInbox {
		c.inbox.Unlock()
		q.Drop(stat.SocketBacklog)
		return
	}
	c.inbox.q.Append(q)
	c.inbox.Unlock()
	c.kick(workInput)
}

// maxInbox bounds the packets that wait for a busy connection. What is behind
// them is bounded by the window; a stranger's packets are not.
const maxInbox = 1024
