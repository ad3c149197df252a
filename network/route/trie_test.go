package route

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
)

// A slowFIB is the definition of longest prefix match.
type slowFIB map[netip.Prefix]*Route

func (s slowFIB) lookup(a netip.Addr) (best *Route) {
	for p, r := range s {
		if p.Contains(a) && (best == nil || p.Bits() > best.Dst.Bits()) {
			best = r
		}
	}
	return best
}

// nearPrefix returns prefixes that often contain, touch or equal each other: their bits
// come from few patterns, and their lengths crowd at the trie's borders.
func nearPrefix(r *rand.Rand, v6 bool) netip.Prefix {
	b := make([]byte, 4, 16)
	if v6 {
		b = b[:16]
	}
	for i := range b {
		b[i] = []byte{0, 0, 0, 0x80, 0xff, 1, byte(r.Uint32())}[r.IntN(7)]
	}
	a, _ := netip.AddrFromSlice(b)
	n := r.IntN(len(b)*8 + 1)
	if r.IntN(2) == 0 {
		n = min(n&^7+r.IntN(2), len(b)*8)
	}
	return netip.PrefixFrom(a, n).Masked()
}

// TestLookupIsLongestMatch holds lookups to the definition while routes come and go, in
// small tables and in those with a direct index.
func TestLookupIsLongestMatch(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		v6, large := seed&1 != 0, seed&2 != 0
		var table Table
		if large {
			table.tries[family(v6)].grow(v6, nil)
		}
		slow := slowFIB{}
		var known []netip.Prefix
		for range 500 {
			p := nearPrefix(r, v6)
			if len(known) > 0 && r.IntN(5) < 2 {
				p = known[r.IntN(len(known))]
			}
			if slow[p] != nil && r.IntN(3) > 0 {
				if err := table.Delete(p, func(*Route) bool { return true }); err != nil {
					t.Fatal(err)
				}
				delete(slow, p)
			} else {
				if err := table.Add(Route{Dst: p, NextHops: hop}, Replace); err != nil {
					t.Fatal(err)
				}
				slow[p] = table.Get(p)[0]
				known = append(known, p)
			}
			for range 3 {
				a := within(r, nearPrefix(r, v6))
				if len(known) > 0 && r.IntN(2) == 0 {
					a = within(r, known[r.IntN(len(known))])
				}
				if got, want := table.Lookup(a), slow.lookup(a); got != want {
					t.Fatalf("seed %d: %v goes by %v, want %v", seed, a, got, want)
				}
			}
		}
		for p := range slow {
			if err := table.Delete(p, func(*Route) bool { return true }); err != nil {
				t.Fatal(err)
			}
		}
		if top := table.tries[family(v6)].top.Load(); top.holds() {
			t.Errorf("seed %d: the trie of an empty table holds something", seed)
		}
	}
}

// holds reports whether anything is left in a trie.
func (t *top) holds() bool {
	for i := range t.slots {
		if s := &t.slots[i]; s.route.Load() != nil || s.node.Load() != nil {
			return true
		}
	}
	if d := t.direct.Load(); d != nil {
		for i := range d.blocks {
			if b := &d.blocks[i]; b.runs.Load() != 0 || b.longer.Load() != 0 {
				return true
			}
		}
	}
	return false
}

// TestTrieGrows: the direct index of a large table has the routes that were there before.
func TestTrieGrows(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var table Table
	slow := slowFIB{}
	for len(slow) < largeTable+100 {
		p := netip.PrefixFrom(within(r, nearPrefix(r, false)), 8+r.IntN(25)).Masked()
		if table.Add(Route{Dst: p, NextHops: hop}, Replace) != nil {
			t.Fatal("a route is refused")
		}
		slow[p] = table.Get(p)[0]
	}
	if !table.tries[0].large() || table.tries[1].large() {
		t.Error("want a direct index for IPv4 alone")
	}
	for range 300 {
		a := within(r, nearPrefix(r, false))
		if got, want := table.Lookup(a), slow.lookup(a); got != want {
			t.Fatalf("%v goes by %v, want %v", a, got, want)
		}
	}
}

// TestLookupsDuringChanges: a route that stays is found while others around it come and go.
func TestLookupsDuringChanges(t *testing.T) {
	var table Table
	stays := netip.MustParsePrefix("10.1.2.0/24")
	if err := table.Add(Route{Dst: stays, NextHops: hop}, Create); err != nil {
		t.Fatal(err)
	}
	want := table.Lookup(stays.Addr())
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got := table.Lookup(stays.Addr().Next()); got != want {
					t.Errorf("found %v", got)
					return
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		n := 8 + r.IntN(25)
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(4)), 0x80}), n).Masked()
		if p == stays || p.Contains(stays.Addr().Next()) && p.Bits() > 24 {
			continue
		}
		table.Add(Route{Dst: p, NextHops: hop}, Replace)
		if r.IntN(2) == 0 {
			table.Delete(p, func(*Route) bool { return true })
		}
	}
	close(done)
	readers.Wait()
}
