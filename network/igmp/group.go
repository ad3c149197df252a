package igmp

import (
	"net/netip"
	"slices"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A group is what routers are to know of one group on a device.
type group struct {
	filter network.Filter // what this host listens to now

	// modeLeft is how often a change of the filter mode has still to be told,
	// sources the same for sources that were allowed or blocked.
	modeLeft int
	sources  map[netip.Addr]int

	// due is when a query about the group is answered: about the sources in asked,
	// or about all.
	due      clock.Time
	asked    []netip.Addr
	askedAll bool

	reporter bool // this host was the last to report it (RFC 2236 §3)
}

// A record is one group record of a report (RFC 3376 §4.2.4).
type record struct {
	typ     uint8
	group   netip.Addr
	sources []netip.Addr
}

// pending reports whether changes have still to be told.
func (s *group) pending() bool { return s.modeLeft > 0 || len(s.sources) > 0 }

// change notes that this host listens to f from now on, to be told n times.
func (s *group) change(f network.Filter, n int) {
	old := s.filter
	s.filter = f
	if old.Exclude != f.Exclude {
		s.modeLeft = n // tells the whole list, and so all changes of sources
		return
	}
	for _, a := range symmetricDifference(old.Sources, f.Sources) {
		if s.sources == nil {
			s.sources = map[netip.Addr]int{}
		}
		s.sources[a] = n
	}
}

// symmetricDifference returns what is in one of two sorted lists only.
func symmetricDifference(x, y []netip.Addr) (out []netip.Addr) {
	for _, a := range x {
		if !contains(y, a) {
			out = append(out, a)
		}
	}
	for _, a := range y {
		if !contains(x, a) {
			out = append(out, a)
		}
	}
	return out
}

func contains(sorted []netip.Addr, a netip.Addr) bool {
	_, ok := slices.BinarySearchFunc(sorted, a, netip.Addr.Compare)
	return ok
}

// changeRecords returns what to tell of the changes of s this time: a record of the
// new mode with the whole list while that is due, else ALLOW and BLOCK records of
// the sources that are due (RFC 3376 §5.1).
func (s *group) changeRecords(a netip.Addr) []record {
	if !s.pending() {
		return nil
	}
	var allow, block []netip.Addr
	for src, left := range s.sources {
		if s.filter.Accepts(src) {
			allow = append(allow, src)
		} else {
			block = append(block, src)
		}
		if s.sources[src] = left - 1; left <= 1 {
			delete(s.sources, src)
		}
	}
	if s.modeLeft > 0 {
		s.modeLeft--
		typ := uint8(wire.GroupChangeToInclude)
		if s.filter.Exclude {
			typ = wire.GroupChangeToExclude
		}
		return []record{{typ, a, s.filter.Sources}}
	}
	var out []record
	for _, r := range []record{{wire.GroupAllowNew, a, allow}, {wire.GroupBlockOld, a, block}} {
		if len(r.sources) > 0 {
			slices.SortFunc(r.sources, netip.Addr.Compare)
			out = append(out, r)
		}
	}
	return out
}

// current returns the record that tells the state of s (RFC 3376 §5.2).
func (s *group) current(a netip.Addr) record {
	typ := uint8(wire.GroupIsInclude)
	if s.filter.Exclude {
		typ = wire.GroupIsExclude
	}
	return record{typ, a, s.filter.Sources}
}

// ask notes a query about the group that is to be answered at time at; no sources
// means about all of it (RFC 3376 §5.2, rules 3 to 5).
func (s *group) ask(at clock.Time, sources []netip.Addr) {
	if s.due == clock.Never {
		s.asked, s.askedAll = nil, false
	}
	s.due = min(s.due, at)
	if len(sources) == 0 || s.askedAll || len(s.asked)+len(sources) > maxAsked {
		s.asked, s.askedAll = nil, true
		return
	}
	s.asked = append(s.asked, sources...)
}

// maxAsked bounds the sources that queries ask for; beyond that the answer is about
// all of the group.
const maxAsked = 1024

// answer returns the record that answers the queries about the group, if there is
// anything to say.
func (s *group) answer(a netip.Addr) (r record, ok bool) {
	all, asked := s.askedAll, s.asked
	s.due, s.asked, s.askedAll = clock.Never, nil, false
	if s.filter.None() {
		return record{}, false
	}
	if all {
		return s.current(a), true
	}
	slices.SortFunc(asked, netip.Addr.Compare)
	asked = slices.Compact(asked)
	wanted := slices.DeleteFunc(asked, func(src netip.Addr) bool { return !s.filter.Accepts(src) })
	return record{wire.GroupIsInclude, a, wanted}, len(wanted) > 0
}
