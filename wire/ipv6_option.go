package wire

// Types of options in hop-by-hop and destination options headers.
const (
	IPv6OptPad1        = 0x00 // RFC 8200 §4.2
	IPv6OptPadN        = 0x01 // RFC 8200 §4.2
	IPv6OptRouterAlert = 0x05 // RFC 2711
	IPv6OptJumbo       = 0xc2 // RFC 2675
)

// Values of IPv6OptRouterAlert (RFC 2711 §2.1).
const IPv6RouterAlertMLD = 0

// An IPv6OptAction is what a node does with an option that it does not know;
// the type's two highest bits say so (RFC 8200 §4.2).
type IPv6OptAction uint8

// The actions. A report is ICMP6BadOption with the type's offset as pointer.
const (
	IPv6OptSkip          IPv6OptAction = iota
	IPv6OptDiscard                     // silently
	IPv6OptReport                      // discard and report
	IPv6OptReportUnicast               // discard and report, unless the destination is multicast
)

// An IPv6Option is one option; IPv6Options makes it.
type IPv6Option struct {
	data []byte
	at   int
	typ  uint8
}

// Type returns the type octet.
func (o IPv6Option) Type() uint8 { return o.typ }

// Offset returns where the option begins, in bytes from the start of the
// fixed header.
func (o IPv6Option) Offset() int { return o.at }

// Data returns the option's data. It belongs to the packet.
func (o IPv6Option) Data() []byte { return o.data }

// Action returns what to do if the type is unknown.
func (o IPv6Option) Action() IPv6OptAction { return IPv6OptAction(o.typ >> 6) }

// An IPv6Options walks over the options of a hop-by-hop or destination
// options header. It is a value: a copy goes its own way.
type IPv6Options struct {
	b    []byte // the extension header
	base int    // its offset in the packet
	off  int
	bad  int
}

// WalkOptions returns a walk over the options of x, a hop-by-hop or
// destination options header.
func (x IPv6Ext) WalkOptions() IPv6Options { return IPv6Options{b: x.b, base: x.at, off: 2} }

// Next returns the next option other than padding. It is not ok at the end
// and at an option that goes beyond its header, which Bad tells apart.
func (w *IPv6Options) Next() (o IPv6Option, ok bool) {
	for w.off < len(w.b) {
		typ := w.b[w.off]
		if typ == IPv6OptPad1 {
			w.off++
			continue
		}
		rest := w.b[w.off:]
		if len(rest) < 2 || 2+int(rest[1]) > len(rest) {
			w.bad = w.base + w.off + min(1, len(rest)-1)
			w.off = len(w.b)
			return IPv6Option{}, false
		}
		o = IPv6Option{data: rest[2 : 2+int(rest[1])], at: w.base + w.off, typ: typ}
		w.off += 2 + int(rest[1])
		if typ != IPv6OptPadN {
			return o, true
		}
	}
	return IPv6Option{}, false
}

// Bad reports whether the walk ended at a malformed option, and the offset of
// the offending octet from the start of the fixed header.
func (w *IPv6Options) Bad() (pointer int, bad bool) { return w.bad, w.bad != 0 }

// IPv6RouterAlertLen is the length of a hop-by-hop header that holds nothing
// but Router Alert, in bytes.
const IPv6RouterAlertLen = 8

// PutIPv6RouterAlert writes a hop-by-hop options header with a Router Alert
// of the given value (RFC 2711 §2.1) and padding, in front of next. MLD
// messages carry it (RFC 3810 §5).
func PutIPv6RouterAlert(b []byte, next uint8, value uint16) {
	be.PutUint64(b, uint64(next)<<56|IPv6OptRouterAlert<<40|2<<32|uint64(value)<<16|IPv6OptPadN<<8)
}

// IPv6FragmentLen is the length of a fragment header in bytes.
const IPv6FragmentLen = 8

// An IPv6Fragment is a checked view of a fragment header (RFC 8200 §4.5).
type IPv6Fragment struct{ b []byte }

// ParseIPv6Fragment returns the header in front of b.
func ParseIPv6Fragment(b []byte) (IPv6Fragment, bool) {
	if len(b) < IPv6FragmentLen {
		return IPv6Fragment{}, false
	}
	return IPv6Fragment{b}, true
}

// NextHeader returns the type of the first header of the fragmentable part.
func (h IPv6Fragment) NextHeader() uint8 { return h.b[0] }

// Offset returns where the payload lies in the fragmentable part, in bytes.
func (h IPv6Fragment) Offset() int { return int(be.Uint16(h.b[2:4]) &^ 7) }

// More reports whether more fragments follow this one.
func (h IPv6Fragment) More() bool { return h.b[3]&1 != 0 }

// IsAtomic reports whether the packet is whole in spite of the header, and is
// to be taken by itself (RFC 6946 §4).
func (h IPv6Fragment) IsAtomic() bool { return be.Uint16(h.b[2:4])&^6 == 0 }

// ID returns the identification.
func (h IPv6Fragment) ID() uint32 { return be.Uint32(h.b[4:8]) }

// PutIPv6Fragment writes a header of IPv6FragmentLen bytes. offset is in
// bytes, a multiple of 8.
func PutIPv6Fragment(b []byte, next uint8, offset int, more bool, id uint32) {
	frag := uint64(offset) & 0xfff8
	if more {
		frag |= 1
	}
	be.PutUint64(b, uint64(next)<<56|frag<<32|uint64(id))
}
