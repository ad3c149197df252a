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
		} else if mergeable(s) != nil {
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

// mergeable returns the field a statement compares with one value, or nil.
func mergeable(s rule.Stmt) *rule.Field {
	m, ok := s.(*rule.Match)
	if !ok || m.Op != rule.Implicit && m.Op != rule.Eq {
		return nil
	}
	p, ok := m.Left.(*rule.Payload)
	if v, is := m.Right.(*rule.Value); !ok || !is || v.Wild || p.Field == nil || p.Field.Offset%8 != 0 || p.Field.Bits%8 != 0 {
		return nil
	}
	if m.Op == rule.Implicit && p.Field.Type.Bitmask() {
		return nil
	}
	return p.Field
}

// mergeRun finds the neighbours among matches: they go to the place of the first of
// their fields, what has no neighbour stays.
func mergeRun(stmts []rule.Stmt, run []int, moves map[int][]int, gone map[int]bool) {
	sorted := slices.Clone(run)
	slices.SortStableFunc(sorted, func(a, b int) int { return mergeable(stmts[a]).Offset - mergeable(stmts[b]).Offset })
	first, bits := 0, 0
	for i, at := range sorted {
		f := mergeable(stmts[at])
		if i > 0 && adjacent(mergeable(stmts[sorted[i-1]]), f) && worthMerging(bits, f.Bits) {
			moves[first] = append(moves[first], at)
			gone[at], bits = true, bits+f.Bits
			continue
		}
		first, bits = at, f.Bits
	}
}

// worthMerging reports whether nft compares so many bits at once: not if two cheap
// comparisons became a dear one.
func worthMerging(a, b int) bool {
	return a+b <= fastCompare || a+b <= maxCompare && max(a, b) > fastCompare
}

func adjacent(a, b *rule.Field) bool {
	return a.Base == b.Base && a.Header == b.Header && a.Offset+a.Bits == b.Offset
}
