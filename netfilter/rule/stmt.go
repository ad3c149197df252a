package rule

import "time"

// A Stmt is one statement of a rule.
type Stmt interface{ stmt() }

// An Op compares.
type Op uint8

// Relational operators. Implicit is what nft writes without an operator: equality,
// membership of a set or range, or, for a bitmask on the right, any common bit.
const (
	Implicit Op = iota
	Eq
	Ne
	Lt
	Le
	Gt
	Ge
	Not // `!`: no common bit
)

var opNames = [...]string{"", "==", "!=", "<", "<=", ">", ">=", "!"}

// String returns nft's sign, empty for Implicit.
func (o Op) String() string { return opNames[o] }

// A VerdictKind is what a Verdict decides.
type VerdictKind uint8

// Verdicts.
const (
	Accept VerdictKind = iota
	Drop
	Continue
	Return
	Jump
	Goto
)

var verdictNames = [...]string{"accept", "drop", "continue", "return", "jump", "goto"}

// String returns nft's word.
func (k VerdictKind) String() string { return verdictNames[k] }

// A Rate is an amount per time.
type Rate struct {
	Amount uint64
	Bytes  bool // else packets
	Per    time.Duration
}

type (
	// Match goes on if the left side compares to the right.
	Match struct {
		Op          Op
		Left, Right Expr
	}

	// Verdict ends the rule. As an Expr it is the data of a verdict map.
	Verdict struct {
		Kind  VerdictKind
		Chain string // of Jump and Goto
	}

	// VMap looks a verdict up; without one it goes on.
	VMap struct {
		Key Expr
		Map Expr // *SetLit or *SetRef
	}

	// Counter counts what reaches it.
	Counter struct{ Packets, Bytes uint64 }

	// Quota holds until its bytes are used up, with Over from then on.
	Quota struct {
		Over        bool
		Bytes, Used uint64
	}

	// Limit is a token bucket; it holds while there are tokens, with Over while
	// there are none.
	Limit struct {
		Rate  Rate
		Burst uint64 // packets, or bytes with Rate.Bytes; 0: none was said
		Over  bool
	}

	// CTCount holds while there are at most, with Over more than, Count connections
	// of the rule's or element's key.
	CTCount struct {
		Over  bool
		Count uint32
	}

	// Log writes to the kernel's log, or to a group.
	Log struct {
		Prefix   string
		Level    string // empty: warn
		Group    *uint16
		Snaplen  uint32
		QThresh  uint16
		Flags    LogFlags
		HasLevel bool
	}

	// Reject drops and answers.
	Reject struct {
		// Kind is how; Code the ICMP code of the kinds that have one.
		Kind RejectKind
		Code uint8
		// Explicit: nft lists it with its `with`.
		Explicit bool
	}

	// NAT changes addresses and ports: snat, dnat, masquerade or redirect.
	NAT struct {
		Kind NATKind
		// Family is that of Addr; in an inet table it is written.
		Family    Family
		HasFamily bool
		// Addr and Port are values, ranges, prefixes or maps; nil if absent. With
		// Both, Addr alone is a map to address . port.
		Addr, Port Expr
		Both       bool
		// Prefix: the network is mapped and the rest of the address stays (netmap).
		Prefix bool
		Flags  NATFlags
		// Mapping and Filtering are knit's own: the behaviour of RFC 4787.
		Mapping, Filtering Behaviour
	}

	// TProxy gives packets to a transparent socket of this host, and leaves them as they
	// are. A packet for which there is none does not match.
	TProxy struct {
		// Family is that of the packets, where an inet table says one (HasFamily).
		Family    Family
		HasFamily bool
		// Addr and Port are where the socket is bound, values or maps; nil if absent: an
		// address of the device that the packet came in by, and the packet's own port.
		Addr, Port Expr
	}

	// Assign gives a Payload, Exthdr, Meta or CT expression a value.
	Assign struct{ Dst, Value Expr }

	// NoTrack keeps conntrack away from the packet.
	NoTrack struct{}

	// Dup sends a copy to an address or a device.
	Dup struct{ Addr, Device Expr }

	// Fwd sends the packet itself out of a device, to a neighbour if Addr is set.
	Fwd struct {
		Device Expr
		Addr   Expr
		Family Family
	}

	// Update changes a set from the packet path.
	Update struct {
		Op      UpdateOp
		Set     string
		Key     Expr
		Data    Expr // of a map
		Timeout time.Duration
		Comment string
		Stmts   []Stmt
		// Meter: written as `meter Set size MeterSize { ... }`.
		Meter     bool
		MeterSize uint32
	}

	// ResetOption puts padding in the place of a TCP option. Option has no field.
	ResetOption struct{ Option *Exthdr }

	// FlowOffload gives the connection to a flowtable.
	FlowOffload struct{ Flowtable string }

	// ObjectRef uses a named object; Name is a Value, or a MapExpr to names.
	ObjectRef struct {
		Kind ObjectKind
		Name Expr
	}
)

// LogFlags are the parts of a packet that a log line has besides the usual ones.
type LogFlags uint8

// Log flags.
const (
	LogTCPSeq LogFlags = 1 << iota
	LogTCPOptions
	LogIPOptions
	LogSKUID
	LogEther
	LogAll = LogTCPSeq | LogTCPOptions | LogIPOptions | LogSKUID | LogEther
)

// A RejectKind is how a packet is refused.
type RejectKind uint8

// Reject kinds: RejectICMPX translates its code to the packet's family.
const (
	RejectICMP RejectKind = iota
	RejectICMP6
	RejectICMPX
	RejectTCPReset
)

// A NATKind is what a NAT statement changes.
type NATKind uint8

// NAT kinds.
const (
	SNAT NATKind = iota
	DNAT
	Masquerade
	Redirect
)

var natNames = [...]string{"snat", "dnat", "masquerade", "redirect"}

// String returns nft's word.
func (k NATKind) String() string { return natNames[k] }

// NATFlags say how addresses and ports are chosen.
type NATFlags uint8

// NAT flags.
const (
	Random NATFlags = 1 << iota
	FullyRandom
	Persistent
)

// A Behaviour is what a mapping or a filter depends on (RFC 4787 §4.1, §5). The
// zero Behaviour is Linux's, address and port dependent.
type Behaviour uint8

// Behaviours.
const (
	AddressPortDependent Behaviour = iota
	AddressDependent
	EndpointIndependent
)

// An UpdateOp is what an Update does.
type UpdateOp uint8

// Update operations.
const (
	AddElem UpdateOp = iota
	UpdateElem
	DeleteElem
)

var updateNames = [...]string{"add", "update", "delete"}

// String returns nft's word.
func (o UpdateOp) String() string { return updateNames[o] }

func (*Match) stmt()       {}
func (*Verdict) stmt()     {}
func (*VMap) stmt()        {}
func (*Counter) stmt()     {}
func (*Quota) stmt()       {}
func (*Limit) stmt()       {}
func (*CTCount) stmt()     {}
func (*Log) stmt()         {}
func (*Reject) stmt()      {}
func (*NAT) stmt()         {}
func (*TProxy) stmt()      {}
func (*Assign) stmt()      {}
func (*NoTrack) stmt()     {}
func (*Dup) stmt()         {}
func (*Fwd) stmt()         {}
func (*Update) stmt()      {}
func (*FlowOffload) stmt() {}
func (*ResetOption) stmt() {}
func (*ObjectRef) stmt()   {}
