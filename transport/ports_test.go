package transport

import (
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
)

// slowConflict is conflicts' twin: it asks of every packet that could come whether
// both bindings are for it.
func slowConflict(a, b Binding) bool {
	takes := func(x Binding, dst netip.Addr, index int32) bool {
		version := !x.Addr.IsValid() || x.Addr.Is4() == dst.Is4()
		addr := !x.Addr.IsValid() || x.Addr.IsUnspecified() || x.Addr == dst
		return version && addr && (x.Index == 0 || x.Index == index)
	}
	for _, dst := range []string{"10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"} {
		for index := range int32(4) {
			d := netip.MustParseAddr(dst)
			if index > 0 && takes(a, d, index) && takes(b, d, index) {
				share := a.ReusePort && b.ReusePort || a.ReuseAddr && b.ReuseAddr && !a.Listening && !b.Listening
				return !share
			}
		}
	}
	return false
}

// TestBindAgainstTwin: random bindings come and go, and are refused exactly if they
// conflict with one that is there.
func TestBindAgainstTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	p := NewPorts(new(PortRange))
	type held struct {
		Binding
		release func()
	}
	var there []held
	refused, taken := 0, 0
	addrs := []netip.Addr{
		{}, netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::1"),
	}
	for range 20000 {
		if len(there) > 0 && r.IntN(3) == 0 {
			i := r.IntN(len(there))
			there[i].release()
			there[i].release() // the second one does nothing
			there = append(there[:i], there[i+1:]...)
			continue
		}
		b := Binding{
			Addr: addrs[r.IntN(len(addrs))], Port: uint16(1 + r.IntN(3)), Index: int32(r.IntN(3)),
			ReuseAddr: r.IntN(2) == 0, ReusePort: r.IntN(2) == 0, Listening: r.IntN(3) == 0,
		}
		conflict := false
		for _, x := range there {
			conflict = conflict || x.Port == b.Port && slowConflict(b, x.Binding)
		}
		_, release, err := p.Bind(b)
		if (err != nil) != conflict || err != nil && err != syscall.EADDRINUSE {
			t.Fatalf("%+v among %+v: %v, want a conflict: %v", b, there, err, conflict)
		}
		if err != nil {
			refused++
			continue
		}
		taken++
		there = append(there, held{b, release})
	}
	if refused < 100 || taken < 100 {
		t.Errorf("%d refused, %d taken: the test asks too little", refused, taken)
	}
	for _, x := range there {
		x.release()
	}
	if len(p.bound) != 0 {
		t.Errorf("%d ports are held by nobody", len(p.bound))
	}
}

// TestEphemeralPorts: chosen ports are free ones of the range, until there are none.
func TestEphemeralPorts(t *testing.T) {
	var r PortRange
	if lo, hi := r.Get(); lo != 32768 || hi != 60999 {
		t.Errorf("the default range is %d to %d", lo, hi)
	}
	if r.Set(0, 5) != syscall.EINVAL || r.Set(6, 5) != syscall.EINVAL {
		t.Error("a range that is none was taken")
	}
	if err := r.Set(65526, 65535); err != nil {
		t.Fatal(err)
	}
	p := NewPorts(&r)
	if _, _, err := p.Bind(Binding{Port: 65530}); err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]bool{}
	var release func()
	for range 9 {
		b, undo, err := p.Bind(Binding{})
		if err != nil {
			t.Fatal(err)
		}
		if b.Port < 65526 || b.Port == 65530 || seen[b.Port] || !p.Held(b.Port) {
			t.Errorf("port %d was chosen", b.Port)
		}
		seen[b.Port], release = true, undo
	}
	if _, _, err := p.Bind(Binding{ReuseAddr: true, ReusePort: true}); err != syscall.EADDRINUSE {
		t.Errorf("with all ports taken: %v, want EADDRINUSE", err)
	}
	release()
	if _, _, err := p.Bind(Binding{}); err != nil {
		t.Errorf("with one port free: %v", err)
	}
}

// TestAddTwice: a kind of sockets has one protocol at a time.
func TestAddTwice(t *testing.T) {
	l := New(nil)
	undo, err := l.Add(UDP, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Add(UDP, 2); err == nil {
		t.Error("a second protocol took its place")
	}
	undo()
	if _, err := l.Add(UDP, 2); err != nil {
		t.Errorf("after the first one went: %v", err)
	}
	if l.Sockets(TCP) != nil || l.Kill(TCP, 1) {
		t.Error("a protocol that is not there has sockets")
	}
}
