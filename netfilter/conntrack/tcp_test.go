package conntrack

import (
	"testing"
	"time"

	"github.com/knitnet/knit/netfilter"
)

// TestStateTable holds every transition against a table of the states that conntrack
// documents: rows are the state before, columns the states in their order.
func TestStateTable(t *testing.T) {
	short := map[string]state{
		"NO": stateNone, "SS": synSent, "SR": synRecv, "ES": established, "FW": finWait, "CW": closeWait,
		"LA": lastAck, "TW": timeWait, "CL": closed, "S2": synSent2, "IG": ignore, "IV": bad,
	}
	for _, x := range []struct {
		dir  netfilter.Dir
		kind kind
		want [tcpStates]string
	}{ //                      NO    SS    SR    ES    FW    CW    LA    TW    CL    S2
		{0, kindSYN, [...]string{"SS", "SS", "IG", "IG", "IG", "IG", "IG", "SS", "SS", "S2"}},
		{0, kindSYNACK, [...]string{"IV", "IV", "SR", "IV", "IV", "IV", "IV", "IV", "IV", "SR"}},
		{0, kindFIN, [...]string{"IV", "IV", "FW", "FW", "LA", "LA", "LA", "TW", "CL", "IV"}},
		{0, kindACK, [...]string{"ES", "IV", "ES", "ES", "CW", "CW", "TW", "TW", "CL", "IV"}},
		{0, kindRST, [...]string{"IV", "CL", "CL", "CL", "CL", "CL", "CL", "CL", "CL", "CL"}},
		{0, kindNone, [...]string{"IV", "IV", "IV", "IV", "IV", "IV", "IV", "IV", "IV", "IV"}},
		{1, kindSYN, [...]string{"IV", "S2", "IV", "IV", "IV", "IV", "IV", "SS", "IV", "S2"}},
		{1, kindSYNACK, [...]string{"IV", "SR", "IG", "IG", "IG", "IG", "IG", "IG", "IG", "SR"}},
		{1, kindFIN, [...]string{"IV", "IV", "FW", "FW", "LA", "LA", "LA", "TW", "CL", "IV"}},
		{1, kindACK, [...]string{"IV", "IG", "SR", "ES", "CW", "CW", "TW", "TW", "CL", "IG"}},
		{1, kindRST, [...]string{"IV", "CL", "CL", "CL", "CL", "CL", "CL", "CL", "CL", "CL"}},
		{1, kindNone, [...]string{"IV", "IV", "IV", "IV", "IV", "IV", "IV", "IV", "IV", "IV"}},
	} {
		for s, name := range x.want {
			if got := state(s).next(x.dir, x.kind); got != short[name] {
				t.Errorf("%v, dir %d, kind %d: state %d, want %s", state(s), x.dir, x.kind, got, name)
			}
		}
	}
}

// A talk is a TCP connection whose segments the test writes.
type talk struct {
	*rig
	a, b string
}

func newTalk(t testing.TB) *talk { return &talk{newRig(t), "10.0.0.1:5000", "10.0.0.2:80"} }

// open shakes hands; a begins at 1000, b at 2000.
func (k *talk) open() *netfilter.Conn {
	k.t.Helper()
	k.client(netfilter.New, seg{flags: tcpSYN, seq: 1000})
	k.server(netfilter.EstablishedReply, seg{flags: tcpSYN | tcpACK, seq: 2000, ack: 1001})
	return k.client(netfilter.Established, seg{flags: tcpACK, seq: 1001, ack: 2001})
}

func (k *talk) client(want netfilter.Info, g seg) *netfilter.Conn {
	k.t.Helper()
	return k.want(tcp(k.a, k.b, g), want)
}

func (k *talk) server(want netfilter.Info, g seg) *netfilter.Conn {
	k.t.Helper()
	return k.want(tcp(k.b, k.a, g), want)
}

func (k *talk) state(want string) {
	k.t.Helper()
	n := 0
	k.Each(func(c *netfilter.Conn) bool {
		n++
		if v := k.Snapshot(c); v.State != want {
			k.t.Errorf("state %s, want %s", v.State, want)
		}
		return true
	})
	if n != 1 {
		k.t.Errorf("%d connections, want 1", n)
	}
}

