package neigh

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

func small(c *Config) { c.Thresh1, c.Thresh2, c.Thresh3 = 4, 8, 16 }

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }

// TestScanEvictsItself: somebody who asks for hosts that are not there gets the
// room of earlier ones of these, and neighbours that work stay.
func TestScanEvictsItself(t *testing.T) {
	n := newLAN(t, small)
	good := n.lookup(ip2)
	n.send(good, 1)
	n.table.Update(n.dev, ip2, mac2, answer)
	for i := range 200 {
		n.send(n.lookup(addr(i)), 9)
	}
	if n.table.Len() > 16 {
		t.Errorf("%d entries, at most 16 allowed", n.table.Len())
	}
	if n.table.find(n.dev, ip2) != good {
		t.Error("a scan pushed out a reachable neighbour")
	}
}

// TestDevicesShare: a flood on one device leaves the entries of another alone.
func TestDevicesShare(t *testing.T) {
	n := newLAN(t, small)
	other := n.device("eth1")
	for i := range 3 {
		n.table.Update(other, addr(i), mac2, request) // stale: first to go
	}
	n.clock.Advance(10 * time.Second)
	for i := range 100 {
		n.table.Update(n.dev, addr(i), mac3, request)
	}
	for i := range 3 {
		if n.table.find(other, addr(i)) == nil {
			t.Errorf("entry %d of the other device is gone", i)
		}
	}
}

func TestFullTable(t *testing.T) {
	n := newLAN(t, small)
	for i := range 16 {
		if err := n.table.Set(n.dev, addr(i), mac2, Permanent, Add); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.table.Lookup(n.dev, ip2); !errors.Is(err, ErrFull) {
		t.Errorf("lookup in a table full of permanent entries: %v", err)
	}
}

// TestCollection: above the first threshold unused entries go after a minute;
// below it they stay for ever.
func TestCollection(t *testing.T) {
	n := newLAN(t, small)
	for i := range 7 {
		n.table.Update(n.dev, addr(i), mac2, request)
	}
	n.clock.Advance(59 * time.Second)
	if n.table.Len() != 7 {
		t.Errorf("%d entries after 59 s, want 7", n.table.Len())
	}
	n.clock.Advance(time.Hour)
	if n.table.Len() != 4 {
		t.Errorf("%d entries in the end, want 4", n.table.Len())
	}
	if n.clock.Pending() != 0 {
		t.Error("a table that has nothing to do has a timer")
	}
}

func TestParams(t *testing.T) {
	n := newLAN(t, nil)
	n.table.SetParams(n.dev, Params{Retrans: 100 * time.Millisecond, Multicast: 1})
	e := n.lookup(ip2)
	n.send(e, 1)
	n.clock.Advance(100 * time.Millisecond)
	n.wantState(e, Failed)
	if p := n.table.Params(n.dev); p.Unicast != 3 || p.BaseReachable != 30*time.Second {
		t.Errorf("params that were not given: %+v", p)
	}
}

// TestNoARPDevice: where nobody answers nobody is asked.
func TestNoARPDevice(t *testing.T) {
	n := newLAN(t, nil)
	dev, err := n.link.Attach(link.Info{Name: "dummy0", Type: link.Ether, Flags: link.NoARP}, n)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	e, err := n.table.Lookup(dev, ip2)
	if err != nil {
		t.Fatal(err)
	}
	n.send(e, 1)
	n.wantState(e, NoARP)
	n.wantAsked()
}

// TestHammer sends, confirms, updates, lists and flushes from many goroutines; the
// race detector and the pool's count of the living judge.
func TestHammer(t *testing.T) {
	n := newLAN(t, small)
	sink := &sink{}
	dev, err := n.link.Attach(link.Info{Name: "eth1", Type: link.Ether}, sink)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	table := New(Config{Clock: n.clock, Thresh1: 2, Thresh2: 4, Thresh3: 8,
		Solicit: func(*link.Device, netip.Addr, wire.MAC, netip.Addr) {}})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				ip := addr((i*7 + g) % 12)
				e, err := table.Lookup(dev, ip)
				if err != nil {
					continue
				}
				var q packet.Queue
				q.Push(n.packet(1))
				switch i % 5 {
				case 0:
					table.Update(dev, ip, mac2, answer)
				case 1:
					e.Confirm()
				case 2:
					table.Flush(func(x *Entry) bool { return x.IP() == ip })
				case 3:
					table.List()
				}
				e.Send(&q)
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			n.clock.Advance(time.Second)
		}
	})
	wg.Wait()
	table.Close()
}

