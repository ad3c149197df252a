package neigh

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// A lan is a table over devices that write down what they are given.
type lan struct {
	t     *testing.T
	clock *clock.Clock
	link  *link.Layer
	table *Table
	dev   *link.Device
	asked []string // what was asked for, and of whom
	sent  []string // destination and mark of frames
	dead  []uint32 // marks of packets that waited in vain
	// onAsk, if set, is called by Solicit: an answer that comes at once.
	onAsk func()
}

func (n *lan) Transmit(_ *link.Device, q *packet.Queue) {
	for p := q.Pop(); p != nil; p = q.Pop() {
		h, _ := wire.ParseEthernet(p.Head())
		n.sent = append(n.sent, fmt.Sprint(h.Dst()[5], ":", p.Mark))
		p.Consume()
	}
}
func (n *lan) Open(*link.Device) error { return nil }
func (n *lan) Close(*link.Device)      {}

func newLAN(t *testing.T, change func(*Config)) *lan {
	t.Helper()
	n := &lan{t: t, clock: clock.NewVirtual()}
	walks := new(rcu.Period)
	n.link = link.New(link.Config{Pool: new(packet.Pool), Clock: n.clock, Walks: walks})
	n.dev = n.device("eth0")
	cfg := Config{
		Clock: n.clock, Walks: walks, Seed: 1,
		Solicit: func(_ *link.Device, target netip.Addr, to wire.MAC, src netip.Addr) {
			n.asked = append(n.asked, fmt.Sprint(target, " ", to[5], " ", src))
			if n.onAsk != nil {
				n.onAsk()
			}
		},
		Unreachable: func(_ *link.Device, p *packet.Packet) {
			n.dead = append(n.dead, p.Mark)
			p.Drop(stat.NeighFailed)
		},
	}
	if change != nil {
		change(&cfg)
	}
	n.table = New(cfg)
	n.clock.Advance(time.Second) // a time of 0 means never
	t.Cleanup(func() {
		n.table.Close()
		if live, timers := n.link.Pool.Live(), n.clock.Pending(); live != 0 || timers != 0 {
			t.Errorf("%d packets and %d timers left", live, timers)
		}
	})
	return n
}

func (n *lan) device(name string) *link.Device {
	dev, err := n.link.Attach(link.Info{Name: name, Type: link.Ether}, n)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := dev.SetUp(true); err != nil {
		n.t.Fatal(err)
	}
	return dev
}

func (n *lan) check(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *lan) lookup(ip netip.Addr) *Entry {
	n.t.Helper()
	e, err := n.table.Lookup(n.dev, ip)
	if err != nil {
		n.t.Fatal(err)
	}
	return e
}

// packet returns one from 10.0.0.1 with a mark.
func (n *lan) packet(mark uint32) *packet.Packet {
	p := n.link.Pool.Get()
	wire.PutIPv4(p.Extend(28), &wire.IPv4Fields{TotalLen: 28, Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2}})
	p.Mark, p.Proto = mark, wire.EtherTypeIPv4
	return p
}

func (n *lan) send(e *Entry, marks ...uint32) {
	var q packet.Queue
	for _, m := range marks {
		q.Push(n.packet(m))
	}
	e.Send(&q)
}

func (n *lan) wantSent(want ...string) {
	n.t.Helper()
	if !slices.Equal(n.sent, want) {
		n.t.Errorf("sent %v, want %v", n.sent, want)
	}
	n.sent = nil
}

func (n *lan) wantAsked(want ...string) {
	n.t.Helper()
	if !slices.Equal(n.asked, want) {
		n.t.Errorf("asked %q, want %q", n.asked, want)
	}
	n.asked = nil
}

func (n *lan) wantState(e *Entry, want State) {
	n.t.Helper()
	if got := e.State(); got != want {
		n.t.Errorf("at %v: state %v, want %v", time.Duration(n.clock.Now()), got, want)
	}
}

