package mld

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

var (
	g1 = netip.MustParseAddr("ff0e::1")
	a1 = netip.MustParseAddr("fd00::a1")
	a2 = netip.MustParseAddr("fd00::a2")
	a3 = netip.MustParseAddr("fd00::a3")
)

// longest makes every random time as long as it can be.
func longest(most time.Duration) time.Duration { return most }

func newState() *state {
	s := new(state)
	s.init(longest)
	return s
}

func include(a ...netip.Addr) network.Filter { return network.Filter{Sources: a} }
func exclude(a ...netip.Addr) network.Filter { return network.Filter{Exclude: true, Sources: a} }

var typeNames = [...]string{
	wire.GroupIsInclude: "IS_IN", wire.GroupIsExclude: "IS_EX", wire.GroupChangeToInclude: "TO_IN",
	wire.GroupChangeToExclude: "TO_EX", wire.GroupAllowNew: "ALLOW", wire.GroupBlockOld: "BLOCK",
}

// text writes records as RFC 3810 does.
func text(rs []record) string {
	var out []string
	for _, r := range rs {
		out = append(out, fmt.Sprint(typeNames[r.typ], r.sources))
	}
	return fmt.Sprint(out)
}

// TestStateChangeRecords holds the table of RFC 3810 §6.1 against what a change of
// the interface's filter is reported as:
//
//	INCLUDE (A)  INCLUDE (B)  ALLOW (B-A), BLOCK (A-B)
//	EXCLUDE (A)  EXCLUDE (B)  ALLOW (A-B), BLOCK (B-A)
//	INCLUDE (A)  EXCLUDE (B)  TO_EX (B)
//	EXCLUDE (A)  INCLUDE (B)  TO_IN (B)
func TestStateChangeRecords(t *testing.T) {
	for _, tt := range []struct {
		old, next network.Filter
		want      string
	}{
		{include(a1, a2), include(a2, a3), "[ALLOW[fd00::a3] BLOCK[fd00::a1]]"},
		{exclude(a1, a2), exclude(a2, a3), "[ALLOW[fd00::a1] BLOCK[fd00::a3]]"},
		{include(a1, a2), exclude(a3), "[TO_EX[fd00::a3]]"},
		{exclude(a1, a2), include(a3), "[TO_IN[fd00::a3]]"},
		{include(), exclude(), "[TO_EX[]]"},           // join
		{exclude(), include(), "[TO_IN[]]"},           // leave
		{include(a1), include(), "[BLOCK[fd00::a1]]"}, // leave one source
		{include(), include(a1), "[ALLOW[fd00::a1]]"}, // join one source
		{exclude(), exclude(a1), "[BLOCK[fd00::a1]]"}, // block a source
		{exclude(a1), exclude(), "[ALLOW[fd00::a1]]"}, // unblock it
		{include(a1, a2), include(a1, a2, a3), "[ALLOW[fd00::a3]]"},
	} {
		s := newState()
		s.change(0, g1, tt.old)
		for s.next() != clock.Never {
			s.due(s.next())
		}
		now := clock.Time(time.Hour)
		s.change(now, g1, tt.next)
		for i := range 2 { // as often as the robustness variable says
			if s.next() == clock.Never {
				t.Errorf("%v -> %v: told %d times, want 2", tt.old, tt.next, i)
				break
			}
			now = s.next()
			if rs, _ := s.due(now); text(rs) != tt.want {
				t.Errorf("%v -> %v: %s, want %s", tt.old, tt.next, text(rs), tt.want)
			}
		}
		if s.next() != clock.Never {
			t.Errorf("%v -> %v: more is to come", tt.old, tt.next)
		}
		if tt.next.None() && len(s.groups) != 0 {
			t.Errorf("%v -> %v: the group is remembered", tt.old, tt.next)
		}
	}
}

