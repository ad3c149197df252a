package reach

import (
	"maps"

	"github.com/knitnet/knit/netfilter/rule"
)

// A field is something of a packet that stays the same on its way through a chain
// unless a rule changes it. Fields of headers are places, so that `tcp dport` and `th
// dport` are one.
type field struct {
	kind  kind
	key   uint8 // of meta and ct, the base of a header
	dir   rule.Dir
	at    int
	width int  // bits
	sure  bool // every packet has it
}

type kind uint8

const (
	payload kind = iota
	meta
	ct
)

// anything is every value of a field, and its absence.
func (f field) anything() values { return values{[]span{{num{}, top(f.width)}}, !f.sure} }

// A box is a set of packets: those whose fields have one of the values. What is not
// there may be anything. A box is not changed once it is made.
type box map[field]values

// with returns the packets of b that have one of the values, and whether there are any.
func (b box) with(f field, v values) (box, bool) {
	if old, ok := b[f]; ok {
		v = old.intersect(v)
	}
	if v.empty() {
		return nil, false
	}
	out := make(box, len(b)+1)
	maps.Copy(out, b)
	out[f] = v
	return out, true
}

// intersect returns the packets that are in both.
func (b box) intersect(c box) (box, bool) {
	out := make(box, len(b)+len(c))
	maps.Copy(out, b)
	for f, v := range c {
		if old, ok := out[f]; ok {
			v = old.intersect(v)
		}
		if v.empty() {
			return nil, false
		}
		out[f] = v
	}
	return out, true
}

// meets reports whether some packet is in both.
func (b box) meets(c box) bool {
	for f, v := range c {
		if old, ok := b[f]; ok && !old.meets(v) {
			return false
		}
	}
	return true
}

// without returns b without what it says of fields that may have changed.
func (b box) without(t *touched) box {
	if !b.mentions(t) {
		return b
	}
	out := make(box, len(b))
	for f, v := range b {
		if !t.has(f) {
			out[f] = v
		}
	}
	return out
}

func (b box) mentions(t *touched) bool {
	for f := range b {
		if t.has(f) {
			return true
		}
	}
	return false
}

// cross returns the packets that are in one box of both sides; false: they are too
// many to tell.
func (a *analysis) cross(x, y []box) ([]box, bool) {
	a.work -= len(x) * len(y)
	if len(x)*len(y) > maxBoxes || a.work < 0 {
		return nil, false
	}
	var out []box
	for _, b := range x {
		for _, c := range y {
			if z, ok := b.intersect(c); ok {
				out = append(out, z)
			}
		}
	}
	return out, true
}

// subtract returns the packets of boxes that are not in c, and whether that are less.
func (a *analysis) subtract(boxes []box, c box) (out []box, cut bool) {
	a.work -= len(boxes)
	for _, b := range boxes {
		if !b.meets(c) {
			out = append(out, b)
			continue
		}
		cut = true
		for f, v := range c {
			old, ok := b[f]
			if !ok {
				old = f.anything()
			}
			if rest := old.minus(v); !rest.empty() {
				piece := maps.Clone(b)
				piece[f] = rest
				out = append(out, piece)
			}
			b = maps.Clone(b)
			b[f] = old.intersect(v)
		}
	}
	return out, cut
}

// touched are the fields that rules may change.
type touched struct {
	all     bool
	headers bool
	ct      bool
	meta    map[uint8]bool
}

func (t *touched) none() bool { return !t.all && !t.headers && !t.ct && len(t.meta) == 0 }

func (t *touched) has(f field) bool {
	switch {
	case t.all:
		return true
	case f.kind == payload:
		return t.headers
	case f.kind == ct:
		return t.ct
	}
	// What is known of a packet may follow from its headers.
	return t.meta[f.key] || t.headers
}

func (t *touched) join(o *touched) {
	t.all, t.headers, t.ct = t.all || o.all, t.headers || o.headers, t.ct || o.ct
	if len(o.meta) > 0 {
		m := maps.Clone(t.meta)
		if m == nil {
			m = map[uint8]bool{}
		}
		maps.Copy(m, o.meta)
		t.meta = m
	}
}
