package reach

import (
	"slices"

	"github.com/knitnet/knit/netfilter/rule"
)

// A cover is what a rule has decided about.
type cover struct {
	box
	by *rule.Rule
}

// covers are those of a chain so far, in order. They are indexed by the fields that
// they hold to one value, so that a rule about one address is not held against a
// thousand about others.
type covers struct {
	list []cover
	// points are the covers with one value of a field, by that value, and wide are
	// all others; both for each field that some cover mentions.
	points map[field]map[num][]int
	wide   map[field][]int
}

// add adds a cover, unless there are too many.
func (c *covers) add(v cover) {
	if len(c.list) == maxCovers {
		return
	}
	n := len(c.list)
	for f := range v.box {
		if c.points[f] != nil {
			continue
		}
		if c.points == nil {
			c.points, c.wide = map[field]map[num][]int{}, map[field][]int{}
		}
		c.points[f] = map[num][]int{}
		for i := range n {
			c.wide[f] = append(c.wide[f], i)
		}
	}
	c.list = append(c.list, v)
	for f, byValue := range c.points {
		if x, one := v.box[f].point(); one {
			byValue[x] = append(byValue[x], n)
		} else {
			c.wide[f] = append(c.wide[f], n)
		}
	}
}

// point returns the value that v is, if it is one.
func (v values) point() (num, bool) {
	if len(v.spans) != 1 || v.absent || v.spans[0].lo != v.spans[0].hi {
		return num{}, false
	}
	return v.spans[0].lo, true
}

// nearest returns the covers that some boxes may have to do with, in order.
func (c *covers) nearest(boxes []box) (out []int) {
	for _, b := range boxes {
		out = append(out, c.near(b)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *covers) near(b box) []int {
	var best []int
	least := len(c.list) + 1
	for f, v := range b {
		x, one := v.point()
		if !one || c.points[f] == nil {
			continue
		}
		if n := len(c.points[f][x]) + len(c.wide[f]); n < least {
			least = n
			best = slices.Concat(c.points[f][x], c.wide[f])
		}
	}
	if least > len(c.list) {
		for i := range c.list {
			best = append(best, i)
		}
	}
	return best
}

// forget takes away the covers that speak of fields which may have changed.
func (c *covers) forget(t *touched) {
	known := false
	for f := range c.points {
		known = known || t.has(f)
	}
	if !known {
		return
	}
	old := c.list
	*c = covers{}
	for _, v := range old {
		if !v.mentions(t) {
			c.add(v)
		}
	}
}
