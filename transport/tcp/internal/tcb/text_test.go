package tcb

import (
	"testing"
	"time"
)

// data is a segment of n octets at offset off of the peer's stream.
func data(off, n int) Segment {
	return Segment{Seq: peerISS + 1 + Seq(off), Ack: ourISS + 1, Flags: ACK, Len: n, Window: 64000}
}

// RFC 9293 §3.8.6.3: "an ACK SHOULD be generated for at least every second
// full-sized segment"; RFC 1122 §4.2.3.2: within half a second. At the start
// each is acknowledged at once.
func TestDelayedAck(t *testing.T) {
	c := plainConfig()
	c.QuickAcks = 2
	k := in(t, Established, c)
	for i := range 2 {
		k.input(data(1460*i, 1460))
		if s := k.outAll(); len(s) != 1 {
			t.Fatalf("segment %d: %d ACKs at the start", i, len(s))
		}
	}
	k.input(data(2920, 1460))
	if s := k.outAll(); len(s) != 0 {
		t.Fatalf("%+v", s)
	}
	k.input(data(4380, 1460))
	if s := k.outAll(); len(s) != 1 || s[0].Ack != peerISS+1+5840 {
		t.Fatalf("%+v after the second", s)
	}
	k.input(data(5840, 1))
	if d := k.next(); d != 40*time.Millisecond {
		t.Errorf("ACK after %v", d)
	}
	if s := k.outAll(); len(s) != 1 || s[0].Ack != peerISS+1+5841 {
		t.Errorf("%+v", s)
	}
	// A merged segment counts as what it was merged of.
	big := data(5841, 4*1460)
	big.Cut = 1460
	k.input(big)
	if s := k.outAll(); len(s) != 1 {
		t.Errorf("%+v after a merged segment", s)
	}
	k.close()
}

// An answer carries the acknowledgement, and who answers is not in a hurry with
// the next one.
func TestPiggyback(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.input(data(0, 100))
	k.outAll() // at once, as nobody knows yet whether there is an answer
	k.write(50)
	if s := k.outAll(); len(s) != 1 || s[0].Len != 50 {
		t.Fatalf("%+v", s)
	}
	next := data(100, 100)
	next.Ack += 50
	k.input(next)
	if s := k.outAll(); len(s) != 0 {
		t.Errorf("%+v before the answer", s)
	}
	k.close()
}

// RFC 5681 §4.2: "Out-of-order data segments SHOULD be acknowledged immediately",
// and so should "a segment that fills in all or part of a gap".
func TestAckOutOfOrder(t *testing.T) {
	k := in(t, Established, plainConfig())
	k.quick = 0
	k.input(data(1460, 1460))
	if s := k.outAll(); len(s) != 1 || s[0].Ack != peerISS+1 {
		t.Fatalf("%+v", s)
	}
	k.input(data(0, 1460))
	if s := k.outAll(); len(s) != 1 || s[0].Ack != peerISS+1+2920 || k.Unread() != 2920 {
		t.Fatalf("%+v, %d octets", s, k.Unread())
	}
	k.close()
}

// RFC 2018 §4: the first block holds the segment that caused the ACK, the others
// repeat the most recent ones; RFC 2883 §4: a duplicate comes first, once.
func TestSACKBlocks(t *testing.T) {
	c := plainConfig()
	c.NoSACK = false
	k := in(t, Established, c)
	at := func(off int) Seq { return peerISS + 1 + Seq(off) }
	for _, tc := range []struct {
		off  int
		want []Block
	}{
		{1000, []Block{{at(1000), at(1100)}}},
		{3000, []Block{{at(3000), at(3100)}, {at(1000), at(1100)}}},
		{1100, []Block{{at(1000), at(1200)}, {at(3000), at(3100)}}},
		{5000, []Block{{at(5000), at(5100)}, {at(1000), at(1200)}, {at(3000), at(3100)}}},
		{3000, []Block{{at(3000), at(3100)}, {at(3000), at(3100)}, {at(5000), at(5100)}, {at(1000), at(1200)}}},
		{7000, []Block{{at(7000), at(7100)}, {at(3000), at(3100)}, {at(5000), at(5100)}, {at(1000), at(1200)}}},
	} {
		k.input(data(tc.off, 100))
		s := k.outAll()
		if len(s) != 1 {
			t.Fatalf("%d: %+v", tc.off, s)
		}
		got := s[0].SACK[:s[0].SACKs]
		if len(got) != len(tc.want) {
			t.Fatalf("%d: %v, want %v", tc.off, got, tc.want)
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("%d: %v, want %v", tc.off, got, tc.want)
			}
		}
	}
	k.input(data(0, 100))
	k.outAll()
	k.input(data(0, 50)) // RFC 2883 §4.1: below the cumulative acknowledgement too
	if s := k.outAll(); len(s) != 1 || s[0].SACK[0] != (Block{at(0), at(50)}) || s[0].Ack != at(100) {
		t.Errorf("%+v", s)
	}
	k.write(10) // the next one does not repeat it
	if s := k.outAll(); len(s) != 1 || s[0].SACK[0] != (Block{at(7000), at(7100)}) {
		t.Errorf("%+v", s)
	}
	k.close()
}

