package route

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/knitnet/knit/core/clock"
)

// A linear is the slow twin of a Table: a list, of which the routes of one prefix
// stand in the order of their metrics.
type linear []Route

func (l *linear) add(r Route, mode Mode) error {
	at := slices.IndexFunc(*l, func(x Route) bool { return x.Dst == r.Dst && x.Metric == r.Metric && x.From == r.From })
	switch {
	case at >= 0 && mode == Create:
		return ErrExists
	case at >= 0 && mode == Replace:
		(*l)[at] = r
		return nil
	}
	*l = append(*l, r)
	slices.SortStableFunc(*l, func(x, y Route) int {
		return cmp.Or(cmp.Compare(y.From.Bits(), x.From.Bits()), cmp.Compare(x.Metric, y.Metric))
	})
	return nil
}

func (l *linear) remove(dst netip.Prefix, match func(*Route) bool) error {
	for i := range *l {
		if (*l)[i].Dst == dst && match(&(*l)[i]) {
			*l = slices.Delete(*l, i, i+1)
			return nil
		}
	}
	return ErrNotFound
}

// lookup returns the first of the routes with the longest prefix for which match
// holds.
func (l *linear) lookup(a netip.Addr, match func(*Route) bool) *Route {
	var best *Route
	for i := range *l {
		r := &(*l)[i]
		if r.Dst.Contains(a) && match(r) && (best == nil || r.Dst.Bits() > best.Dst.Bits()) {
			best = r
		}
	}
	return best
}

func (l *linear) nextExpiry() clock.Time {
	next := clock.Never
	for _, r := range *l {
		if r.Expires != 0 {
			next = min(next, r.Expires)
		}
	}
	return next
}

// addresses are few and near each other, so that prefixes contain each other.
func addresses() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		b := rapid.SampledFrom([]byte{0, 1, 2, 3, 127, 128, 192, 255})
		if rapid.Bool().Draw(t, "v6") {
			a := [16]byte{0: 0xfd, 7: b.Draw(t, "b7"), 15: b.Draw(t, "b15")}
			return netip.AddrFrom16(a)
		}
		return netip.AddrFrom4([4]byte{10, b.Draw(t, "b1"), 0, b.Draw(t, "b3")})
	})
}

func prefixes() *rapid.Generator[netip.Prefix] {
	return rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := addresses().Draw(t, "addr")
		return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
	})
}

func routes() *rapid.Generator[Route] {
	return rapid.Custom(func(t *rapid.T) Route {
		r := Route{
			Dst: prefixes().Draw(t, "dst"), Type: rapid.SampledFrom([]Type{Unicast, Local, Blackhole}).Draw(t, "type"),
			Metric: rapid.Uint32Range(0, 2).Draw(t, "metric"), Expires: clock.Time(rapid.IntRange(0, 3).Draw(t, "expires")),
		}
		if r.Dst.Addr().Is6() && rapid.Bool().Draw(t, "sourced") {
			r.From = netip.PrefixFrom(netip.IPv6Unspecified(), rapid.IntRange(1, 3).Draw(t, "from"))
		}
		for range rapid.IntRange(1, 2).Draw(t, "hops") {
			h := NextHop{Index: rapid.Int32Range(1, 3).Draw(t, "index")}
			if rapid.Bool().Draw(t, "gateway") {
				h.Gateway = r.Dst.Addr()
			}
			r.NextHops = append(r.NextHops, h)
		}
		return r
	})
}

func same(a, b *Route) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Dst == b.Dst && a.From == b.From && a.Metric == b.Metric && a.Type == b.Type && a.Expires == b.Expires && slices.Equal(a.NextHops, b.NextHops)
}

