package network

import (
	"net/netip"
	"slices"
)

// A Filter says from which sources a group's packets are wanted (RFC 3376 §3,
// RFC 3810 §4). The zero Filter wants none: Filter{Exclude: true} is the usual
// one, of everybody.
type Filter struct {
	// Exclude: Sources are those that are not wanted, else the only wanted ones.
	Exclude bool
	// Sources are sorted and without duplicates in what this package returns.
	Sources []netip.Addr
}

// Accepts reports whether packets from src are wanted.
func (f *Filter) Accepts(src netip.Addr) bool {
	if len(f.Sources) == 0 {
		return f.Exclude
	}
	_, listed := slices.BinarySearchFunc(f.Sources, src, netip.Addr.Compare)
	return listed != f.Exclude
}

// None reports whether f wants nothing at all, as after the last one has left.
func (f *Filter) None() bool { return !f.Exclude && len(f.Sources) == 0 }

// Equal reports whether f and g, both normal, are the same.
func (f *Filter) Equal(g *Filter) bool {
	return f.Exclude == g.Exclude && slices.Equal(f.Sources, g.Sources)
}

// normal returns f with sorted sources of its own, without duplicates.
func (f Filter) normal() Filter {
	f.Sources = slices.Clone(f.Sources)
	slices.SortFunc(f.Sources, netip.Addr.Compare)
	f.Sources = slices.Compact(f.Sources)
	return f
}

// mergeFilters returns the filter of an interface on which sockets have filters
// fs, all normal (RFC 3376 §3.2, RFC 3810 §4.2): "if any such record has a filter
// mode of EXCLUDE, then the filter mode of the interface record is EXCLUDE, and
// the source list is the intersection of the source lists of all records in
// EXCLUDE mode, minus those source addresses that appear in any of the records in
// INCLUDE mode"; otherwise it is INCLUDE "and the source list is the union of the
// source lists of all the records".
func mergeFilters(fs []Filter) Filter {
	var included, excluded []netip.Addr
	exclude := false
	for _, f := range fs {
		switch {
		case !f.Exclude:
			included = append(included, f.Sources...)
		case !exclude:
			exclude, excluded = true, slices.Clone(f.Sources)
		default:
			excluded = slices.DeleteFunc(excluded, func(a netip.Addr) bool { return f.Accepts(a) })
		}
	}
	merged := Filter{Sources: included}.normal()
	if !exclude {
		return merged
	}
	excluded = slices.DeleteFunc(excluded, merged.Accepts)
	return Filter{Exclude: true, Sources: excluded}
}
