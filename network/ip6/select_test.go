package ip6

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestSelectSource holds the examples of RFC 6724 §10.1, but the one about Mobile
// IP, and some about rule 5 against selectSource.
func TestSelectSource(t *testing.T) {
	type c = candidate
	a := netip.MustParseAddr
	for _, tt := range []struct {
		rule string
		dst  string
		cs   []candidate
		want int
	}{
		{"prefer appropriate scope", "2001:db8:1::1", []c{{addr: a("fe80::1")}, {addr: a("2001:db8:3::1")}}, 1},
		{"prefer appropriate scope", "ff05::1", []c{{addr: a("fe80::1")}, {addr: a("2001:db8:3::1")}}, 1},
		{"prefer same address", "2001:db8:1::1", []c{{addr: a("2001:db8:2::1")}, {addr: a("2001:db8:1::1"), deprecated: true}}, 1},
		{"prefer appropriate scope", "fe80::1", []c{{addr: a("2001:db8:1::1")}, {addr: a("fe80::2"), deprecated: true}}, 1},
		{"longest matching prefix", "2001:db8:1::1", []c{{addr: a("2001:db8:3::2")}, {addr: a("2001:db8:1::2")}}, 1},
		{"prefer matching label", "2002:c633:6401::1", []c{
			{addr: a("2001:db8:1::2")}, {addr: a("2002:c633:6401::d5e3:7953:13eb:22e8"), temporary: true},
		}, 1},
		{"prefer temporary address", "2001:db8:1::d5e3:0:0:1", []c{
			{addr: a("2001:db8:1::2")}, {addr: a("2001:db8:1::d5e3:7953:13eb:22e8"), temporary: true},
		}, 1},
		{"avoid deprecated addresses", "2001:db8::1", []c{{addr: a("2001:db8::2"), deprecated: true}, {addr: a("2001:db8:ffff::3")}}, 1},
		{"prefer outgoing interface", "2001:db8::1", []c{{addr: a("2001:db8::2")}, {addr: a("fd00::3"), out: true}}, 1},
		{"an equal one does not displace the first", "2001:db8:9::1", []c{{addr: a("2001:db8::2")}, {addr: a("2001:db8::3")}}, 0},
	} {
		for i := range tt.cs {
			tt.cs[i].bits = 64
		}
		q := question{dst: a(tt.dst), temporary: true}
		if got, ok := q.selectSource(tt.cs); !ok || got != tt.cs[tt.want].addr {
			t.Errorf("%s, to %s: got %v, want %v", tt.rule, tt.dst, got, tt.cs[tt.want].addr)
		}
	}
	q := question{dst: a("2001:db8::1")}
	if got, ok := q.selectSource(nil); ok {
		t.Errorf("%v from no candidates", got)
	}
	public := []c{{addr: a("2001:db8::2"), temporary: true}, {addr: a("2001:db8::3")}}
	if got, _ := q.selectSource(public); got != public[1].addr {
		t.Errorf("use_tempaddr=1 chose %v, want the public address", got)
	}
}

// TestCommonPrefixIsBounded: "up to the length of S's prefix (i.e., the portion of
// the address not including the interface ID)" (RFC 6724 §2.2), so that an interface
// identifier that happens to be alike decides nothing.
func TestCommonPrefixIsBounded(t *testing.T) {
	c := candidate{addr: netip.MustParseAddr("2001:db8::1:2:3:4"), bits: 64}
	for dst, want := range map[string]int{"2001:db8::1:2:3:5": 64, "2001:db8:8000::": 32, "2001:db8::1:2:3:4": 64, "::1": 2} {
		if got := c.common(netip.MustParseAddr(dst)); got != want {
			t.Errorf("common with %s: %d, want %d", dst, got, want)
		}
	}
}

// TestBetterIsAnOrder: of two candidates at most one is better than the other, or
// the answer would depend on the order in which addresses were added.
func TestBetterIsAnOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pick := func() netip.Addr {
		some := []string{"fe80::1", "fe80::2", "2001:db8::1", "2001:db8:1::1", "fd00::1", "2002::1", "fec0::1", "::1"}
		return netip.MustParseAddr(some[rng.IntN(len(some))])
	}
	random := func() *candidate {
		return &candidate{pick(), 64, rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(2) == 0}
	}
	for range 20000 {
		q := question{dst: pick(), temporary: rng.IntN(2) == 0}
		a, b := random(), random()
		if a.addr != b.addr && q.better(a, b) && q.better(b, a) {
			t.Fatalf("to %v: %+v and %+v are each better than the other", q.dst, a, b)
		}
	}
}

// TestScopes holds the scopes of RFC 4291 §2.7 and RFC 6724 §3.1 against scope.
func TestScopes(t *testing.T) {
	for addr, want := range map[string]int{
		"ff01::1": 1, "ff02::1": 2, "ff05::2": 5, "ff0e::1": 14, "fe80::1": 2, "febf::1": 2, "fec0::1": 5, "::1": 2, "2001:db8::1": 14, "fd00::1": 14,
	} {
		if got := scope(netip.MustParseAddr(addr)); got != want {
			t.Errorf("scope of %s: %d, want %d", addr, got, want)
		}
	}
}
