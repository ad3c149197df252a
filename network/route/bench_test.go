package route

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"
)

// million is a table as large as the Internet's of both versions, made up: four of
// five prefixes are of IPv4, six of ten of these are /24, the others anything from /8
// on; those of IPv6 are from /29 to /48.
var million = sync.OnceValue(func() (prefixes []netip.Prefix) {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[netip.Prefix]bool{}
	for len(prefixes) < 1_000_000 {
		p := internetPrefix(r)
		if !seen[p] {
			seen[p] = true
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
})

func internetPrefix(r *rand.Rand) (p netip.Prefix) {
	if r.IntN(5) > 0 {
		bits := 24
		if r.IntN(10) > 5 {
			bits = 8 + r.IntN(17)
		}
		p, _ = netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.Uint32()), byte(r.Uint32())}).Prefix(bits)
		return p
	}
	b := [16]byte{0x20, byte(r.IntN(16))}
	for i := 2; i < 8; i++ {
		b[i] = byte(r.Uint32())
	}
	p, _ = netip.AddrFrom16(b).Prefix(29 + r.IntN(20))
	return p
}

// within returns an address in p.
func within(r *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		if n := p.Bits() - 8*i; n < 8 {
			b[i] |= byte(r.Uint32()) & byte(0xff>>max(n, 0))
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMillion loads 1,000,000 routes, and looks addresses in all of them up, of
// both versions together and each alone.
func BenchmarkMillion(b *testing.B) {
	prefixes := million()
	var table Table
	routes := make([]Route, len(prefixes))
	for i, p := range prefixes {
		routes[i] = Route{Dst: p, NextHops: hop}
	}
	b.Run("load", func(b *testing.B) {
		before := heap()
		for range b.N {
			table = Table{}
			if err := table.AddAll(routes, Create); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/float64(len(prefixes)), "B/route")
	})
	r := rand.New(rand.NewPCG(3, 4))
	const many = 1 << 18
	var addrs [3][]netip.Addr
	for len(addrs[2]) < many {
		p := prefixes[r.IntN(len(prefixes))]
		a := within(r, p)
		addrs[0] = append(addrs[0], a)
		addrs[1+family(a.Is6())] = append(addrs[1+family(a.Is6())], a)
	}
	for i, name := range []string{"lookup", "lookup4", "lookup6"} {
		b.Run(name, func(b *testing.B) {
			as := addrs[i][:many]
			for n := range b.N {
				if table.Lookup(as[n%many]) == nil {
					b.Fatal("no route")
				}
			}
		})
	}
	b.Run("change", func(b *testing.B) {
		for n := range b.N {
			p := prefixes[n%len(prefixes)]
			if err := table.Delete(p, func(*Route) bool { return true }); err != nil {
				b.Fatal(err)
			}
			if err := table.Add(Route{Dst: p, NextHops: hop}, Create); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// hop is shared: a router has far fewer neighbours than routes.
var hop = []NextHop{{Index: 1}}