// TestChangesMerge: a change before the last one was told of often enough is merged
// with it (RFC 3810 §6.1).
func TestChangesMerge(t *testing.T) {
	s := newState()
	s.change(0, g1, include(a1))
	if rs, _ := s.due(0); text(rs) != "[ALLOW[fd00::a1]]" {
		t.Error(text(rs))
	}
	s.change(1, g1, include(a1, a2))
	if rs, _ := s.due(1); text(rs) != "[ALLOW[fd00::a1 fd00::a2]]" {
		t.Error(text(rs))
	}
	s.change(2, g1, include(a1)) // it was told twice of a1, once of a2
	if rs, _ := s.due(2); text(rs) != "[BLOCK[fd00::a2]]" {
		t.Error(text(rs))
	}
	s.change(3, g1, exclude())
	s.change(4, g1, exclude(a3))
	if rs, _ := s.due(4); text(rs) != "[TO_EX[fd00::a3]]" {
		t.Error(text(rs))
	}
}

// A router is the slow twin: what it knows of a group from the records it got.
type router struct {
	exclude bool
	sources map[netip.Addr]bool
}

func (r *router) take(rs []record) {
	set := func(list []netip.Addr) map[netip.Addr]bool {
		m := map[netip.Addr]bool{}
		for _, a := range list {
			m[a] = true
		}
		return m
	}
	for _, x := range rs {
		switch x.typ {
		case wire.GroupChangeToExclude, wire.GroupIsExclude:
			r.exclude, r.sources = true, set(x.sources)
		case wire.GroupChangeToInclude, wire.GroupIsInclude:
			r.exclude, r.sources = false, set(x.sources)
		case wire.GroupAllowNew, wire.GroupBlockOld:
			for _, a := range x.sources {
				if (x.typ == wire.GroupAllowNew) != r.exclude {
					r.sources[a] = true
				} else {
					delete(r.sources, a)
				}
			}
		}
	}
}

// TestRouterKnowsInTheEnd: after random changes at random times a router that heard
// any one of each two transmissions knows the filter as it is.
func TestRouterKnowsInTheEnd(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	all := []netip.Addr{a1, a2, a3}
	for range 3000 {
		s := newState()
		r := router{sources: map[netip.Addr]bool{}}
		now := clock.Time(0)
		var f network.Filter
		for range rng.IntN(6) {
			f = network.Filter{Exclude: rng.IntN(2) == 0}
			for _, a := range all {
				if rng.IntN(2) == 0 {
					f.Sources = append(f.Sources, a)
				}
			}
			s.change(now, g1, f)
			for n := rng.IntN(4); n > 0 && s.next() != clock.Never; n-- {
				now = max(now, s.next())
				rs, _ := s.due(now)
				r.take(rs)
			}
		}
		for lost := rng.IntN(2) == 0; s.next() != clock.Never; lost = false {
			now = max(now, s.next())
			if rs, _ := s.due(now); !lost {
				r.take(rs)
			}
		}
		for _, a := range all {
			if want, got := f.Accepts(a), r.sources[a] != r.exclude; want != got {
				t.Fatalf("filter %+v, the router knows exclude %v %v", f, r.exclude, r.sources)
			}
		}
	}
}

// query returns a query of version 2.
func query(most time.Duration, group netip.Addr, sources ...netip.Addr) wire.MLDQueryMsg {
	raw := make([][16]byte, len(sources))
	for i, a := range sources {
		raw[i] = a.As16()
	}
	b := make([]byte, wire.MLDv2QueryLen+16*len(raw))
	n := wire.PutMLDQuery(b, wire.MLDQueryFields{MaxResponse: int(most / time.Millisecond), Group: group.As16(), Robustness: 2, Interval: 125}, raw...)
	q, _ := wire.ParseMLDQuery(b[:n])
	return q
}

// quiet returns a state that listens with f and has nothing to tell.
func quiet(f network.Filter) *state {
	s := newState()
	s.change(0, g1, f)
	s.stopPending()
	return s
}

