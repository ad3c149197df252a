package tcb

import (
	"syscall"
	"testing"
	"time"
)

// RFC 9293 §3.5 figure 6, with the options of RFC 7323 and RFC 2018.
func TestHandshake(t *testing.T) {
	a, b := newConn(t), newConn(t)
	s := start()
	a.Connect(a.now, Config{}.Defaults(), s)
	syn, _ := a.out1()
	all := HasMSS | HasWScale | HasSACKPermitted | HasTimestamps
	if syn.Flags != SYN || syn.Seq != ourISS || syn.Has != all || syn.MSS != 1460 || syn.WScale != 7 || syn.Window != 65535 {
		t.Fatalf("SYN %+v", syn)
	}
	if n := syn.Options.Len(); n != 20 {
		t.Errorf("the options of a SYN take %d bytes, want 20", n)
	}
	s.ISS, s.MTU = peerISS, 1400
	b.Accept(b.now, Config{}.Defaults(), s, &syn)
	synAck, _ := b.out1()
	if synAck.Flags != SYN|ACK || synAck.Ack != ourISS+1 || synAck.Has != all || synAck.MSS != 1360 || synAck.TSEcr != syn.TSVal {
		t.Fatalf("SYN-ACK %+v", synAck)
	}
	a.now = a.now.Add(30 * time.Millisecond)
	a.input(synAck)
	ack, _ := a.out1()
	if ack.Flags != ACK || ack.Seq != ourISS+1 || ack.Ack != peerISS+1 || ack.Len != 0 {
		t.Fatalf("ACK %+v", ack)
	}
	b.now = b.now.Add(30 * time.Millisecond)
	b.input(ack)
	for _, k := range []*conn{a, b} {
		if k.state != Established || k.Events()&EventEstablished == 0 || k.Err() != nil {
			t.Errorf("%v, %v", k.state, k.Err())
		}
		// RFC 6691 §2: the options count against the MSS of the peer.
		if k.MSS() != 1360-12 {
			t.Errorf("MSS %d, want 1348", k.MSS())
		}
		if i := k.Info(); i.RTT != 30*time.Millisecond || i.RTO != 200*time.Millisecond || i.Cwnd != 10*1348 || !i.SACK || !i.Timestamps {
			t.Errorf("%+v", i)
		}
	}
}

// An option is in force only when both sides sent it (RFC 7323 §2.2, §3.2, RFC
// 2018 §2), and a SYN-ACK carries none that the SYN did not.
func TestOptionsNeedBoth(t *testing.T) {
	k := newConn(t)
	k.Accept(k.now, Config{}.Defaults(), start(), &Segment{Seq: peerISS, Flags: SYN, Window: 1000})
	s, _ := k.out1()
	if s.Has != HasMSS {
		t.Errorf("SYN-ACK with options %b, want the MSS only", s.Has)
	}
	k.input(k.ack(0))
	// RFC 9293 §3.7.1: "If an MSS Option is not received at connection setup,
	// TCP implementations MUST assume a default send MSS of 536".
	if k.MSS() != 536 || k.flags&(flagSACK|flagTimestamps|flagWScale) != 0 || k.rcvShift != 0 {
		t.Errorf("MSS %d, flags %b", k.MSS(), k.flags)
	}
}

// RFC 9293 §3.5 figure 7.
func TestSimultaneousOpen(t *testing.T) {
	a, b := newConn(t), newConn(t)
	s := start()
	a.Connect(a.now, plainConfig().ptr(), s)
	s.ISS = peerISS
	b.Connect(b.now, plainConfig().ptr(), s)
	synA, _ := a.out1()
	synB, _ := b.out1()
	a.input(synB)
	b.input(synA)
	if a.state != SynReceived || b.state != SynReceived {
		t.Fatalf("%v, %v", a.state, b.state)
	}
	saA, _ := a.out1()
	saB, _ := b.out1()
	if saA.Flags != SYN|ACK || saA.Seq != ourISS || saA.Ack != peerISS+1 {
		t.Fatalf("%+v", saA)
	}
	a.input(saB)
	b.input(saA)
	if a.state != Established || b.state != Established {
		t.Fatalf("%v, %v", a.state, b.state)
	}
	if i := a.Info(); i.Cwnd != 14600 {
		t.Errorf("cwnd %d: no SYN was lost", i.Cwnd)
	}
}

// ptr is Defaults under a name that reads well here.
func (c Config) ptr() *Config { return c.Defaults() }

