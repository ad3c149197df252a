package nft

import (
	"slices"

	"github.com/knitnet/knit/netfilter/rule"
)

// A change is what a transaction has done to one thing of the ruleset.
type change struct {
	verb  string // add, insert or delete
	what  string // tables, chains, rules, sets, elements or the rest's "ruleset"
	table *rule.Table
	// renamed: the chain was there before under another name.
	renamed bool
	// One of these, or none: the table itself.
	chain  *rule.Chain
	rule   *rule.Rule // of chain
	object *rule.Object
	flow   *rule.Flowtable
	set    *rule.Set
	elem   *rule.Elem // of set
}

// A diff lists what differs between two rulesets, in the order in which Linux tells of
// it: of what goes the rules first and the table last, of what comes the other way
// round.
type diff struct {
	out      []change
	inserted map[*rule.Rule]bool // rules that were put in front of others
	replaced map[*rule.Rule]bool // rules that have taken the place of others
	live     map[setKey]*liveChange
}

func (d *diff) rulesets(before, after []*rule.Table) {
	find := func(list []*rule.Table, t *rule.Table) *rule.Table {
		i := slices.IndexFunc(list, func(o *rule.Table) bool { return o.Handle == t.Handle })
		if i < 0 {
			return nil
		}
		return list[i]
	}
	for _, t := range before {
		if find(after, t) == nil {
			d.tables(t, &rule.Table{Family: t.Family, Name: t.Name})
			d.add(change{verb: "delete", what: "tables", table: t})
		}
	}
	for _, t := range after {
		switch old := find(before, t); {
		case old == nil:
			d.add(change{verb: "add", what: "tables", table: t})
			d.tables(&rule.Table{Family: t.Family, Name: t.Name}, t)
		case old != t:
			d.tables(old, t)
		}
	}
}

func (d *diff) add(c change) { d.out = append(d.out, c) }

// tables lists what differs between two states of a table.
func (d *diff) tables(before, after *rule.Table) {
	oldChains, newChains := byHandle(before.Chains, chainHandle), byHandle(after.Chains, chainHandle)
	oldSets, newSets := byHandle(before.Sets, setHandle), byHandle(after.Sets, setHandle)
	oldObjects, newObjects := byHandle(before.Objects, objectHandle), byHandle(after.Objects, objectHandle)
	oldFlows, newFlows := byHandle(before.Flowtables, flowHandle), byHandle(after.Flowtables, flowHandle)
	for _, c := range before.Chains {
		d.rules(before, c, newChains[c.Handle], "delete")
	}
	for _, s := range before.Sets {
		if n := newSets[s.Handle]; n == nil {
			d.add(change{verb: "delete", what: "sets", table: before, set: s})
		} else {
			d.elems(before, s, n, "delete")
		}
	}
	for _, f := range before.Flowtables {
		if newFlows[f.Handle] == nil {
			d.add(change{verb: "delete", what: "ruleset", table: before, flow: f})
		}
	}
	for _, o := range before.Objects {
		if newObjects[o.Handle] == nil {
			d.add(change{verb: "delete", what: "ruleset", table: before, object: o})
		}
	}
	for _, c := range before.Chains {
		if newChains[c.Handle] == nil {
			d.add(change{verb: "delete", what: "chains", table: before, chain: c})
		}
	}
	for _, c := range after.Chains {
		if old := oldChains[c.Handle]; old == nil || old.Name != c.Name || old.DropPolicy != c.DropPolicy {
			d.add(change{verb: "add", what: "chains", table: after, chain: c, renamed: old != nil && old.Name != c.Name})
		}
	}
	for _, o := range after.Objects {
		if oldObjects[o.Handle] == nil {
			d.add(change{verb: "add", what: "ruleset", table: after, object: o})
		}
	}
	for _, s := range after.Sets {
		old := oldSets[s.Handle]
		if old == nil {
			d.add(change{verb: "add", what: "sets", table: after, set: s})
			old = &rule.Set{}
		}
		d.elems(after, s, old, "add")
	}
	for _, f := range after.Flowtables {
		if oldFlows[f.Handle] == nil {
			d.add(change{verb: "add", what: "ruleset", table: after, flow: f})
		}
	}
	for _, c := range after.Chains {
		d.rules(after, c, oldChains[c.Handle], "add")
	}
}

// rules lists the rules of a chain that are not in its other state, which may be nil.
func (d *diff) rules(t *rule.Table, c, other *rule.Chain, verb string) {
	if c == other {
		return
	}
	there := map[uint64]bool{}
	if other != nil {
		for _, r := range other.Rules {
			there[r.Handle] = !d.replaced[r]
		}
	}
	for _, r := range c.Rules {
		if there[r.Handle] && !d.replaced[r] {
			continue
		}
		v := verb
		if v == "add" && d.inserted[r] {
			v = "insert"
		}
		d.add(change{verb: v, what: "rules", table: t, chain: c, rule: r})
	}
}

// elems lists the elements of a set that are not in its other state.
func (d *diff) elems(t *rule.Table, s, other *rule.Set, verb string) {
	there := map[string]bool{}
	for i := range other.Elems {
		if id, err := keyID(other.Elems[i].Key); err == nil {
			there[id] = true
		}
	}
	if ch := d.live[keyOfSet(t, s)]; ch != nil {
		for _, e := range ch.listed(s, verb) {
			if id, err := keyID(e.Key); err == nil && !there[id] {
				d.add(change{verb: verb, what: "elements", table: t, set: s, elem: e})
			}
		}
		return
	}
	for i := range s.Elems {
		if id, err := keyID(s.Elems[i].Key); err == nil && !there[id] {
			d.add(change{verb: verb, what: "elements", table: t, set: s, elem: &s.Elems[i]})
		}
	}
}

// listed returns the elements that a change adds or deletes.
func (ch *liveChange) listed(s *rule.Set, verb string) (out []*rule.Elem) {
	if verb == "add" {
		for _, e := range ch.add {
			out = append(out, &e)
		}
		return out
	}
	for key := range ch.remove {
		out = append(out, &rule.Elem{Key: keyOfElem(s, key)})
	}
	return out
}

func byHandle[T any](list []*T, handle func(*T) uint64) map[uint64]*T {
	out := make(map[uint64]*T, len(list))
	for _, x := range list {
		out[handle(x)] = x
	}
	return out
}

func chainHandle(c *rule.Chain) uint64    { return c.Handle }
func setHandle(s *rule.Set) uint64        { return s.Handle }
func objectHandle(o *rule.Object) uint64  { return o.Handle }
func flowHandle(f *rule.Flowtable) uint64 { return f.Handle }
