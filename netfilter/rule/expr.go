package rule

// An Expr is something with a value. Its bits come as they are on the wire: the
// most significant first, filled up with zeros in front to whole bytes. Numbers
// that hosts keep in their own order, marks and interface indexes, are written
// the same way here; what is a string is filled up with zeros behind.
type Expr interface {
	// Type is the type of the value.
	Type() *Type
	// Bits is the length of the value, which Type may leave open.
	Bits() int
}

type (
	// Value is a constant.
	Value struct {
		T    *Type
		Data []byte
		N    int // bits
		// Wild: a name that ends in `*`; Data holds what is in front of it.
		Wild bool
	}

	// Prefix is all values that agree in the first Len bits.
	Prefix struct {
		Value *Value
		Len   int
	}

	// Range is all values from Lo to Hi.
	Range struct{ Lo, Hi *Value }

	// Any is every value: the catch-all element.
	Any struct{ T *Type }

	// SetLit is an anonymous set or map.
	SetLit struct {
		Key   *Type
		Data  *Type // of a map; VerdictType for a verdict map
		Elems []Elem
	}

	// SetRef is a named set or map of the rule's table.
	SetRef struct {
		Name      string
		Key, Data *Type
	}

	// Concat is several values beside each other, each filled up to 4 bytes.
	Concat struct {
		Parts []Expr
		T     *Type
	}

	// MapExpr is what a map leads to from Key.
	MapExpr struct {
		Key Expr
		Map Expr // *SetLit or *SetRef
	}

	// Binary combines: Op is '&', '|', '^', '<' (shift left) or '>'.
	Binary struct {
		Op          byte
		Left, Right Expr
	}

	// Payload is a field of a header.
	Payload struct {
		// Field is the named field, nil for a raw expression.
		Field *Field
		// Base, Offset and N say where a raw one is, in bits.
		Base      Base
		Offset, N int
	}

	// Exthdr is an IPv6 extension header, TCP or IP option, or an SCTP chunk.
	Exthdr struct {
		Kind ExthdrKind
		// Name is nft's name of the header or option, Number its number.
		Name   string
		Number uint8
		// Field is a field of it; nil asks whether it is there.
		Field *Field
		// Raw: a TCP option `@kind,offset,length`.
		Raw       bool
		Offset, N int // bits
	}

	// Meta is something known about a packet that is not in it.
	Meta struct {
		Key MetaKey
	}

	// CT is something that connection tracking knows of a packet.
	CT struct {
		Key CTKey
		// Dir is the direction of keys that have one.
		Dir Dir
		// Family is that of addresses whose family the key says (`ct original ip saddr`).
		Family    Family
		HasFamily bool
	}

	// FIB is a look at the routing table.
	FIB struct {
		Flags  FIBFlags
		Result FIBResult
		// Present: only whether there is a result (`fib saddr oif missing`).
		Present bool
	}

	// RT is something known of a packet's route.
	RT struct {
		Key RTKey
		// Family is that of the next hop.
		Family    Family
		HasFamily bool
	}

	// Socket is something known of the socket a packet is for.
	Socket struct {
		Key   SocketKey
		Level uint32 // of cgroupv2
	}

	// Numgen counts up or rolls dice.
	Numgen struct {
		Random      bool
		Mod, Offset uint32
	}

	// Hash is Jenkins' hash of Key, or with Sym the symmetric hash of the flow.
	Hash struct {
		Sym         bool
		Key         Expr
		Mod, Offset uint32
		Seed        uint32
		HasSeed     bool
	}
)

// A Base is where a raw payload expression counts from.
type Base uint8

// Bases, `@ll`, `@nh`, `@th` and `@ih`.
const (
	LinkHeader Base = iota
	NetworkHeader
	TransportHeader
	InnerHeader
)

var baseNames = [...]string{"ll", "nh", "th", "ih"}

// String returns nft's name.
func (b Base) String() string { return baseNames[b] }

// An ExthdrKind is a family of options.
type ExthdrKind uint8

// Kinds of extension headers and options.
const (
	IPv6Ext ExthdrKind = iota
	TCPOption
	IPOption
	SCTPChunk
	DCCPOption
)

// A Dir is a direction of a connection.
type Dir uint8

// Directions.
const (
	NoDir Dir = iota
	Original
	Reply
)

var dirNames = [...]string{"", "original", "reply"}

// String returns nft's name.
func (d Dir) String() string { return dirNames[d] }

// FIBFlags are what a FIB expression looks up with.
type FIBFlags uint8

// FIB flags.
const (
	FIBSaddr FIBFlags = 1 << iota
	FIBDaddr
	FIBMark
	FIBIif
	FIBOif
)

// A FIBResult is what a FIB expression returns.
type FIBResult uint8

// FIB results.
const (
	FIBOifIndex FIBResult = iota
	FIBOifName
	FIBType
)

// Type returns the type of v.
func (v *Value) Type() *Type { return v.T }

// Bits returns the length of v.
func (v *Value) Bits() int { return v.N }