// TestAgainstTwin: whatever is added and removed, a Table finds what the list does.
func TestAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table Table
		var twin linear
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				r := routes().Draw(t, "route")
				mode := rapid.SampledFrom([]Mode{Create, Replace, Append}).Draw(t, "mode")
				err := table.Add(r, mode)
				r.Dst = r.Dst.Masked()
				if want := twin.add(r, mode); !errors.Is(err, want) {
					t.Fatalf("add: %v, want %v", err, want)
				}
			},
			"add many": func(t *rapid.T) {
				many := rapid.SliceOfN(routes(), 0, 4).Draw(t, "routes")
				mode := rapid.SampledFrom([]Mode{Create, Replace, Append}).Draw(t, "mode")
				next := slices.Clone(twin)
				var want error
				for _, r := range many {
					r.Dst = r.Dst.Masked()
					want = cmp.Or(want, next.add(r, mode))
				}
				if err := table.AddAll(many, mode); !errors.Is(err, want) {
					t.Fatalf("add many: %v, want %v", err, want)
				}
				if want == nil {
					twin = next
				}
			},
			"delete": func(t *rapid.T) {
				dst := prefixes().Draw(t, "dst")
				if len(twin) > 0 && rapid.Bool().Draw(t, "known") {
					dst = rapid.SampledFrom(twin).Draw(t, "of").Dst
				}
				metric := rapid.Uint32Range(0, 2).Draw(t, "metric")
				match := func(r *Route) bool { return r.Metric == metric }
				err := table.Delete(dst, match)
				if want := twin.remove(dst.Masked(), match); !errors.Is(err, want) {
					t.Fatalf("delete: %v, want %v", err, want)
				}
			},
			"delete all of an interface": func(t *rapid.T) {
				index := rapid.Int32Range(1, 3).Draw(t, "index")
				gone := func(r *Route) bool { return r.Uses(index) }
				before := len(twin)
				twin = slices.DeleteFunc(twin, func(r Route) bool { return gone(&r) })
				if n := len(table.DeleteFunc(gone)); n != before-len(twin) {
					t.Fatalf("%d are gone, want %d", n, before-len(twin))
				}
			},
			"set dead": func(t *rapid.T) {
				index, dead := rapid.Int32Range(1, 3).Draw(t, "index"), rapid.Bool().Draw(t, "dead")
				v6 := rapid.Bool().Draw(t, "v6")
				table.SetDead(index, v6, dead)
				for i, r := range twin {
					if len(r.NextHops) < 2 || r.Dst.Addr().Is6() != v6 {
						continue
					}
					twin[i].NextHops = slices.Clone(r.NextHops)
					for k := range r.NextHops {
						if h := &twin[i].NextHops[k]; h.Index == index {
							h.Dead = dead
						}
					}
				}
			},
			"": func(t *rapid.T) { compare(t, &table, &twin) },
		})
	})
}

func compare(t *rapid.T, table *Table, twin *linear) {
	a, index := addresses().Draw(t, "lookup"), rapid.Int32Range(1, 4).Draw(t, "by")
	direct := func(index int32) func(*Route) bool {
		return func(r *Route) bool {
			for _, h := range r.NextHops {
				if !h.Gateway.IsValid() && (index == 0 || h.Index == index) {
					return true
				}
			}
			return false
		}
	}
	for _, x := range []struct {
		name      string
		got, want *Route
	}{
		{"Lookup", table.Lookup(a), twin.lookup(a, func(r *Route) bool { return !r.From.IsValid() })},
		{"LookupIndex", table.LookupIndex(a, index), twin.lookup(a, func(r *Route) bool { return r.Uses(index) })},
		{"LookupLink", table.LookupLink(a, index), twin.lookup(a, direct(index))},
		{"LookupLink of any", table.LookupLink(a, 0), twin.lookup(a, direct(0))},
	} {
		if !same(x.got, x.want) {
			t.Fatalf("%s(%v, %d) = %+v, want %+v", x.name, a, index, x.got, x.want)
		}
	}
	if n := len(table.All()); n != len(*twin) {
		t.Fatalf("%d routes, want %d", n, len(*twin))
	}
	v6 := 0
	for _, r := range *twin {
		v6 += family(r.Dst.Addr().Is6())
	}
	if table.Size(true) != v6 || table.Size(false) != len(*twin)-v6 {
		t.Fatalf("sizes %d and %d, want %d of %d to be IPv6", table.Size(false), table.Size(true), v6, len(*twin))
	}
	if got, want := table.NextExpiry(), twin.nextExpiry(); got != want {
		t.Fatalf("NextExpiry %v, want %v", got, want)
	}
}

