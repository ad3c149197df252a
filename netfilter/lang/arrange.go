package lang

import (
	"bytes"
	"math/big"
	"slices"

	"github.com/knitnet/knit/netfilter/rule"
)

// Arrange returns elements in the order in which nft lists them. With merge, intervals
// that overlap or touch become one. ok is false if elements overlap that must not.
func Arrange(elems []rule.Elem, key *rule.Type, merge, anonymous bool) (out []rule.Elem, ok bool) {
	intervals := slices.ContainsFunc(elems, func(e rule.Elem) bool { return isInterval(e.Key) })
	if key.Format == rule.Text && merge {
		elems = withoutCovered(elems)
	}
	out = slices.Clone(elems)
	order := compareKeys
	if slices.ContainsFunc(elems, isWild) {
		order = compareBeginnings
	}
	slices.SortStableFunc(out, func(a, b rule.Elem) int { return order(a.Key, b.Key) })
	if len(key.Parts) > 0 && intervals {
		return slices.Clone(elems), true // kept in the order in which they came
	}
	if len(key.Parts) > 0 || !intervals {
		out = slices.CompactFunc(out, func(a, b rule.Elem) bool {
			return a.Data == nil && compareKeys(a.Key, b.Key) == 0 && !isInterval(a.Key)
		})
		return out, true
	}
	return joinIntervals(out, merge)
}

// joinIntervals joins sorted intervals.
func joinIntervals(elems []rule.Elem, merge bool) (out []rule.Elem, ok bool) {
	for _, e := range elems {
		if len(out) == 0 || !plain(&e) || !plain(&out[len(out)-1]) {
			out = append(out, e)
			continue
		}
		last := &out[len(out)-1]
		_, hi := bounds(last.Key)
		lo2, hi2 := bounds(e.Key)
		next := new(big.Int).Add(hi, big.NewInt(1))
		switch {
		case lo2.Cmp(hi) <= 0 && !merge:
			return nil, false
		case merge && lo2.Cmp(next) <= 0:
			lo, _ := bounds(last.Key)
			if hi2.Cmp(hi) > 0 {
				hi = hi2
			}
			last.Key = interval(last.Key, lo, hi)
		default:
			out = append(out, e)
		}
	}
	return out, true
}

func plain(e *rule.Elem) bool {
	switch e.Key.(type) {
	case *rule.Value, *rule.Prefix, *rule.Range:
		return true
	}
	return false
}

// bounds returns the ends of a key that is no concatenation.
func bounds(e rule.Expr) (lo, hi *big.Int) {
	switch x := e.(type) {
	case *rule.Value:
		lo = toBig(x)
		return lo, lo
	case *rule.Prefix:
		lo = toBig(x.Value)
		hi = new(big.Int).Or(lo, ones(x.Value.N-x.Len, x.Value.N-x.Len))
		return lo, hi
	case *rule.Range:
		return toBig(x.Lo), toBig(x.Hi)
	}
	return new(big.Int), new(big.Int)
}

// interval is the key from lo to hi, a prefix if it is one of addresses.
func interval(like rule.Expr, lo, hi *big.Int) rule.Expr {
	t, n := like.Type(), like.Bits()
	if lo.Cmp(hi) == 0 {
		return bigNumber(t, n, lo)
	}
	return prefixed(&rule.Range{Lo: bigNumber(t, n, lo), Hi: bigNumber(t, n, hi)})
}

// prefixed makes a range of addresses or marks a prefix if it is one.
func prefixed(r *rule.Range) rule.Expr {
	if f := r.Lo.T.Format; f != rule.IPv4Address && f != rule.IPv6Address && r.Lo.T != rule.MarkType {
		return r
	}
	x := new(big.Int).Xor(toBig(r.Lo), toBig(r.Hi))
	k := x.BitLen()
	if ones(k, k).Cmp(x) != 0 || new(big.Int).And(toBig(r.Lo), x).Sign() != 0 {
		return r
	}
	return &rule.Prefix{Value: r.Lo, Len: r.Lo.N - k}
}

// compareKeys orders keys as nft does: by number, or, what Linux keeps in the host's
// order, by the number that is there.
func compareKeys(a, b rule.Expr) int {
	_, anyA := a.(*rule.Any)
	_, anyB := b.(*rule.Any)
	switch {
	case anyA || anyB:
		return boolInt(anyA) - boolInt(anyB)
	}
	ca, ok1 := a.(*rule.Concat)
	cb, ok2 := b.(*rule.Concat)
	if ok1 && ok2 && len(ca.Parts) == len(cb.Parts) {
		return compareConcats(ca, cb)
	}
	return bytes.Compare(sortKey(a), sortKey(b))
}

// compareConcats orders concatenations as nft does, which takes all of one for a number
// in the host's order: the last part counts most, and what the network has is turned
// round.
func compareConcats(a, b *rule.Concat) int {
	key := func(e rule.Expr) []byte {
		k := slices.Clone(sortKey(e))
		if !e.Type().Host {
			slices.Reverse(k)
		}
		return k
	}
	for i := len(a.Parts) - 1; i >= 0; i-- {
		if c := bytes.Compare(key(a.Parts[i]), key(b.Parts[i])); c != 0 {
			return c
		}
	}
	return 0
}

func isWild(e rule.Elem) bool {
	v, ok := e.Key.(*rule.Value)
	return ok && v.Wild
}

// compareBeginnings orders names among which beginnings of names are: as intervals,
// whose first letter counts most.
func compareBeginnings(a, b rule.Expr) int {
	v, ok := a.(*rule.Value)
	w, ok2 := b.(*rule.Value)
	if ok && ok2 {
		return bytes.Compare(v.Data, w.Data)
	}
	return compareKeys(a, b)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sortKey is what a key is sorted by.
func sortKey(e rule.Expr) []byte {
	switch x := e.(type) {
	case *rule.Value:
		if x.T.Format == rule.Text {
			d := make([]byte, max(16, len(x.Data)))
			copy(d, x.Data)
			slices.Reverse(d)
			return d
		}
		if x.T == rule.TCPFlagType && len(bitNames(x)) > 1 {
			return nil // an expression of bits has no place in nft's order: it comes first
		}
		return x.Data
	case *rule.Prefix:
		return x.Value.Data
	case *rule.Range:
		return x.Lo.Data
	}
	return nil
}

// withoutCovered leaves away names that a beginning of names (`eth*`) covers.
func withoutCovered(elems []rule.Elem) []rule.Elem {
	return slices.DeleteFunc(slices.Clone(elems), func(e rule.Elem) bool {
		v, ok := e.Key.(*rule.Value)
		return ok && slices.ContainsFunc(elems, func(o rule.Elem) bool {
			w, ok := o.Key.(*rule.Value)
			return ok && w != v && w.Wild && bytes.HasPrefix(v.Data, w.Data) && (!v.Wild || len(v.Data) > len(w.Data))
		})
	})
}
