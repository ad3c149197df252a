package nft

import (
	"bytes"
	"syscall"

	"github.com/knitnet/knit/netfilter/lang"
	"github.com/knitnet/knit/netfilter/rule"
)

// get lists the elements of a set that a command asks for: those that are there, or the
// intervals that hold them. One that is not there is ENOENT.
func (r *running) get(c *lang.Command) error {
	t, err := r.x.table(c.Family, c.Table)
	if err != nil {
		return &faultAt{c.TableAt, err}
	}
	i := setOf(t, c.Name)
	if i < 0 {
		return &faultAt{c.NameAt, syscall.ENOENT}
	}
	only := *t
	only.Chains, only.Objects, only.Flowtables, only.Comment = nil, nil, nil, ""
	only.Sets = []*rule.Set{t.Sets[i]}
	read := r.m.read(&only, false)
	there := read.Sets[0].Elems
	var found []rule.Elem
	for _, e := range c.Elems {
		k := holding(there, e.Key, partLens(t.Sets[i].Key))
		if k < 0 {
			return &faultAt{c.At, syscall.ENOENT}
		}
		found = append(found, there[k])
	}
	set := *read.Sets[0]
	set.Elems = found
	read.Sets, read.Handle = []*rule.Set{&set}, 0
	r.text += r.listing.Table(read)
	return nil
}

// holding returns the index of the element that holds a key, whose parts have these
// lengths, or -1.
func holding(elems []rule.Elem, key rule.Expr, parts []int) int {
	lo, hi, err := ends(key)
	if err != nil {
		return -1
	}
	for i := range elems {
		if from, to, err := ends(elems[i].Key); err == nil && inside(lo, hi, from, to, parts) {
			return i
		}
	}
	return -1
}

// inside reports whether a key lies between the ends of an element in each part; a
// catch-all, which has no ends, holds itself alone.
func inside(lo, hi, from, to []byte, parts []int) bool {
	if lo == nil || from == nil {
		return lo == nil && from == nil
	}
	for _, n := range parts {
		if len(lo) < n || len(from) < n || bytes.Compare(from[:n], lo[:n]) > 0 || bytes.Compare(hi[:n], to[:n]) > 0 {
			return false
		}
		lo, hi, from, to = lo[n:], hi[n:], from[n:], to[n:]
	}
	return true
}