// TestAll: IPv4 comes first, then prefixes, then metrics; routes of one prefix and
// metric in the order of their coming.
func TestAll(t *testing.T) {
	var table Table
	for i, s := range []string{"fd00::/8", "10.1.0.0/16", "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/8"} {
		if err := table.Add(Route{Dst: netip.MustParsePrefix(s), Metric: 7, MTU: i}, Append); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Add(Route{Dst: netip.MustParsePrefix("10.0.0.0/8"), MTU: 5}, Create); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range table.All() {
		got = append(got, fmt.Sprint(r.Dst, " ", r.Metric, " ", r.MTU))
	}
	want := []string{"0.0.0.0/0 7 2", "10.0.0.0/8 0 5", "10.0.0.0/8 7 3", "10.0.0.0/8 7 4", "10.1.0.0/16 7 1", "fd00::/8 7 0"}
	if !slices.Equal(got, want) {
		t.Errorf("All = %q, want %q", got, want)
	}
}

// TestHop: flows are spread in proportion to the weights, and the ends of the range
// of hashes have a next hop, too.
func TestHop(t *testing.T) {
	var table Table
	dst := netip.MustParsePrefix("10.0.0.0/8")
	hops := []NextHop{{Index: 1, Weight: 3}, {Index: 2}, {Index: 3, Weight: 4}}
	if err := table.Add(Route{Dst: dst, NextHops: hops}, Create); err != nil {
		t.Fatal(err)
	}
	r := table.Lookup(dst.Addr())
	const n = 8000
	count := map[int32]int{}
	for i := range n {
		count[r.Hop(uint32(uint64(i)*math.MaxUint32/n)).Index]++
	}
	for index, want := range map[int32]int{1: 3000, 2: 1000, 3: 4000} {
		if d := count[index] - want; d < -1 || d > 1 {
			t.Errorf("%d of %d flows by interface %d, want %d", count[index], n, index, want)
		}
	}
	if a, b := r.Hop(0).Index, r.Hop(math.MaxUint32).Index; a != 1 || b != 3 {
		t.Errorf("the ends go by %d and %d, want 1 and 3", a, b)
	}
}

// TestHopDead: no flow goes by a next hop that is dead.
func TestHopDead(t *testing.T) {
	var table Table
	dst := netip.MustParsePrefix("10.0.0.0/8")
	if err := table.Add(Route{Dst: dst, NextHops: []NextHop{{Index: 1, Weight: 3}, {Index: 2}, {Index: 3}}}, Create); err != nil {
		t.Fatal(err)
	}
	spread := func() (by [4]int) {
		for i := range 1000 {
			by[table.Lookup(dst.Addr()).Hop(uint32(i)*(math.MaxUint32/1000)).Index]++
		}
		return by
	}
	table.SetDead(1, false, true)
	if by := spread(); by[1] != 0 || by[2] < 490 || by[3] < 490 {
		t.Errorf("by interface %v, want half of them by 2 and 3", by)
	}
	table.SetDead(3, false, true)
	if by := spread(); by[2] != 1000 {
		t.Errorf("by interface %v, want all by 2", by)
	}
	table.SetDead(1, false, false)
	if by := spread(); by[1] < 740 || by[3] != 0 {
		t.Errorf("by interface %v, want three of four by 1", by)
	}
}

// TestDeleteMany: many routes that go at once leave the others, and every count, as
// they would one by one.
func TestDeleteMany(t *testing.T) {
	var table, slow Table
	for i := range 4 * few {
		r := Route{
			Dst: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24), Metric: uint32(i % 2),
			NextHops: []NextHop{{Index: int32(1 + i%4)}},
		}
		if i%8 == 0 {
			r.NextHops = append(r.NextHops, NextHop{Index: 9})
		}
		if i%16 == 0 {
			r.Expires = 7
		}
		for _, table := range []*Table{&table, &slow} {
			for _, metric := range []uint32{1, 2} {
				r.Metric = metric
				if err := table.Add(r, Create); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	del := func(r *Route) bool { return r.Uses(1) && r.Metric == 1 || r.Uses(2) }
	gone := table.DeleteFunc(del)
	n := 0
	for _, r := range slow.All() {
		if del(r) {
			n++
			if err := slow.Delete(r.Dst, func(x *Route) bool { return x == r }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(gone) != n || n <= few {
		t.Errorf("%d routes are gone, want %d", len(gone), n)
	}
	same := func(a, b *Route) bool { return a.Dst == b.Dst && a.Metric == b.Metric }
	if !slices.EqualFunc(table.All(), slow.All(), same) {
		t.Error("other routes are left")
	}
	if table.Size(false) != slow.Size(false) || table.multi.Load() != slow.multi.Load() || table.NextExpiry() != slow.NextExpiry() ||
		table.expiring.Load() != slow.expiring.Load() {
		t.Error("the counts differ")
	}
	for i := range 4 * few {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
		if got, want := table.Lookup(a), slow.Lookup(a); (got == nil) != (want == nil) || got != nil && !same(got, want) {
			t.Fatalf("the route to %v is %v, want %v", a, got, want)
		}
	}
	table.DeleteFunc(func(*Route) bool { return true })
	if table.Size(false) != 0 || table.multi.Load() != 0 || table.expiring.Load() != 0 || len(table.All()) != 0 {
		t.Error("something is left")
	}
}

// TestLookupAllocates nothing: it is on the way of every packet without a Path.
func TestLookupAllocates(t *testing.T) {
	var table Table
	for i := range 32 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 8+i%24)
		if err := table.Add(Route{Dst: p, NextHops: []NextHop{{Index: 1}}}, Append); err != nil {
			t.Fatal(err)
		}
	}
	a := netip.MustParseAddr("10.3.0.1")
	if n := testing.AllocsPerRun(100, func() { table.Lookup(a) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestConcurrent: lookups that run beside changes see one table or the other.
func TestConcurrent(t *testing.T) {
	var table Table
	dst := netip.MustParsePrefix("10.0.0.0/8")
	if err := table.Add(Route{Dst: netip.MustParsePrefix("0.0.0.0/0")}, Create); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			table.Add(Route{Dst: dst, NextHops: []NextHop{{Index: 1}}}, Create)
			table.DeleteFunc(func(r *Route) bool { return r.Dst == dst })
		}
	}()
	for {
		if table.Lookup(dst.Addr()) == nil {
			t.Fatal("the default route was gone")
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