var (
	ip2  = netip.MustParseAddr("10.0.0.2")
	ip3  = netip.MustParseAddr("10.0.0.3")
	mac2 = wire.MAC{2, 0, 0, 0, 0, 2}
	mac3 = wire.MAC{2, 0, 0, 0, 0, 3}
)

var (
	answer  = Update{Solicited: true, Override: true}
	request = Update{Override: true, Create: true}
)

// TestLife walks through the states of RFC 4861 §7.3.2: INCOMPLETE, REACHABLE,
// STALE, DELAY, PROBE and back, with the default times.
func TestLife(t *testing.T) {
	n := newLAN(t, nil)
	e := n.lookup(ip2)
	n.wantState(e, None)
	n.send(e, 1, 2)
	n.wantState(e, Incomplete)
	n.wantAsked("10.0.0.2 0 10.0.0.1")
	n.wantSent()
	n.table.Update(n.dev, ip2, mac2, answer)
	n.wantState(e, Reachable)
	n.wantSent("2:1", "2:2")
	n.send(e, 3)
	n.wantSent("2:3")

	n.clock.Advance(14 * time.Second) // the least reachable time is 15 s
	n.wantState(e, Reachable)
	n.clock.Advance(32 * time.Second) // the most is 45 s
	n.wantState(e, Stale)
	n.send(e, 4)
	n.wantSent("2:4")
	n.wantState(e, Delay)
	n.wantAsked()
	n.clock.Advance(5 * time.Second)
	n.wantState(e, Probe)
	n.wantAsked("10.0.0.2 2 invalid IP") // the neighbour itself is asked
	n.send(e, 5)
	n.wantSent("2:5")
	n.table.Update(n.dev, ip2, mac2, answer)
	n.wantState(e, Reachable)
}

// TestProbesEnd: three questions a second apart, then the packets come back
// (RFC 4861 §7.2.2, §7.3.3).
func TestProbesEnd(t *testing.T) {
	n := newLAN(t, nil)
	e := n.lookup(ip2)
	n.send(e, 1, 2)
	n.clock.Advance(2500 * time.Millisecond)
	if len(n.asked) != 3 || len(n.dead) != 0 {
		t.Errorf("after 2.5 s: %d questions, %d packets given up", len(n.asked), len(n.dead))
	}
	n.clock.Advance(500 * time.Millisecond)
	n.wantState(e, Failed)
	if !slices.Equal(n.dead, []uint32{1, 2}) {
		t.Errorf("given up: %v", n.dead)
	}
	n.asked = nil
	n.send(e, 3) // a new attempt
	n.wantState(e, Incomplete)
	n.wantAsked("10.0.0.2 0 10.0.0.1")

	if err := n.table.Set(n.dev, ip3, mac3, Probe, Add); err != nil {
		t.Fatal(err)
	}
	n.wantAsked("10.0.0.3 3 invalid IP")
	n.clock.Advance(3 * time.Second)
	n.wantState(n.lookup(ip3), Failed)
	if mac := n.lookup(ip3).MAC(); !mac.IsZero() {
		t.Errorf("a failed neighbour keeps %v", mac)
	}
}

// TestAnswerWithinQuestion: over a link within the process the answer comes while
// Solicit runs; no lock may be held then.
func TestAnswerWithinQuestion(t *testing.T) {
	n := newLAN(t, nil)
	e := n.lookup(ip2)
	n.onAsk = func() { n.table.Update(n.dev, ip2, mac2, answer) }
	n.send(e, 1)
	n.wantSent("2:1")
	n.wantState(e, Reachable)
}

// TestConfirm: an upper layer's word keeps a neighbour reachable, and ends DELAY
// without a question (RFC 4861 §7.3.1).
func TestConfirm(t *testing.T) {
	n := newLAN(t, nil)
	e := n.lookup(ip2)
	n.send(e, 1)
	e.Confirm()
	n.wantState(e, Incomplete) // nobody can confirm what nobody has reached
	n.table.Update(n.dev, ip2, mac2, answer)
	n.asked = nil
	for range 300 {
		n.clock.Advance(time.Second)
		e.Confirm()
	}
	n.wantState(e, Reachable)
	n.clock.Advance(60 * time.Second)
	n.wantState(e, Stale)
	n.send(e, 2)
	n.clock.Advance(4 * time.Second)
	e.Confirm()
	n.wantState(e, Reachable)
	n.clock.Advance(10 * time.Second)
	n.wantAsked()
}

