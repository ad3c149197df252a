package route

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
)

// newFIB returns a FIB of a kernel whose lo, a and b have the indexes 1 to 3.
func newFIB() *FIB {
	f := new(FIB)
	f.Init(Devices{
		Index:    func(name string) int32 { return map[string]int32{"lo": 1, "a": 2, "b": 3}[name] },
		Loopback: func() int32 { return 1 },
	})
	return f
}

func (f *FIB) must(t testing.TB, id uint32, dst string, r Route) {
	t.Helper()
	table, err := f.MakeTable(id)
	if err != nil {
		t.Fatal(err)
	}
	r.Dst, r.Table = netip.MustParsePrefix(dst), id
	if err := table.Add(r, Create); err != nil {
		t.Fatal(err)
	}
}

// by is a next hop by an interface.
func by(index int32) []NextHop { return []NextHop{{Index: index}} }

// TestLookupWalksRules: a table that has no route, one that says throw, and a route
// that is suppressed make the next rule be tried; Goto leads on; what says that there
// is no way ends the walk (ip-rule(8)).
func TestLookupWalksRules(t *testing.T) {
	f := newFIB()
	f.must(t, TableMain, "0.0.0.0/0", Route{NextHops: by(2)})
	f.must(t, 10, "10.1.0.0/16", Route{NextHops: by(3)})
	f.must(t, 10, "10.1.9.0/24", Route{Type: Throw})
	f.must(t, 10, "10.2.0.0/16", Route{Type: Prohibit})
	f.must(t, 20, "0.0.0.0/0", Route{NextHops: by(3)})
	for _, r := range []Rule{
		{Priority: 1, Action: Goto, Target: 5, Mark: 5, Mask: 15},
		{Priority: 2, Table: 10},
		{Priority: 3, Table: 20, SuppressPrefix: Bound{Set: true}, Mark: 1, Mask: 15},
		{Priority: 4, Table: 20, Not: true, Mask: 15},
		{Priority: 5, Action: RuleUnreachable, Dst: netip.MustParsePrefix("10.5.0.0/16")},
	} {
		if _, err := f.Rules(false).Add(r, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		dst   string
		mark  uint32
		table uint32
		err   error
	}{
		{"10.1.0.1", 0, 10, nil},
		{"10.1.9.1", 0, TableMain, nil}, // thrown
		{"10.1.9.1", 2, 20, nil},        // marked: by the rule with not
		{"10.2.0.1", 0, 10, syscall.EACCES},
		{"10.5.0.1", 0, 0, syscall.ENETUNREACH},
		{"10.5.0.1", 2, 20, nil},
		{"10.1.0.1", 5, TableMain, nil}, // jumps over table 10
		{"10.6.0.1", 1, 20, nil},        // suppressed once, not by the next rule
	} {
		k := Key{Dst: netip.MustParseAddr(c.dst), Mark: c.mark}
		if res := f.Lookup(&k); res.Table != c.table || !errors.Is(res.Err, c.err) {
			t.Errorf("%s mark %d: table %d, %v, want %d, %v", c.dst, c.mark, res.Table, res.Err, c.table, c.err)
		}
	}
}

// TestSourceRoutes: of the prefixes that hold the destination the longest with a route
// for the source counts, there the narrowest sources.
func TestSourceRoutes(t *testing.T) {
	f := newFIB()
	from := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	f.must(t, TableMain, "::/0", Route{MTU: 1, NextHops: by(2)})
	f.must(t, TableMain, "::/0", Route{MTU: 2, From: from("fd07::/64"), NextHops: by(2)})
	f.must(t, TableMain, "fd06::/64", Route{MTU: 3, From: from("fd07::/64"), NextHops: by(2)})
	f.must(t, TableMain, "fd06::/64", Route{MTU: 4, From: from("fd07::/96"), NextHops: by(2)})
	for _, c := range []struct {
		dst, src string
		want     int
	}{
		{"fd06::1", "", 1}, {"fd06::1", "fd00::1", 1}, {"fd06::1", "fd07:0:0:0:1::1", 3}, {"fd06::1", "fd07::1", 4}, {"fd05::1", "fd07::1", 2},
	} {
		k := Key{Dst: netip.MustParseAddr(c.dst)}
		if c.src != "" {
			k.Src = netip.MustParseAddr(c.src)
		}
		if r := f.Lookup(&k).Route; r == nil || r.MTU != c.want {
			t.Errorf("to %s from %q: %+v, want the route of MTU %d", c.dst, c.src, r, c.want)
		}
	}
}

// TestLinkDownIsPassedOver: with ignore_routes_with_linkdown a route whose interface
// has no carrier does not count, and a next hop gets no flows.
func TestLinkDownIsPassedOver(t *testing.T) {
	f := newFIB()
	f.must(t, TableMain, "0.0.0.0/0", Route{NextHops: by(2)})
	f.must(t, TableMain, "10.0.0.0/8", Route{NextHops: by(3)})
	f.must(t, TableMain, "11.0.0.0/8", Route{NextHops: []NextHop{{Index: 2}, {Index: 3}}})
	f.SetDown(false, map[int32]bool{3: true})
	k := Key{Dst: netip.MustParseAddr("10.0.0.1")}
	if r := f.Lookup(&k).Route; r == nil || r.Dst.Bits() != 0 {
		t.Errorf("the route is %+v, want the default one", r)
	}
	k.Dst = netip.MustParseAddr("11.0.0.1")
	r := f.Lookup(&k).Route
	for i := range 100 {
		if h := f.Hop(r, &k, uint32(i)<<25); h == nil || h.Index != 2 {
			t.Fatalf("a flow goes by %+v", h)
		}
	}
	f.SetDown(false, nil)
	if h := f.Hop(r, &k, 1<<31); h.Index != 3 {
		t.Errorf("a flow goes by %+v after the carrier is back", h)
	}
}

// TestRulesNameDevices: what is made here comes by lo, and a rule of a device that is
// not there matches nothing.
func TestRulesNameDevices(t *testing.T) {
	f := newFIB()
	f.must(t, 10, "0.0.0.0/0", Route{NextHops: by(3)})
	for _, c := range []struct {
		in   string
		from int32
		want bool
	}{{"lo", 0, true}, {"a", 2, true}, {"a", 3, false}, {"a", 0, false}, {"gone", 2, false}} {
		l := f.Rules(false)
		if _, err := l.Add(Rule{Priority: 1, Table: 10, In: c.in}, true); err != nil {
			t.Fatal(err)
		}
		if got := f.Lookup(&Key{Dst: netip.MustParseAddr("10.0.0.1"), In: c.from}).Route != nil; got != c.want {
			t.Errorf("iif %s, from %d: %v", c.in, c.from, got)
		}
		if _, err := l.Delete(func(r *Rule) bool { return r.Priority == 1 }); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExplainAgrees: what Explain tells of last is what Lookup does.
func TestExplainAgrees(t *testing.T) {
	f := newFIB()
	f.must(t, TableMain, "0.0.0.0/0", Route{NextHops: by(2)})
	f.must(t, TableMain, "10.0.0.0/8", Route{NextHops: by(3)})
	f.must(t, TableMain, "10.0.0.0/8", Route{NextHops: by(2), Metric: 7})
	f.Rules(false).Add(Rule{Priority: 9, Table: 10, Mark: 3, Mask: 255}, true)
	steps := f.Explain(&Key{Dst: netip.MustParseAddr("10.0.0.1"), Mark: 1})
	var got []string
	for _, s := range steps {
		got = append(got, fmt.Sprint(s.Rule.Priority, ": ", s.Why))
		for _, c := range s.Routes {
			got = append(got, fmt.Sprint(c.Route.Dst, " ", c.Route.Metric, ": ", c.Why))
		}
	}
	want := []string{
		"0: the table has no route", "9: does not match: its mark is 0x1", "32766: the route is taken",
		"10.0.0.0/8 0: taken", "10.0.0.0/8 7: its metric is 7, that of the route taken 0", "0.0.0.0/0 0: its prefix is shorter",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || !steps[len(steps)-1].Answered {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLimits: neither rules nor tables grow without bounds.
func TestLimits(t *testing.T) {
	f := newFIB()
	for i := range uint32(maxTables) {
		if _, err := f.MakeTable(1000 + i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.MakeTable(1 << 31); !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("one table more: %v", err)
	}
	if _, err := f.MakeTable(0); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("table 0: %v", err)
	}
}

// TestWalkAllocates nothing: it is on the way of packets.
func TestWalkAllocates(t *testing.T) {
	f := newFIB()
	f.must(t, TableMain, "0.0.0.0/0", Route{NextHops: []NextHop{{Index: 2}, {Index: 3}}})
	f.Rules(false).Add(Rule{Priority: 9, Table: 10, Proto: 6, DstPorts: Span{true, 80, 90}}, true)
	k := Key{Dst: netip.MustParseAddr("10.0.0.1"), Proto: 6, DstPort: 85}
	if n := testing.AllocsPerRun(100, func() { f.Hop(f.Lookup(&k).Route, &k, 7) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestSourceNotChosen: a source that is not chosen yet is 0.0.0.0 for the rules of IPv4,
// and in no prefix for those of IPv6, as on Linux.
func TestSourceNotChosen(t *testing.T) {
	for _, c := range []struct {
		from, dst string
		want      error
	}{
		{"0.0.0.0/1", "10.0.0.1", syscall.EACCES},
		{"0.0.0.0/8", "10.0.0.1", syscall.EACCES},
		{"128.0.0.0/1", "10.0.0.1", syscall.ENETUNREACH},
		{"::/1", "fd00::1", syscall.ENETUNREACH},
	} {
		f := newFIB()
		dst := netip.MustParseAddr(c.dst)
		if _, err := f.Rules(dst.Is6()).Add(Rule{Priority: 1, Action: RuleProhibit, Src: netip.MustParsePrefix(c.from)}, true); err != nil {
			t.Fatal(err)
		}
		if res := f.Lookup(&Key{Dst: dst}); !errors.Is(res.Err, c.want) {
			t.Errorf("from %s: %v, want %v", c.from, res.Err, c.want)
		}
	}
}

// TestSlowLookupAllocates nothing either: packets meet it once a route is only for some
// sources, an interface without carrier is passed over, or a socket is bound.
func TestSlowLookupAllocates(t *testing.T) {
	f := newFIB()
	f.must(t, TableMain, "10.0.0.0/8", Route{NextHops: by(2)})
	f.must(t, TableMain, "fd00::/16", Route{NextHops: by(2), From: netip.MustParsePrefix("fd00::/8")})
	f.must(t, TableMain, "fd00::/8", Route{NextHops: by(3)})
	f.SetDown(false, map[int32]bool{3: true})
	for _, k := range []Key{
		{Dst: netip.MustParseAddr("10.0.0.1")},
		{Dst: netip.MustParseAddr("10.0.0.1"), Out: 2},
		{Dst: netip.MustParseAddr("fd00::1"), Src: netip.MustParseAddr("fd00::2")},
	} {
		if res := f.Lookup(&k); res.Err != nil || !res.Route.Uses(2) {
			t.Errorf("%v: %+v", k, res)
		}
		if n := testing.AllocsPerRun(100, func() { f.Lookup(&k) }); n != 0 {
			t.Errorf("%v: %v allocations, want 0", k, n)
		}
	}
}