// TestAnswers holds RFC 3810 §6.2 and §6.3 against what queries are answered by.
func TestAnswers(t *testing.T) {
	any6 := netip.IPv6Unspecified()
	sec := func(n int) time.Duration { return time.Duration(n) * time.Second }
	for _, tt := range []struct {
		name    string
		f       network.Filter
		queries []wire.MLDQueryMsg
		at      time.Duration // 0: no answer
		want    string
	}{
		{"general", exclude(a1), []wire.MLDQueryMsg{query(sec(10), any6)}, sec(10), "[IS_EX[fd00::a1]]"},
		{"for the group", include(a1), []wire.MLDQueryMsg{query(sec(2), g1)}, sec(2), "[IS_IN[fd00::a1]]"},
		{"for another group", exclude(), []wire.MLDQueryMsg{query(sec(2), netip.MustParseAddr("ff0e::2"))}, 0, ""},
		{"for sources: INCLUDE (A): IS_IN (A*B)", include(a1, a2), []wire.MLDQueryMsg{query(sec(2), g1, a2, a3)}, sec(2), "[IS_IN[fd00::a2]]"},
		{"for sources: EXCLUDE (A): IS_IN (B-A)", exclude(a1, a2), []wire.MLDQueryMsg{query(sec(2), g1, a2, a3)}, sec(2), "[IS_IN[fd00::a3]]"},
		{"for sources that are not wanted", include(a1), []wire.MLDQueryMsg{query(sec(2), g1, a3)}, sec(2), "[]"},
		{"rule 1: a general answer is due sooner", exclude(), []wire.MLDQueryMsg{query(sec(1), any6), query(sec(2), g1)}, sec(1), "[IS_EX[]]"},
		{"rule 4: the whole group, sooner", include(a1, a2), []wire.MLDQueryMsg{query(sec(4), g1, a1), query(sec(2), g1)}, sec(2), "[IS_IN[fd00::a1 fd00::a2]]"},
		{"rule 4: the other way round", include(a1, a2), []wire.MLDQueryMsg{query(sec(2), g1), query(sec(4), g1, a1)}, sec(2), "[IS_IN[fd00::a1 fd00::a2]]"},
		{"rule 5: sources add up", include(a1, a2), []wire.MLDQueryMsg{query(sec(4), g1, a1), query(sec(2), g1, a2)}, sec(2), "[IS_IN[fd00::a1 fd00::a2]]"},
	} {
		s := quiet(tt.f)
		now := clock.Time(time.Hour)
		for _, q := range tt.queries {
			s.query(now, q)
		}
		if tt.at == 0 {
			if s.next() != clock.Never {
				t.Errorf("%s: an answer is due", tt.name)
			}
			continue
		}
		if got := s.next().Sub(now); got != tt.at {
			t.Errorf("%s: due after %v, want %v", tt.name, got, tt.at)
		}
		rs, _ := s.due(s.next())
		if text(rs) != tt.want || s.next() != clock.Never {
			t.Errorf("%s: %s, want %s; next at %v", tt.name, text(rs), tt.want, s.next())
		}
	}
}

// TestManySources: a query for more sources than are remembered is answered as one
// for the group.
func TestManySources(t *testing.T) {
	s := quiet(include(a1))
	many := make([]netip.Addr, maxAsked+1)
	for i := range many {
		many[i] = netip.AddrFrom16([16]byte{0xfd, 1, 14: 1, 15: byte(i)})
	}
	s.query(0, query(time.Second, g1, many...))
	if rs, _ := s.due(s.next()); text(rs) != "[IS_IN[fd00::a1]]" {
		t.Error(text(rs))
	}
}

// query1 returns a query of version 1.
func query1(most time.Duration, group netip.Addr) wire.MLDQueryMsg {
	b := make([]byte, wire.MLDLen)
	wire.PutMLD(b, wire.ICMP6MLDQuery, uint16(most/time.Millisecond), group.As16())
	q, _ := wire.ParseMLDQuery(b)
	return q
}