// TestUpdateTable is the state machine of RFC 4861 appendix C for advertisements:
// state before, flags, whether the address is another one, what follows.
func TestUpdateTable(t *testing.T) {
	s, o := Update{Solicited: true}, Update{Override: true}
	both, neither := Update{Solicited: true, Override: true}, Update{}
	tests := []struct {
		before State
		u      Update
		other  bool
		after  State
		takes  bool // the other address
	}{
		{Incomplete, neither, true, Stale, true},
		{Incomplete, s, true, Reachable, true},
		{Incomplete, o, true, Stale, true},
		{Reachable, s, false, Reachable, false},
		{Stale, s, false, Reachable, false},
		{Probe, s, false, Reachable, false},
		{Delay, both, false, Reachable, false},
		{Reachable, s, true, Stale, false},
		{Stale, s, true, Stale, false},
		{Probe, s, true, Probe, false},
		{Delay, neither, true, Delay, false},
		{Reachable, both, true, Reachable, true},
		{Stale, both, true, Reachable, true},
		{Reachable, neither, false, Reachable, false},
		{Stale, o, false, Stale, false},
		{Probe, o, false, Probe, false},
		{Reachable, o, true, Stale, true},
		{Probe, o, true, Stale, true},
		{Permanent, both, true, Permanent, false},
		{NoARP, both, true, NoARP, false},
	}
	for _, tt := range tests {
		n := newLAN(t, nil)
		if err := n.table.Set(n.dev, ip2, mac2, tt.before, Add); err != nil {
			t.Fatal(err)
		}
		mac := mac2
		if tt.other {
			mac = mac3
		}
		r := n.table.Update(n.dev, ip2, mac, tt.u)
		want := mac2
		if tt.takes {
			want = mac3
		}
		if e := r.Entry; e.State() != tt.after || e.MAC() != want || r.Changed != tt.takes {
			t.Errorf("%v, %+v, other %v: %v %v, changed %v; want %v %v", tt.before, tt.u, tt.other, e.State(), e.MAC(), r.Changed, tt.after, want)
		}
	}
}

func TestUpdateCreates(t *testing.T) {
	n := newLAN(t, nil)
	if r := n.table.Update(n.dev, ip2, mac2, answer); r.Entry != nil {
		t.Error("an answer to nobody's question made an entry")
	}
	r := n.table.Update(n.dev, ip2, mac2, request)
	if r.Entry == nil || r.Entry.State() != Stale {
		t.Fatalf("a request made %+v, want a stale entry", r.Entry)
	}
}

// TestRouterFlag: RFC 4861 §7.2.5, last paragraph.
func TestRouterFlag(t *testing.T) {
	n := newLAN(t, nil)
	n.table.Update(n.dev, ip2, mac2, Update{Override: true, Create: true, Router: RouterYes})
	e := n.lookup(ip2)
	if r := n.table.Update(n.dev, ip2, mac2, request); !e.Router() || r.Demoted {
		t.Error("a message that says nothing changed the router flag")
	}
	if r := n.table.Update(n.dev, ip2, mac2, Update{Router: RouterNo}); e.Router() || !r.Demoted {
		t.Error("a router that is none any more was not noticed")
	}
}

// TestLock: of several answers the first counts.
func TestLock(t *testing.T) {
	n := newLAN(t, nil)
	u := answer
	u.Lock = time.Second
	e := n.lookup(ip2)
	n.send(e, 1)
	n.table.Update(n.dev, ip2, mac2, u)
	n.clock.Advance(900 * time.Millisecond)
	if r := n.table.Update(n.dev, ip2, mac3, u); e.MAC() != mac2 || !r.Conflict || e.State() != Reachable {
		t.Errorf("a second answer within the lock: %v %v", e.MAC(), e.State())
	}
	n.clock.Advance(100 * time.Millisecond)
	if n.table.Update(n.dev, ip2, mac3, u); e.MAC() != mac3 {
		t.Errorf("an answer after the lock was ignored")
	}
}

