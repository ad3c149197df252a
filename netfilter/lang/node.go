package lang

import (
	"time"

	"github.com/knitnet/knit/netfilter/rule"
)

// A nodeKind is a form of expression as it is written.
type nodeKind uint8

const (
	nSymbol  nodeKind = iota // a word or number whose meaning the type decides
	nString                  // a quoted string
	nLeaf                    // expr, with kids[0] the key of a hash
	nConcat                  // kids
	nList                    // kids, with commas between
	nPrefix                  // kids[0] / num
	nRange                   // kids[0] - kids[1]
	nSet                     // kids are elements
	nSetRef                  // @text
	nMap                     // kids[0] map kids[1]
	nMapping                 // kids[0] : kids[1]
	nElem                    // kids[0] with opts
	nAny                     // *
	nBinary                  // kids[0] op kids[1]
	nVerdict                 // verdict
	nForeign                 // what the grammar has and no packet filter here
)

// A node is an expression as it is written.
type node struct {
	kind    nodeKind
	at      Span
	text    string
	num     int
	op      byte
	kids    []*node
	expr    rule.Expr
	verdict *rule.Verdict
	elem    *elemOpts
	own     *rule.Type // nSymbol: the type that the word has wherever it stands
	number  bool       // nSymbol: digits
	wild    bool       // nSymbol, nString: with a trailing asterisk
	// from is where a variable that the node stands for got its value, weight how many nodes
	// that is.
	from   Span
	weight int
	// chainAt is where a verdict names a chain.
	chainAt Span
}

// where is the place that an error in the node's value belongs to.
func (n *node) where() Span {
	if n.from.File != nil {
		return n.from
	}
	return n.at
}

// weigh counts a node with all that is below it. Variables in it have been weighed.
func (n *node) weigh() int {
	if n.weight > 0 {
		return n.weight
	}
	sum := 1
	for _, k := range n.kids {
		sum = min(sum+k.weigh(), maxWeight+1)
	}
	return sum
}

// elements returns the elements of a set, or a node that is none.
func (n *node) elements() []*node {
	if n.kind == nSet {
		return n.kids
	}
	return []*node{n}
}

// elemOpts are what stands behind the key of an element.
type elemOpts struct {
	timeout, expires time.Duration
	comment          string
	stmts            []*stmt
}

// A stmt is a statement as it is written.
type stmt struct {
	at Span
	// do, or eval if there is no do, adds it to a rule. Statements of which rulesets have
	// thousands use do, and what they need stands in the fields below.
	do          func(*stmt, *scope) error
	eval        func(*scope) error
	op          rule.Op
	left, right *node
	done        rule.Stmt
}

// addTo adds the statement to a rule.
func (s *stmt) addTo(sc *scope) error {
	if s.do != nil {
		return s.do(s, sc)
	}
	return s.eval(sc)
}

func evalMatch(s *stmt, sc *scope) error   { return sc.match(s.op, s.left, s.right, s.at) }
func evalVerdict(s *stmt, sc *scope) error { return sc.verdict(s.left) }
func evalDone(s *stmt, sc *scope) error    { sc.add(s.done); return nil }
