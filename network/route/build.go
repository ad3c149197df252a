package route

// build returns the node of many routes at once: what lookups touch lies together in
// memory then. The routes have the first off bits in common, are longer than that, and
// sorted by address and length.
func build(off uint8, routes []*Route) *node {
	n := &node{off: off}
	var all [256]*Route
	var groups [][]*Route
	for len(routes) > 0 {
		p := pathOf(routes[0].Dst)
		size := 1
		if p.bits <= off+8 {
			first, last := p.octets(off)
			for i := first; i <= last; i++ {
				all[i] = routes[0] // over shorter ones: these came before
			}
		} else {
			octet := p.octet(off)
			for size < len(routes) && keyOf(routes[size].Dst.Addr()).common(p.key) >= int(off)+8 {
				size++
			}
			n.parents.set(octet, true)
			groups = append(groups, routes[:size])
		}
		routes = routes[size:]
	}
	n.pack(&all)
	n.kids = make([]kid, len(groups))
	for i, group := range groups {
		n.kids[i].build(group)
	}
	return n
}

// build makes k what has all of routes.
func (k *kid) build(routes []*Route) {
	p := pathOf(routes[0].Dst)
	k.prefix, k.bits = p.key, p.bits
	if len(routes) == 1 {
		k.route = routes[0]
		return
	}
	part := p.common(keyOf(routes[len(routes)-1].Dst.Addr()))
	for _, r := range routes {
		part = min(part, r.Dst.Bits()-1)
	}
	k.bits = uint8(part) &^ 7
	k.node.Store(build(k.bits, routes))
}
