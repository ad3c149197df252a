package nft

import (
	"bytes"
	"cmp"
	"fmt"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter/rule"
)

// A liveChange is what a transaction does to the elements of a set that the packet
// path changes too. It happens at the moment when the ruleset does.
type liveChange struct {
	fresh  bool // all elements go first
	remove map[string]bool
	add    map[string]rule.Elem // by key
	made   map[string]*elem
	// renewed are elements that are there and were said again.
	renewed map[string]rule.Elem
	usual   time.Duration // the timeout of the set
}

func newLiveChange(fresh bool) *liveChange {
	return &liveChange{fresh: fresh, remove: map[string]bool{}, add: map[string]rule.Elem{}, renewed: map[string]rule.Elem{}}
}

func keyOfSet(t *rule.Table, s *rule.Set) setKey { return setKey{t.Family, t.Name, s.Name, s.Handle} }

func (x *txn) liveOf(t *rule.Table, s *rule.Set) *liveChange {
	k := keyOfSet(t, s)
	c := x.live[k]
	if c == nil {
		c = newLiveChange(false)
		x.live[k] = c
	}
	return c
}

// again says an element again that is there: its timeout begins again as it is said now,
// and a map does not lead elsewhere from it.
func (c *liveChange) again(d *dynamic, key string, e rule.Elem) error {
	old, added := c.add[key]
	same := sameData(old.Data, e.Data)
	if !added {
		same = d.leads(key, e.Data)
	}
	switch {
	case !same:
		return syscall.EEXIST
	case added:
		old.Timeout, old.Expires = e.Timeout, e.Expires
		c.add[key] = old
	default:
		c.renewed[key] = e
	}
	return nil
}

// leads reports whether an element leads to data, which is nil in a set.
func (d *dynamic) leads(key string, data rule.Expr) bool {
	if data == nil {
		return true
	}
	lo, _, err := ends(data)
	d.mu.RLock()
	defer d.mu.RUnlock()
	e := d.elems[key]
	return err == nil && e != nil && bytes.Equal(e.data, lo)
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
			err := error(syscall.EEXIST)
			if !create {
				err = c.again(d, key, e)
			}
			if err != nil {
				return &elemError{i, err}
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
		delete(c.renewed, key)
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
		e.live(&spec, s.Timeout, c.m.clock.Now())
		ch.made[key] = e
	}
	ch.usual = s.Timeout
	return nil
}

// live lets an element live from now on for as long as is said of it, or else as usual
// in its set.
func (e *elem) live(spec *rule.Elem, usual time.Duration, now clock.Time) {
	if e.life = spec.Timeout; e.life == 0 {
		e.life = usual
	}
	until := clock.Time(0) // for ever
	if left := cmp.Or(spec.Expires, e.life); left > 0 {
		until = now.Add(left)
	}
	e.until.Store(int64(until))
}

// apply changes the elements; the caller holds d.mu.
func (ch *liveChange) apply(d *dynamic, now clock.Time) {
	if ch.fresh || d.elems == nil {
		d.elems = make(map[string]*elem, len(ch.made))
	}
	for key := range ch.remove {
		delete(d.elems, key)
	}
	for key, spec := range ch.renewed {
		if e := d.elems[key]; e != nil {
			e.live(&spec, ch.usual, now)
		}
	}
	for key, e := range ch.made {
		d.elems[key] = e
	}
	d.used.Store(true)
}
