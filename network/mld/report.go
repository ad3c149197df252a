package mld

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/wire"
)

// A record is one of a report of version 2 (RFC 3810 §5.2.12).
type record struct {
	typ     uint8
	group   netip.Addr
	sources []netip.Addr
}

// A message1 is one of version 1: a report, or Done.
type message1 struct {
	done  bool
	group netip.Addr
}

// due returns what is to be sent at time now, and notes that it was.
func (s *state) due(now clock.Time) (records []record, messages []message1) {
	if s.settle(now) {
		return nil, s.due1(now)
	}
	if s.changeAt <= now {
		records = s.changes()
		s.changeAt = clock.Never
		if s.pending() {
			s.changeAt = now.Add(s.random(s.interval2))
		}
	}
	general := s.generalAt <= now
	if general {
		s.generalAt = clock.Never
	}
	for _, a := range s.sorted() {
		g := s.groups[a]
		if g.filter.None() {
			continue
		}
		if general {
			records = append(records, g.current(a))
		} else if g.respondAt <= now {
			records = append(records, g.answer(a)...)
		}
		if general || g.respondAt <= now {
			g.respondAt, g.asked = clock.Never, nil
		}
	}
	return records, nil
}

func (s *state) sorted() []netip.Addr {
	return slices.SortedFunc(maps.Keys(s.groups), netip.Addr.Compare)
}

// pending reports whether changes are still to be told.
func (s *state) pending() bool {
	for _, g := range s.groups {
		if g.modeLeft > 0 || len(g.sourceLeft) > 0 {
			return true
		}
	}
	return false
}

// changes returns one transmission of State Change Records, and forgets groups that
// were left and have been told of often enough.
func (s *state) changes() (records []record) {
	for _, a := range s.sorted() {
		g := s.groups[a]
		records = append(records, g.change(a)...)
		if g.filter.None() && g.modeLeft == 0 && len(g.sourceLeft) == 0 {
			delete(s.groups, a)
		}
	}
	return records
}

// change returns the State Change Records of one group: while its mode is to be
// told the whole filter, else the sources that were added or taken away.
func (g *group) change(a netip.Addr) (records []record) {
	if g.modeLeft > 0 {
		g.modeLeft--
		typ := uint8(wire.GroupChangeToInclude)
		if g.filter.Exclude {
			typ = wire.GroupChangeToExclude
		}
		for x := range g.sourceLeft { // what changed since is told of with it
			if g.sourceLeft[x]--; g.sourceLeft[x] == 0 {
				delete(g.sourceLeft, x)
			}
		}
		return []record{{typ, a, g.filter.Sources}}
	}
	var allow, block []netip.Addr
	for _, x := range slices.SortedFunc(maps.Keys(g.sourceLeft), netip.Addr.Compare) {
		if g.filter.Accepts(x) {
			allow = append(allow, x)
		} else {
			block = append(block, x)
		}
		if g.sourceLeft[x]--; g.sourceLeft[x] == 0 {
			delete(g.sourceLeft, x)
		}
	}
	if len(allow) > 0 {
		records = append(records, record{wire.GroupAllowNew, a, allow})
	}
	if len(block) > 0 {
		records = append(records, record{wire.GroupBlockOld, a, block})
	}
	return records
}

// current returns the Current State Record.
func (g *group) current(a netip.Addr) record {
	if g.filter.Exclude {
		return record{wire.GroupIsExclude, a, g.filter.Sources}
	}
	return record{wire.GroupIsInclude, a, g.filter.Sources}
}

// answer returns the answer to a query for the group, or for sources of it: IS_IN of
// those asked for that are wanted (RFC 3810 §6.3).
func (g *group) answer(a netip.Addr) []record {
	if len(g.asked) == 0 {
		return []record{g.current(a)}
	}
	var wanted []netip.Addr
	slices.SortFunc(g.asked, netip.Addr.Compare)
	for _, x := range slices.Compact(g.asked) {
		if g.filter.Accepts(x) {
			wanted = append(wanted, x)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	return []record{{wire.GroupIsInclude, a, wanted}}
}

// due1 is due for version 1.
func (s *state) due1(now clock.Time) (messages []message1) {
	for _, a := range s.sorted() {
		g := s.groups[a]
		if g.reportAt > now {
			continue
		}
		g.reportAt = clock.Never
		if g.filter.None() {
			if g.last {
				messages = append(messages, message1{true, a})
			}
			delete(s.groups, a)
			continue
		}
		messages = append(messages, message1{false, a})
		g.last = true
		if g.reportsLeft--; g.reportsLeft > 0 {
			g.reportAt = now.Add(s.random(s.interval1))
		}
	}
	return messages
}

// pack cuts records into messages of at most most bytes. A record that does not fit
// is split, unless it lists what is excluded: "a single [record] is sent,
// containing as many source addresses as can fit" (RFC 3810 §5.2.15).
func pack(records []record, most int) (messages [][]record) {
	var message []record
	room := most - wire.MLDv2ReportLen
	flush := func() {
		if len(message) > 0 {
			messages = append(messages, message)
		}
		message, room = nil, most-wire.MLDv2ReportLen
	}
	for _, r := range records {
		for {
			if size(r) > room {
				flush()
			}
			fit := min(len(r.sources), (room-wire.MLDv2RecordLen)/16)
			part := r
			part.sources = r.sources[:fit]
			message = append(message, part)
			room -= size(part)
			r.sources = r.sources[fit:]
			if len(r.sources) == 0 || r.typ == wire.GroupIsExclude || r.typ == wire.GroupChangeToExclude {
				break
			}
		}
	}
	flush()
	return messages
}

// size returns the length of a record in bytes.
func size(r record) int { return wire.MLDv2RecordLen + 16*len(r.sources) }

// encode writes a report of version 2, without a checksum.
func encode(b []byte, records []record) {
	wire.PutMLDv2Report(b, len(records))
	at := wire.MLDv2ReportLen
	for _, r := range records {
		sources := make([][16]byte, len(r.sources))
		for i, x := range r.sources {
			sources[i] = x.As16()
		}
		at += wire.PutMLDv2Record(b[at:], r.typ, r.group.As16(), sources...)
	}
}

// length returns the length of a report in bytes.
func length(records []record) int {
	n := wire.MLDv2ReportLen
	for _, r := range records {
		n += size(r)
	}
	return n
}
