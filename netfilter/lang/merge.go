package lang

import (
	"slices"

	"github.com/knitnet/knit/netfilter/rule"
)

// fastCompare and maxCompare are how many bits Linux compares at once: those that cost
// next to nothing, and those that are possible.
const (
	fastCompare = 32
	maxCompare  = 128
)

// mergeOrder puts matches of neighbouring fields into the order of the fields, as nft
// does: it makes one comparison of them, and lists that field by field. What is
// between two matches does not keep it from doing so; what follows more than one does.
func mergeOrder(stmts []rule.Stmt) []rule.Stmt {
	if !neighbours(stmts) {
		return slices.Clone(stmts)
	}
	moves := map[int][]int{} // in the place of the statement at the index
	gone := map[int]bool{}
	var run []int
	length := 0 // with the matches of flags, which stay where they are
	flush := func() {
		mergeRun(stmts, run, moves, gone)
		run, length = nil, 0
	}
	for i, s := range stmts {
		m, ok := s.(*rule.Match)
		if !ok {
			if length > 1 {
				flush()
			}
		} else if _, ok := mergeable(s); ok {
			run = append(run, i)
			length++
		} else if flagsMatch(m) {
			length++
		}
	}
	flush()
	out := make([]rule.Stmt, 0, len(stmts))
	for i, s := range stmts {
		for _, j := range moves[i] {
			out = append(out, stmts[j])
		}
		if !gone[i] {
			out = append(out, s)
		}
	}
	return out
}

// neighbours reports whether there may be fields that are compared at once.
func neighbours(stmts []rule.Stmt) bool {
	n := 0
	for _, s := range stmts {
		if _, ok := mergeable(s); ok {
			n++
		}
	}
	return n > 1
}

// flagsMatch reports whether a match asks for one of some flags of a header.
func flagsMatch(m *rule.Match) bool {
	p, ok := m.Left.(*rule.Payload)
	_, value := m.Right.(*rule.Value)
	return ok && value && m.Op == rule.Implicit && p.Type().Bitmask()
}

// A place is where a field is: bits from the beginning of a header.
type place struct {
	base      rule.Base
	off, bits int
}

func (p place) compare(q place) int {
	if p.base != q.base {
		return int(p.base) - int(q.base)
	}
	return p.off - q.off
}

// mergeable returns the place of a field that a statement compares with one value.
func mergeable(s rule.Stmt) (place, bool) {
	m, ok := s.(*rule.Match)
	if !ok || m.Op != rule.Implicit && m.Op != rule.Eq {
		return place{}, false
	}
	p, ok := m.Left.(*rule.Payload)
	if v, is := m.Right.(*rule.Value); !ok || !is || v.Wild {
		return place{}, false
	}
	if m.Op == rule.Implicit && p.Type().Bitmask() {
		return place{}, false
	}
	at := place{p.Base, p.Offset, p.N}
	if f := p.Field; f != nil {
		at = place{f.Base, f.Offset, f.Bits}
	}
	return at, at.off%8 == 0 && at.bits%8 == 0
}

// mergeRun finds the neighbours among matches: they go to the place of one of
// them, what has no neighbour stays.
func mergeRun(stmts []rule.Stmt, run []int, moves map[int][]int, gone map[int]bool) {
	at := func(i int) place { p, _ := mergeable(stmts[i]); return p }
	sorted := slices.Clone(run)
	slices.SortStableFunc(sorted, func(a, b int) int { return at(a).compare(at(b)) })
	for i := 0; i < len(sorted); {
		n, bits := i+1, at(sorted[i]).bits
		for n < len(sorted) && adjacent(at(sorted[n-1]), at(sorted[n])) && worthMerging(bits, at(sorted[n]).bits) {
			bits += at(sorted[n]).bits
			n++
		}
		if together := sorted[i:n]; len(together) > 1 {
			moves[placeOf(stmts, together)] = together
			for _, s := range together {
				gone[s] = true
			}
		}
		i = n
	}
}

// placeOf returns which of matches that are one comparison stays where it is: that of
// the next header's protocol, else the first field.
func placeOf(stmts []rule.Stmt, together []int) int {
	for _, i := range together {
		switch p := stmts[i].(*rule.Match).Left.(*rule.Payload); {
		case p.Field == nil:
		case p.Field.Name == "protocol" || p.Field.Name == "nexthdr" || p.Field.Type == rule.EtherType && p.Field.Header != "arp":
			return i
		}
	}
	return together[0]
}

// worthMerging reports whether nft compares so many bits at once: not if two cheap
// comparisons became a dear one.
func worthMerging(a, b int) bool {
	return a+b <= fastCompare || a+b <= maxCompare && max(a, b) > fastCompare
}

func adjacent(a, b place) bool { return a.base == b.base && a.off+a.bits == b.off }