type sink struct{}

func (*sink) Transmit(_ *link.Device, q *packet.Queue) { q.Consume() }
func (*sink) Open(*link.Device) error                  { return nil }
func (*sink) Close(*link.Device)                       {}

func TestSendDoesNotAllocate(t *testing.T) {
	n := newLAN(t, nil)
	dev, _ := n.link.Attach(link.Info{Name: "eth1", Type: link.Ether}, &sink{})
	if err := dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	if err := n.table.Set(dev, ip2, mac2, Permanent, Add); err != nil {
		t.Fatal(err)
	}
	e, _ := n.table.Lookup(dev, ip2)
	pkt := n.packet(1)
	defer pkt.Consume()
	var q packet.Queue
	avg := testing.AllocsPerRun(500, func() {
		q.Push(pkt.Clone())
		e.Send(&q)
		if _, err := n.table.Lookup(dev, ip2); err != nil {
			t.Error(err)
		}
	})
	if int(avg) != 0 && !raceEnabled {
		t.Errorf("%v allocations per packet, want 0", avg)
	}
}

func BenchmarkSend(b *testing.B) {
	n := newLAN(new(testing.T), nil)
	dev, _ := n.link.Attach(link.Info{Name: "eth1", Type: link.Ether}, &sink{})
	_ = dev.SetUp(true)
	_ = n.table.Set(dev, ip2, mac2, Permanent, Add)
	e, _ := n.table.Lookup(dev, ip2)
	var q packet.Queue
	b.Run("neighbour", func(b *testing.B) {
		for b.Loop() {
			q.Push(n.packet(1))
			e.Send(&q)
		}
	})
	b.Run("device", func(b *testing.B) {
		for b.Loop() {
			p := n.packet(1)
			dev.PushHeader(p, mac2)
			q.Push(p)
			dev.Transmit(&q)
		}
	})
	b.Run("lookup", func(b *testing.B) {
		for b.Loop() {
			_, _ = n.table.Lookup(dev, ip2)
		}
	})
	b.Run("confirm", func(b *testing.B) {
		for b.Loop() {
			e.Confirm()
		}
	})
}

// TestThresholds: the bounds can be changed while the table is used; the hard one
// holds whatever the soft one is.
func TestThresholds(t *testing.T) {
	for _, tt := range []struct{ soft, hard, most int }{{8, 16, 16}, {1000, 5, 5}, {0, 0, 0}, {3, 4, 4}} {
		n := newLAN(t, nil)
		for i, v := range []int{0, tt.soft, tt.hard} {
			e := n.table.Sysctls("net.ipv4.neigh.default")[i]
			if want := fmt.Sprintf("net.ipv4.neigh.default.gc_thresh%d", i+1); e.Name != want {
				t.Errorf("setting %q, want %q", e.Name, want)
			}
			n.check(e.Set(fmt.Sprint(v)))
		}
		for i := range 64 {
			n.table.Lookup(n.dev, netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}))
			n.clock.Advance(time.Millisecond)
			if got := n.table.Len(); got > tt.most {
				t.Fatalf("soft %d, hard %d: %d entries, want %d at most", tt.soft, tt.hard, got, tt.most)
			}
		}
	}
}