// Type returns the type of the prefix's address.
func (p *Prefix) Type() *Type { return p.Value.T }

// Bits returns the length of the address.
func (p *Prefix) Bits() int { return p.Value.N }

// Type returns the type of the ends.
func (r *Range) Type() *Type { return r.Lo.T }

// Bits returns the length of the ends.
func (r *Range) Bits() int { return r.Lo.N }

// Type returns the type of the set's keys.
func (a *Any) Type() *Type { return a.T }

// Bits returns the length of the set's keys.
func (a *Any) Bits() int { return a.T.Bits }

// Type returns the type of the keys.
func (s *SetLit) Type() *Type { return s.Key }

// Bits returns the length of the keys.
func (s *SetLit) Bits() int { return s.Key.Bits }

// Type returns the type of the keys.
func (s *SetRef) Type() *Type { return s.Key }

// Bits returns the length of the keys.
func (s *SetRef) Bits() int { return s.Key.Bits }

// Type returns the concatenation of the parts' types.
func (c *Concat) Type() *Type { return c.T }

// Bits returns the length of all parts, filled up.
func (c *Concat) Bits() int {
	n := 0
	for _, p := range c.Parts {
		n += (p.Bits() + 31) &^ 31
	}
	return n
}

// Type returns the type of what the map leads to.
func (m *MapExpr) Type() *Type {
	switch x := m.Map.(type) {
	case *SetLit:
		return x.Data
	case *SetRef:
		return x.Data
	}
	return nil
}

// Bits returns the length of what the map leads to.
func (m *MapExpr) Bits() int { return m.Type().Bits }

// Type returns the type of the left side.
func (b *Binary) Type() *Type { return b.Left.Type() }

// Bits returns the length of the left side.
func (b *Binary) Bits() int { return b.Left.Bits() }

// Type returns the type of the field, an integer for a raw expression.
func (p *Payload) Type() *Type {
	if p.Field != nil {
		return p.Field.Type
	}
	return RawType
}

// Bits returns the length of the field.
func (p *Payload) Bits() int {
	if p.Field != nil {
		return p.Field.Bits
	}
	return p.N
}

// Type returns the type of the field, a boolean if it only asks.
func (e *Exthdr) Type() *Type {
	switch {
	case e.Field != nil:
		return e.Field.Type
	case e.Raw:
		return IntegerType
	}
	return BooleanType
}

// Bits returns the length of the field.
func (e *Exthdr) Bits() int {
	switch {
	case e.Field != nil:
		return e.Field.Bits
	case e.Raw:
		return e.N
	}
	return 1
}

// Type returns the type of the key.
func (m *Meta) Type() *Type { return m.Key.info().typ }

// Bits returns the length of the key.
func (m *Meta) Bits() int { return m.Key.info().bits }

// Type returns the type of the key.
func (c *CT) Type() *Type {
	if c.Key == CTSrc || c.Key == CTDst {
		return addrType(c.Family)
	}
	return c.Key.info().typ
}

// Bits returns the length of the key.
func (c *CT) Bits() int {
	if c.Key == CTSrc || c.Key == CTDst {
		return addrType(c.Family).Bits
	}
	return c.Key.info().bits
}

func addrType(f Family) *Type {
	if f == IP6 {
		return IPv6Type
	}
	return IPv4Type
}

// Type returns the type of the result, a boolean if it only asks.
func (f *FIB) Type() *Type {
	switch {
	case f.Present:
		return BooleanType
	case f.Result == FIBOifName:
		return IfnameType
	case f.Result == FIBType:
		return FIBAddrType
	}
	return IfindexType
}

// Bits returns the length of the result.
func (f *FIB) Bits() int { return f.Type().Bits }

// Type returns the type of the key.
func (r *RT) Type() *Type {
	switch r.Key {
	case RTClassID:
		return RealmType
	case RTNexthop:
		return addrType(r.Family)
	case RTIPsec:
		return BooleanType
	}
	return IntegerType
}

// Bits returns the length of the key.
func (r *RT) Bits() int {
	if r.Key == RTMTU {
		return 16
	}
	return r.Type().Bits
}

// Type returns the type of the key.
func (s *Socket) Type() *Type {
	switch s.Key {
	case SocketMark:
		return MarkType
	case SocketCgroup:
		return CgroupType
	}
	return IntegerType
}

// Bits returns the length of the key.
func (s *Socket) Bits() int {
	if s.Key == SocketTransparent || s.Key == SocketWildcard {
		return 8
	}
	return s.Type().Bits
}

// Type returns the integer type.
func (n *Numgen) Type() *Type { return IntegerType }

// Bits returns 32.
func (n *Numgen) Bits() int { return 32 }

// Type returns the integer type.
func (h *Hash) Type() *Type { return IntegerType }

// Bits returns 32.
func (h *Hash) Bits() int { return 32 }

// Type returns the verdict type.
func (v *Verdict) Type() *Type { return VerdictType }

// Bits returns 0.
func (v *Verdict) Bits() int { return 0 }
