package conntrack

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// expectation is of a UDP exchange from the server of master to a port of its client.
func expectation(master *netfilter.Conn, port uint16) *netfilter.Expectation {
	x := &netfilter.Expectation{Master: master, Dir: netfilter.Reply, Timeout: time.Minute}
	x.Tuple = master.Tuples[netfilter.Reply]
	x.Tuple.SrcPort, x.Tuple.DstPort = 0, port
	x.Mask = netfilter.Tuple{Src: [16]byte{255, 255, 255, 255}, Dst: [16]byte{255, 255, 255, 255}, DstPort: 0xffff, Proto: wire.ProtoUDP}
	return x
}

// expectEvents notes what is told of expectations: n for new, d for destroyed.
func (r *rig) expectEvents() func() string {
	var told []byte
	undo := r.WatchExpectations(func(e netfilter.ExpectEvent) {
		kind := byte('d')
		if e.Kind == netfilter.EventNew {
			kind = 'n'
		}
		told = append(told, kind, byte('0'+e.Expect.Tuple.DstPort))
	})
	r.t.Cleanup(undo)
	return func() string {
		defer func() { told = nil }()
		return string(told)
	}
}

func TestExpectations(t *testing.T) {
	r := newRig(t)
	told := r.expectEvents()
	want := func(what, events string, err, wantErr error) {
		t.Helper()
		if got := told(); got != events || !errors.Is(err, wantErr) {
			t.Errorf("%s: events %q, error %v; want %q, %v", what, got, err, events, wantErr)
		}
	}
	h := &netfilter.Helper{Name: "test", Proto: wire.ProtoUDP, MaxExpected: 2}
	master := r.want(udp(clientA, serverA, 1), netfilter.New)
	other := r.want(udp("10.0.0.1:6000", serverA, 1), netfilter.New)
	master.Helper.Store(h)
	want("the first", "n1", r.Expect(expectation(master, 1)), nil)
	r.advance(20 * time.Second)
	want("said again", "d1n1", r.Expect(expectation(master, 1)), nil)
	want("somebody else's", "", r.Expect(expectation(other, 1)), syscall.EBUSY)
	want("the second", "n2", r.Expect(expectation(master, 2)), nil)
	want("one too many", "d1n3", r.Expect(expectation(master, 3)), nil)
	r.expectMax.Store(2)
	want("more than the kernel allows", "", r.Expect(expectation(other, 9)), syscall.EMFILE)

	c := r.want(udp("10.0.0.2:999", "10.0.0.1:2", 1), netfilter.Related)
	want("fulfilled", "d2", nil, nil)
	if c.Master != master || !c.Is(netfilter.Expected) {
		t.Error("the connection has no master")
	}
	r.want(udp("10.0.0.3:999", "10.0.0.1:3", 1), netfilter.New) // not from the server
	r.advance(61 * time.Second)
	r.want(udp("10.0.0.2:998", "10.0.0.1:3", 1), netfilter.New) // too late
	r.EachExpectation(func(*netfilter.Expectation, time.Duration) bool { t.Error("one is left"); return true })
	want("too late", "d3", nil, nil)

	other = r.want(udp("10.0.0.1:6001", serverA, 1), netfilter.New)
	x := expectation(other, 4)
	want("another master", "n4", r.Expect(x), nil)
	r.Delete(other)
	want("with its master", "d4", nil, nil)
	want("of one that has ended", "", r.Expect(x), syscall.ESHUTDOWN)
	if s := r.Stats(); s.ExpectCreate != 5 || s.ExpectDelete != 5 || s.ExpectNew != 1 {
		t.Errorf("stats %+v, want 5 created, 5 gone, 1 fulfilled", s)
	}
}

// TestHelperThatGoesMeanwhile: a connection that gets into the table after its helper was
// taken away must not have it.
func TestHelperThatGoesMeanwhile(t *testing.T) {
	r := newRig(t)
	r.autoHelp.Store(true)
	calls := 0
	h := &netfilter.Helper{Name: "test", Proto: wire.ProtoUDP, Ports: []uint16{53}, Help: func(*packet.Packet, *netfilter.Conn, netfilter.Info) bool {
		calls++
		return true
	}}
	undo, err := r.AddHelper(h)
	if err != nil {
		t.Fatal(err)
	}
	pkt := r.in(udp(clientA, serverA, 1))
	undo()
	r.out(network.V4, pkt)
	before := calls
	c := r.want(udp(clientA, serverA, 1), netfilter.New)
	if calls != before || c.Helper.Load() != nil {
		t.Errorf("a helper that has gone was called %d times", calls-before)
	}
}

// TestClashCounts: the packet that came second is one of the connection that it ends up in.
func TestClashCounts(t *testing.T) {
	r := newRig(t)
	r.acct.Store(true)
	x, y := r.in(udp(clientA, serverA, 4)), r.in(udp(clientA, serverA, 4))
	r.out(network.V4, x)
	r.out(network.V4, y)
	var got []uint64
	r.Each(func(c *netfilter.Conn) bool {
		got = append(got, c.Acct[netfilter.Original].Packets.Load())
		return true
	})
	if !slices.Equal(got, []uint64{2}) {
		t.Errorf("packets %v, want 2", got)
	}
}
