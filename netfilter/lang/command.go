package lang

import "github.com/knitnet/knit/netfilter/rule"

// A Verb is what a command does.
type Verb uint8

// Verbs.
const (
	Add Verb = iota
	Create
	Insert
	Replace
	Delete
	Destroy
	Reset
	List
	Flush
	Rename
	Monitor
	Describe
	Import
	Export
	Get
)

var verbNames = [...]string{"add", "create", "insert", "replace", "delete", "destroy", "reset", "list", "flush", "rename",
	"monitor", "describe", "import", "export", "get"}

// String returns nft's word.
func (v Verb) String() string { return verbNames[v] }

// A Kind is what a command is about.
type Kind uint8

// Kinds. Those of lists (`list chains`) are the same with Command.All.
const (
	Ruleset Kind = iota
	Table
	Chain
	Rule
	Set
	Map
	Meter
	Element
	Object // Command.ObjectKind says which
	Flowtable
	Hooks
)

// A Command is one command, checked, with names resolved to types.
//
// Which fields count: Family and Table say where for everything but a ruleset. Add,
// Create, Insert and Replace carry the value in the field of their Kind. The others
// name it: Name is the chain of Chain and Rule, else the set, object or flowtable.
type Command struct {
	Verb Verb
	Kind Kind
	// All: every one of the kind, of the table if Table is not empty (`list chains`,
	// `list counters table ip x`), of the family if HasFamily.
	All        bool
	Family     rule.Family
	HasFamily  bool // the family was written
	Table      string
	Name       string
	ObjectKind rule.ObjectKind
	// Handle is that of what is meant by handle; 0: by name.
	Handle uint64
	// Position is the handle of the rule to be added behind or inserted in front of
	// (`position`, `handle`); with HasIndex, Index counts from 0 instead.
	Position uint64
	Index    uint64
	HasIndex bool
	// To is the new name of Rename.
	To string

	TableSpec *rule.Table // without what is in it; that comes as further commands
	ChainSpec *rule.Chain // without rules
	// HasPolicy: the chain's policy was written.
	HasPolicy bool
	RuleSpec  *rule.Rule
	SetSpec   *rule.Set // with the elements of its block
	Elems     []rule.Elem
	// ElemAt are the places of the elements of Elems, or of SetSpec.
	ElemAt        []Span
	ObjectSpec    *rule.Object
	FlowtableSpec *rule.Flowtable
	// Event filters Monitor: "", "new" or "destroy"; with Trace, traces are meant.
	// What is monitored: "", "tables", "chains", "rules", "sets", "elements", "ruleset".
	Event, What string
	Trace, JSON bool
	// Text is the answer of Describe.
	Text string

	// Refused is what Linux says of the command although nft has nothing to complain of: it is
	// not to be performed. Only with Options.Refusals; nil: nothing.
	Refused *Error

	// At is the whole command, TableAt, NameAt and HandleAt are its parts: where an
	// error of the store belongs.
	At, TableAt, NameAt, HandleAt Span
}

// A Span is a piece of source text.
type Span struct {
	File *File
	// Start and End are byte offsets in the file's text, End behind the last byte.
	Start, End int
}

// Line returns the number of the line where s begins, from 1; 0 if s is nowhere.
func (s Span) Line() int {
	if s.File == nil {
		return 0
	}
	line, _, _, _ := s.position()
	return line
}

// A File is source text.
type File struct {
	Name string
	Text string
	// By is the statement that included the file, nil if none did.
	By *Span
}

// to returns the span from s to the end of e.
func (s Span) to(e Span) Span {
	if e.File != s.File || e.End < s.Start {
		return s
	}
	s.End = e.End
	return s
}
