package module

import (
	"maps"
	"slices"
	"strings"
)

// A tally counts things by kind.
type tally map[string]int

// list returns what is there, by kind.
func (t tally) list() []UserCount {
	var counts []UserCount
	for _, kind := range slices.Sorted(maps.Keys(t)) {
		if t[kind] != 0 {
			counts = append(counts, UserCount{kind, t[kind]})
		}
	}
	return counts
}

// String returns "2 sockets, 1 timer".
func (t tally) String() string {
	var words []string
	for _, c := range t.list() {
		words = append(words, c.String())
	}
	return strings.Join(words, ", ")
}
