package link_test

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
)

// A sink is a driver that keeps what it is sent.
type sink struct {
	sent     packet.Queue
	openErr  error
	open     int
	followed int
}

func (s *sink) Transmit(_ *link.Device, q *packet.Queue) { s.sent.Append(q) }
func (s *sink) Open(*link.Device) error {
	if s.openErr == nil {
		s.open++
	}
	return s.openErr
}
func (s *sink) Close(*link.Device)        { s.open-- }
func (s *sink) StateChanged(*link.Device) { s.followed++ }

func attach(t *testing.T, l *link.Layer, info link.Info) (*link.Device, *sink) {
	t.Helper()
	s := new(sink)
	dev, err := l.Attach(info, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.sent.Consume()
		dev.Detach()
		if s.open != 0 {
			t.Errorf("driver open %d times after Detach", s.open)
		}
	})
	return dev, s
}

// TestNames: a pattern takes the first free number, and Linux's rules for names
// hold (dev_valid_name).
func TestNames(t *testing.T) {
	l := linktest.New(t)
	for _, c := range []struct{ ask, want string }{
		{"eth%d", "eth0"}, {"eth%d", "eth1"}, {"eth3", "eth3"}, {"eth%d", "eth2"}, {"eth%d", "eth4"},
		{"eth3", ""}, {"", ""}, {".", ""}, {"..", ""}, {"a/b", ""}, {"a b", ""}, {"a:1", ""},
		{"a/b%d", ""}, {"%d%d", ""}, {"%s%d", ""}, {"a2345678901234%d", "a23456789012340"}, {"a2345678901234%d", "a23456789012341"}, {"a23456789012345%d", ""},
		{"a\x00b", ""}, {"a23456789012345", "a23456789012345"}, {"a234567890123456", ""},
	} {
		dev, err := l.Attach(link.Info{Name: c.ask, Type: link.None}, new(sink))
		if (err == nil) != (c.want != "") || err == nil && dev.Name() != c.want {
			t.Errorf("Attach(%q) = %v, %v, want %q", c.ask, dev, err, c.want)
		}
	}
	eth1, err := l.Lookup("eth1")
	if err != nil || l.Device(eth1.Index()) != eth1 {
		t.Fatalf("Lookup(eth1) = %v, %v", eth1, err)
	}
	eth1.Detach()
	eth1.Detach()
	if _, err := l.Lookup("eth1"); !errors.Is(err, link.ErrNoDevice) {
		t.Errorf("Lookup of a detached device: %v", err)
	}
	if l.Device(eth1.Index()) != nil || len(l.Devices()) != 7 {
		t.Errorf("table after Detach: %v", l.Devices())
	}
	if err := eth1.SetUp(true); !errors.Is(err, link.ErrNoDevice) {
		t.Errorf("SetUp of a detached device: %v", err)
	}
	again, _ := l.Attach(link.Info{Name: "eth%d"}, new(sink))
	if again.Name() != "eth1" || again.Index() == eth1.Index() {
		t.Errorf("name %s and index %d after %d, want eth1 and a new index", again.Name(), again.Index(), eth1.Index())
	}
	eth0, _ := l.Lookup("eth0")
	if err := eth0.Rename("eth3"); !errors.Is(err, link.ErrExists) {
		t.Errorf("Rename to a taken name: %v", err)
	}
	if err := eth0.Rename("eth0"); err != nil {
		t.Errorf("Rename to the same name: %v", err)
	}
	if err := eth0.Rename("wan"); err != nil || eth0.Name() != "wan" {
		t.Errorf("Rename: %v, name %s", err, eth0.Name())
	}
}

func TestEventsFollowTheChange(t *testing.T) {
	l := linktest.New(t)
	var got []link.EventKind
	undo := l.Watch(func(e link.Event) { got = append(got, e.Kind) })
	dev, s := attach(t, l, link.Info{Name: "e0", Type: link.Ether})
	linktest.Up(t, dev)
	linktest.Up(t, dev) // no change, no event
	dev.SetMTU(1400)
	dev.SetMAC(wire.MAC{2, 0, 0, 0, 0, 1})
	dev.Rename("e1")
	dev.Detach()
	undo()
	attach(t, l, link.Info{Name: "e2"})
	want := []link.EventKind{
		link.Added, link.WentUp, link.Changed, link.MACChanged, link.Renamed, link.WentDown, link.Removed,
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if s.followed != 2 {
		t.Errorf("driver followed %d changes of state, want 2", s.followed)
	}
}

func TestOpenFails(t *testing.T) {
	l := linktest.New(t)
	dev, s := attach(t, l, link.Info{Name: "e0"})
	s.openErr = syscall.EBUSY
	if err := dev.SetUp(true); !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), "e0") {
		t.Errorf("SetUp: %v", err)
	}
	if dev.Flags()&(link.Up|link.Running|link.LowerUp) != 0 || s.followed != 0 {
		t.Errorf("flags %#x after a failed Open", dev.Flags())
	}
}

// TestCarrier: a device is RUNNING and LOWER_UP while it is up and has a carrier,
// whichever came first.
func TestCarrier(t *testing.T) {
	const up, run = link.Up, link.Running | link.LowerUp
	l := linktest.New(t)
	dev, _ := attach(t, l, link.Info{Name: "e0", Type: link.None})
	changes := 0
	l.Watch(func(e link.Event) {
		if e.Kind == link.Changed {
			changes++
		}
	})
	for i, step := range []struct {
		do   func()
		want link.Flags
	}{
		{func() { dev.SetCarrier(false) }, 0},
		{func() { dev.SetUp(true) }, up},
		{func() { dev.SetCarrier(true) }, up | run},
		{func() { dev.SetCarrier(true) }, up | run},
		{func() { dev.SetCarrier(false) }, up},
		{func() { dev.SetUp(false) }, 0},
		{func() { dev.SetCarrier(true) }, 0},
		{func() { dev.SetUp(true) }, up | run},
	} {
		step.do()
		if got := dev.Flags() &^ (link.PointToPoint | link.NoARP | link.MulticastDev); got != step.want {
			t.Errorf("step %d: flags %#x, want %#x", i, got, step.want)
		}
	}
	if changes != 2 {
		t.Errorf("%d events, want 2: only a change of a device that is up is one", changes)
	}
}

