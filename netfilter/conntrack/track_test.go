package conntrack

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

const (
	clientA = "10.0.0.1:5000"
	serverA = "10.0.0.2:53"
)

func TestConnectionOfDatagrams(t *testing.T) {
	r := newRig(t)
	c := r.want(udp(clientA, serverA, 4), netfilter.New)
	if !c.Is(netfilter.Confirmed) || c.Is(netfilter.SeenReply) {
		t.Errorf("status %#x after the first packet", c.Status.Load())
	}
	r.want(udp(clientA, serverA, 4), netfilter.New)
	if r.want(udp(serverA, clientA, 4), netfilter.EstablishedReply) != c {
		t.Error("the answer is of another connection")
	}
	r.want(udp(clientA, serverA, 4), netfilter.Established)
	r.wantCount(1)
	r.advance(29 * time.Second)
	r.want(udp(clientA, serverA, 4), netfilter.Established)
	if !c.Is(netfilter.Assured) {
		t.Error("an exchange of more than two seconds is not assured")
	}
	r.advance(119 * time.Second)
	r.want(udp(clientA, serverA, 4), netfilter.Established)
	r.advance(121 * time.Second)
	r.want(udp(clientA, serverA, 4), netfilter.New)
}

// TestNotConfirmedUntilTheEnd: a packet that no hook lets through leaves nothing.
func TestNotConfirmedUntilTheEnd(t *testing.T) {
	r := newRig(t)
	pkt := r.in(udp(clientA, serverA, 4))
	r.wantCount(0)
	pkt.Consume()
	r.want(udp(serverA, clientA, 4), netfilter.New)
}

// TestClash: two first packets of one exchange are on their way at once. Datagrams
// go on as one connection; of other protocols the later one is lost.
func TestClash(t *testing.T) {
	r := newRig(t)
	x, y := r.in(udp(clientA, serverA, 4)), r.in(udp(clientA, serverA, 4))
	if !r.out(network.V4, x) || !r.out(network.V4, y) {
		t.Error("a datagram was dropped")
	}
	r.wantCount(1)
	syn := tcp(clientA, serverA, seg{flags: tcpSYN, seq: 1})
	x, y = r.in(syn), r.in(syn)
	if !r.out(network.V4, x) || r.out(network.V4, y) {
		t.Error("want the first SYN alone to pass")
	}
	if s := r.Stats(); s.ClashResolved != 1 || s.InsertFailed != 1 {
		t.Errorf("stats %+v, want one clash resolved and one failed", s)
	}
	r.wantCount(2)
}

func TestEcho(t *testing.T) {
	for _, x := range []struct {
		a, b         string
		query, reply uint8
	}{{"10.0.0.1", "10.0.0.2", 8, 0}, {"fd00::1", "fd00::2", 128, 129}, {"10.0.0.1", "10.0.0.2", 13, 14}} {
		r := newRig(t)
		r.want(icmp(x.b, x.a, x.reply, 0, 7), netfilter.Invalid)
		c := r.want(icmp(x.a, x.b, x.query, 0, 7), netfilter.New)
		if r.want(icmp(x.b, x.a, x.reply, 0, 7), netfilter.EstablishedReply) != c {
			t.Error("the answer is of another connection")
		}
		r.want(icmp(x.b, x.a, x.reply, 0, 8), netfilter.Invalid)
		r.advance(31 * time.Second)
		r.want(icmp(x.b, x.a, x.reply, 0, 7), netfilter.Invalid)
	}
}

func TestNeighbourDiscoveryIsUntracked(t *testing.T) {
	r := newRig(t)
	for _, typ := range []uint8{130, 131, 132, 133, 134, 135, 136, 143} {
		r.want(icmp("fe80::1", "fe80::2", typ, 0, 0), netfilter.Untracked)
	}
	for _, typ := range []uint8{137, 144, 200} {
		r.want(icmp("fe80::1", "fe80::2", typ, 0, 0), netfilter.Invalid)
	}
	r.wantCount(0)
}