// TestVersion1: as long as a router of version 1 is heard of, version 1 is spoken
// (RFC 3810 §8.2.1), with its suppression of reports and Done (RFC 2710 §4).
func TestVersion1(t *testing.T) {
	s := quiet(exclude())
	now := clock.Time(time.Hour)
	s.query(now, query1(10*time.Second, netip.IPv6Unspecified()))
	rs, ms := s.due(s.next())
	if len(rs) != 0 || len(ms) != 1 || ms[0].done || ms[0].group != g1 {
		t.Fatalf("answer %v, %v, want a report of version 1", rs, ms)
	}
	now = now.Add(20 * time.Second)
	s.query(now, query1(10*time.Second, netip.IPv6Unspecified()))
	s.heard(now, g1)
	if s.next() != clock.Never {
		t.Error("another host's report did not suppress ours")
	}
	s.change(now, g1, include())
	if _, ms := s.due(s.next()); len(ms) != 0 {
		t.Errorf("%v although another host was the last to report", ms)
	}
	s.change(now, g1, exclude())
	for range 2 {
		if _, ms := s.due(s.next()); len(ms) != 1 || ms[0].done {
			t.Errorf("join: %v", ms)
		}
	}
	s.change(now, g1, include())
	if _, ms := s.due(s.next()); len(ms) != 1 || !ms[0].done {
		t.Errorf("leave: %v, want Done", ms)
	}
	now = now.Add(2*defaultInterval + defaultResponse + 1)
	s.change(now, g1, exclude())
	if rs, ms := s.due(s.next()); text(rs) != "[TO_EX[]]" || len(ms) != 0 {
		t.Errorf("after the timeout: %v, %v, want version 2", rs, ms)
	}
}

// TestPack: messages no larger than the MTU; "if it is [...] split into multiple",
// except that what is excluded is cut off (RFC 3810 §5.2.15).
func TestPack(t *testing.T) {
	many := make([]netip.Addr, 200)
	for i := range many {
		many[i] = netip.AddrFrom16([16]byte{0xfd, 1, 15: byte(i)})
	}
	rs := []record{{wire.GroupIsInclude, g1, many}, {wire.GroupIsExclude, g1, many}, {wire.GroupAllowNew, g1, many[:3]}}
	got := map[uint8]int{}
	for _, m := range pack(rs, 1232) {
		if length(m) > 1232 {
			t.Errorf("a message of %d bytes", length(m))
		}
		b := make([]byte, length(m))
		encode(b, m)
		w, ok := wire.ParseMLDv2Report(b)
		if !ok {
			t.Fatalf("not a report: %x", b)
		}
		for r, ok := w.Next(); ok; r, ok = w.Next() {
			got[r.Type()] += r.NumSources()
		}
	}
	if got[wire.GroupIsInclude] != 200 || got[wire.GroupIsExclude] < 30 || got[wire.GroupIsExclude] > 75 || got[wire.GroupAllowNew] != 3 {
		t.Errorf("sources by type %v", got)
	}
}

// FuzzPack: nothing is lost of what is not excluded, whatever the room.
func FuzzPack(f *testing.F) {
	f.Add(uint16(1232), uint8(3), uint8(100))
	f.Fuzz(func(t *testing.T, most uint16, groups, sources uint8) {
		most = max(most, 100)
		var rs []record
		for i := range groups {
			rs = append(rs, record{wire.GroupAllowNew, g1, slices.Repeat([]netip.Addr{a1}, int(sources)*int(i%3))})
		}
		n, want := 0, 0
		for _, r := range rs {
			want += len(r.sources)
		}
		for _, m := range pack(rs, int(most)) {
			if length(m) > int(most) {
				t.Fatalf("%d bytes, room for %d", length(m), most)
			}
			for _, r := range m {
				n += len(r.sources)
			}
		}
		if n != want {
			t.Fatalf("%d sources, want %d", n, want)
		}
	})
}
