package tcb

import (
	"syscall"
	"testing"
	"time"
)

// RFC 6298 §2.2 and §2.3, with our minimum of 200 ms.
func TestSample(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.win.SRTT, k.rttvar = 0, 0
	k.sample(400 * time.Millisecond)
	if k.win.SRTT != 400*time.Millisecond || k.rttvar != 200*time.Millisecond || k.rto != 1200*time.Millisecond {
		t.Errorf("first sample: %v, %v, %v", k.win.SRTT, k.rttvar, k.rto)
	}
	k.sample(800 * time.Millisecond)
	// RTTVAR = 3/4*200 + 1/4*400, SRTT = 7/8*400 + 1/8*800
	if k.win.SRTT != 450*time.Millisecond || k.rttvar != 250*time.Millisecond || k.rto != 1450*time.Millisecond {
		t.Errorf("second sample: %v, %v, %v", k.win.SRTT, k.rttvar, k.rto)
	}
	for range 200 {
		k.sample(time.Millisecond)
	}
	if k.rto != 200*time.Millisecond {
		t.Errorf("RTO %v below the minimum", k.rto)
	}
	k.sample(10 * time.Minute)
	if k.rto != 2*time.Minute {
		t.Errorf("RTO %v above the maximum", k.rto)
	}
}

// RFC 6298 §5: the timer, its back-off, and RFC 9293 §3.8.3: R1 and R2.
func TestRetransmissionTimeout(t *testing.T) {
	c := plainConfig()
	c.Retries2 = 5
	k := in(t, Established, c)
	k.write(2000)
	k.outAll()
	want := k.rto
	for i := 1; i <= 5; i++ {
		if d := k.next(); d != want {
			t.Fatalf("retransmission %d after %v, want %v", i, d, want)
		}
		s := k.outAll()
		// RFC 5681 §3.1: "cwnd MUST be set to no more than the loss window".
		if len(s) != 1 || !s[0].Rexmit || s[0].Seq != ourISS+1 || s[0].Len != 1460 {
			t.Fatalf("%+v", s)
		}
		if got := k.Events()&EventSuspect != 0; got != (i == 3) {
			t.Errorf("R1 at retransmission %d: %v", i, got)
		}
		want *= 2
	}
	k.next()
	if k.state != Closed || k.Err() != syscall.ETIMEDOUT {
		t.Errorf("%v, %v", k.state, k.Err())
	}
}

// RFC 5681 §3.1 equation 4, once for a window: "ssthresh is held constant" when
// the retransmission is lost too. Then slow start up to it.
func TestLossWindow(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.write(14600)
	k.outAll()
	k.next()
	k.outAll()
	k.next()
	k.outAll()
	if i := k.Info(); i.Ssthresh != 7300 || i.Cwnd != 1460 || i.Phase != "loss" || i.Lost != 14600 {
		t.Fatalf("%+v", i)
	}
	k.input(k.ack(1460))
	if s := k.outAll(); len(s) != 2 || s[0].Seq != ourISS+1+1460 || !s[0].Rexmit || !s[1].Rexmit {
		t.Fatalf("%+v", s)
	}
	k.input(k.ack(14600))
	if i := k.Info(); i.Phase != "open" || i.Lost != 0 || i.Retrans != 0 || k.rtoAt != 0 {
		t.Errorf("%+v", i)
	}
}

// RFC 6298 §3: "RTT samples MUST NOT be made using segments that were
// retransmitted" (Karn), unless a timestamp tells which it was (RFC 7323 §4.1).
func TestKarn(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.write(1000)
	k.outAll()
	k.next()
	k.outAll()
	rto, rtt := k.rto, k.win.SRTT
	k.now = k.now.Add(50 * time.Millisecond)
	k.input(k.ack(1000))
	if k.win.SRTT != rtt || k.rto != rto {
		t.Errorf("an ambiguous sample was taken: %v", k.win.SRTT)
	}

	c := plainConfig()
	c.NoTimestamps = false
	k = in(t, Established, c)
	k.win.SRTT = 0
	k.write(1000)
	k.outAll()
	k.next()
	s := k.outAll()
	k.now = k.now.Add(50 * time.Millisecond)
	a := k.ack(1000)
	a.Options = Options{Has: HasTimestamps, TSVal: 2, TSEcr: s[0].TSVal}
	k.input(a)
	if k.win.SRTT < 50*time.Millisecond || k.win.SRTT > 51*time.Millisecond {
		t.Errorf("SRTT %v, want 50 ms", k.win.SRTT)
	}
}