// RFC 9293 §3.10.7.4: "Segments with higher beginning sequence numbers SHOULD be
// held for later processing", within limits.
func TestPendingLimit(t *testing.T) {
	k := in(t, Established, plainConfig())
	limit := k.maxPending()
	for i := range 2 * limit {
		k.input(data(2+2*i, 1))
	}
	if k.rx.packets != limit {
		t.Errorf("%d packets wait, limit %d", k.rx.packets, limit)
	}
	k.input(data(0, 2)) // what fills the gap gets through
	if k.Unread() != 3 {
		t.Errorf("%d octets", k.Unread())
	}
	k.close()
}

// RFC 9293 §3.8.6.2.2: the right edge of the window does not move by less than
// min(half the buffer, a segment), and never back.
func TestReceiverSillyWindow(t *testing.T) {
	c := plainConfig()
	c.RcvBuf = Range{4000, 4000, 4000}
	k := in(t, Established, c)
	k.input(data(0, 4000))
	if s := k.outAll(); len(s) != 1 || s[0].Window != 0 {
		t.Fatalf("%+v", s)
	}
	k.Consumed(k.now, 1000)
	if s := k.outAll(); len(s) != 0 {
		t.Errorf("a window of 1000 is announced: %+v", s)
	}
	k.Consumed(k.now, 1000)
	if s := k.outAll(); len(s) != 1 || s[0].Window != 2000 {
		t.Errorf("%+v", s)
	}
	k.close()
}

// RFC 9293 §3.10.7.4: with a closed window "special allowance should be made to
// accept valid ACKs, URGs, and RSTs".
func TestClosedWindowTakesAcks(t *testing.T) {
	c := plainConfig()
	c.RcvBuf = Range{4000, 4000, 4000}
	k := in(t, Established, c)
	k.write(100)
	k.outAll()
	k.input(data(0, 4000))
	k.outAll()
	probe := data(4000, 1)
	probe.Ack += 100
	k.input(probe)
	s := k.outAll()
	if k.TakeAcked() != 100 || k.Unread() != 4000 || len(s) != 1 || s[0].Ack != peerISS+1+4000 {
		t.Errorf("%d octets unread, %+v", k.Unread(), s)
	}
	k.close()
}

// RFC 6093 §3.1: urgent data is in line; the pointer is a mark in the stream.
func TestUrgent(t *testing.T) {
	k := in(t, Established, plainConfig())
	seg := data(0, 100)
	seg.Flags |= URG
	seg.Urgent = 30
	k.input(seg)
	if k.Events()&EventUrgent == 0 || k.Unread() != 100 {
		t.Error("no urgent event, or the octets are not in line")
	}
	// The pointer was in the past when the data had been delivered.
	seg = data(100, 100)
	seg.Flags |= URG
	seg.Urgent = 130
	k.input(seg)
	k.Consumed(k.now, 50)
	if k.Events()&EventUrgent == 0 || k.UrgentMark() != 229 {
		t.Errorf("mark at %d, want the octet in front of the pointer", k.UrgentMark())
	}
	// An older pointer does not take it back.
	seg = data(200, 10)
	seg.Flags |= URG
	seg.Urgent = 15
	k.input(seg)
	if k.Events()&EventUrgent != 0 || k.UrgentMark() != 229 {
		t.Errorf("mark at %d after an older pointer", k.UrgentMark())
	}
	// 2 GiB later the old number is no newer than a new one.
	k.input(data(210, 100))
	k.Consumed(k.now, 260)
	k.rcvNxt, k.rcvAdv = k.rcvNxt.Add(1<<31-100), k.rcvAdv.Add(1<<31-100)
	seg = k.ack(0)
	seg.Len = 10
	seg.Flags |= URG
	seg.Urgent = 10
	k.input(seg)
	if k.Events()&EventUrgent == 0 {
		t.Error("new urgent data is taken for old")
	}
	k.close()
}

// RFC 7323 §5.3: PAWS: a segment with an older timestamp is not acceptable, but
// after 24 days of silence a timestamp says nothing (§5.5).
func TestPAWS(t *testing.T) {
	c := plainConfig()
	c.NoTimestamps = false
	k := in(t, Established, c)
	ts := func(seg Segment, v uint32) Segment {
		seg.Options = Options{Has: HasTimestamps, TSVal: v}
		return seg
	}
	k.input(ts(data(0, 100), 1000))
	k.outAll()
	k.input(ts(data(100, 100), 999))
	if s := k.outAll(); k.Unread() != 100 || len(s) != 1 || s[0].Ack != peerISS+101 {
		t.Fatalf("%d octets, %+v", k.Unread(), s)
	}
	// §3.2: without a timestamp it is dropped silently.
	k.input(data(100, 100))
	if s := k.outAll(); k.Unread() != 100 || len(s) != 0 {
		t.Fatalf("%d octets, %+v", k.Unread(), s)
	}
	// §5.2: a reset is not checked.
	k.pass(25 * 24 * time.Hour)
	k.input(ts(data(100, 100), 999))
	if k.Unread() != 200 {
		t.Error("refused after 25 days")
	}
	k.close()
}