func TestCountedFlags(t *testing.T) {
	l := linktest.New(t)
	dev, _ := attach(t, l, link.Info{Name: "e0", Type: link.Ether})
	dev.AddPromisc(1)
	dev.AddPromisc(1)
	dev.AddPromisc(-1)
	if dev.Flags()&link.Promisc == 0 {
		t.Error("not promiscuous although one is left who wants it")
	}
	dev.AddPromisc(-1)
	if dev.Flags()&link.Promisc != 0 {
		t.Error("promiscuous although nobody wants it")
	}
}

// TestSegmentationNeedsChecksums: what is cut behind link is summed there, too.
func TestSegmentationNeedsChecksums(t *testing.T) {
	l := linktest.New(t)
	dev, _ := attach(t, l, link.Info{Name: "p0", Type: link.None, Features: link.Default})
	if err := dev.SetFeatures(link.Default &^ link.TxCsum); err != nil || dev.Features() != link.GRO {
		t.Errorf("features %#x, %v, want GRO alone", dev.Features(), err)
	}
	if err := dev.SetFeatures(link.Default); err != nil || dev.Features() != link.Default {
		t.Errorf("features %#x, %v, want all back", dev.Features(), err)
	}
	if dev, _ := attach(t, l, link.Info{Name: "p1", Type: link.None, Features: link.TSO4}); dev.Features() != 0 {
		t.Errorf("features %#x of a new device, want none", dev.Features())
	}
}

func TestRefusals(t *testing.T) {
	l := linktest.New(t)
	dev, _ := attach(t, l, link.Info{Name: "e0", Type: link.Ether, MinMTU: 100, MaxMTU: 9000, Features: link.TxCsum})
	ip, _ := attach(t, l, link.Info{Name: "p0", Type: link.None})
	_, attachErr := l.Attach(link.Info{Name: "p1", Type: link.None, MTU: 70_000}, new(sink))
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"a new device with an MTU too large", attachErr, syscall.EINVAL},
		{"MTU too small", dev.SetMTU(99), syscall.EINVAL},
		{"MTU too large", dev.SetMTU(9001), syscall.EINVAL},
		{"a feature the driver has not", dev.SetFeatures(link.TSO4), syscall.EINVAL},
		{"a multicast address", dev.SetMAC(wire.MAC{1}), syscall.EADDRNOTAVAIL},
		{"the zero address", dev.SetMAC(wire.MAC{}), syscall.EADDRNOTAVAIL},
		{"an address for an IP device", ip.SetMAC(wire.MAC{2}), syscall.EOPNOTSUPP},
		{"deleting what no kind made", l.Delete(dev), syscall.EOPNOTSUPP},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.err, c.want)
		}
	}
	if dev.MTU() != 1500 || dev.MAC().IsMulticast() || !dev.MAC().IsLocal() || dev.Features() != link.TxCsum {
		t.Errorf("refused changes changed something: %d %v %#x", dev.MTU(), dev.MAC(), dev.Features())
	}
}

// TestUserAndOthersListen: what the user asked for is counted once among those who
// listen in, and told apart from them.
func TestUserAndOthersListen(t *testing.T) {
	l := link.New(link.Config{})
	dev, err := l.Attach(link.Info{Name: "d"}, new(sink))
	if err != nil {
		t.Fatal(err)
	}
	want := func(counted, asked link.Flags) {
		t.Helper()
		if f, a := dev.Flags()&(link.Promisc|link.AllMulti), dev.Asked(); f != counted || a != asked {
			t.Errorf("flags %#x, asked for %#x; want %#x and %#x", f, a, counted, asked)
		}
	}
	dev.AddPromisc(1) // tcpdump begins
	dev.SetPromisc(false)
	want(link.Promisc, 0)
	dev.SetPromisc(true)
	dev.SetPromisc(true)
	dev.SetAllMulti(true)
	want(link.Promisc|link.AllMulti, link.Promisc|link.AllMulti)
	dev.AddPromisc(-1)
	want(link.Promisc|link.AllMulti, link.Promisc|link.AllMulti)
	dev.SetPromisc(false)
	want(link.AllMulti, link.AllMulti)
	dev.SetAllMulti(false)
	want(0, 0)
}

// TestCreated: devices of Create can be told from those that others attached.
func TestCreated(t *testing.T) {
	l := link.New(link.Config{})
	undo, err := l.RegisterKind("sink", link.Kind{New: func(name string, _ map[string]string) (*link.Device, error) {
		return l.Attach(link.Info{Name: name, Kind: "sink"}, new(sink))
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	made, err := l.Create("sink", "a", map[string]string{"depth": "3"})
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := made.Created(); !ok || len(o) != 1 || o["depth"] != "3" {
		t.Errorf("made by Create: %v, %t", o, ok)
	}
	attached, err := l.Attach(link.Info{Name: "b", Kind: "sink"}, new(sink))
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := attached.Created(); ok {
		t.Errorf("attached: %v", o)
	}
	if err := made.SetAlias(strings.Repeat("x", link.MaxAlias)); !errors.Is(err, syscall.EINVAL) || made.Alias() != "" {
		t.Errorf("an alias that is too long: %v, %q", err, made.Alias())
	}
}
