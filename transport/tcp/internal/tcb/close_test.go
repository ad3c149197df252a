package tcb

import (
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/knitnet/knit/core/clock"
)

// RFC 9293 §3.6 figure 12.
func TestClose(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.Close(k.now)
	s := k.outAll()
	if k.state != FinWait1 || len(s) != 1 || s[0].Flags != FIN|ACK|PSH || s[0].Seq != ourISS+1 {
		t.Fatalf("%v, %+v", k.state, s)
	}
	if k.WriteErr() != syscall.EPIPE {
		t.Errorf("a write after the close: %v, want EPIPE", k.WriteErr())
	}
	k.input(k.ack(1))
	if k.state != FinWait2 {
		t.Fatalf("%v", k.state)
	}
	fin := k.ack(1)
	fin.Flags |= FIN
	k.input(fin)
	s = k.outAll()
	if k.state != TimeWait || len(s) != 1 || s[0].Flags != ACK || s[0].Ack != peerISS+2 || s[0].Seq != ourISS+2 {
		t.Fatalf("%v, %+v", k.state, s)
	}
	wait := k.TimeWait(k.now)
	if d := wait.Ends().Sub(k.now); d != time.Minute || k.Deadline() != clock.Never || k.Err() != nil {
		t.Errorf("TIME-WAIT ends after %v, the TCB's timer is at %v, %v", d, k.Deadline(), k.Err())
	}
}

// RFC 9293 §3.6.1: "half-closed": the other direction goes on.
func TestHalfClose(t *testing.T) {
	k := in(t, FinWait2, plainConfig())
	if d := k.Deadline(); d < k.now.Add(24*time.Hour) {
		t.Errorf("a half-closed connection has a deadline in %v", d.Sub(k.now))
	}
	seg := k.ack(1)
	seg.Len = 1000
	k.input(seg)
	if k.Unread() != 1000 || k.state != FinWait2 {
		t.Errorf("%v, %d", k.state, k.Unread())
	}
	k = in(t, CloseWait, plainConfig())
	k.write(100)
	if s := k.outAll(); len(s) != 1 || s[0].Len != 100 {
		t.Errorf("%+v", s)
	}
	k.close()
}

// RFC 9293 §3.6 figure 13.
func TestSimultaneousClose(t *testing.T) {
	k := in(t, FinWait1, plainConfig())
	k.input(Segment{Seq: peerISS + 1, Ack: ourISS + 1, Flags: FIN | ACK, Window: 64000})
	s := k.outAll()
	if k.state != Closing || len(s) != 1 || s[0].Seq != ourISS+2 || s[0].Ack != peerISS+2 {
		t.Fatalf("%v, %+v", k.state, s)
	}
	k.input(k.ack(1))
	if k.state != TimeWait {
		t.Errorf("%v", k.state)
	}
}

// RFC 9293 §3.6.1: "If such a host issues a CLOSE call while received data is
// still pending in TCP, or if new data is received after CLOSE is called, its
// TCP SHOULD send a RST to show that data was lost".
func TestCloseWithUnreadData(t *testing.T) {
	k := in(t, Established, plainConfig())
	seg := k.ack(0)
	seg.Len = 10
	k.input(seg)
	k.outAll()
	k.Close(k.now)
	if s := k.outAll(); k.state != Closed || len(s) != 1 || s[0].Flags != RST|ACK || s[0].Seq != ourISS+1 {
		t.Errorf("%v, %+v", k.state, s)
	}
	k.close()

	k = in(t, Established, plainConfig())
	k.Close(k.now)
	k.outAll()
	seg = k.ack(1)
	seg.Len = 10
	k.input(seg)
	if s := k.outAll(); k.state != Closed || len(s) != 1 || s[0].Flags&RST == 0 {
		t.Errorf("%v, %+v", k.state, s)
	}
	k.close()
}

// RFC 9293 §3.10.5: "<SEQ=SND.NXT><CTL=RST>", and nothing where the peer has
// nothing to lose.
func TestAbort(t *testing.T) {
	for st := SynSent; st <= TimeWait; st++ {
		k := in(t, st, plainConfig())
		nxt := k.nxt
		k.Abort()
		s := k.outAll()
		want := st == SynReceived || st == Established || st == FinWait1 || st == FinWait2 || st == CloseWait
		if got := len(s) == 1 && s[0].Flags&RST != 0 && s[0].Seq == nxt; got != want || k.state != Closed {
			t.Errorf("%v: %v, %+v", st, k.state, s)
		}
	}
}

// Nobody reads after Close, so FIN-WAIT-2 does not last for ever.
func TestFinWait2Timeout(t *testing.T) {
	k := in(t, FinWait2, plainConfig())
	k.Close(k.now)
	if d := k.next(); d != time.Minute || k.state != Closed {
		t.Errorf("%v after %v", k.state, d)
	}
}

// SO_LINGER: the rest of the data has a time limit.
func TestLinger(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.write(1000)
	k.outAll()
	k.Close(k.now)
	k.outAll()
	k.AbortAfter(k.now, time.Second)
	k.pass(time.Second)
	if s := k.outAll(); k.state != Closed || len(s) == 0 || s[len(s)-1].Flags&RST == 0 {
		t.Errorf("%v, %+v", k.state, s)
	}
}

