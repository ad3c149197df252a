package ftp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// A book is a tracker that writes down what it is asked to expect.
type book struct {
	netfilter.Tracker
	expected []string
}

func (b *book) Expect(x *netfilter.Expectation) error {
	t := &x.Tuple
	b.expected = append(b.expected, fmt.Sprintf("%v>%v.%d", t.SrcAddr(), t.DstAddr(), t.DstPort))
	return nil
}

// A wiretap is a helper between a client 10.0.0.2 and a server 192.0.2.2.
type wiretap struct {
	t *testing.T
	ftp
	book
	c    netfilter.Conn
	pool packet.Pool
}

func newWiretap(t *testing.T) *wiretap {
	w := &wiretap{t: t}
	leak.Zero(t, "packets", w.pool.Live)
	w.ftp.track = &w.book
	o, r := &w.c.Tuples[0], &w.c.Tuples[1]
	o.Proto, r.Proto = wire.ProtoTCP, wire.ProtoTCP
	o.SetSrc(netip.MustParseAddr("10.0.0.2"))
	o.SetDst(netip.MustParseAddr("192.0.2.2"))
	r.Src, r.Dst = o.Dst, o.Src
	return w
}

// send lets a segment of a side pass and reports whether it was not dropped.
func (w *wiretap) send(info netfilter.Info, flags uint16, seq uint32, text string) bool {
	b := make([]byte, wire.IPv4Len+wire.TCPLen, wire.IPv4Len+wire.TCPLen+len(text))
	wire.PutIPv4(b, &wire.IPv4Fields{TotalLen: uint16(cap(b)), TTL: 64, Protocol: wire.ProtoTCP})
	wire.PutTCP(b[wire.IPv4Len:], &wire.TCPFields{Seq: seq, Flags: flags}, 0)
	pkt := w.pool.Get()
	defer pkt.Consume()
	pkt.Append(append(b, text...))
	pkt.Ensure(wire.IPv4Len) // as the network layer has it
	return w.help(pkt, &w.c, info)
}

func (w *wiretap) says(seq uint32, text string) bool {
	return w.send(netfilter.Established, wire.TCPAck, seq, text)
}

func (w *wiretap) want(expected ...string) {
	w.t.Helper()
	if !slices.Equal(w.expected, expected) {
		w.t.Errorf("expected %q, want %q", w.expected, expected)
	}
	w.expected = nil
}

// TestAnnouncementsAreBelieved: whole or in pieces, and once.
func TestAnnouncementsAreBelieved(t *testing.T) {
	w := newWiretap(t)
	w.send(netfilter.New, wire.TCPSyn, 99, "")
	w.says(100, "PORT 10,0,0,2,195,81\r\n")
	w.want("192.0.2.2>10.0.0.2.50001")
	w.says(100, "PORT 10,0,0,2,195,81\r\n") // sent again
	w.want()
	w.says(122, "PORT 10,0,0,")
	w.says(134, "2,195,82")
	w.want()
	w.says(142, "\r\nNOOP\r\n")
	w.want("192.0.2.2>10.0.0.2.50002")
	w.send(netfilter.EstablishedReply, wire.TCPAck, 500, "-\r\n227 (192,0,2,2,195,83)\r\n")
	w.want("10.0.0.2>192.0.2.2.50003")
}

// TestForgedSYN: a SYN in the middle of a connection, which anybody can send, does not
// make the helper deaf. One that its receiver takes does begin the stream anew.
func TestForgedSYN(t *testing.T) {
	w := newWiretap(t)
	w.send(netfilter.New, wire.TCPSyn, 99, "")
	w.c.Status.Or(netfilter.Assured)
	w.says(100, "NOOP\r\n")
	w.send(netfilter.Established, wire.TCPSyn, 1<<30, "")
	w.says(106, "PORT 10,0,0,2,195,81\r\n")
	w.want("192.0.2.2>10.0.0.2.50001")
	w.says(128, "PORT 10,0,0,2,195,82\r\n")
	w.want("192.0.2.2>10.0.0.2.50002")
	w.says(1<<30+1, "PORT 10,0,0,2,195,83\r\n")
	w.want("192.0.2.2>10.0.0.2.50003")
}

