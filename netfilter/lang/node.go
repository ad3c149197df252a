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
}

// elemOpts are what stands behind the key of an element.
type elemOpts struct {
	timeout, expires time.Duration
	comment          string
	stmts            []*stmt
}

// A stmt is a statement as it is written; eval adds it to a rule.
type stmt struct {
	at   Span
	eval func(*scope) error
}
