package rule

// A Format is how values of a type are written when they have no symbol.
type Format uint8

// Formats.
const (
	Decimal Format = iota
	Hex
	HexFill  // 0x and all digits of the length, as marks
	HexShort // 0x without zeros in front
	Text
	IPv4Address
	IPv6Address
	LinkAddress
	Service
	Duration
	Time
	Day
	Hour
	ClassID
	Interface // an index that is written as a name
)

// A Type is a data type of nft.
type Type struct {
	Name string
	Desc string // as `nft describe` has it
	Bits int    // 0: open
	// Base is the type it is derived from, nil at the root.
	Base    *Type
	Format  Format
	Symbols []Symbol
	// Host: kept in the host's byte order by Linux, which `nft describe` shows.
	Host bool
	// Parts are the types of a concatenation.
	Parts []*Type
}

// A Symbol is a value with a name.
type Symbol struct {
	Name  string
	Value uint64
}

// Bitmask reports whether values of t are sets of bits.
func (t *Type) Bitmask() bool {
	for ; t != nil; t = t.Base {
		if t == BitmaskType {
			return true
		}
	}
	return false
}

// Lookup returns the value of a symbol.
func (t *Type) Lookup(name string) (uint64, bool) {
	for _, s := range t.Symbols {
		if s.Name == name {
			return s.Value, true
		}
	}
	return 0, false
}

// Symbol returns the name of a value; of several, the first.
func (t *Type) Symbol(v uint64) (string, bool) {
	for _, s := range t.Symbols {
		if s.Value == v {
			return s.Name, true
		}
	}
	return "", false
}

// ConcatOf returns the type of a concatenation.
func ConcatOf(parts ...*Type) *Type {
	t := &Type{Parts: parts}
	for i, p := range parts {
		if i > 0 {
			t.Name += " . "
		}
		t.Name += p.Name
		t.Bits += (p.Bits + 31) &^ 31
	}
	return t
}