// TestForgeriesAreNot: hostile text opens nothing, and harms nothing else.
func TestForgeriesAreNot(t *testing.T) {
	w := newWiretap(t)
	w.send(netfilter.New, wire.TCPSyn, 99, "")
	for _, text := range []string{
		"PORT 10,0,0,3,195,81\r\n",    // another host's address
		"EPRT |1|10.0.0.3|50001|\r\n", // the same
		"PORT 10,0,0,2,0,25\r\n",      // a well-known port (RFC 2577 §3)
		"227 (10,0,0,2,195,81)\r\n",   // the wrong side
		"EPRT |2|fd00::2|50001|\r\n",  // another IP version
		strings.Repeat("A", 3000) + "\r\n",
	} {
		if !w.says(100, text) {
			t.Errorf("%.30q was dropped", text)
		}
		w.want()
	}
	// A segment that begins with a command, in the middle of a line.
	w = newWiretap(t)
	w.send(netfilter.New, wire.TCPSyn, 99, "")
	w.says(100, "SITE ")
	w.says(200, "PORT 10,0,0,2,195,81\r\n")
	w.want()
	w.loose.Store(true)
	w.says(222, "PORT 10,0,0,3,195,81\r\n")
	w.want("192.0.2.2>10.0.0.3.50001")
}

// TestTranslated: what has to be rewritten must come in one piece, and is rewritten
// the same way when it is sent again.
func TestTranslated(t *testing.T) {
	w := newWiretap(t)
	w.c.Status.Or(netfilter.SrcNAT)
	var again []string
	undo, err := w.hook.SetNAT(func(a *netfilter.Announcement) bool {
		again = append(again, string(a.Text))
		a.Text = fmt.Appendf(nil, "at %d, %d bytes", a.Off, a.Len)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	w.send(netfilter.New, wire.TCPSyn, 99, "")
	for _, part := range []string{"P", "PORT", "PORT 10,0,0,2,195,8", "eprt |"} {
		if w.says(100, part) {
			t.Errorf("%q was let through before it was whole", part)
		}
	}
	if !w.says(100, "NO") || !w.says(102, "OP\r\n") {
		t.Error("a command that announces nothing has to come in one piece")
	}
	for range 2 {
		if !w.says(106, "PORT 10,0,0,2,195,81\r\n") {
			t.Error("a whole command was dropped")
		}
	}
	if want := []string{"", "at 5, 15 bytes"}; !slices.Equal(again, want) {
		t.Errorf("translated as %q, want %q", again, want)
	}
	undo()
	if w.says(128, "PORT 10,0"); len(w.expected) != 0 {
		t.Errorf("expected %q", w.expected)
	}
}

// TestControlSegmentsDoNotAllocate: only announcements and broken lines do.
func TestControlSegmentsDoNotAllocate(t *testing.T) {
	w := newWiretap(t)
	w.send(netfilter.New, wire.TCPSyn, 99, "")
	pkt := w.pool.Get()
	defer pkt.Consume()
	b := make([]byte, wire.IPv4Len+wire.TCPLen+6)
	wire.PutIPv4(b, &wire.IPv4Fields{TotalLen: uint16(len(b)), TTL: 64, Protocol: wire.ProtoTCP})
	wire.PutTCP(b[wire.IPv4Len:], &wire.TCPFields{Seq: 100, Flags: wire.TCPAck}, 0)
	copy(b[wire.IPv4Len+wire.TCPLen:], "NOOP\r\n")
	pkt.Append(b)
	if n := testing.AllocsPerRun(100, func() { w.help(pkt, &w.c, netfilter.Established) }); n != 0 {
		t.Errorf("%v allocations for a segment of a control connection, want 0", n)
	}
}
