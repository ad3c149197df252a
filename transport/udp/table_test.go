package udp

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// slowFind is find's twin: Linux's rules one after the other, each taking away the
// sockets that do worse. An address that a socket has counts more than a device, a
// peer more than both, and among equals one version more than two.
func slowFind(open []*socket, f *flow) *socket {
	fit := filter(open, func(s *socket) bool {
		p := s.peer.Load()
		return s.port == f.dstPort &&
			(!s.addr.IsValid() || s.addr == f.dst || s.addr == netip.IPv4Unspecified() && f.dst.Is4() || s.addr == netip.IPv6Unspecified() && f.dst.Is6()) &&
			(s.index == 0 || s.index == f.index || f.own) &&
			(p == nil || p.addr == netip.AddrPortFrom(f.src, f.srcPort) && (p.src == f.dst || f.dst.IsMulticast()) &&
				(p.index == 0 || p.index == f.index || f.own))
	})
	for _, better := range []func(s *socket) bool{
		func(s *socket) bool { return s.peer.Load() != nil },
		func(s *socket) bool { return s.addr.IsValid() && !s.addr.IsUnspecified() },
		func(s *socket) bool { return s.index != 0 },
		func(s *socket) bool { return s.addr.IsValid() },
	} {
		if best := filter(fit, better); len(best) > 0 {
			fit = best
		}
	}
	if len(fit) == 0 {
		return nil
	}
	// The sharers are those behind the last one that does not share.
	for i := len(fit) - 1; i >= 0; i-- {
		if !fit[i].reusePort {
			if i == len(fit)-1 {
				return fit[i]
			}
			fit = fit[i+1:]
			break
		}
	}
	return fit[f.hash()%uint32(len(fit))]
}

func filter(in []*socket, keep func(*socket) bool) (out []*socket) {
	for _, s := range in {
		if keep(s) {
			out = append(out, s)
		}
	}
	return out
}

// TestFindAgainstTwin compares find with its slow twin over random tables.
func TestFindAgainstTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	pick := func(list ...string) netip.Addr {
		if s := list[r.IntN(len(list))]; s != "" {
			return netip.MustParseAddr(s)
		}
		return netip.Addr{}
	}
	hits := 0
	for range 3000 {
		var tab table
		tab.init()
		var open []*socket
		for range r.IntN(8) {
			s := &socket{
				addr: pick("", "", "0.0.0.0", "::", "10.0.0.1", "fe80::1", "239.1.1.1"),
				port: uint16(1 + r.IntN(2)), index: int32(r.IntN(3)), reusePort: r.IntN(2) == 0,
			}
			if r.IntN(3) == 0 {
				p := &peer{addr: netip.AddrPortFrom(pick("10.0.0.9", "fe80::9"), uint16(1+r.IntN(2))), index: int32(r.IntN(2))}
				if p.src = pick("10.0.0.1"); p.addr.Addr().Is6() {
					p.src = pick("fe80::1")
				}
				s.peer.Store(p)
			}
			open = append(open, s)
			tab.add(s)
		}
		if len(open) > 0 && r.IntN(4) == 0 {
			i := r.IntN(len(open))
			tab.remove(open[i])
			open = append(open[:i:i], open[i+1:]...)
		}
		for range 10 {
			f := &flow{src: pick("10.0.0.9", "fe80::9"), srcPort: uint16(1 + r.IntN(2)), dstPort: uint16(1 + r.IntN(2)), index: int32(1 + r.IntN(2))}
			if f.dst = pick("10.0.0.1", "239.1.1.1"); f.src.Is6() {
				f.dst, f.own = pick("fe80::1", "ff02::5"), r.IntN(4) == 0
			}
			got, want := tab.find(f), slowFind(open, f)
			if got != want {
				t.Fatalf("%+v among %d sockets:\n got %+v\nwant %+v", *f, len(open), got, want)
			}
			if want != nil {
				hits++
			}
		}
	}
	if hits < 1000 {
		t.Errorf("only %d of the questions had an answer", hits)
	}
}

// TestReusePortShares: sockets with SO_REUSEPORT get about the same number of flows
// each, and a flow stays with one; without it the last one that was opened gets all.
func TestReusePortShares(t *testing.T) {
	for _, reuse := range []bool{true, false} {
		var tab table
		tab.init()
		const sockets, flows = 5, 5000
		got := map[*socket]int{}
		var last *socket
		for range sockets {
			last = &socket{port: 53, reusePort: reuse}
			tab.add(last)
		}
		for i := range flows {
			f := &flow{
				src: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), dst: netip.AddrFrom4([4]byte{10, 0, 0, 1}),
				srcPort: uint16(i), dstPort: 53, index: 1,
			}
			s := tab.find(f)
			if s != tab.find(f) {
				t.Fatal("a flow changed its socket")
			}
			got[s]++
		}
		if !reuse {
			if got[last] != flows {
				t.Errorf("the last socket got %d of %d flows", got[last], flows)
			}
			continue
		}
		for s, n := range got {
			if n < flows/sockets*3/4 || n > flows/sockets*5/4 {
				t.Errorf("socket %p got %d of %d flows, want about a fifth", s, n, flows)
			}
		}
		if len(got) != sockets {
			t.Errorf("%d sockets of %d got anything", len(got), sockets)
		}
	}
}

// TestSentTable: an error is believed about what was sent, and about nothing else.
func TestSentTable(t *testing.T) {
	var tab sentTable
	tab.init()
	to := netip.MustParseAddrPort("10.0.0.9:53")
	tab.note(7, to, 1400)
	tab.note(7, to, 1300) // the larger one counts
	good := flow{src: to.Addr(), srcPort: to.Port(), dstPort: 7}
	for _, x := range []struct {
		what   string
		change func(f *flow, n, mtu *int)
		want   bool
	}{
		{"what was sent", func(*flow, *int, *int) {}, true},
		{"a smaller one", func(_ *flow, n, _ *int) { *n = 1300 }, true},
		{"a larger one than any", func(_ *flow, n, _ *int) { *n = 1401 }, false},
		{"one that fits", func(_ *flow, _, mtu *int) { *mtu = 1420 }, false},
		{"another peer", func(f *flow, _, _ *int) { f.src = f.src.Next() }, false},
		{"another port there", func(f *flow, _, _ *int) { f.srcPort++ }, false},
		{"another port here", func(f *flow, _, _ *int) { f.dstPort++ }, false},
	} {
		f, n, mtu := good, 1400, 1280
		x.change(&f, &n, &mtu)
		if got := tab.explains(&f, n, mtu); got != x.want {
			t.Errorf("%s: believed: %v, want %v", x.what, got, x.want)
		}
	}
}
