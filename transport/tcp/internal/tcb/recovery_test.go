package tcb

import (
	"testing"
	"time"
)

// sender returns a connection that has sent n full segments of 1460 octets, with
// more to send, and numbers them from 0.
func sender(t *testing.T, sack bool, n int) *conn {
	c := plainConfig()
	c.NoSACK = !sack
	c.InitialWindow = n
	k := in(t, Established, c)
	k.win.Set(uint32(n * 1460))
	k.write(1460 * 100)
	if s := k.outAll(); len(s) != n {
		t.Fatalf("%d segments, want %d", len(s), n)
	}
	return k
}

// seg returns the sequence number of segment i.
func seg(i int) Seq { return ourISS + 1 + Seq(1460*i) }

// acked is an acknowledgement of all before segment i, with SACK blocks that
// are given as pairs of segment numbers.
func acked(k *conn, i int, sack ...int) Segment {
	a := k.ack(1460 * i)
	for j := 0; j+1 < len(sack); j += 2 {
		a.SACK[j/2] = Block{seg(sack[j]), seg(sack[j+1])}
		a.SACKs++
	}
	return a
}

// numbers lists which segments were sent, and which of them again.
func numbers(t *testing.T, segs []Segment) (fresh, again []int) {
	for _, s := range segs {
		for off := 0; off < s.Len; off += 1460 {
			i := (s.Seq.Sub(ourISS+1) + off) / 1460
			if s.Rexmit {
				again = append(again, i)
			} else {
				fresh = append(fresh, i)
			}
		}
	}
	return fresh, again
}

