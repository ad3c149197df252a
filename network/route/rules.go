package route

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// maxRules bounds the rules of one family.
const maxRules = 1 << 14

// Priorities of the rules that there are from the beginning, and with the first VRF.
const (
	priorityLocal   = 0
	priorityVRF     = 1000
	priorityMain    = 32766
	priorityDefault = 32767
)

// Errors of changes of rules, in Linux's words.
var (
	ErrBackward  = errors.New("backward goto not supported")
	ErrNoRule    = fmt.Errorf("no such rule: %w", syscall.ENOENT)
	ErrManyRules = fmt.Errorf("too many rules: %w", syscall.ENOBUFS)
)

// Rules are the routing policy of one IP version: a list in the order of priorities,
// and within one priority of their coming. Make it with a FIB. Walks are lock free
// and run concurrently with changes.
type Rules struct {
	mu      sync.Mutex // serialises changes
	list    atomic.Pointer[ruleset]
	touched atomic.Bool
	devices *Devices
}

// A ruleset is a snapshot. It is never changed.
type ruleset struct {
	rules []bound
	needs Needs
}

// DefaultRules returns the rules that there are from the beginning. There is none of
// IPv6 for the table default.
func DefaultRules(v6 bool) []Rule {
	rules := []Rule{
		{Priority: priorityLocal, Table: TableLocal, Origin: ProtoKernel},
		{Priority: priorityMain, Table: TableMain, Origin: ProtoKernel},
		{Priority: priorityDefault, Table: TableDefault, Origin: ProtoKernel},
	}
	if v6 {
		return rules[:2]
	}
	return rules
}

func (l *Rules) init(d *Devices, v6 bool) {
	l.devices = d
	l.store(DefaultRules(v6))
}

// store publishes a list that is in order.
func (l *Rules) store(rules []Rule) {
	s := new(ruleset)
	lo := l.devices.Loopback()
	for _, r := range rules {
		s.needs |= r.needs()
		s.rules = append(s.rules, bound{Rule: r, in: l.lookup(r.In), out: l.lookup(r.Out), lo: lo, target: -1})
	}
	for i := range s.rules {
		if r := &s.rules[i]; r.Action == Goto {
			r.target = slices.IndexFunc(s.rules, func(x bound) bool { return x.Priority == r.Target })
		}
	}
	l.list.Store(s)
}

func (l *Rules) lookup(name string) int32 {
	if name == "" {
		return 0
	}
	if i := l.devices.Index(name); i != 0 {
		return i
	}
	return detached
}

// All returns the rules in the order in which they are tried. A Goto's target that is
// not there, or a device, shows in RuleInfo.
func (l *Rules) All() (rules []RuleInfo) {
	for _, r := range l.list.Load().rules {
		rules = append(rules, RuleInfo{
			Rule: r.Rule, InGone: r.in == detached, OutGone: r.out == detached, Unresolved: r.Action == Goto && r.target < 0,
		})
	}
	return rules
}

// Touched reports whether there ever was a change.
func (l *Rules) Touched() bool { return l.touched.Load() }

// A RuleInfo is a rule and what it lacks.
type RuleInfo struct {
	Rule
	// InGone and OutGone: there is no device of that name.
	InGone, OutGone bool
	// Unresolved: there is no rule of the priority that Goto names.
	Unresolved bool
}

// Add adds a rule behind those of its priority and returns it as it stands: without
// a priority it gets the one in front of the second rule. It is ErrExists when there
// is the same one, and ErrBackward for a Goto that does not lead on.
func (l *Rules) Add(r Rule, hasPriority bool) (Rule, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rules := l.raw()
	if !hasPriority && len(rules) > 1 && rules[1].Priority > 0 {
		r.Priority = rules[1].Priority - 1
	}
	switch {
	case r.Action == Goto && r.Target <= r.Priority:
		return r, ErrBackward
	case slices.ContainsFunc(rules, func(x Rule) bool { return x.covers(r) }):
		return r, fmt.Errorf("rule %d: %w", r.Priority, ErrExists)
	case len(rules) >= maxRules:
		return r, ErrManyRules
	}
	at := slices.IndexFunc(rules, func(x Rule) bool { return x.Priority > r.Priority })
	if at < 0 {
		at = len(rules)
	}
	l.store(slices.Insert(rules, at, r))
	l.touched.Store(true)
	return r, nil
}

// covers reports whether Linux takes x for the same rule as the new r, where addresses
// and type of service that r does not name may be any.
func (x Rule) covers(r Rule) bool {
	if r.Src.Bits() <= 0 {
		x.Src, r.Src = Rule{}.Src, Rule{}.Src
	}
	if r.Dst.Bits() <= 0 {
		x.Dst, r.Dst = Rule{}.Dst, Rule{}.Dst
	}
	if r.TOS == 0 {
		x.TOS = 0
	}
	return x == r
}

// Delete removes the first rule for which match holds and returns it; ErrNoRule if
// there is none.
func (l *Rules) Delete(match func(*Rule) bool) (Rule, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rules := l.raw()
	at := slices.IndexFunc(rules, func(r Rule) bool { return match(&r) })
	if at < 0 {
		return Rule{}, ErrNoRule
	}
	gone := rules[at]
	l.store(slices.Delete(rules, at, at+1))
	l.touched.Store(true)
	return gone, nil
}

// raw returns a copy of the list.
func (l *Rules) raw() (rules []Rule) {
	for _, r := range l.list.Load().rules {
		rules = append(rules, r.Rule)
	}
	return rules
}

// bind looks the devices of the rules up again.
func (l *Rules) bind() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store(l.raw())
}
