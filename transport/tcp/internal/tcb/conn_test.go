package tcb

import (
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
)

// The numbers that the tests use: ours begin at 1000, the peer's at 5000.
const (
	ourISS  = 1000
	peerISS = 5000
)

// A conn is a TCB under test, with the peer and the shell played by hand.
type conn struct {
	*TCB
	t    *testing.T
	now  clock.Time
	pool packet.Pool
	// wait is what the shell keeps in TIME-WAIT, and late what it answers.
	wait TimeWaitBlock
	late []Segment
}

// plainConfig has no option that would make segments hard to read.
func plainConfig() Config { return Config{NoSACK: true, NoTimestamps: true, NoWindowScale: true} }

func newConn(t *testing.T) *conn {
	return &conn{TCB: new(TCB), t: t, now: clock.Time(time.Hour)}
}

func start() Start { return Start{ISS: ourISS, MTU: 1500} }

// in returns a connection in the state st that has exchanged nothing but what
// leads there.
func in(t *testing.T, st State, c Config) *conn {
	k := newConn(t)
	syn := Segment{Seq: peerISS, Flags: SYN, Window: 64000, Options: Options{
		Has: HasMSS | HasWScale | HasSACKPermitted | HasTimestamps, MSS: 1460, TSVal: 1, WScale: 0,
	}}
	fin := Segment{Seq: peerISS + 1, Ack: ourISS + 1, Flags: FIN | ACK, Window: 64000, Options: Options{Has: HasTimestamps, TSVal: 1}}
	ack := fin
	ack.Flags = ACK
	switch st {
	case Closed:
		k.cfg = c.Defaults()
		return k
	case SynReceived:
		k.Accept(k.now, c.Defaults(), start(), &syn)
	default:
		k.Connect(k.now, c.Defaults(), start())
		k.out1()
		if st != SynSent {
			syn.Flags |= ACK
			syn.Ack = ourISS + 1
			k.Input(k.now, &syn, nil)
		}
	}
	switch st {
	case CloseWait, LastAck:
		k.Input(k.now, &fin, nil)
	}
	switch st {
	case FinWait1, FinWait2, Closing, TimeWait, LastAck:
		k.Shutdown()
	}
	k.outAll()
	switch st {
	case FinWait2, TimeWait:
		ack.Ack++
		fin.Ack++
		k.Input(k.now, &ack, nil)
	}
	switch st {
	case TimeWait, Closing:
		k.Input(k.now, &fin, nil)
	}
	k.outAll()
	k.Events()
	if k.state != st {
		t.Fatalf("state %v, want %v", k.state, st)
	}
	return k
}

func (k *conn) out1() (Segment, bool) {
	seg, ok := k.Output(k.now)
	if err := check(k.TCB); err != nil {
		k.t.Fatal(err)
	}
	return seg, ok
}

// outAll takes all segments that are due.
func (k *conn) outAll() (segs []Segment) {
	segs, k.late = k.late, nil
	for {
		seg, ok := k.out1()
		if !ok {
			return segs
		}
		segs = append(segs, seg)
		if len(segs) > 10000 {
			k.t.Fatal("Output does not end")
		}
	}
}

// input gives seg with a payload of seg.Len octets to the connection.
func (k *conn) input(seg Segment) {
	k.t.Helper()
	var pkt *packet.Packet
	if seg.Len > 0 {
		pkt = k.pool.Get()
		pkt.Append(text(seg.Len, 0))
	}
	k.feed(&seg, pkt)
	if err := check(k.TCB); err != nil {
		k.t.Fatal(err)
	}
}

// feed gives a segment to the connection, or in TIME-WAIT to what is left of it.
func (k *conn) feed(seg *Segment, pkt *packet.Packet) {
	if k.state != TimeWait {
		k.Input(k.now, seg, pkt)
		return
	}
	if pkt != nil {
		pkt.Consume()
	}
	if k.wait.cfg == nil {
		k.wait = k.TimeWait(k.now)
	}
	if answer, ok := k.wait.Input(k.now, seg); ok {
		k.late = append(k.late, answer)
	}
}

// ack is an acknowledgement up to our octet n, with the window open.
func (k *conn) ack(n int) Segment {
	return Segment{Seq: k.rcvNxt, Ack: ourISS + 1 + Seq(n), Flags: ACK, Window: 64000}
}

// write queues n octets.
func (k *conn) write(n int) { k.Queue(n) }

// next lets time pass up to the next deadline, which it returns as the time
// that passed.
func (k *conn) next() time.Duration {
	k.t.Helper()
	d := k.Deadline()
	if d == clock.Never {
		k.t.Fatal("nothing to wait for")
	}
	passed := d.Sub(k.now)
	k.now = d
	k.Timer(k.now)
	return passed
}

// pass lets d pass, with all timers on the way.
func (k *conn) pass(d time.Duration) {
	end := k.now.Add(d)
	for k.Deadline() <= end {
		k.now = max(k.now, k.Deadline())
		k.Timer(k.now)
		if k.Deadline() <= k.now && k.Deadline() != clock.Never {
			k.t.Fatal("a timer does not move on")
		}
	}
	k.now = end
}

// close ends the test: no packet may be left.
func (k *conn) close() {
	k.t.Helper()
	k.Discard()
	k.Ready.Consume()
	if n := k.pool.Live(); n != 0 {
		k.t.Errorf("%d packets leaked", n)
	}
}
