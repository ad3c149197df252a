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
	moves := map[int][]int{} // behind the statement at the index
	gone := map[int]bool{}
	var run []int
	flush := func() {
		mergeRun(stmts, run, moves, gone)
		run = nil
	}
	for i, s := range stmts {
		if _, ok := s.(*rule.Match); !ok {
			if len(run) > 1 {
				flush()
			}
		} else if _, ok := mergeable(s); ok {
			run = append(run, i)
		}
	}
	flush()
	out := make([]rule.Stmt, 0, len(stmts))
	for i, s := range stmts {
		if gone[i] {
			continue
		}
		out = append(out, s)
		for _, j := range moves[i] {
			out = append(out, stmts[j])
		}
	}
	return out
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

// mergeRun finds the neighbours among matches: they go to the place of the first of
// their fields, what has no neighbour stays.
func mergeRun(stmts []rule.Stmt, run []int, moves map[int][]int, gone map[int]bool) {
	at := func(i int) place { p, _ := mergeable(stmts[i]); return p }
	sorted := slices.Clone(run)
	slices.SortStableFunc(sorted, func(a, b int) int { return at(a).compare(at(b)) })
	first, bits := 0, 0
	for i, s := range sorted {
		p := at(s)
		if i > 0 && adjacent(at(sorted[i-1]), p) && worthMerging(bits, p.bits) {
			moves[first] = append(moves[first], s)
			gone[s], bits = true, bits+p.bits
			continue
		}
		first, bits = s, p.bits
	}
}

// worthMerging reports whether nft compares so many bits at once: not if two cheap
// comparisons became a dear one.
func worthMerging(a, b int) bool {
	return a+b <= fastCompare || a+b <= maxCompare && max(a, b) > fastCompare
}

func adjacent(a, b place) bool { return a.base == b.base && a.off+a.bits == b.off }
