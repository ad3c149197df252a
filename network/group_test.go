package network

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
)

type nowhere struct{}

func (nowhere) Transmit(_ *link.Device, q *packet.Queue) { q.Consume() }
func (nowhere) Open(*link.Device) error                  { return nil }
func (nowhere) Close(*link.Device)                       {}

func newLayer(t *testing.T) (*Layer, *link.Device) {
	t.Helper()
	ll := link.New(link.Config{Pool: new(packet.Pool), Clock: clock.NewVirtual(), Walks: new(rcu.Period)})
	l := New(Config{Link: ll, Stats: new(stat.Set)})
	dev, err := ll.Attach(link.Info{Name: "eth0", Type: link.Ether}, nowhere{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dev.Detach)
	return l, dev
}

func addrs(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// TestMergeFilters holds the examples of RFC 3376 §3.2 against mergeFilters.
func TestMergeFilters(t *testing.T) {
	a, b, c := "10.0.0.1", "10.0.0.2", "10.0.0.3"
	d, e, f, g := "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"
	for _, tt := range []struct {
		name string
		in   []Filter
		want Filter
	}{
		{"nobody", nil, Filter{}},
		{"if s1: EXCLUDE {a,b,c,d}, s2: EXCLUDE {b,c,d,e}, s3: INCLUDE {d,e,f} then EXCLUDE {b,c}", []Filter{
			{Exclude: true, Sources: addrs(a, b, c, d)}, {Exclude: true, Sources: addrs(b, c, d, e)}, {Sources: addrs(d, e, f)},
		}, Filter{Exclude: true, Sources: addrs(b, c)}},
		{"and s4: EXCLUDE {} makes it EXCLUDE {}", []Filter{
			{Exclude: true, Sources: addrs(a, b, c, d)}, {Exclude: true}, {Sources: addrs(d, e, f)},
		}, Filter{Exclude: true}},
		{"if s1: INCLUDE {a,b,c}, s2: INCLUDE {b,c,d}, s3: INCLUDE {e,f} then INCLUDE {a,b,c,d,e,f}", []Filter{
			{Sources: addrs(a, b, c)}, {Sources: addrs(b, c, d)}, {Sources: addrs(e, f)},
		}, Filter{Sources: addrs(a, b, c, d, e, f)}},
		{"g is in nobody's way", []Filter{{Exclude: true, Sources: addrs(g)}, {Sources: addrs(g)}}, Filter{Exclude: true}},
	} {
		if got := mergeFilters(tt.in); !got.Equal(&tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestMergedFilterAcceptsWhatAnybodyWants: the merged filter is the union of what
// the sockets want, for random filters.
func TestMergedFilterAcceptsWhatAnybodyWants(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	all := addrs("fd00::1", "fd00::2", "fd00::3", "fd00::4", "fd00::5")
	for range 5000 {
		var fs []Filter
		for range rng.IntN(5) {
			f := Filter{Exclude: rng.IntN(2) == 0}
			for range rng.IntN(6) {
				f.Sources = append(f.Sources, all[rng.IntN(len(all))])
			}
			fs = append(fs, f.normal())
		}
		merged := mergeFilters(fs)
		for _, a := range all {
			want := slices.ContainsFunc(fs, func(f Filter) bool { return f.Accepts(a) })
			if merged.Accepts(a) != want {
				t.Fatalf("%v of %v: accepted %v, want %v", a, fs, !want, want)
			}
		}
	}
}

func TestJoinAndLeave(t *testing.T) {
	l, dev := newLayer(t)
	var events []GroupEvent
	undo := l.WatchGroups(func(e GroupEvent) { events = append(events, e) })
	group := netip.MustParseAddr("ff0e::7")
	src, other := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")

	one, err := l.Join(dev, group, Filter{Sources: []netip.Addr{src}})
	if err != nil {
		t.Fatal(err)
	}
	if !l.IsMember(dev.Index(), group) || !l.Accepts(dev.Index(), group, src) || l.Accepts(dev.Index(), group, other) {
		t.Error("INCLUDE {fd00::1} is not what counts")
	}
	two, err := l.Join(dev, group, Filter{Exclude: true})
	if err != nil {
		t.Fatal(err)
	}
	if !l.Accepts(dev.Index(), group, other) {
		t.Error("EXCLUDE {} does not accept everybody")
	}
	if gs := l.Groups(); len(gs) != 1 || gs[0].Users != 2 || !gs[0].Filter.Exclude {
		t.Errorf("groups %+v", gs)
	}
	two.Leave()
	two.Leave()
	if err := two.Set(Filter{}); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("set after leave: %v", err)
	}
	one.Leave()
	if l.IsMember(dev.Index(), group) || len(l.Groups()) != 0 {
		t.Error("still a member after the last one left")
	}
	if len(events) != 4 || !events[3].New.None() || !events[1].New.Exclude || events[2].New.Exclude {
		t.Errorf("events %+v", events)
	}
	undo()
	if _, err := l.Join(dev, group, Filter{Exclude: true}); err != nil || len(events) != 4 {
		t.Errorf("join: %v; %d events after undo, want 4", err, len(events))
	}
}

func TestJoinRefuses(t *testing.T) {
	l, dev := newLayer(t)
	many := make([]netip.Addr, maxSources+1)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
	}
	for _, tt := range []struct {
		group string
		f     Filter
		want  syscall.Errno
	}{
		{"fd00::1", Filter{Exclude: true}, syscall.EINVAL},
		{"ff02::1%eth0", Filter{Exclude: true}, syscall.EINVAL},
		{"ff0e::1", Filter{Sources: addrs("10.0.0.1")}, syscall.EINVAL},
		{"232.1.1.1", Filter{Sources: addrs("224.0.0.1")}, syscall.EINVAL},
		{"232.1.1.1", Filter{Sources: many}, syscall.ENOBUFS},
	} {
		if _, err := l.Join(dev, netip.MustParseAddr(tt.group), tt.f); !errors.Is(err, tt.want) {
			t.Errorf("join %s: %v, want %v", tt.group, err, tt.want)
		}
	}
	for i := range maxGroups {
		if _, err := l.Join(dev, netip.AddrFrom4([4]byte{239, 0, byte(i >> 8), byte(i)}), Filter{Exclude: true}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Join(dev, netip.MustParseAddr("ff0e::1"), Filter{Exclude: true}); !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("one group more: %v, want ENOBUFS", err)
	}
}

// TestDeviceTakesItsGroupsAlong: and a membership of it cannot be changed then.
func TestDeviceTakesItsGroupsAlong(t *testing.T) {
	l, dev := newLayer(t)
	group := netip.MustParseAddr("239.1.2.3")
	m, err := l.Join(dev, group, Filter{Exclude: true})
	if err != nil {
		t.Fatal(err)
	}
	gone := 0
	l.WatchGroups(func(e GroupEvent) {
		if e.New.None() {
			gone++
		}
	})
	dev.Detach()
	m.Leave()
	if gone != 1 || l.IsMember(dev.Index(), group) || len(l.Groups()) != 0 {
		t.Errorf("%d events, groups %v", gone, l.Groups())
	}
	if _, err := l.Join(dev, group, Filter{Exclude: true}); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("join on a device that is gone: %v", err)
	}
}

// TestWatcherMayJoin: what a watcher changes is told after what it was told of.
func TestWatcherMayJoin(t *testing.T) {
	l, dev := newLayer(t)
	second := netip.MustParseAddr("239.0.0.2")
	var order []netip.Addr
	depth := 0
	undo := l.WatchGroups(func(e GroupEvent) {
		if depth++; depth > 1 {
			t.Error("events nest")
		}
		if order = append(order, e.Group); e.Group != second && !e.New.None() {
			if _, err := l.Join(dev, second, Filter{Exclude: true}); err != nil {
				t.Error(err)
			}
		}
		depth--
	})
	if _, err := l.Join(dev, netip.MustParseAddr("239.0.0.1"), Filter{Exclude: true}); err != nil {
		t.Fatal(err)
	}
	undo()
	if want := addrs("239.0.0.1", "239.0.0.2"); !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestMembershipLookupDoesNotAllocate(t *testing.T) {
	l, dev := newLayer(t)
	group, src := netip.MustParseAddr("ff0e::7"), netip.MustParseAddr("fd00::1")
	if _, err := l.Join(dev, group, Filter{Exclude: true}); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { l.Accepts(dev.Index(), group, src) }); n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}
