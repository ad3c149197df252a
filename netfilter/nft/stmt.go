package nft

import (
	"fmt"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

func noTrack(ev *eval) next {
	ev.track()
	if ev.ct == nil && ev.gen.tracker != nil {
		ev.gen.tracker.Set(ev.pkt, nil, netfilter.Untracked)
		ev.ctInfo = netfilter.Untracked
	}
	return goOn
}

// ctCount compiles a limit on connections: those counted under one key, which is
// the rule itself or the element whose statement it is.
func (c *compiler) ctCount(x *rule.CTCount) (step, error) {
	c.need.ct = true
	s := keep(c, x, func() *connCounter { return &connCounter{conns: map[*netfilter.Conn]struct{}{}} })
	count, over := int(x.Count), x.Over
	return func(ev *eval) next {
		ev.track()
		if ev.ct == nil && !ev.countable() {
			return dropNow // as on Linux
		}
		return truth((s.count(ev.ct, ev.clock(), count) > count) == over)
	}, nil
}

// countable reports whether a packet looks like one of a connection.
func (ev *eval) countable() bool {
	ev.parse()
	return ev.hasL4 && !ev.notHead && (ev.l4Proto != wire.ProtoNoNext || ev.net != wire.EtherTypeIPv6)
}

// A connCounter knows the connections that it has counted and are not over.
type connCounter struct {
	mu    sync.Mutex
	conns map[*netfilter.Conn]struct{}
	swept clock.Time
}

// sweepEvery is how often connections that are over are looked for, unless there is
// no room.
const sweepEvery = time.Second

// count counts a connection and returns how many there are. What is beyond most by
// more than one is not remembered: a flood costs nothing. A packet without a connection
// counts as one for itself.
func (s *connCounter) count(conn *netfilter.Conn, now clock.Time, most int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn == nil {
		return len(s.conns) + 1
	}
	if _, known := s.conns[conn]; known {
		return len(s.conns)
	}
	if len(s.conns) >= most || now >= s.swept.Add(sweepEvery) {
		s.swept = now
		for o := range s.conns {
			if clock.Time(o.Deadline.Load()) <= now || o.Is(netfilter.Dying) {
				delete(s.conns, o)
			}
		}
	}
	if len(s.conns) > most {
		return len(s.conns) + 1
	}
	s.conns[conn] = struct{}{}
	return len(s.conns)
}

// update compiles changes of a set from the packet path.
func (c *compiler) update(x *rule.Update) (step, error) {
	load, err := c.load(x.Key)
	if err != nil {
		return nil, err
	}
	n := keyLen(x.Key)
	s, err := c.set(&rule.SetRef{Name: x.Set}, n)
	if err != nil {
		return nil, err
	}
	at, err := c.scratch(n)
	if err != nil {
		return nil, err
	}
	if x.Op == rule.DeleteElem {
		return func(ev *eval) next {
			key := ev.scratch[at : at+n]
			if !load(ev, key) {
				return breakRule
			}
			s.dynamic.remove(key)
			return goOn
		}, nil
	}
	data, dn := loader(nil), 0
	if x.Data != nil {
		if data, err = c.load(x.Data); err != nil {
			return nil, err
		}
		dn = keyLen(x.Data)
	}
	dat, err := c.scratch(dn)
	timeout := x.Timeout
	if timeout == 0 {
		timeout = s.spec.Timeout
	}
	limit := setLimit(s.spec)
	if err := c.try(x.Stmts); err != nil {
		return nil, err
	}
	create := c.creator(s, x)
	return func(ev *eval) next {
		key := ev.scratch[at : at+n]
		if !load(ev, key) {
			return breakRule
		}
		value := ev.scratch[dat : dat+dn]
		if data != nil && !data(ev, value) {
			return breakRule
		}
		e, fresh := s.dynamic.add(ev, key, limit, func(k []byte) *elem { return create(k, value) })
		if e == nil {
			return breakRule
		}
		if timeout > 0 && (fresh || x.Op == rule.UpdateElem && e.until.Load() != 0) { // what lives for ever goes on to
			e.until.Store(int64(ev.clock().Add(timeout)))
		}
		return e.run(ev)
	}, err
}

// defaultLimit bounds sets for which nothing is said: strangers fill them.
const defaultLimit = 65535

func setLimit(s *rule.Set) int {
	if s.Size > 0 {
		return int(s.Size)
	}
	return defaultLimit
}

// creator returns a function that makes elements with statements of their own.
func (c *compiler) creator(s *set, x *rule.Update) func(key, data []byte) *elem {
	stmts := x.Stmts
	if len(stmts) == 0 {
		stmts = s.spec.Stmts
	}
	sub := compiler{m: c.m, table: c.table, chains: c.chains, sets: c.sets}
	return func(key, data []byte) *elem {
		own := sub // the element's statements have states of their own
		own.states = map[any]any{}
		e := &elem{lo: key, hi: key, data: append([]byte(nil), data...), states: own.states, life: x.Timeout}
		e.stmts, e.steps = own.fresh(stmts)
		return e
	}
}

// try compiles statements that elements will have, for what they need.
func (c *compiler) try(stmts []rule.Stmt) error {
	own := compiler{m: c.m, table: c.table, chains: c.chains, sets: c.sets, states: map[any]any{}}
	_, err := own.compileStmts(stmts)
	c.need.add(own.need)
	return err
}

// fresh compiles copies of statements, which the compiler has seen before.
func (c *compiler) fresh(stmts []rule.Stmt) (copies []rule.Stmt, steps []step) {
	for _, s := range stmts {
		s = copyStmt(s)
		st, err := c.stmt(s)
		if err != nil {
			continue // refused when the rule was compiled
		}
		copies, steps = append(copies, s), append(steps, st)
	}
	return copies, steps
}

// copyStmt copies a statement that has state.
func copyStmt(s rule.Stmt) rule.Stmt {
	switch x := s.(type) {
	case *rule.Counter:
		y := *x
		return &y
	case *rule.Quota:
		y := *x
		return &y
	case *rule.Limit:
		y := *x
		return &y
	case *rule.CTCount:
		y := *x
		return &y
	}
	return s
}

// objectRef compiles the use of a named object.
func (c *compiler) objectRef(x *rule.ObjectRef) (step, error) {
	if v, ok := x.Name.(*rule.Value); ok {
		return c.object(x.Kind, string(v.Data))
	}
	m, ok := x.Name.(*rule.MapExpr)
	if !ok {
		return nil, fmt.Errorf("an object is named by a word or a map")
	}
	look, err := c.look(m.Key, m.Map)
	if err != nil {
		return nil, err
	}
	steps := map[*elem]step{}
	for _, e := range look.set.static.Load().all() {
		if steps[e], err = c.object(x.Kind, string(e.data)); err != nil {
			return nil, err
		}
	}
	return func(ev *eval) next {
		key := ev.scratch[look.at : look.at+look.n]
		if !look.load(ev, key) {
			return breakRule
		}
		if st := steps[look.set.find(ev, key)]; st != nil {
			return st(ev)
		}
		return breakRule
	}, nil
}

func (c *compiler) object(kind rule.ObjectKind, name string) (step, error) {
	for _, o := range c.table.Objects {
		if o.Kind != kind || o.Name != name {
			continue
		}
		switch kind {
		case rule.CounterObject:
			return c.counter(o.Counter), nil
		case rule.QuotaObject:
			return c.quota(o.Quota), nil
		case rule.LimitObject:
			return c.limit(o.Limit)
		case rule.CTHelperObject:
			c.need.ct = true
			return setHelper(o), nil
		case rule.CTTimeoutObject:
			return nil, fmt.Errorf("ct timeout %s: timeouts are the kernel's own here", name)
		}
	}
	return nil, fmt.Errorf("there is no %v %s", kind, name)
}