func TestErrorsAreRelated(t *testing.T) {
	r := newRig(t)
	out, back := udp(clientA, serverA, 40), udp(serverA, clientA, 40)
	r.want(icmp("10.0.0.9", "10.0.0.1", 3, 1, 0, out[:28]...), netfilter.Invalid)
	c := r.want(out, netfilter.New)
	deadline := c.Deadline.Load()
	r.advance(time.Second)
	if r.want(icmp("10.0.0.9", "10.0.0.1", 3, 1, 0, out[:28]...), netfilter.RelatedReply) != c {
		t.Error("an error is of another connection")
	}
	r.want(icmp("10.0.0.9", "10.0.0.2", 11, 0, 0, back[:28]...), netfilter.Related)
	if c.Deadline.Load() != deadline || c.Is(netfilter.SeenReply) {
		t.Error("an error has kept the connection alive")
	}
	r.want(icmp("10.0.0.9", "10.0.0.7", 3, 1, 0, out[:28]...), netfilter.Invalid) // not to who has sent it
	r.want(icmp("10.0.0.9", "10.0.0.1", 3, 1, 0, out[:23]...), netfilter.Invalid) // cut
	r.want(icmp("10.0.0.9", "10.0.0.1", 3, 1, 0), netfilter.Invalid)
	six := udp("[fd00::1]:1", "[fd00::2]:2", 3)
	r.want(six, netfilter.New)
	r.want(icmp("fd00::9", "fd00::1", 2, 0, 0, six...), netfilter.RelatedReply)
}

func TestWhatIsBrokenIsInvalid(t *testing.T) {
	r := newRig(t)
	good := udp(clientA, serverA, 10)
	change := func(at int, v byte) []byte { b := slices.Clone(good); b[at] ^= v; return b }
	r.want(change(30, 1), netfilter.Invalid) // data: the checksum is wrong
	r.want(change(24, 1), netfilter.Invalid) // length
	r.want(good[:24], netfilter.Invalid)
	r.want(change(6, 0x20), netfilter.Invalid) // a fragment
	r.want(change(7, 1), netfilter.Invalid)
	zero := slices.Clone(good)
	zero[26], zero[27] = 0, 0
	r.want(zero, netfilter.New) // no checksum
	r.checksum.Store(false)
	r.want(change(30, 1), netfilter.New)
	if got := r.Stats().Invalid; got != 5 {
		t.Errorf("%d packets were invalid, want 5", got)
	}
}

func TestZones(t *testing.T) {
	r := newRig(t)
	r.want(udp(clientA, serverA, 1), netfilter.New)
	pkt := r.packet(udp(serverA, clientA, 1))
	if !r.SetZone(pkt, 7) {
		t.Fatal("a packet without a connection cannot be put into a zone")
	}
	if c, _ := r.Of(pkt); c != nil {
		t.Error("a zone is taken for a connection")
	}
	p := look{v: network.V4, pkt: pkt}
	r.trackOne(&p, new(run))
	if c, info := r.Of(pkt); info != netfilter.New || c.Tuples[netfilter.Reply].Zone != 7 {
		t.Errorf("in another zone: %v, want a new connection there", info)
	}
	if r.SetZone(pkt, 8) {
		t.Error("the zone of a connection was changed")
	}
	r.out(network.V4, pkt)
	r.wantCount(2)
}

func TestUntrackedStaysAlone(t *testing.T) {
	r := newRig(t)
	pkt := r.packet(udp(clientA, serverA, 1))
	r.Set(pkt, nil, netfilter.Untracked)
	p := look{v: network.V4, pkt: pkt}
	r.trackOne(&p, new(run))
	if c, info := r.Of(pkt); c != nil || info != netfilter.Untracked {
		t.Errorf("an untracked packet is %v of %v", info, c)
	}
	r.out(network.V4, pkt)
	r.wantCount(0)
}

func from(i int) string { return fmt.Sprintf("10.1.%d.%d:%d", i>>8&255, i&255, 1024+i>>16) }

