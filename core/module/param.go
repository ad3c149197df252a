package module

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Kind is the type of a parameter.
type Kind uint8

// The types of parameters.
const (
	KindBool     Kind = iota + 1 // bool
	KindInt                      // int64
	KindUint                     // uint64
	KindString                   // string
	KindDuration                 // time.Duration
	KindAddr                     // netip.Addr
	KindPrefix                   // netip.Prefix
	KindList                     // []string
)

// kindNames are the words of modinfo: Linux's where it has one.
var kindNames = [...]string{
	KindBool: "bool", KindInt: "int", KindUint: "uint", KindString: "charp",
	KindDuration: "duration", KindAddr: "address", KindPrefix: "prefix", KindList: "array of charp",
}

// String returns the word that modinfo prints behind a parameter.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "unknown"
}

// A Param declares a parameter. Make it with Bool, Int, ... and refine it with
// Range, Writable and AtLoad, which return a changed copy.
type Param struct {
	name     string
	desc     string
	kind     Kind
	def      any
	writable bool
	atLoad   bool
	lo, hi   any // both nil, or of def's type
}

// Bool declares a parameter that is y or n; without a value it means y.
func Bool(name string, def bool, desc string) Param {
	return Param{name: name, desc: desc, kind: KindBool, def: def}
}

// Int declares a signed integer.
func Int(name string, def int64, desc string) Param {
	return Param{name: name, desc: desc, kind: KindInt, def: def}
}

// Uint declares an unsigned integer.
func Uint(name string, def uint64, desc string) Param {
	return Param{name: name, desc: desc, kind: KindUint, def: def}
}

// String declares a text.
func String(name, def, desc string) Param {
	return Param{name: name, desc: desc, kind: KindString, def: def}
}

// Duration declares a length of time, written as 1m30s or as plain seconds.
func Duration(name string, def time.Duration, desc string) Param {
	return Param{name: name, desc: desc, kind: KindDuration, def: def}
}

// Addr declares an IP address; the zero Addr, written as nothing, means none.
func Addr(name string, def netip.Addr, desc string) Param {
	return Param{name: name, desc: desc, kind: KindAddr, def: def}
}

// Prefix declares an IP prefix; the zero Prefix, written as nothing, means none.
func Prefix(name string, def netip.Prefix, desc string) Param {
	return Param{name: name, desc: desc, kind: KindPrefix, def: def}
}

// List declares a list of texts, written with commas between them.
func List(name string, def []string, desc string) Param {
	return Param{name: name, desc: desc, kind: KindList, def: slices.Clone(def)}
}

// Range bounds an Int, Uint or Duration, inclusive. The bounds have the type
// of the default: int64, uint64 or time.Duration; untyped constants (int) are
// converted. A Registry refuses a Spec whose bounds do not fit.
func (p Param) Range(lo, hi any) Param {
	p.lo, p.hi = p.bound(lo), p.bound(hi)
	return p
}

// bound converts an int to the parameter's type.
func (p Param) bound(v any) any {
	n, ok := v.(int)
	switch {
	case ok && p.kind == KindInt:
		return int64(n)
	case ok && p.kind == KindUint && n >= 0:
		return uint64(n)
	case ok && p.kind == KindDuration:
		return time.Duration(n)
	}
	return v
}

// Writable lets the parameter be changed while the module is loaded (mode
// 0644 instead of 0444).
func (p Param) Writable() Param {
	p.writable = true
	return p
}

// AtLoad says that the parameter is an order for the load alone, such as how many
// devices to make, which have a life of their own afterwards: who writes down what
// there is, as knit save does, writes these and not the parameter.
func (p Param) AtLoad() Param {
	p.atLoad = true
	return p
}

// Name returns the parameter's name.
func (p Param) Name() string { return p.name }

// Description returns what the parameter does.
func (p Param) Description() string { return p.desc }

// Kind returns the parameter's type.
func (p Param) Kind() Kind { return p.kind }

// Default returns the default as text.
func (p Param) Default() string { return p.format(p.def) }

// IsWritable reports whether the parameter may change at run time.
func (p Param) IsWritable() bool { return p.writable }

// validate reports a malformed declaration.
func (p Param) validate() error {
	if p.name == "" || p.kind == 0 || strings.ContainsAny(p.name, " \t\n=.,\"\x00") {
		return fmt.Errorf("malformed parameter %q", p.name)
	}
	if p.lo == nil && p.hi == nil {
		return nil
	}
	if order, ok := compare(p.lo, p.hi); !ok || order > 0 || fmt.Sprintf("%T", p.lo) != fmt.Sprintf("%T", p.def) {
		return fmt.Errorf("parameter %s: range %v to %v does not fit a %s", p.name, p.lo, p.hi, p.kind)
	}
	if !p.inRange(p.def) {
		return fmt.Errorf("parameter %s: default %s is not %s", p.name, p.Default(), p.want())
	}
	return nil
}