// RFC 3522 and RFC 4015: an acknowledgement that echoes a timestamp from before
// the retransmission shows that nothing was lost, and the window comes back.
func TestSpuriousTimeout(t *testing.T) {
	c := plainConfig()
	c.NoTimestamps = false
	for _, spurious := range []bool{true, false} {
		k := in(t, Established, c)
		k.write(14480)
		first := k.outAll()
		k.next()
		again := k.outAll()
		a := k.ack(1448)
		a.Options = Options{Has: HasTimestamps, TSVal: 2, TSEcr: again[0].TSVal}
		if spurious {
			a.TSEcr = first[0].TSVal
		}
		k.input(a)
		i := k.Info()
		if got := i.Phase == "open" && i.Cwnd >= 14480 && i.Ssthresh == 0; got != spurious {
			t.Errorf("spurious %v: %+v", spurious, i)
		}
		if got := len(k.outAll()) == 0; got != spurious {
			t.Errorf("spurious %v: retransmits", spurious)
		}
	}
}

// RFC 9293 §3.8.3: "the user timeout": data that is not acknowledged for so
// long ends the connection, whatever the number of retransmissions.
func TestUserTimeout(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.SetUserTimeout(5 * time.Second)
	k.write(100)
	begin := k.now
	k.outAll()
	for k.state != Closed {
		k.next()
		k.outAll()
	}
	if d := k.now.Sub(begin); d != 5*time.Second || k.Err() != syscall.ETIMEDOUT {
		t.Errorf("%v after %v", k.Err(), d)
	}
}

// RFC 9293 §3.8.4: keepalive probes are off by default, begin after silence,
// end the connection when Count are not answered, and one answer is enough.
func TestKeepAlive(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.SetKeepAlive(k.now, KeepAlive{Idle: time.Minute, Interval: 10 * time.Second, Count: 3})
	if d := k.next(); d != time.Minute {
		t.Fatalf("first probe after %v", d)
	}
	// "a keep-alive with a sequence number that is SND.NXT-1"
	if s := k.outAll(); len(s) != 1 || s[0].Seq != ourISS || s[0].Len != 0 || s[0].Flags != ACK {
		t.Fatalf("%+v", s)
	}
	k.input(k.ack(0))
	if d := k.next() + k.next(); d != time.Minute || len(k.outAll()) != 1 {
		t.Fatalf("next probe after %v", d)
	}
	for range 2 {
		if d := k.next(); d != 10*time.Second || len(k.outAll()) != 1 {
			t.Fatalf("a probe after %v", d)
		}
	}
	k.next()
	if s := k.outAll(); k.state != Closed || k.Err() != syscall.ETIMEDOUT || len(s) != 1 || s[0].Flags&RST == 0 {
		t.Errorf("%v, %v, %+v", k.state, k.Err(), s)
	}
}

// Traffic moves the probe away, and data in flight has its own timer.
func TestKeepAliveWaits(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.SetKeepAlive(k.now, KeepAlive{Idle: time.Minute})
	k.pass(40 * time.Second)
	k.input(k.ack(0))
	k.pass(40 * time.Second)
	if s := k.outAll(); len(s) != 0 {
		t.Errorf("a probe 40 s after the peer was heard: %+v", s)
	}
	k.SetKeepAlive(k.now, KeepAlive{})
	if k.aliveAt != 0 {
		t.Error("keepalive is not off")
	}
}