// RFC 7323 §4.3: the echo is of the earliest segment that the ACK answers.
func TestEchoEarliest(t *testing.T) {
	c := plainConfig()
	c.NoTimestamps = false
	k := in(t, Established, c)
	k.quick = 0
	for i, v := range []uint32{100, 101} {
		seg := data(1448*i, 1448)
		seg.Options = Options{Has: HasTimestamps, TSVal: v}
		k.input(seg)
	}
	if s := k.outAll(); len(s) != 1 || s[0].TSEcr != 100 {
		t.Errorf("%+v", s)
	}
	k.close()
}

// RFC 5961 §7: challenge ACKs are limited.
func TestChallengeLimit(t *testing.T) {
	k := in(t, Established, plainConfig())
	sent := 0
	for range 100 {
		k.input(Segment{Seq: k.rcvNxt + 5, Flags: RST})
		sent += len(k.outAll())
		k.pass(100 * time.Millisecond)
	}
	if sent != 20 {
		t.Errorf("%d challenge ACKs in 10 s, want one each 500 ms", sent)
	}
}

// The buffer grows with what the application reads in a round trip, up to the
// maximum, and stays where SetRcvBuf puts it.
func TestReceiveAutotuning(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		c := plainConfig()
		c.RcvBuf = Range{4096, 65535, 1 << 20}
		k := in(t, Established, c)
		k.win.SRTT = 10 * time.Millisecond
		if fixed {
			k.SetRcvBuf(65535)
		}
		off := 0
		for range 2000 {
			n := k.rcvAdv.Sub(k.rcvNxt) &^ 1
			k.input(data(off, n))
			off += n
			k.Ready.Consume()
			k.Consumed(k.now, n)
			k.outAll()
			k.now = k.now.Add(10 * time.Millisecond)
		}
		if got := k.Info().RcvSpace; !fixed && got < 1<<17 || fixed && got != 65535 || got > 1<<20 {
			t.Errorf("fixed %v: %d bytes", fixed, got)
		}
		k.close()
	}
}

// Without window scaling there is no more to announce than 64 KiB, however large
// the buffer: reading makes no ACK while that is open.
func TestNoNeedlessWindowUpdates(t *testing.T) {
	c := plainConfig()
	c.RcvBuf = Range{4096, 1 << 20, 1 << 20}
	k := in(t, Established, c)
	k.quick = 0
	k.input(data(0, 1000))
	k.Consumed(k.now, 500)
	k.Consumed(k.now, 500)
	if s := k.outAll(); len(s) != 0 {
		t.Errorf("%+v", s)
	}
	k.close()
}

// RFC 9293 §3.8.6.2.2: reading a full buffer bit by bit does not make an ACK for
// each bit.
func TestFewWindowUpdates(t *testing.T) {
	c := plainConfig()
	c.RcvBuf = Range{4096, 60000, 60000}
	k := in(t, Established, c)
	k.SetRcvBuf(60000)
	k.input(data(0, 60000))
	k.outAll()
	acks := 0
	for range 600 {
		k.Consumed(k.now, 100)
		acks += len(k.outAll())
	}
	if acks == 0 || acks > 10 {
		t.Errorf("%d window updates for one buffer", acks)
	}
	k.close()
}

// RFC 9293 §3.10.7.4: what is behind the window is cut off, and a FIN there has
// not arrived.
func TestFinBehindWindow(t *testing.T) {
	c := plainConfig()
	c.RcvBuf = Range{4000, 4000, 4000}
	k := in(t, Established, c)
	seg := data(0, 5000)
	seg.Flags |= FIN
	k.input(seg)
	if s := k.outAll(); k.state != Established || k.Unread() != 4000 || len(s) != 1 || s[0].Ack != peerISS+1+4000 {
		t.Fatalf("%v, %d octets, %+v", k.state, k.Unread(), s)
	}
	k.Consumed(k.now, 4000)
	k.outAll()
	seg = data(4000, 1000)
	seg.Flags |= FIN
	k.input(seg)
	if k.state != CloseWait || !k.PeerClosed() {
		t.Errorf("%v", k.state)
	}
	k.close()
}

// Nothing comes behind a FIN (RFC 9293 §3.6: "I have no more data to send").
func TestDataBehindFin(t *testing.T) {
	k := in(t, Established, plainConfig())
	fin := data(100, 0)
	fin.Flags |= FIN
	k.input(fin)
	k.input(data(101, 50))
	k.input(data(0, 100))
	if k.state != CloseWait || k.Unread() != 100 {
		t.Errorf("%v, %d octets", k.state, k.Unread())
	}
	k.close()
}