func TestQueueIsBounded(t *testing.T) {
	n := newLAN(t, nil)
	e := n.lookup(ip2)
	for i := range uint32(110) {
		n.send(e, i)
	}
	if got := n.link.Pool.Drops.Load(stat.NeighQueueFull); got != 9 {
		t.Errorf("%d packets dropped, want 9", got)
	}
	n.table.Update(n.dev, ip2, mac2, answer)
	if len(n.sent) != 101 || n.sent[0] != "2:9" {
		t.Errorf("%d packets sent, the first is %s; want 101 from 2:9", len(n.sent), n.sent[0])
	}

	e = n.lookup(ip3)
	big := make([]byte, 60000)
	for i := range uint32(5) { // 212992 bytes take three of 60028
		var q packet.Queue
		p := n.packet(i)
		p.Append(big)
		q.Push(p)
		e.Send(&q)
	}
	n.sent = nil
	n.table.Update(n.dev, ip3, mac3, answer)
	n.wantSent("3:2", "3:3", "3:4")
}

func TestByHand(t *testing.T) {
	n := newLAN(t, nil)
	check := func(got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("error %v, want %v", got, want)
		}
	}
	check(n.table.Set(n.dev, ip2, mac2, Permanent, Change), syscall.ENOENT)
	check(n.table.Set(n.dev, ip2, wire.MAC{}, Permanent, Add), syscall.EINVAL)
	check(n.table.Set(n.dev, netip.MustParseAddr("224.0.0.1"), mac2, Permanent, Add), syscall.EINVAL)
	check(n.table.Set(n.dev, ip2, mac2, Permanent, Add), nil)
	check(n.table.Set(n.dev, ip2, mac2, Permanent, Add), syscall.EEXIST)
	n.clock.Advance(time.Hour)
	n.send(n.lookup(ip2), 1)
	n.wantSent("2:1")
	check(n.table.Set(n.dev, ip2, mac3, NoARP, Replace), nil)
	list := n.table.List()
	if len(list) != 1 || list[0].State.String() != "NOARP" || list[0].MAC != mac3 {
		t.Errorf("list = %+v", list)
	}
	check(n.table.Delete(n.dev, ip2), nil)
	check(n.table.Delete(n.dev, ip2), syscall.ENOENT)
	n.wantAsked()
}

// TestSetReleases: an entry by hand ends the wait.
func TestSetReleases(t *testing.T) {
	n := newLAN(t, nil)
	n.send(n.lookup(ip2), 1)
	if err := n.table.Set(n.dev, ip2, mac2, Permanent, Replace); err != nil {
		t.Fatal(err)
	}
	n.wantSent("2:1")
}

// TestRemovedEntryComesBack: who holds an entry that was collected can go on using
// it, and does not make a second one.
func TestRemovedEntryComesBack(t *testing.T) {
	n := newLAN(t, nil)
	e := n.lookup(ip2)
	n.send(e, 1)
	n.table.FlushDevice(n.dev)
	if got := n.link.Pool.Drops.Load(stat.NeighDead); got != 1 || n.table.Len() != 0 {
		t.Errorf("%d waiting packets dropped, %d entries left", got, n.table.Len())
	}
	n.send(e, 2)
	if n.lookup(ip2) != e {
		t.Error("the entry that is used is not the one in the table")
	}
	n.table.FlushDevice(n.dev)
	fresh := n.lookup(ip2)
	n.send(e, 3)
	n.table.Update(n.dev, ip2, mac2, answer)
	n.wantSent("2:3")
	n.wantState(fresh, Reachable)

	n.table.FlushDevice(n.dev)
	n.dev.Detach()
	n.send(e, 4)
	if n.table.Len() != 0 {
		t.Error("a device that is gone has a neighbour again")
	}
}

