package nft

import (
	"bytes"
	"math/bits"
	"slices"
)

// fields finds elements that are concatenations of ranges. Each part's ranges cut
// its values into intervals; for each interval a bitmap says which elements agree.
// A lookup is a binary search for each part and the intersection of the bitmaps:
// the first common element wins.
type fields struct {
	elems []*elem
	parts []field
}

type field struct {
	at, n  int
	starts [][]byte   // of the intervals, sorted
	maps   [][]uint64 // by interval: the elements that cover it
}

// newFields arranges elements whose keys consist of parts of these lengths.
func newFields(elems []*elem, parts []int) *fields {
	f := &fields{elems: elems}
	at := 0
	for _, n := range parts {
		f.parts = append(f.parts, newField(elems, at, n))
		at += n
	}
	return f
}

func newField(elems []*elem, at, n int) field {
	f := field{at: at, n: n, starts: [][]byte{make([]byte, n)}}
	for _, e := range elems {
		f.starts = append(f.starts, e.lo[at:at+n])
		if after := increment(e.hi[at : at+n]); after != nil {
			f.starts = append(f.starts, after)
		}
	}
	slices.SortFunc(f.starts, bytes.Compare)
	f.starts = slices.CompactFunc(f.starts, bytes.Equal)
	words := (len(elems) + 63) / 64
	f.maps = make([][]uint64, len(f.starts))
	all := make([]uint64, words*len(f.starts))
	for i := range f.maps {
		f.maps[i], all = all[:words:words], all[words:]
	}
	for j, e := range elems {
		from := f.interval(e.lo[at : at+n])
		to := f.interval(e.hi[at : at+n])
		for i := from; i <= to; i++ {
			f.maps[i][j/64] |= 1 << (j % 64)
		}
	}
	return f
}

// increment returns b+1, or nil after the last value.
func increment(b []byte) []byte {
	b = bytes.Clone(b)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b
		}
	}
	return nil
}

// interval returns the index of the interval that a value is in.
func (f *field) interval(v []byte) int {
	lo, hi := 1, len(f.starts)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if bytes.Compare(f.starts[mid], v) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// maxParts is the most parts a concatenation may have here; nft's own limit of key
// bytes is reached before.
const maxParts = 20

func (f *fields) find(key []byte) *elem {
	var maps [maxParts][]uint64
	for i := range f.parts {
		p := &f.parts[i]
		maps[i] = p.maps[p.interval(key[p.at:p.at+p.n])]
	}
	for w := range maps[0] {
		common := maps[0][w]
		for i := 1; i < len(f.parts) && common != 0; i++ {
			common &= maps[i][w]
		}
		if common != 0 {
			return f.elems[w*64+bits.TrailingZeros64(common)]
		}
	}
	return nil
}