// RFC 9293 §3.10.7.4: "restart the 2 MSL timeout"; RFC 1337: a reset does not
// end it.
func TestTimeWaitRestarts(t *testing.T) {
	k := in(t, TimeWait, plainConfig())
	wait := k.TimeWait(k.now)
	k.pass(50 * time.Second)
	if a, ok := wait.Input(k.now, &Segment{Seq: k.rcvNxt - 1, Ack: k.nxt, Flags: FIN | ACK, Window: 64000}); !ok || a.Flags != ACK || a.Ack != k.rcvNxt {
		t.Errorf("the FIN is answered with %+v, %v", a, ok)
	}
	if a, ok := wait.Input(k.now, &Segment{Seq: k.rcvNxt, Flags: RST}); ok {
		t.Errorf("the reset is answered with %+v", a)
	}
	if d := wait.Ends().Sub(k.now); d != time.Minute {
		t.Errorf("%v left", d)
	}
}

// RFC 7323 §5: PAWS holds in TIME-WAIT: an old segment is acknowledged, and neither
// starts the time again nor changes what CanReuse compares with.
func TestTimeWaitPAWS(t *testing.T) {
	c := plainConfig()
	c.NoTimestamps = false
	k := in(t, TimeWait, c)
	wait := k.TimeWait(k.now)
	stamped := func(seq Seq, f Flags, v uint32) *Segment {
		return &Segment{Seq: seq, Ack: k.nxt, Flags: f, Window: 64000, Options: Options{Has: HasTimestamps, TSVal: v}}
	}
	k.pass(time.Second)
	if a, ok := wait.Input(k.now, stamped(k.rcvNxt-1, FIN|ACK, 0)); !ok || a.TSEcr != 1 {
		t.Errorf("an old FIN is answered with %+v, %v", a, ok)
	}
	if d := wait.Ends().Sub(k.now); d != 59*time.Second {
		t.Errorf("%v left after an old FIN", d)
	}
	if a, ok := wait.Input(k.now, stamped(k.rcvNxt, ACK, 100)); ok {
		t.Errorf("an acknowledgement is answered with %+v", a)
	}
	if _, ok := wait.CanReuse(stamped(peerISS+9, SYN, 99)); ok {
		t.Error("a SYN from before the last acknowledgement may open a connection")
	}
	if _, ok := wait.Input(k.now, &Segment{Seq: k.rcvNxt, Ack: k.nxt + 9, Flags: ACK}); ok {
		t.Error("a segment without a timestamp is answered (RFC 7323 §3.2)")
	}
}

// RFC 6191 §1: we may connect anew when our timestamps have moved on.
func TestConnectInTimeWait(t *testing.T) {
	for _, tc := range []struct {
		c     Config
		after time.Duration
		want  bool
	}{{Config{}, 999 * time.Millisecond, false}, {Config{}, time.Second, true}, {plainConfig(), 59 * time.Second, false}} {
		k := in(t, TimeWait, tc.c)
		wait := k.TimeWait(k.now)
		if iss, ok := wait.CanConnect(k.now.Add(tc.after)); ok != tc.want || iss != ourISS+2 {
			t.Errorf("after %v: %v, ISS after %d", tc.after, ok, iss)
		}
	}
}

// What is kept in TIME-WAIT is small: a busy host has tens of thousands.
func TestTimeWaitSize(t *testing.T) {
	if n := unsafe.Sizeof(TimeWaitBlock{}); n > 88 {
		t.Errorf("a TimeWaitBlock takes %d bytes, want at most 88", n)
	}
}

// RFC 6191 §2 and RFC 9293 §3.6.1: when a SYN may open a new connection.
func TestReuseTimeWait(t *testing.T) {
	ts := func(v uint32) Options { return Options{Has: HasTimestamps, TSVal: v} }
	for _, tc := range []struct {
		name string
		c    Config
		syn  Segment
		want bool
	}{
		{"later number", plainConfig(), Segment{Seq: peerISS + 2, Flags: SYN}, true},
		{"old number", plainConfig(), Segment{Seq: peerISS, Flags: SYN}, false},
		{"later timestamp, old number", Config{}, Segment{Seq: peerISS, Flags: SYN, Options: ts(2)}, true},
		{"same timestamp, later number", Config{}, Segment{Seq: peerISS + 9, Flags: SYN, Options: ts(1)}, true},
		{"same timestamp, old number", Config{}, Segment{Seq: peerISS, Flags: SYN, Options: ts(1)}, false},
		{"old timestamp, later number", Config{}, Segment{Seq: peerISS + 9, Flags: SYN, Options: ts(0)}, false},
		{"no timestamp, later number", Config{}, Segment{Seq: peerISS + 9, Flags: SYN}, true},
		{"not a SYN", plainConfig(), Segment{Seq: peerISS + 9, Flags: SYN | ACK}, false},
	} {
		k := in(t, TimeWait, tc.c)
		wait := k.TimeWait(k.now)
		iss, ok := wait.CanReuse(&tc.syn)
		if ok != tc.want || ok && iss != ourISS+2 {
			t.Errorf("%s: %v, ISS after %d", tc.name, ok, iss)
		}
	}
}

// RFC 9293 §3.10.7.4: a FIN that arrives before the data in front of it waits
// for it.
func TestFinOutOfOrder(t *testing.T) {
	k := in(t, Established, plainConfig())
	fin := k.ack(0)
	fin.Seq += 100
	fin.Len = 50
	fin.Flags |= FIN
	k.input(fin)
	if k.state != Established || k.Unread() != 0 {
		t.Fatalf("%v", k.state)
	}
	seg := k.ack(0)
	seg.Len = 100
	k.input(seg)
	if k.state != CloseWait || k.Unread() != 150 || k.rcvNxt != peerISS+1+151 {
		t.Errorf("%v, %d octets", k.state, k.Unread())
	}
	k.close()
}