// RFC 6298 §2.1, §5.5: a SYN is sent again after 1, 2, 4... seconds; after
// Config.SynRetries the user hears of a timeout.
func TestSynTimeout(t *testing.T) {
	k := in(t, SynSent, plainConfig())
	want := time.Second
	for range 6 {
		if d := k.next(); d != want {
			t.Fatalf("SYN after %v, want %v", d, want)
		}
		if s := k.outAll(); len(s) != 1 || s[0].Flags != SYN || s[0].Seq != ourISS || !s[0].Rexmit {
			t.Fatalf("%+v", s)
		}
		want *= 2
	}
	k.next()
	if k.state != Closed || k.Err() != syscall.ETIMEDOUT || len(k.outAll()) != 0 {
		t.Errorf("%v, %v", k.state, k.Err())
	}
}

// RFC 5681 §3.1: "if the SYN or SYN/ACK is lost, the initial window used by a
// sender after a correctly transmitted SYN MUST be one segment"; RFC 6298 §5.7:
// "the RTO MUST be re-initialized to 3 seconds when data transmission begins".
func TestSynLostOnce(t *testing.T) {
	k := in(t, SynSent, plainConfig())
	k.next()
	k.outAll()
	k.input(Segment{Seq: peerISS, Ack: ourISS + 1, Flags: SYN | ACK, Window: 64000, Options: Options{Has: HasMSS, MSS: 1460}})
	if i := k.Info(); i.Cwnd != 1460 || i.RTO != 3*time.Second {
		t.Errorf("cwnd %d, RTO %v", i.Cwnd, i.RTO)
	}
}

// The SYN-ACK has its own number of tries, and the embryo its own end.
func TestSynAckTimeout(t *testing.T) {
	k := in(t, SynReceived, plainConfig())
	for range 5 {
		k.next()
		if s := k.outAll(); len(s) != 1 || s[0].Flags != SYN|ACK {
			t.Fatalf("%+v", s)
		}
	}
	k.next()
	if k.state != Closed || k.Err() != syscall.ETIMEDOUT {
		t.Errorf("%v, %v", k.state, k.Err())
	}
}

// RFC 9293 §3.10.7.3: a SYN-ACK may carry data, which counts.
func TestDataOnSynAck(t *testing.T) {
	k := in(t, SynSent, plainConfig())
	k.input(Segment{Seq: peerISS, Ack: ourISS + 1, Flags: SYN | ACK | FIN, Len: 100, Window: 64000})
	if k.state != CloseWait || k.Unread() != 100 || k.rcvNxt != peerISS+102 {
		t.Errorf("%v, %d octets, RCV.NXT %d", k.state, k.Unread(), k.rcvNxt)
	}
	k.close()
}

// RFC 9293 §3.10.2 and §3.10.4: what is written, and a close, before the
// handshake ends wait for it.
func TestWriteBeforeEstablished(t *testing.T) {
	k := in(t, SynSent, plainConfig())
	k.write(3000)
	k.Shutdown()
	if s := k.outAll(); len(s) != 0 {
		t.Fatalf("sent %+v before the handshake", s)
	}
	k.input(Segment{Seq: peerISS, Ack: ourISS + 1, Flags: SYN | ACK, Window: 64000, Options: Options{Has: HasMSS, MSS: 1460}})
	s := k.outAll()
	if k.state != FinWait1 || len(s) != 3 || s[2].Flags != FIN|ACK|PSH || s[2].Len != 80 {
		t.Errorf("%v, %+v", k.state, s)
	}
}

// RFC 4987 §3.6: a connection that was rebuilt from a cookie is like any other.
func TestCookie(t *testing.T) {
	k := newConn(t)
	k.AcceptCookie(k.now, Config{}.ptr(), start(), &Cookie{
		ISS: 42, IRS: peerISS, OurWScale: 7,
		Options: Options{Has: HasMSS | HasWScale | HasTimestamps | HasSACKPermitted, MSS: 1460, WScale: 9, TSVal: 100},
	})
	if s := k.outAll(); len(s) != 0 || k.state != SynReceived {
		t.Fatalf("%v sends %+v", k.state, s)
	}
	k.input(Segment{Seq: peerISS + 1, Ack: 43, Flags: ACK, Len: 10, Window: 100, Options: Options{Has: HasTimestamps, TSVal: 101}})
	if k.state != Established || k.Unread() != 10 || k.sndWnd != 100<<9 || k.MSS() != 1448 || k.FirstSeq() != 43 {
		t.Errorf("%v, window %d, MSS %d", k.state, k.sndWnd, k.MSS())
	}
	k.close()
}

