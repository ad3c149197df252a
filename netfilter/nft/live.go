package nft

import (
	"fmt"
	"syscall"

	"github.com/knitnet/knit/netfilter/rule"
)

// A liveChange is what a transaction does to the elements of a set that the packet
// path changes too. It happens at the moment when the ruleset does.
type liveChange struct {
	fresh  bool // all elements go first
	remove map[string]bool
	add    map[string]rule.Elem // by key
	made   map[string]*elem
}

func keyOfSet(t *rule.Table, s *rule.Set) setKey { return setKey{t.Family, t.Name, s.Name, s.Handle} }

func (x *txn) liveOf(t *rule.Table, s *rule.Set) *liveChange {
	k := keyOfSet(t, s)
	c := x.live[k]
	if c == nil {
		c = &liveChange{remove: map[string]bool{}, add: map[string]rule.Elem{}}
		x.live[k] = c
	}
	return c
}

// has reports whether there is an element of a key as the transaction sees it.
func (c *liveChange) has(d *dynamic, key string, m *machine) bool {
	if _, added := c.add[key]; added {
		return true
	}
	return !c.fresh && !c.remove[key] && d.has(key, m.clock.Now())
}

// liveKey returns the key of an element as bytes, none for the catch-all.
func liveKey(e rule.Expr) (string, error) {
	if _, any := e.(*rule.Any); any {
		return "", nil
	}
	lo, hi, err := ends(e)
	if err != nil || lo == nil || string(lo) != string(hi) {
		return "", syscall.EINVAL
	}
	return string(lo), nil
}

func (x *txn) addLive(t *rule.Table, s *rule.Set, elems []rule.Elem, create bool) error {
	c, d := x.liveOf(t, s), x.m.dynamicOf(t, s)
	for i, e := range elems {
		key, err := liveKey(e.Key)
		if err != nil {
			return err
		}
		if c.has(d, key, x.m) {
			if create {
				return &elemError{i, syscall.EEXIST}
			}
			continue
		}
		c.add[key] = e
	}
	there := 0
	if !c.fresh {
		there = d.count(x.m.clock.Now())
	}
	if s.Size > 0 && there+len(c.add)-len(c.remove) > int(s.Size) {
		return syscall.ENFILE
	}
	return nil
}

func (x *txn) removeLive(t *rule.Table, s *rule.Set, elems []rule.Elem, destroy bool) error {
	c, d := x.liveOf(t, s), x.m.dynamicOf(t, s)
	for _, e := range elems {
		key, err := liveKey(e.Key)
		if err != nil {
			return err
		}
		if !c.has(d, key, x.m) {
			if destroy {
				continue
			}
			return syscall.ENOENT
		}
		delete(c.add, key)
		if !c.fresh && d.has(key, x.m.clock.Now()) {
			c.remove[key] = true
		}
	}
	return nil
}

// prepare compiles the elements that are added.
func (c *compiler) prepare(s *rule.Set, ch *liveChange) error {
	ch.made = make(map[string]*elem, len(ch.add))
	for key, spec := range ch.add {
		e, err := c.elem(&spec, len(key))
		if err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
		if len(e.steps) == 0 && len(s.Stmts) > 0 {
			spec.Stmts = s.Stmts
		}
		own := compiler{m: c.m, table: c.table, chains: c.chains, sets: c.sets, states: map[any]any{}}
		e.stmts, e.steps = own.fresh(spec.Stmts)
		e.states = own.states
		c.need.add(own.need)
		e.life = spec.Timeout
		if e.life == 0 {
			e.life = s.Timeout
		}
		left := e.life
		if spec.Expires > 0 {
			left = spec.Expires
		}
		if left > 0 {
			e.until.Store(int64(c.m.clock.Now().Add(left)))
		}
		ch.made[key] = e
	}
	return nil
}

// apply changes the elements; the caller holds d.mu.
func (ch *liveChange) apply(d *dynamic) {
	if ch.fresh || d.elems == nil {
		d.elems = make(map[string]*elem, len(ch.made))
	}
	for key := range ch.remove {
		delete(d.elems, key)
	}
	for key, e := range ch.made {
		d.elems[key] = e
	}
	d.used.Store(true)
}
