package nft

import (
	"slices"
	"syscall"

	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/netfilter/rule"
)

// hooksOf are the hooks where chains of a type can sit in a family; none: the type
// is not there.
func hooksOf(f rule.Family, t rule.ChainType) []rule.Hook {
	inet := f == rule.IP || f == rule.IP6 || f == rule.Inet
	switch {
	case t == rule.NATChain && inet:
		return []rule.Hook{rule.Prerouting, rule.Input, rule.Output, rule.Postrouting}
	case t == rule.RouteChain && inet:
		return []rule.Hook{rule.Output}
	case t != rule.FilterChain:
		return nil
	case f == rule.Inet:
		return []rule.Hook{rule.Prerouting, rule.Input, rule.Forward, rule.Output, rule.Postrouting, rule.Ingress}
	case inet || f == rule.Bridge:
		return []rule.Hook{rule.Prerouting, rule.Input, rule.Forward, rule.Output, rule.Postrouting}
	case f == rule.ARP:
		return []rule.Hook{rule.Input, rule.Output}
	case f == rule.Netdev:
		return []rule.Hook{rule.Ingress, rule.Egress}
	}
	return nil
}

// checkChain refuses base chains that cannot be where they want to be.
func checkChain(f rule.Family, c *rule.Chain) error {
	switch {
	case !c.Base():
		return nil
	case !slices.Contains(hooksOf(f, c.Type), c.Hook):
		return syscall.EOPNOTSUPP
	case c.Type == rule.NATChain && c.Priority <= hook.Conntrack:
		return syscall.EOPNOTSUPP // connections are not known yet
	}
	return nil
}

// checkRule checks that what a rule names is in its table.
func (x *txn) checkRule(t *rule.Table, r *rule.Rule) error {
	var err error
	eachUse(r.Stmts, func(u use) {
		if err == nil {
			err = checkUse(t, u)
		}
	})
	return err
}

func checkUse(t *rule.Table, u use) error {
	there := false
	switch u.kind {
	case useChain:
		i, err := chainOf(t, u.name)
		if err == nil && t.Chains[i].Base() {
			return syscall.EOPNOTSUPP
		}
		there = err == nil
	case useSet:
		there = setOf(t, u.name) >= 0
	case useFlowtable:
		there = flowtableOf(t, u.name) >= 0
	default:
		there = objectOf(t, rule.ObjectKind(u.kind-useObject), u.name) >= 0
	}
	if !there {
		return syscall.ENOENT
	}
	return nil
}

// A passed is a rule on the way of a visit.
type passed struct {
	c *rule.Chain
	r *rule.Rule
}

// A visit is a walk over the chains that packets of one base chain come to.
type visit struct {
	t     *rule.Table
	base  *rule.Chain
	depth map[string]int // the deepest that a chain was visited at
	index map[string]*rule.Chain
	path  []passed
}

// checkTable checks what only the whole table shows: no chain leads to itself or too
// deep (EMLINK), and no statement is where it cannot work (EOPNOTSUPP). A chain that
// no packet comes to may hold what it likes, as on Linux.
func checkTable(t *rule.Table) error {
	index := make(map[string]*rule.Chain, len(t.Chains))
	for _, c := range t.Chains {
		index[c.Name] = c
	}
	for _, c := range t.Chains {
		if !c.Base() {
			continue
		}
		v := visit{t: t, base: c, depth: map[string]int{}, index: index}
		if err := v.chain(c, 0); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) chain(c *rule.Chain, depth int) error {
	if depth == maxDepth {
		return syscall.EMLINK
	}
	if d, seen := v.depth[c.Name]; seen && d >= depth {
		return nil
	}
	v.depth[c.Name] = depth
	for _, r := range c.Rules {
		v.path = append(v.path, passed{c, r})
		if err := v.rule(r, depth); err != nil {
			return v.blame(err)
		}
		v.path = v.path[:len(v.path)-1]
	}
	return nil
}

// blame names the newest rule on the way to what is wrong: without it, it was right.
func (v *visit) blame(err error) error {
	if _, named := err.(*RuleError); named { // wrapped here and nowhere else
		return err
	}
	last := v.path[0]
	for _, p := range v.path {
		if p.r.Handle > last.r.Handle {
			last = p
		}
	}
	return &RuleError{last.c.Name, last.r, err}
}

func (v *visit) rule(r *rule.Rule, depth int) (err error) {
	for _, s := range r.Stmts {
		if !fits(s, v.t.Family, v.base) {
			return syscall.EOPNOTSUPP
		}
	}
	eachUse(r.Stmts, func(u use) {
		switch {
		case err != nil:
		case u.kind == useChain:
			err = v.chain(v.index[u.name], depth+1)
		case u.kind == useSet:
			err = v.set(u.name, depth)
		}
	})
	return err
}

// set visits the chains that a verdict map leads to.
func (v *visit) set(name string, depth int) (err error) {
	i := setOf(v.t, name)
	if i < 0 || v.t.Sets[i].Data != rule.VerdictType {
		return nil
	}
	elemUses(v.t.Sets[i].Elems, 0, func(u use) {
		if err == nil {
			err = v.chain(v.index[u.name], depth+1)
		}
	})
	return err
}