// RFC 9293 §3.8.6.1: zero windows are probed, the first time after one RTO, then
// less and less often, for as long as the peer answers.
func TestPersist(t *testing.T) {
	c := plainConfig()
	c.Retries2 = 4
	k := in(t, Established, c)
	closed := k.ack(0)
	closed.Window = 0
	k.input(closed)
	k.write(5000)
	if s := k.outAll(); len(s) != 0 {
		t.Fatalf("sent %+v into a closed window", s)
	}
	want := k.rto
	for range 20 {
		if d := k.next(); d != want {
			t.Fatalf("a probe after %v, want %v", d, want)
		}
		if s := k.outAll(); len(s) != 1 || s[0].Seq != ourISS || s[0].Len != 0 {
			t.Fatalf("%+v", s)
		}
		if k.Info().Timer != "persist" {
			t.Errorf("timer %q", k.Info().Timer)
		}
		k.input(closed)
		want = min(2*want, 2*time.Minute)
	}
	k.input(k.ack(0))
	if s := k.outAll(); len(s) != 4 || s[0].Len != 1460 {
		t.Errorf("%+v when the window opens", s)
	}

	k = in(t, Established, c)
	k.input(closed)
	k.write(5000)
	k.outAll()
	for range 5 {
		k.next()
		k.outAll()
	}
	if k.state != Closed || k.Err() != syscall.ETIMEDOUT {
		t.Errorf("%v, %v though nobody answers", k.state, k.Err())
	}
}

// RFC 9293 §3.8.6.2.1: "the override timeout": a window that stays too small is
// used in the end.
func TestSmallWindow(t *testing.T) {
	k := in(t, Established, plainConfig())
	a := k.ack(0)
	a.Window = 500
	k.input(a)
	k.write(5000)
	if s := k.outAll(); len(s) != 0 {
		t.Fatalf("sent %+v", s)
	}
	k.next()
	if s := k.outAll(); len(s) != 1 || s[0].Len != 500 {
		t.Errorf("%+v", s)
	}
}

// RFC 1191 §6.4: a smaller path cuts what is in flight anew, and the congestion
// window stays.
func TestPathMTU(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.write(4380)
	k.outAll()
	if !k.InWindow(ourISS+1) || k.InWindow(ourISS+1+4380) || k.InWindow(ourISS) {
		t.Error("InWindow")
	}
	k.UpdateMTU(k.now, 1040)
	s := k.outAll()
	if len(s) != 5 || s[0].Len != 1000 || !s[0].Rexmit || s[4].Len != 380 {
		t.Errorf("%+v", s)
	}
	if i := k.Info(); i.Cwnd != 14600 || i.PMTU != 1040 || i.MSS != 1000 {
		t.Errorf("%+v", i)
	}
	k.input(k.ack(4380))
	if i := k.Info(); i.Phase != "open" || i.Unacked != 0 {
		t.Errorf("%+v", i)
	}
}

// RFC 9293 §3.8.3: R2 counts the transmissions of one segment: a peer that is
// alive, but never acknowledges it, does not reset the count.
func TestR2WithLivePeer(t *testing.T) {
	c := plainConfig()
	c.Retries2 = 4
	k := in(t, Established, c)
	k.write(1000)
	k.outAll()
	for i := 0; k.state != Closed; i++ {
		if i > 20 {
			t.Fatal("no end")
		}
		k.next()
		k.outAll()
		k.input(data(k.Unread(), 10))
		k.outAll()
	}
	if k.Err() != syscall.ETIMEDOUT {
		t.Errorf("%v", k.Err())
	}
	k.close()
}

// RFC 6429 §3: a connection that the application has closed need not probe a
// window for ever.
func TestOrphanInPersist(t *testing.T) {
	k := in(t, Established, plainConfig())
	a := k.ack(0)
	a.Window = 0
	k.input(a)
	k.write(10)
	k.Close(k.now)
	for i := 0; k.state != Closed; i++ {
		if i > 20 {
			t.Fatal("no end")
		}
		k.outAll()
		k.next()
		k.input(a)
	}
	if d := k.now; d.Sub(0) < time.Hour+30*time.Second {
		t.Errorf("given up after %v", d.Sub(0)-time.Hour)
	}
}

// A cork holds a small segment back for no longer than the override timeout.
func TestCorkEnds(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.SetCork(true)
	k.write(100)
	if s := k.outAll(); len(s) != 0 {
		t.Fatalf("%+v", s)
	}
	if d := k.next(); d != 200*time.Millisecond {
		t.Errorf("after %v", d)
	}
	if s := k.outAll(); len(s) != 1 || s[0].Len != 100 {
		t.Errorf("%+v", s)
	}
}