func (k *talk) lives(c *netfilter.Conn, want time.Duration) {
	k.t.Helper()
	if v := k.Snapshot(c); v.Timeout != int64(want/time.Second) {
		k.t.Errorf("it lives for %d s, want %v", v.Timeout, want)
	}
}

func TestLifeOfAConnection(t *testing.T) {
	k := newTalk(t)
	c := k.open()
	k.state("ESTABLISHED")
	if !c.Is(netfilter.Assured) {
		t.Error("it is not assured after the handshake")
	}
	k.lives(c, 5*24*time.Hour)
	k.client(netfilter.Established, seg{flags: tcpACK, seq: 1001, ack: 2001, n: 100})
	k.lives(c, 5*time.Minute) // until that is acknowledged
	k.server(netfilter.EstablishedReply, seg{flags: tcpACK, seq: 2001, ack: 1101})
	k.lives(c, 5*24*time.Hour)
	k.server(netfilter.EstablishedReply, seg{flags: tcpFIN | tcpACK, seq: 2001, ack: 1101})
	k.state("FIN_WAIT")
	k.client(netfilter.Established, seg{flags: tcpACK, seq: 1101, ack: 2002})
	k.state("CLOSE_WAIT")
	k.client(netfilter.Established, seg{flags: tcpFIN | tcpACK, seq: 1101, ack: 2002})
	k.state("LAST_ACK")
	k.server(netfilter.EstablishedReply, seg{flags: tcpACK, seq: 2002, ack: 1102})
	k.state("TIME_WAIT")
	k.lives(c, 2*time.Minute)
	if k.client(netfilter.New, seg{flags: tcpSYN, seq: 5000}) == c {
		t.Error("a SYN in TIME_WAIT is of the old connection")
	}
	k.state("SYN_SENT")
}

func TestSimultaneousOpen(t *testing.T) {
	k := newTalk(t)
	k.client(netfilter.New, seg{flags: tcpSYN, seq: 1000})
	k.server(netfilter.EstablishedReply, seg{flags: tcpSYN, seq: 2000})
	k.state("SYN_SENT2")
	k.client(netfilter.Established, seg{flags: tcpSYN | tcpACK, seq: 1000, ack: 2001})
	k.state("SYN_RECV")
	k.server(netfilter.EstablishedReply, seg{flags: tcpSYN | tcpACK, seq: 2000, ack: 1001})
	k.client(netfilter.Established, seg{flags: tcpACK, seq: 1001, ack: 2001})
	k.state("ESTABLISHED")
}

// TestRefused: a reset that answers a SYN leaves nothing behind.
func TestRefused(t *testing.T) {
	k := newTalk(t)
	k.client(netfilter.New, seg{flags: tcpSYN, seq: 1000})
	k.server(netfilter.EstablishedReply, seg{flags: tcpRST | tcpACK, ack: 1001})
	k.wantCount(0)
}

func TestResets(t *testing.T) {
	for _, x := range []struct {
		name  string
		seq   uint32
		want  netfilter.Info
		state string
	}{
		{"exact", 2001, netfilter.EstablishedReply, "CLOSE"},
		{"in the window", 2100, netfilter.EstablishedReply, "ESTABLISHED"},
		{"old", 2000, netfilter.Invalid, "ESTABLISHED"},
		{"far ahead", 2001 + 100000, netfilter.Invalid, "ESTABLISHED"},
	} {
		t.Run(x.name, func(t *testing.T) {
			k := newTalk(t)
			k.open()
			k.server(x.want, seg{flags: tcpRST, seq: x.seq})
			k.state(x.state)
		})
	}
	t.Run("behind its own data", func(t *testing.T) {
		k := newTalk(t)
		k.open()
		k.server(netfilter.EstablishedReply, seg{flags: tcpACK, seq: 2001, ack: 1001, n: 50})
		k.server(netfilter.EstablishedReply, seg{flags: tcpRST, seq: 2051})
		k.state("CLOSE")
	})
	t.Run("old, with tcp_ignore_invalid_rst", func(t *testing.T) {
		k := newTalk(t)
		k.open()
		k.ignoreBadReset.Store(true)
		k.server(netfilter.EstablishedReply, seg{flags: tcpRST, seq: 2000})
		k.state("ESTABLISHED")
	})
}

