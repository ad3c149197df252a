package reach

import (
	"cmp"
	"math/bits"
	"slices"
)

// A num is a value of up to 128 bits.
type num struct{ hi, lo uint64 }

func numOf(b []byte) (n num) {
	for _, x := range b {
		n.hi = n.hi<<8 | n.lo>>56
		n.lo = n.lo<<8 | uint64(x)
	}
	return n
}

func compare(a, b num) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) }

func (n num) next() num {
	lo, carry := bits.Add64(n.lo, 1, 0)
	return num{n.hi + carry, lo}
}

func (n num) prev() num {
	lo, borrow := bits.Sub64(n.lo, 1, 0)
	return num{n.hi - borrow, lo}
}

func (n num) and(m num) num { return num{n.hi & m.hi, n.lo & m.lo} }

// top is the largest value of a number of bits.
func top(n int) num {
	if n >= 128 {
		return num{^uint64(0), ^uint64(0)}
	}
	if n > 64 {
		return num{1<<(n-64) - 1, ^uint64(0)}
	}
	if n == 64 {
		return num{0, ^uint64(0)}
	}
	return num{0, 1<<n - 1}
}

// A span is all values from lo to hi.
type span struct{ lo, hi num }

// values are what a field may be: spans in order that neither touch nor overlap, and
// perhaps nothing at all, for a packet without the field.
type values struct {
	spans  []span
	absent bool
}

func (v values) empty() bool { return len(v.spans) == 0 && !v.absent }

// valuesOf joins spans.
func valuesOf(spans []span) values {
	slices.SortFunc(spans, func(a, b span) int { return compare(a.lo, b.lo) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && (compare(s.lo, out[n-1].hi) <= 0 || compare(s.lo, out[n-1].hi.next()) == 0) {
			if compare(s.hi, out[n-1].hi) > 0 {
				out[n-1].hi = s.hi
			}
			continue
		}
		out = append(out, s)
	}
	return values{spans: out}
}

// intersect returns what is in both.
func (v values) intersect(w values) values {
	out := values{absent: v.absent && w.absent}
	for i, j := 0, 0; i < len(v.spans) && j < len(w.spans); {
		a, b := v.spans[i], w.spans[j]
		lo, hi := a.lo, a.hi
		if compare(b.lo, lo) > 0 {
			lo = b.lo
		}
		if compare(b.hi, hi) < 0 {
			hi = b.hi
		}
		if compare(lo, hi) <= 0 {
			out.spans = append(out.spans, span{lo, hi})
		}
		if compare(a.hi, b.hi) < 0 {
			i++
		} else {
			j++
		}
	}
	return out
}

// meets reports whether something is in both.
func (v values) meets(w values) bool {
	if v.absent && w.absent {
		return true
	}
	for i, j := 0, 0; i < len(v.spans) && j < len(w.spans); {
		switch a, b := v.spans[i], w.spans[j]; {
		case compare(a.hi, b.lo) < 0:
			i++
		case compare(b.hi, a.lo) < 0:
			j++
		default:
			return true
		}
	}
	return false
}

// minus returns what is in v and not in w.
func (v values) minus(w values) values {
	out := values{absent: v.absent && !w.absent}
	j := 0
	for _, s := range v.spans {
		lo, done := s.lo, false
		for j < len(w.spans) && compare(w.spans[j].hi, s.lo) < 0 {
			j++
		}
		for i := j; i < len(w.spans) && compare(w.spans[i].lo, s.hi) <= 0; i++ {
			if x := w.spans[i]; compare(lo, x.lo) < 0 {
				out.spans = append(out.spans, span{lo, x.lo.prev()})
			}
			if compare(w.spans[i].hi, s.hi) >= 0 {
				done = true
				break
			}
			lo = w.spans[i].hi.next()
		}
		if !done {
			out.spans = append(out.spans, span{lo, s.hi})
		}
	}
	return out
}