// TestFullTable: new connections take the place of those that have seen no answer
// for long, and never that of assured ones.
func TestFullTable(t *testing.T) {
	r := newRig(t)
	r.max.Store(2000)
	for i := range 2000 {
		r.want(udp(from(i), serverA, 1), netfilter.New)
	}
	passed := 0
	for i := 2000; i < 2500; i++ {
		if _, _, dropped := r.pass(udp(from(i), serverA, 1)); !dropped {
			passed++
		}
	}
	s := r.Stats()
	if passed < 450 || s.EarlyDrop != uint64(passed) || s.Drop != uint64(500-passed) {
		t.Errorf("%d of 500 found room; stats %+v", passed, s)
	}
	r.wantCount(2000)
	r.Each(func(c *netfilter.Conn) bool { c.Status.Or(netfilter.Assured); return true })
	if _, _, dropped := r.pass(udp(clientA, serverA, 1)); !dropped {
		t.Error("an assured connection had to go")
	}
	r.wantCount(2000)
}

// TestFullOfWhatIsOver: a connection whose time is up makes room before the collector has
// come by, assured or not, and nothing was dropped early.
func TestFullOfWhatIsOver(t *testing.T) {
	r := newRig(t)
	r.max.Store(2000)
	for i := range 2000 {
		r.want(udp(from(i), serverA, 1), netfilter.New)
	}
	r.Each(func(c *netfilter.Conn) bool {
		c.Status.Or(netfilter.Assured)
		c.Deadline.Store(-1)
		return true
	})
	r.want(udp(clientA, serverA, 1), netfilter.New)
	if s := r.Stats(); s.EarlyDrop != 0 || s.Drop != 0 {
		t.Errorf("stats %+v, want no drop", s)
	}
}

func TestConnectionsEnd(t *testing.T) {
	r := newRig(t)
	r.max.Store(0) // a full table that finds no victim loses packets
	for i := range 3000 {
		r.want(udp(from(i), serverA, 1), netfilter.New)
	}
	r.advance(30*time.Second + gcParts*gcEvery)
	r.wantCount(0)
	if n := r.net.Clock.Pending(); n != 0 {
		t.Errorf("%d timers run for an empty table", n)
	}
	r.want(udp(clientA, serverA, 1), netfilter.New) // and it begins again
	r.advance(30*time.Second + gcParts*gcEvery)
	r.wantCount(0)
}

func TestEvents(t *testing.T) {
	r := newRig(t)
	var got []netfilter.EventKind
	undo := r.Watch(func(e netfilter.Event) { got = append(got, e.Kind) })
	r.want(udp(clientA, serverA, 1), netfilter.New)
	c := r.want(udp(serverA, clientA, 1), netfilter.EstablishedReply)
	r.advance(3 * time.Second)
	r.want(udp(clientA, serverA, 1), netfilter.Established)
	if !r.Delete(c) || r.Delete(c) {
		t.Error("want Delete to succeed once")
	}
	want := []netfilter.EventKind{netfilter.EventNew, netfilter.EventReply, netfilter.EventAssured, netfilter.EventDestroy}
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	undo()
	r.want(udp(clientA, serverA, 1), netfilter.New)
	if len(got) != len(want) {
		t.Error("events come after undo")
	}
}

func TestAccounting(t *testing.T) {
	r := newRig(t)
	r.acct.Store(true)
	r.timestamp.Store(true)
	r.advance(time.Second)
	c := r.want(udp(clientA, serverA, 10), netfilter.New)
	r.want(udp(serverA, clientA, 20), netfilter.EstablishedReply)
	r.want(udp(serverA, clientA, 20), netfilter.EstablishedReply)
	r.advance(5 * time.Second)
	v := r.Snapshot(c)
	if v.Acct.Packets != [2]uint64{1, 2} || v.Acct.Bytes != [2]uint64{38, 96} || v.Age != 5 || v.Start == 0 {
		t.Errorf("view %+v, counters %+v", v, v.Acct)
	}
}