func TestClosed(t *testing.T) {
	n := newLAN(t, nil)
	e := n.lookup(ip2)
	n.send(e, 1)
	n.table.Close()
	n.send(e, 2)
	if _, err := n.table.Lookup(n.dev, ip3); !errors.Is(err, ErrClosed) {
		t.Errorf("lookup in a closed table: %v", err)
	}
}

func TestWatch(t *testing.T) {
	n := newLAN(t, nil)
	var got []string
	undo := n.table.Watch(func(e Event) { got = append(got, fmt.Sprint(e.IP, e.State, e.Deleted)) })
	n.send(n.lookup(ip2), 1)
	n.table.Update(n.dev, ip2, mac2, answer)
	if err := n.table.Delete(n.dev, ip2); err != nil {
		t.Fatal(err)
	}
	undo()
	n.lookup(ip2).Use()
	want := []string{"10.0.0.2 INCOMPLETE false", "10.0.0.2 REACHABLE false", "10.0.0.2 FAILED false", "10.0.0.2 FAILED true"}
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// TestDeletedIsWhatItWas: the events are those of Linux when a device goes down.
func TestDeletedIsWhatItWas(t *testing.T) {
	n := newLAN(t, nil)
	n.check(n.table.Set(n.dev, ip2, mac2, Permanent, Add))
	n.check(n.table.Set(n.dev, ip3, mac3, Stale, Add))
	n.lookup(netip.MustParseAddr("10.0.0.9")) // nobody has asked for it, so nobody hears of it
	var got []string
	defer n.table.Watch(func(e Event) { got = append(got, fmt.Sprint(e.IP, e.MAC, e.State, e.Deleted)) })()
	n.table.FlushDevice(n.dev)
	slices.Sort(got)
	want := []string{fmt.Sprint(ip2, mac2, Permanent, true), fmt.Sprint(ip3, mac3, Stale, true)}
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// TestDeleteFailsFirst: what waits for a neighbour that is deleted by hand is
// unreachable.
func TestDeleteFailsFirst(t *testing.T) {
	n := newLAN(t, nil)
	n.send(n.lookup(ip2), 7)
	n.check(n.table.Delete(n.dev, ip2))
	if !slices.Equal(n.dead, []uint32{7}) {
		t.Errorf("unreachable: %v, want 7", n.dead)
	}
	if err := n.table.Delete(n.dev, ip2); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("deleted again: %v, want ENOENT", err)
	}
}

// TestStatic: what was set by hand for good can be told from the rest.
func TestStatic(t *testing.T) {
	n := newLAN(t, nil)
	byHand := map[string]State{"10.0.0.11": Permanent, "10.0.0.12": NoARP, "10.0.0.13": Stale, "10.0.0.14": Reachable}
	for ip, s := range byHand {
		n.check(n.table.Set(n.dev, netip.MustParseAddr(ip), mac2, s, Add))
	}
	noarp, err := n.link.Attach(link.Info{Name: "noarp0", Type: link.Ether, Flags: link.NoARP}, n)
	n.check(err)
	if _, err := n.table.Lookup(noarp, ip3); err != nil {
		t.Fatal(err)
	}
	static := func() (out []string) {
		for _, i := range n.table.List() {
			if i.Static {
				out = append(out, i.IP.String())
			}
		}
		return out
	}
	if got, want := static(), []string{"10.0.0.11", "10.0.0.12"}; !slices.Equal(got, want) {
		t.Errorf("static: %v, want %v", got, want)
	}
	n.check(n.table.Set(n.dev, netip.MustParseAddr("10.0.0.11"), mac2, Stale, Change))
	n.check(n.table.Delete(n.dev, netip.MustParseAddr("10.0.0.12")))
	n.lookup(netip.MustParseAddr("10.0.0.12"))
	if got := static(); len(got) != 0 {
		t.Errorf("static: %v, want none", got)
	}
}
