package nft

import (
	"fmt"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter/rule"
)

// A compiler turns the rules of one table into chains that run.
type compiler struct {
	m      *machine
	table  *rule.Table
	chains map[string]*chain
	sets   map[string]*set
	used   int // bytes of scratch, by the rule at hand

	need        needs
	states, old map[any]any // of statements: of this compilation, and of the last one
}

// A chain is a list of rules, compiled.
type chain struct {
	name  string
	table *rule.Table
	rules []compiled
	parts []part // see dispatch.go; nil: rules one by one
	drop  bool   // the policy
	// devices are those that an ingress or egress chain is for; nil: all.
	devices []string
}

// A compiled is a rule that runs.
type compiled struct {
	steps   []step
	spec    *rule.Rule
	scratch int  // bytes used
	pure    bool // it changes nothing that rules look at
}

// scratch returns a place for n bytes of intermediate values.
func (c *compiler) scratch(n int) (at int, err error) {
	at = c.used
	if c.used += n; c.used > scratchLen {
		return 0, fmt.Errorf("the rule needs more than %d bytes for its values", scratchLen)
	}
	return at, nil
}

// compile compiles the table.
func (c *compiler) compile() error {
	for _, ch := range c.table.Chains {
		c.chains[ch.Name] = &chain{name: ch.Name, table: c.table, drop: ch.DropPolicy, devices: ch.Devices}
	}
	for _, s := range c.table.Sets {
		if err := c.compileSet(s); err != nil {
			return err
		}
	}
	for _, ch := range c.table.Chains {
		if err := c.compileChain(ch); err != nil {
			return err
		}
	}
	for _, o := range c.table.Objects { // those that no rule uses are reset as well
		switch {
		case o.Counter != nil:
			c.counter(o.Counter)
		case o.Quota != nil:
			c.quota(o.Quota)
		case o.Limit != nil:
			if _, err := c.limit(o.Limit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *compiler) compileChain(ch *rule.Chain) error {
	out := c.chains[ch.Name]
	out.rules = make([]compiled, 0, len(ch.Rules))
	for _, r := range ch.Rules {
		steps, err := c.compileRule(r)
		if err != nil {
			return &RuleError{Chain: ch.Name, Rule: r, Err: err}
		}
		out.rules = append(out.rules, compiled{steps, r, c.used, pure(r)})
	}
	var err error
	out.parts, err = c.arrange(out.rules)
	return err
}

// A RuleError says which rule cannot be compiled.
type RuleError struct {
	Chain string
	Rule  *rule.Rule
	Err   error
}

func (e *RuleError) Error() string { return fmt.Sprintf("chain %s: %v", e.Chain, e.Err) }

// Unwrap returns the reason.
func (e *RuleError) Unwrap() error { return e.Err }

func (c *compiler) compileRule(r *rule.Rule) ([]step, error) {
	c.used = 0
	return c.compileStmts(r.Stmts)
}

func (c *compiler) compileStmts(stmts []rule.Stmt) ([]step, error) {
	steps := make([]step, 0, len(stmts))
	for _, s := range stmts {
		st, err := c.stmt(s)
		if err != nil {
			return nil, err
		}
		steps = append(steps, st)
	}
	return steps, nil
}

// stmt compiles one statement.
func (c *compiler) stmt(s rule.Stmt) (step, error) {
	switch x := s.(type) {
	case *rule.Match:
		return c.match(x)
	case *rule.Verdict:
		v, err := c.verdict(x)
		return v.step(), err
	case *rule.VMap:
		return c.vmap(x)
	case *rule.Counter:
		return c.counter(x), nil
	case *rule.Quota:
		return c.quota(x), nil
	case *rule.Limit:
		return c.limit(x)
	case *rule.CTCount:
		return c.ctCount(x)
	case *rule.Log:
		return c.logging(x), nil
	case *rule.Reject:
		return c.reject(x)
	case *rule.NAT:
		return c.nat(x)
	case *rule.TProxy:
		return c.tproxy(x)
	case *rule.Assign:
		return c.assign(x)
	case *rule.ResetOption:
		return resetOption(x)
	case *rule.NoTrack:
		c.need.ct = true
		return noTrack, nil
	case *rule.Dup:
		return c.dup(x)
	case *rule.Fwd:
		return c.fwd(x)
	case *rule.Update:
		return c.update(x)
	case *rule.FlowOffload:
		return c.flowOffload(x)
	case *rule.ObjectRef:
		return c.objectRef(x)
	}
	return nil, fmt.Errorf("%T is not a statement that this kernel knows", s)
}

// A verdict is what a verdict statement or element decides.
type verdict struct {
	next  next
	chain *chain
}

func (v verdict) step() step {
	if v.chain == nil {
		n := v.next
		return func(*eval) next { return n }
	}
	return func(ev *eval) next { ev.chain = v.chain; return v.next }
}

func (c *compiler) verdict(v *rule.Verdict) (verdict, error) {
	switch v.Kind {
	case rule.Accept:
		return verdict{next: acceptNow}, nil
	case rule.Drop:
		return verdict{next: dropNow}, nil
	case rule.Continue:
		return verdict{next: goOn}, nil
	case rule.Return:
		return verdict{next: returnNow}, nil
	}
	ch := c.chains[v.Chain]
	if ch == nil {
		return verdict{}, fmt.Errorf("there is no chain %s", v.Chain)
	}
	if v.Kind == rule.Jump {
		return verdict{jumpNow, ch}, nil
	}
	return verdict{gotoNow, ch}, nil
}

// A look is what it takes to look a packet's value up in a set: the n bytes at at of
// the scratch memory hold the value.
type look struct {
	load  loader
	set   *set
	at, n int
}

// look compiles a look for a key into a set or a map.
func (c *compiler) look(key, in rule.Expr) (l look, err error) {
	if l.load, err = c.load(key); err != nil {
		return l, err
	}
	l.n = keyLen(key)
	if l.set, err = c.set(in, l.n); err != nil {
		return l, err
	}
	l.at, err = c.scratch(l.n)
	return l, err
}

// vmap compiles a look into a verdict map.
func (c *compiler) vmap(x *rule.VMap) (step, error) {
	look, err := c.look(x.Key, x.Map)
	return func(ev *eval) next {
		key := ev.scratch[look.at : look.at+look.n]
		if !look.load(ev, key) {
			return breakRule
		}
		e := look.set.find(ev, key)
		if e == nil {
			return breakRule
		}
		if r := e.run(ev); r != goOn {
			return r
		}
		ev.chain = e.verdict.chain
		return e.verdict.next
	}, err
}

// loadMap compiles a look into a map.
func (c *compiler) loadMap(x *rule.MapExpr) (loader, error) {
	look, err := c.look(x.Key, x.Map)
	return func(ev *eval, dst []byte) bool {
		key := ev.scratch[look.at : look.at+look.n]
		if !look.load(ev, key) {
			return false
		}
		e := look.set.find(ev, key)
		if e == nil || e.run(ev) != goOn {
			return false
		}
		copy(dst, e.data)
		return true
	}, err
}

// set returns the set that an expression names or spells out; its keys have n bytes.
func (c *compiler) set(e rule.Expr, n int) (*set, error) {
	switch x := e.(type) {
	case *rule.SetRef:
		s := c.sets[x.Name]
		if s == nil {
			return nil, fmt.Errorf("there is no set %s", x.Name)
		}
		if s.n != n {
			return nil, fmt.Errorf("set %s has keys of %d bytes, not %d", x.Name, s.n, n)
		}
		return s, nil
	case *rule.SetLit:
		s := &set{n: n, dynamic: new(dynamic)}
		return s, c.fill(s, x.Elems, x.Key)
	}
	return nil, fmt.Errorf("%T is no set", e)
}

func (c *compiler) compileSet(spec *rule.Set) error {
	s := &set{spec: spec, n: typeLen(spec.Key), dynamic: c.m.dynamicOf(c.table, spec)}
	s.timeout = spec.Timeout
	if err := c.try(spec.Stmts); err != nil {
		return fmt.Errorf("set %s: %w", spec.Name, err)
	}
	if err := c.fill(s, spec.Elems, spec.Key); err != nil {
		return fmt.Errorf("set %s: %w", spec.Name, err)
	}
	c.sets[spec.Name] = s
	return nil
}

// typeLen is the length in bytes of keys of a type.
func typeLen(t *rule.Type) int {
	if len(t.Parts) == 0 {
		return bytesFor(t.Bits)
	}
	n := 0
	for _, l := range partLens(t) {
		n += l
	}
	return n
}

// partLens are the lengths of the parts of a concatenation.
func partLens(t *rule.Type) (lens []int) {
	if len(t.Parts) == 0 {
		return []int{bytesFor(t.Bits)}
	}
	for _, p := range t.Parts {
		lens = append(lens, (bytesFor(p.Bits)+3)&^3)
	}
	return lens
}

// fill compiles elements into the set's snapshot.
func (c *compiler) fill(s *set, elems []rule.Elem, key *rule.Type) error {
	out := make([]*elem, 0, len(elems))
	for i := range elems {
		e, err := c.elem(&elems[i], s.n)
		if err != nil {
			return err
		}
		c.time(e, s)
		if len(e.steps) == 0 && s.spec != nil {
			if err := c.setStmts(e, s.spec.Stmts); err != nil {
				return err
			}
		}
		out = append(out, e)
	}
	s.static.Store(newIndex(out, s.n, partLens(key)))
	return nil
}

func (c *compiler) elem(spec *rule.Elem, n int) (*elem, error) {
	e := &elem{spec: spec}
	var err error
	if e.lo, e.hi, err = ends(spec.Key); err != nil {
		return nil, err
	}
	if e.lo != nil && len(e.lo) != n {
		return nil, fmt.Errorf("an element of %d bytes in a set of %d", len(e.lo), n)
	}
	if v, ok := spec.Data.(*rule.Verdict); ok {
		e.verdict, err = c.verdict(v)
	} else if spec.Data != nil {
		e.data, e.high, err = ends(spec.Data)
	}
	if err != nil {
		return nil, err
	}
	e.steps, err = c.compileStmts(spec.Stmts)
	return e, err
}

// A timerKey is what the deadline of an element of the ruleset is kept under.
type timerKey struct{ key rule.Expr }

// time gives an element its deadline: the one it has, or a new one.
func (c *compiler) time(e *elem, s *set) {
	left := e.spec.Expires
	if left == 0 {
		left = e.spec.Timeout
	}
	if left == 0 {
		left = s.timeout
	}
	if left > 0 {
		until := keep(c, timerKey{e.spec.Key}, func() *clock.Time { t := c.m.clock.Now().Add(left); return &t })
		e.until.Store(int64(*until))
	}
}

// A stmtsKey is what the set's own statements are kept under for an element.
type stmtsKey struct{ key rule.Expr }

// setStmts gives an element the statements that its set creates with each.
func (c *compiler) setStmts(e *elem, stmts []rule.Stmt) (err error) {
	if len(stmts) == 0 {
		return nil
	}
	own := keep(c, stmtsKey{e.spec.Key}, func() *[]rule.Stmt {
		out := make([]rule.Stmt, len(stmts))
		for i, s := range stmts {
			out[i] = copyStmt(s)
		}
		return &out
	})
	e.steps, err = c.compileStmts(*own)
	return err
}

// expired reports whether an element of the ruleset has timed out.
func (m *machine) expired(states map[any]any, e *rule.Elem) bool {
	t, ok := states[timerKey{e.Key}]
	return ok && *t.(*clock.Time) <= m.clock.Now()
}

// ends returns the first and the last key of a constant; nil for any.
func ends(e rule.Expr) (lo, hi []byte, err error) {
	switch x := e.(type) {
	case *rule.Value:
		if x.Wild {
			return wildEnds(x)
		}
		return x.Data, x.Data, nil
	case *rule.Prefix:
		lo, hi = prefixEnds(x)
		return lo, hi, nil
	case *rule.Range:
		return x.Lo.Data, x.Hi.Data, nil
	case *rule.Any:
		return nil, nil, nil
	case *rule.Concat:
		for _, p := range x.Parts {
			l, h, err := ends(p)
			if err != nil {
				return nil, nil, err
			}
			lo, hi = pad4(append(lo, l...)), pad4(append(hi, h...))
		}
		return lo, hi, nil
	}
	return nil, nil, fmt.Errorf("%T cannot be an element", e)
}

func pad4(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// wildEnds are the ends of all names that begin alike.
func wildEnds(v *rule.Value) (lo, hi []byte, err error) {
	n := bytesFor(v.N)
	lo, hi = make([]byte, n), make([]byte, n)
	for i := range hi {
		hi[i] = 0xff
	}
	start := v.Data
	for len(start) > 0 && start[len(start)-1] == 0 {
		start = start[:len(start)-1]
	}
	copy(lo, start)
	copy(hi, start)
	return lo, hi, nil
}