// TestKnownConnectionsDoNotAllocate: nor do packets of all the protocols.
func TestKnownConnectionsDoNotAllocate(t *testing.T) {
	r := newRig(t)
	r.want(udp(clientA, serverA, 10), netfilter.New)
	r.want(tcp(clientA, serverA, seg{flags: tcpSYN, seq: 1}), netfilter.New)
	r.want(tcp(serverA, clientA, seg{flags: tcpSYN | tcpACK, seq: 1, ack: 2}), netfilter.EstablishedReply)
	r.want(icmp("10.0.0.1", "10.0.0.2", 8, 0, 1), netfilter.New)
	r.associate()
	b := udp(clientA, serverA, 10)
	for _, b := range [][]byte{b, sctp(sctpA, sctpB, 200, piece{flags: 3, body: make([]byte, 16)}), tcp(clientA, serverA, seg{flags: tcpACK, seq: 2, ack: 2}),
		icmp("10.0.0.1", "10.0.0.2", 8, 0, 1), icmp("10.0.0.7", "10.0.0.1", 3, 0, 1, b[:28]...)} {
		pkt := r.packet(b)
		one := func() {
			r.slot.Set(pkt, nil)
			pkt.Track = 0
			var run run
			p := look{v: network.V4, pkt: pkt, now: r.clock.Now()}
			r.trackOne(&p, &run)
		}
		if n := testing.AllocsPerRun(100, one); n != 0 {
			t.Errorf("%v allocations for a packet of protocol %d, want 0", n, b[9])
		}
		if c, _ := r.Of(pkt); c == nil {
			t.Errorf("protocol %d: no connection", b[9])
		}
		pkt.Consume()
	}
}

// FuzzTuple: the inverse of an inverse is the tuple, and no packet harms the tracker.
func FuzzTuple(f *testing.F) {
	f.Add(udp(clientA, serverA, 3))
	f.Add(tcp(clientA, serverA, seg{flags: tcpSYN, seq: 1}))
	f.Add(icmp("10.0.0.7", "10.0.0.1", 3, 0, 1, udp(clientA, serverA, 3)...))
	f.Add(icmp("fd00::7", "fd00::1", 1, 0, 1, udp("[fd00::1]:1", "[fd00::2]:2", 3)...))
	r := newRig(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if !headerOK(b) {
			return
		}
		pkt := r.packet(b)
		defer pkt.Consume()
		var tuple netfilter.Tuple
		if _, ok := tupleOf(version(b), pkt, &tuple); ok {
			back, ok := invert(&tuple)
			if again, ok2 := invert(&back); ok && (!ok2 || again != tuple) {
				t.Errorf("%v inverted twice is %v", tuple, again)
			}
		}
		pkt = r.packet(b)
		p := look{v: version(b), pkt: pkt, now: r.clock.Now()}
		r.trackOne(&p, new(run))
		r.out(p.v, pkt)
	})
}

// headerOK: the network layer lets nothing else through to the hooks.
func headerOK(b []byte) bool {
	switch {
	case len(b) < 20 || len(b) > 1500:
		return false
	case b[0]>>4 == 4:
		return b[0]&15 >= 5 && int(b[0]&15)*4 <= len(b) && int(binary.BigEndian.Uint16(b[2:])) == len(b)
	case b[0]>>4 == 6:
		return len(b) >= 40 && int(binary.BigEndian.Uint16(b[4:])) == len(b)-40
	}
	return false
}

// TestRunOfPackets: in a batch, each packet is looked at on its own even if it looks like
// the one before. A damaged one, another flow's, and one that a rule has taken out of
// tracking are not the connection's, and those behind them are.
func TestRunOfPackets(t *testing.T) {
	r := newRig(t)
	r.acct.Store(true)
	r.want(udp(clientA, serverA, 1), netfilter.New)
	c := r.want(udp(serverA, clientA, 1), netfilter.EstablishedReply)
	damaged := udp(clientA, serverA, 10)
	damaged[len(damaged)-1] ^= 1
	short := udp(clientA, serverA, 10)
	binary.BigEndian.PutUint16(short[wire.IPv4Len+4:], 100)
	fine := udp(clientA, serverA, 10)
	got := r.batch(fine, fine, damaged, fine, short, udp("10.0.0.9:1", serverA, 1), fine, fine)
	yes, no := netfilter.Established, netfilter.Invalid
	if want := []netfilter.Info{yes, yes, no, yes, no, netfilter.New, yes, yes}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if v := r.Snapshot(c); v.Acct.Packets != [2]uint64{6, 1} {
		t.Errorf("%d packets are counted, want 6 and 1", v.Acct.Packets)
	}
}
