// Package rule is what a ruleset is made of, as data and in the words of nft(8):
// tables, chains, rules, sets and objects, whose rules are statements over
// expressions. It neither reads text nor looks at packets: text is read and
// written by netfilter/lang, packets are judged by the module nf_tables, which compiles
// what is here.
//
// All of it is plain data: a value that was given to the module is not changed any
// more. Names are resolved and types are checked; what a value of this package
// says, it says completely.
package rule

import (
	"time"

	"github.com/knitnet/knit/core/hook"
)

// A Family is what packets a table sees.
type Family uint8

// Families, in the order in which nft lists them.
const (
	IP Family = iota
	IP6
	Inet
	ARP
	Bridge
	Netdev
)

var familyNames = [...]string{"ip", "ip6", "inet", "arp", "bridge", "netdev"}

// String returns nft's name of f.
func (f Family) String() string { return familyNames[f] }

// ParseFamily returns the family with nft's name s.
func ParseFamily(s string) (Family, bool) {
	for i, name := range familyNames {
		if name == s {
			return Family(i), true
		}
	}
	return 0, false
}

// A Table is a name space of chains, sets and objects.
type Table struct {
	Family  Family
	Name    string
	Handle  uint64
	Dormant bool // its base chains see no packets
	Comment string

	Chains     []*Chain
	Sets       []*Set // maps and meters too
	Objects    []*Object
	Flowtables []*Flowtable
}

// A Hook is a place where base chains see packets.
type Hook uint8

// Hooks. HookNone is that of chains which only other chains reach.
const (
	HookNone Hook = iota
	Prerouting
	Input
	Forward
	Output
	Postrouting
	Ingress
	Egress
)

var hookNames = [...]string{"", "prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"}

// String returns nft's name of h.
func (h Hook) String() string { return hookNames[h] }

// ParseHook returns the hook with nft's name s.
func ParseHook(s string) (Hook, bool) {
	for i, name := range hookNames {
		if name == s && i != 0 {
			return Hook(i), true
		}
	}
	return HookNone, false
}

// A ChainType says what a base chain may do.
type ChainType uint8

// Chain types.
const (
	FilterChain ChainType = iota
	NATChain
	RouteChain
)

var chainTypeNames = [...]string{"filter", "nat", "route"}

// String returns nft's name of t.
func (t ChainType) String() string { return chainTypeNames[t] }

// A Chain is a list of rules.
type Chain struct {
	Name    string
	Handle  uint64
	Comment string

	// Hook, Type, Priority, Devices and DropPolicy are of base chains only.
	Hook     Hook
	Type     ChainType
	Priority hook.Priority
	// Devices are the names that an ingress or egress chain is bound to.
	Devices    []string
	DropPolicy bool // what no rule decides about is dropped, not accepted

	Rules []*Rule
}

// Base reports whether packets come to c by themselves.
func (c *Chain) Base() bool { return c.Hook != HookNone }

// A Rule is a list of statements: the next one counts while the ones before hold.
type Rule struct {
	Handle  uint64
	Stmts   []Stmt
	Comment string
}

// SetFlags say how a set may be used.
type SetFlags uint8

// Set flags, as nft writes them.
const (
	Constant SetFlags = 1 << iota
	Interval
	Timeout
	Dynamic
)

// A SetPolicy is a wish about how a set is kept.
type SetPolicy uint8

// Set policies.
const (
	Performance SetPolicy = iota
	Memory
)

// A Set is a set, or a map if Data or ObjData says to what.
type Set struct {
	Name    string
	Handle  uint64
	Comment string

	// Key is the type of the elements, a concatenation's if it has Parts.
	Key *Type
	// KeyExpr is the expression whose type Key is, of `typeof`; nil if it was
	// declared with `type`.
	KeyExpr, DataExpr Expr

	// Data is the type a map leads to, nil for a set: VerdictType for a verdict map.
	Data *Type
	// ObjData is the kind of object an object map leads to; 0: none.
	ObjData ObjectKind

	// FromRules: rules add elements to it, though it was not declared dynamic.
	FromRules bool

	// Meter: it is there for the rule that says `meter`, and goes with it. Listings of
	// the ruleset leave it out.
	Meter bool

	Flags   SetFlags
	Policy  SetPolicy
	Timeout time.Duration // of elements that have none of their own; 0: forever
	GC      time.Duration // gc-interval; 0: default
	Size    uint32        // elements at most; 0: no limit of the user's
	// DataInterval: what a map leads to are ranges (`: interval ipv4_addr`).
	DataInterval bool
	// AutoMerge joins overlapping and adjacent intervals.
	AutoMerge bool
	// Stmts are created with each new element: counter, limit, quota, ct count.
	Stmts []Stmt

	Elems []Elem
}

// Map reports whether s leads somewhere.
func (s *Set) Map() bool { return s.Data != nil || s.ObjData != 0 }

// An Elem is an element of a set.
type Elem struct {
	// Key is a Value, Prefix, Range or Concat of these, or Any for the catch-all `*`.
	Key Expr
	// Data is what a map leads to: a Value, Range, Prefix or Concat of data, a
	// *Verdict in a verdict map. For an object map it is a Value that holds the
	// object's name.
	Data Expr

	Timeout time.Duration // 0: the set's
	Expires time.Duration // what is left of it; only in listings
	Comment string
	Stmts   []Stmt // with their state
}

// An ObjectKind says what a named object is.
type ObjectKind uint8

// Object kinds.
const (
	CounterObject ObjectKind = iota + 1
	QuotaObject
	LimitObject
	CTHelperObject
	CTTimeoutObject
	CTExpectObject
	SynproxyObject
	SecmarkObject
)

var objectNames = [...]string{"", "counter", "quota", "limit", "ct helper", "ct timeout", "ct expectation", "synproxy", "secmark"}

// String returns nft's word for k, as in `list counters` without the s.
func (k ObjectKind) String() string { return objectNames[k] }

// An Object is a named stateful object.
type Object struct {
	Kind    ObjectKind
	Name    string
	Handle  uint64
	Comment string

	// Counter, Quota and Limit are the state of those kinds.
	Counter *Counter
	Quota   *Quota
	Limit   *Limit

	// Helper is the type and L3 is the family a ct helper, timeout or expectation is
	// for; L4 its protocol.
	Helper string
	L3     Family
	HasL3  bool // the family was said
	L4     uint8
	// Timeouts are the policy of a ct timeout, by nft's name of the state.
	Timeouts map[string]time.Duration
	// Expect is a ct expectation's.
	Expect *Expectation
}

// An Expectation is what a ct expectation object creates.
type Expectation struct {
	Proto   uint8
	DPort   uint16
	Timeout time.Duration
	Size    uint8
}

// A Flowtable is where flows are kept that need no rules any more.
type Flowtable struct {
	Name     string
	Handle   uint64
	Priority hook.Priority // at ingress
	Devices  []string
	Counter  bool
	Offload  bool
}