func expect(t *testing.T, k *conn, what string, fresh, again []int) {
	t.Helper()
	f, a := numbers(t, k.outAll())
	if !equal(f, fresh) || !equal(a, again) {
		t.Fatalf("%s: sent %v and again %v, want %v and %v; %+v", what, f, a, fresh, again, k.Info())
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// RFC 5681 §3.2, RFC 3042 and RFC 6582: without SACK.
func TestNewReno(t *testing.T) {
	k := sender(t, false, 10)
	// RFC 3042 §2: the first two duplicates let one new segment out each.
	k.input(acked(k, 0))
	expect(t, k, "first duplicate", []int{10}, nil)
	k.input(acked(k, 0))
	expect(t, k, "second duplicate", []int{11}, nil)
	k.input(acked(k, 0))
	// Segments 0 and 4 are lost; 12 are out, so ssthresh is 6.
	expect(t, k, "third duplicate", nil, []int{0})
	if i := k.Info(); i.Phase != "recovery" || i.Ssthresh != 6*1460 {
		t.Fatalf("%+v", i)
	}
	// RFC 6582 §3.2: each further duplicate inflates; 12 - dups - ... <= 6
	for range 3 {
		k.input(acked(k, 0))
	}
	expect(t, k, "six duplicates", nil, nil)
	for range 4 {
		k.input(acked(k, 0))
	}
	expect(t, k, "ten duplicates", []int{12, 13, 14, 15}, nil)
	// "partial acknowledgment ... retransmit the first unacknowledged segment"
	k.input(acked(k, 4))
	_, again := numbers(t, k.outAll())
	if !equal(again, []int{4}) {
		t.Fatalf("after a partial acknowledgement: %v", again)
	}
	// "deflate the congestion window by the amount of new data acknowledged" less
	// a segment: of ten duplicates seven are left. 12 of 16 are unacknowledged.
	if k.sacked != 7*1460 || k.pipe() < 5*1460 {
		t.Errorf("%d octets count as arrived, pipe %d", k.sacked, k.pipe())
	}
	k.input(acked(k, 12))
	if i := k.Info(); i.Phase != "open" || i.Cwnd > 6*1460 {
		t.Errorf("%+v", i)
	}
}

// RFC 6582 §3.2, step 1: after a timeout, duplicates of what was sent before it
// start no fast retransmit.
func TestNoFastRetransmitAfterTimeout(t *testing.T) {
	k := sender(t, false, 10)
	k.next()
	expect(t, k, "timeout", nil, []int{0})
	k.input(acked(k, 10))
	k.outAll()
	for range 5 {
		k.input(acked(k, 10))
	}
	_, again := numbers(t, k.outAll())
	if i := k.Info(); len(again) != 0 || i.Phase != "open" {
		t.Errorf("%v, %+v", again, i)
	}
}

// RFC 6675 §5: loss recovery with SACK: pipe, rules (1) and (2) of NextSeg.
func TestSACKRecovery(t *testing.T) {
	k := sender(t, true, 10)
	// Segments 0 and 4 are lost.
	k.input(acked(k, 0, 1, 2))
	expect(t, k, "first", []int{10}, nil)
	k.input(acked(k, 0, 1, 3))
	expect(t, k, "second", []int{11}, nil)
	k.input(acked(k, 0, 1, 4)) // "(DupThresh - 1) * SMSS bytes" are exceeded
	expect(t, k, "third", nil, []int{0})
	i := k.Info()
	// 12 out, 3 SACKed, 1 lost, 1 sent again: pipe is 9; ssthresh 6.
	if i.Phase != "recovery" || i.Ssthresh != 6*1460 || k.pipe() != 9*1460 {
		t.Fatalf("pipe %d, %+v", k.pipe(), i)
	}
	k.input(acked(k, 0, 5, 6, 1, 4))
	expect(t, k, "pipe 8", nil, nil)
	k.input(acked(k, 0, 5, 8, 1, 4)) // 4 is lost now
	expect(t, k, "pipe 5, one to go", nil, []int{4})
	k.input(acked(k, 0, 5, 10, 1, 4))
	expect(t, k, "pipe 4", []int{12, 13}, nil)
	k.input(acked(k, 4, 5, 12))
	expect(t, k, "partial", []int{14, 15, 16}, nil)
	k.input(acked(k, 12))
	if i := k.Info(); i.Phase != "open" || i.Cwnd != 6*1460 || i.Lost+i.Sacked+i.Retrans != 0 {
		t.Errorf("%+v", i)
	}
	if r := k.Info(); r.RetransSegs != 2 {
		t.Errorf("%d retransmissions of 2 losses", r.RetransSegs)
	}
}

// RFC 6675 §4 rules (3) and (4): when nothing is known to be lost and there is
// no new data, what is behind the hole and then the end is sent again, once.
func TestRescue(t *testing.T) {
	c := plainConfig()
	c.NoSACK = false
	k := in(t, Established, c)
	k.write(1460 * 10)
	k.outAll()
	k.input(acked(k, 0, 1, 2))
	k.input(acked(k, 0, 1, 3))
	k.input(acked(k, 0, 1, 4))
	expect(t, k, "recovery", nil, []int{0})
	k.input(acked(k, 0, 1, 4, 5, 6))
	k.input(acked(k, 4, 5, 7)) // a hole below the highest SACKed
	expect(t, k, "rule 3", nil, []int{4})
	k.input(acked(k, 4, 5, 8))
	expect(t, k, "rule 4", nil, []int{9})
	k.input(acked(k, 4, 5, 9))
	expect(t, k, "no second rescue", nil, nil)
}

// A burst for a device that cuts is made of whole segments, in recovery too.
func TestBurst(t *testing.T) {
	c := plainConfig()
	c.NoSACK = false
	k := in(t, Established, c)
	k.MaxSegment = 64 << 10
	k.write(1460*9 + 100)
	s := k.outAll()
	if len(s) != 1 || s[0].Len != 1460*9+100 || s[0].Cut != 1460 || s[0].Flags&PSH == 0 {
		t.Fatalf("%+v", s)
	}
	k.next()
	k.win.Set(4 * 1460)
	k.input(acked(k, 1, 5, 7))
	s = k.outAll()
	if len(s) == 0 || s[0].Len%1460 != 0 || s[0].Seq != seg(1) || s[0].Seq.Add(s[0].Len).After(seg(5)) {
		t.Errorf("%+v", s)
	}
}

// RFC 2018 §8: a receiver may throw away what it SACKed: the sender notices when
// what is missing is SACKed, and sends it.
func TestReneging(t *testing.T) {
	k := sender(t, true, 10)
	k.input(acked(k, 0, 1, 10))
	k.outAll()
	k.input(acked(k, 1)) // it had 1 to 9 and does not acknowledge them
	k.outAll()
	for range 9 {
		k.next()
		_, again := numbers(t, k.outAll())
		if len(again) == 0 {
			t.Fatalf("nothing sent again: %+v", k.Info())
		}
		if k.una == seg(10) {
			break
		}
		k.input(acked(k, k.una.Sub(ourISS+1)/1460+1))
		k.outAll()
	}
}

// RFC 9293 §3.7.4: "If there is unacknowledged data ... then the sending TCP
// endpoint buffers all user data ... until the outstanding data has been
// acknowledged or until the TCP endpoint can send a full-sized segment".
func TestNagle(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(k *conn)
		want []int // lengths that go out for writes of 100, 100, 1400, 3000
	}{
		{"nagle", func(*conn) {}, []int{100, 1460, 1460, 1460}},
		{"no delay", func(k *conn) { k.SetNoDelay(true) }, []int{100, 100, 1400, 1460, 1460, 80}},
		{"cork", func(k *conn) { k.SetCork(true) }, []int{1460, 1460, 1460}},
	} {
		k := in(t, Established, plainConfig())
		tc.set(k)
		var got []int
		for _, n := range []int{100, 100, 1400, 3000} {
			k.write(n)
			for _, s := range k.outAll() {
				got = append(got, s.Len)
			}
		}
		if !equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
		k.SetCork(false)
		k.SetNoDelay(true)
		if s := k.outAll(); k.Unsent() != 0 {
			t.Errorf("%s: %d octets are left without delay, sent %+v", tc.name, k.Unsent(), s)
		}
	}
}

// RFC 9293 §3.9.1.2: without a PUSH of the user "the last buffered segment" has the
// bit, and no other.
func TestPush(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.write(3*1460 + 10)
	for i, s := range k.outAll() {
		if got := s.Flags&PSH != 0; got != (i == 3) {
			t.Errorf("segment %d of 4: PSH %v", i, got)
		}
	}
}

// RFC 5681 §4.1: after an idle time of more than one RTO the window is the
// restart window.
func TestRestartAfterIdle(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.win.Set(100 * 1460)
	k.write(1460)
	k.outAll()
	k.input(k.ack(1460))
	k.pass(time.Second)
	k.write(1460)
	k.outAll()
	if i := k.Info(); i.Cwnd != 10*1460 {
		t.Errorf("cwnd %d", i.Cwnd)
	}
}

// RFC 7661 §4.3: a window that the application does not use does not grow.
func TestUnusedWindow(t *testing.T) {
	k := in(t, Established, plainConfig())
	n := 0
	for range 100 {
		k.write(1000)
		n += 1000
		k.outAll()
		k.input(k.ack(n))
	}
	if i := k.Info(); i.Cwnd != 14600 {
		t.Errorf("cwnd %d", i.Cwnd)
	}
}

// Changing the congestion control keeps the window.
func TestSetCC(t *testing.T) {
	k := sender(t, true, 20)
	k.SetCC(k.now, new(plain))
	if i := k.Info(); i.Cwnd != 20*1460 || i.CC != "none" {
		t.Errorf("%+v", i)
	}
}

// A burst that the window cuts short waits for the next acknowledgement to make
// it larger, but only while that is sure to come.
func TestBurstWaits(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.MaxSegment = 64 << 10
	k.win.Set(32 * 1460)
	k.sndWnd = 1 << 20
	k.write(100 * 1460)
	if s := k.outAll(); len(s) != 1 || s[0].Len != 32*1460 {
		t.Fatalf("%+v", s)
	}
	k.win.Ssthresh = k.win.Cwnd // no growth to speak of
	k.input(k.ack(2 * 1460))
	if s := k.outAll(); len(s) != 0 {
		t.Errorf("a burst of %d octets", s[0].Len)
	}
	k.input(k.ack(4 * 1460))
	if s := k.outAll(); len(s) != 1 || s[0].Len != 4*1460 {
		t.Errorf("%+v", s)
	}
}