// RFC 9293 §3.9.2.2: an ICMP error that may pass does not end the attempt, but
// explains its failure; one that will not pass ends it.
func TestErrorsWhileConnecting(t *testing.T) {
	k := in(t, SynSent, plainConfig())
	k.SoftError(syscall.EHOSTUNREACH)
	if k.state != SynSent {
		t.Fatalf("%v after a soft error", k.state)
	}
	for k.state != Closed {
		k.next()
		k.outAll()
	}
	if k.Err() != syscall.EHOSTUNREACH {
		t.Errorf("%v", k.Err())
	}
	k = in(t, SynSent, plainConfig())
	k.HardError(syscall.ECONNREFUSED)
	if k.state != Closed || k.Err() != syscall.ECONNREFUSED {
		t.Errorf("%v, %v", k.state, k.Err())
	}
	// RFC 5461 §4.1: "in a synchronized state" they are soft.
	k = in(t, Established, plainConfig())
	k.HardError(syscall.ECONNREFUSED)
	if k.state != Established || k.Err() != nil {
		t.Errorf("%v, %v", k.state, k.Err())
	}
}

// A soft error explains a timeout only while nothing has been acknowledged since:
// what was said of the path an hour ago is not why the peer is silent today.
func TestSoftErrorPasses(t *testing.T) {
	for _, recovers := range []bool{false, true} {
		k := in(t, Established, plainConfig())
		k.write(1000)
		k.outAll()
		k.SoftError(syscall.EHOSTUNREACH)
		want := syscall.EHOSTUNREACH
		if recovers {
			k.input(k.ack(1000))
			k.write(1000)
			k.outAll()
			want = syscall.ETIMEDOUT
		}
		for k.state != Closed {
			k.next()
			k.outAll()
		}
		if k.Err() != want {
			t.Errorf("acknowledged since: %v: %v, want %v", recovers, k.Err(), want)
		}
	}
}

// A peer that announces a tiny MSS does not make us send a header per octet.
func TestTinyMSS(t *testing.T) {
	k := newConn(t)
	k.Accept(k.now, plainConfig().ptr(), start(), &Segment{Seq: peerISS, Flags: SYN, Window: 1000, Options: Options{Has: HasMSS}})
	if k.MSS() != minMSS {
		t.Errorf("MSS %d", k.MSS())
	}
}

// RFC 7323 §2.2: the scale is the smallest that expresses the largest buffer
// that the connection may come to have.
func TestWindowScale(t *testing.T) {
	for _, tc := range []struct {
		max, fixed int
		want       uint8
	}{{65535, 0, 0}, {65536, 0, 1}, {6 << 20, 0, 7}, {1 << 30, 0, 14}, {6 << 20, 300_000, 3}} {
		k := newConn(t)
		if tc.fixed > 0 {
			k.SetRcvBuf(tc.fixed)
		}
		k.Connect(k.now, Config{RcvBuf: Range{Max: tc.max}}.Defaults(), start())
		syn, _ := k.out1()
		if syn.WScale != tc.want {
			t.Errorf("scale %d for %d bytes, want %d", syn.WScale, tc.max, tc.want)
		}
		if i := k.Info(); tc.fixed > 0 && i.RcvSpace != tc.fixed {
			t.Errorf("buffer %d, want %d", i.RcvSpace, tc.fixed)
		}
	}
}

// The same for a buffer that is set between Accept and the SYN-ACK; the first
// window that is announced is the one that holds.
func TestSmallBufferOfPassiveOpen(t *testing.T) {
	k := newConn(t)
	syn := Segment{Seq: peerISS, Flags: SYN, Window: 64000, Options: Options{Has: HasMSS | HasWScale, MSS: 1460, WScale: 2}}
	k.Accept(k.now, Config{}.Defaults(), start(), &syn)
	k.SetRcvBuf(10_000)
	s, _ := k.out1()
	if s.Window != 10_000 || s.WScale != 0 {
		t.Errorf("SYN-ACK %+v", s)
	}
	k.input(k.ack(0))
	k.input(data(0, 1000))
	if s := k.outAll(); len(s) != 1 || s[0].Window != 9000 {
		t.Errorf("%+v", s)
	}
	k.close()
}
