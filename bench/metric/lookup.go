package metric

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/knitnet/knit/bench/system"
)

// Lookup is the time that one lookup in a routing table of n routes takes, for random
// addresses of which each has a route.
func Lookup(n int) Metric {
	return Metric{
		Name: "Lookup", Title: fmt.Sprintf("longest prefix match among %d routes", n), Unit: nanoseconds, Once: true,
		Bench: func(b *testing.B, env Env) error { return benchLookup(b, env, n) },
	}
}

const nanoseconds = "ns"

func benchLookup(b *testing.B, env Env, n int) error {
	l, ok := env.System.(system.Lookuper)
	if !ok {
		return system.Unsupportedf("no routing table of its own")
	}
	prefixes := randomPrefixes(n)
	lookup, err := l.Routes(prefixes)
	if err != nil {
		return err
	}
	addrs := make([]netip.Addr, 1<<16)
	r := rand.New(rand.NewPCG(2, 2))
	for i := range addrs {
		p := prefixes[r.IntN(n)]
		a := p.Addr().As4()
		for bit := p.Bits(); bit < 32; bit++ {
			a[bit/8] |= uint8(r.IntN(2)) << (7 - bit%8)
		}
		addrs[i] = netip.AddrFrom4(a)
	}
	const lookups = 4 << 20
	m := start()
	for i := range lookups {
		if a := addrs[i&(len(addrs)-1)]; !lookup(a) {
			return fmt.Errorf("no route to %v", a)
		}
	}
	elapsed := m.stop(b)
	for range b.N {
		// The work is done; there is nothing to repeat.
	}
	b.ReportMetric(elapsed*1e9/lookups, nanoseconds)
	return nil
}

// randomPrefixes returns n different prefixes whose lengths are like those of the
// Internet's table: most are /24.
func randomPrefixes(n int) []netip.Prefix {
	lengths := [...]int{24, 24, 24, 24, 24, 24, 22, 22, 23, 20, 19, 21, 16, 18, 32}
	r := rand.New(rand.NewPCG(1, 1))
	seen := make(map[netip.Prefix]bool, n)
	list := make([]netip.Prefix, 0, n)
	for len(list) < n {
		v := r.Uint32()
		a := netip.AddrFrom4([4]byte{byte(1 + v>>24%223), byte(v >> 16), byte(v >> 8), byte(v)})
		p := netip.PrefixFrom(a, lengths[r.IntN(len(lengths))]).Masked()
		if !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	return list
}