// TestForgottenConnection: one end has crashed and opens again; the other answers
// its SYN with an ACK, gets a reset, and takes the next SYN.
func TestForgottenConnection(t *testing.T) {
	k := newTalk(t)
	c := k.open()
	k.client(netfilter.Established, seg{flags: tcpSYN, seq: 9000})
	k.state("ESTABLISHED")
	k.server(netfilter.EstablishedReply, seg{flags: tcpACK, seq: 2001, ack: 1001})
	k.client(netfilter.Established, seg{flags: tcpRST, seq: 1001})
	k.state("CLOSE")
	if k.client(netfilter.New, seg{flags: tcpSYN, seq: 9000}) == c {
		t.Error("the new SYN is of the old connection")
	}
	k.state("SYN_SENT")
}

// TestTakenSYN: the other end took a SYN that tracking had only remembered.
func TestTakenSYN(t *testing.T) {
	k := newTalk(t)
	k.open()
	k.client(netfilter.Established, seg{flags: tcpSYN, seq: 9000})
	k.server(netfilter.EstablishedReply, seg{flags: tcpSYN | tcpACK, seq: 70000, ack: 9001})
	k.state("SYN_RECV")
	k.client(netfilter.Established, seg{flags: tcpACK, seq: 9001, ack: 70001, n: 10})
	k.state("ESTABLISHED")
}

func TestPickup(t *testing.T) {
	k := newTalk(t)
	k.loose.Store(false)
	k.client(netfilter.Invalid, seg{flags: tcpACK, seq: 1001, ack: 2001})
	k.loose.Store(true)
	c := k.client(netfilter.New, seg{flags: tcpACK, seq: 1001, ack: 2001})
	k.state("ESTABLISHED")
	k.lives(c, 5*time.Minute)
	k.server(netfilter.EstablishedReply, seg{flags: tcpACK, seq: 2001, ack: 1001, n: 1000})
	k.client(netfilter.Established, seg{flags: tcpACK, seq: 1001, ack: 3001})
	k.lives(c, 5*24*time.Hour)
	if !c.Is(netfilter.Assured) {
		t.Error("it is not assured")
	}
}

func TestFirstSegmentsThatBeginNothing(t *testing.T) {
	k := newTalk(t)
	for _, flags := range []uint16{tcpRST, tcpRST | tcpACK, tcpSYN | tcpACK, tcpFIN, 0, tcpSYN | tcpFIN, tcpSYN | tcpRST, 0x3f} {
		k.client(netfilter.Invalid, seg{flags: flags, seq: 1})
	}
	k.wantCount(0)
}

func TestRepetitions(t *testing.T) {
	k := newTalk(t)
	c := k.open()
	data := seg{flags: tcpACK, seq: 1001, ack: 2001, n: 100}
	k.timeouts.tcpRetrans.Store(int64(time.Minute))
	for range 3 {
		k.client(netfilter.Established, data)
		k.lives(c, 5*time.Minute)
	}
	k.client(netfilter.Established, data)
	k.lives(c, time.Minute)
	k.maxRetrans.Store(200)
	k.client(netfilter.Established, data)
	k.lives(c, 5*time.Minute)
}

func TestLiberal(t *testing.T) {
	k := newTalk(t)
	k.open()
	forged := seg{flags: tcpACK, seq: 1001 + 500000, ack: 2001, n: 10}
	k.client(netfilter.Invalid, forged)
	k.liberal.Store(true)
	k.client(netfilter.Established, forged)
}

// TestLiberalSegmentsCount: what is out of the window moves the state where windows do
// not count, whether it is late or ahead.
func TestLiberalSegmentsCount(t *testing.T) {
	for _, seq := range []uint32{1<<32 - 498999, 1002, 501001} {
		k := newTalk(t)
		k.liberal.Store(true)
		k.open()
		k.server(netfilter.EstablishedReply, seg{flags: tcpFIN | tcpACK, seq: seq + 1000, ack: 1001})
		k.state("FIN_WAIT")
	}
}
