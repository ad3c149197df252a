package wire

import "net/netip"

// Types of IPv4 options. The top bit says that every fragment carries a copy
// (RFC 791 §3.1).
const (
	IPv4OptEnd         = 0
	IPv4OptNop         = 1
	IPv4OptRecordRoute = 7
	IPv4OptTimestamp   = 68
	IPv4OptLooseRoute  = 131
	IPv4OptStrictRoute = 137
	IPv4OptRouterAlert = 148 // RFC 2113
)

// Flags of IPv4OptTimestamp (RFC 791 §3.1).
const (
	IPv4TimestampOnly      = 0
	IPv4TimestampAddr      = 1 // each module writes its address, too
	IPv4TimestampSpecified = 3 // only modules of the given addresses write
)

// IPv4RouterAlertLen is the length of a Router Alert option in bytes.
const IPv4RouterAlertLen = 4

// PutIPv4RouterAlert writes a Router Alert option (RFC 2113 §2.1), as IGMP
// messages carry it.
func PutIPv4RouterAlert(b []byte) {
	be.PutUint32(b, IPv4OptRouterAlert<<24|IPv4RouterAlertLen<<16)
}

// An IPv4Options walks over the options of a header. It is a value: a copy
// goes its own way.
type IPv4Options struct {
	b   []byte // the header
	off int
	bad int // offset of the octet that is wrong, or 0
}

// WalkOptions returns a walk over the options of h.
func (h IPv4) WalkOptions() IPv4Options { return IPv4Options{b: h.Header(), off: IPv4Len} }

// Next returns the next option, other than padding. It is not ok at the end
// and at an option whose length is illegal, which Bad tells apart.
func (w *IPv4Options) Next() (o IPv4Option, ok bool) {
	for w.off < len(w.b) {
		switch w.b[w.off] {
		case IPv4OptEnd:
			w.off = len(w.b)
			return IPv4Option{}, false
		case IPv4OptNop:
			w.off++
			continue
		}
		rest := w.b[w.off:]
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			w.bad = w.off + 1
			if len(rest) < 2 {
				w.bad = w.off
			}
			w.off = len(w.b)
			return IPv4Option{}, false
		}
		o = IPv4Option{b: rest[:rest[1]], at: w.off}
		w.off += len(o.b)
		return o, true
	}
	return IPv4Option{}, false
}

// Bad reports whether the walk ended at a malformed option, and the offset of
// the offending octet in the header, which is the pointer of a Parameter
// Problem (RFC 792).
func (w *IPv4Options) Bad() (pointer int, bad bool) { return w.bad, w.bad != 0 }

// An IPv4Option is one option of a header; IPv4Options makes it.
type IPv4Option struct {
	b  []byte // type, length, data
	at int
}

// Type returns the type octet.
func (o IPv4Option) Type() uint8 { return o.b[0] }

// Copied reports whether every fragment carries the option.
func (o IPv4Option) Copied() bool { return o.b[0]&0x80 != 0 }

// Offset returns where the option begins in the header, in bytes.
func (o IPv4Option) Offset() int { return o.at }

// Bytes returns the whole option. It belongs to the packet.
func (o IPv4Option) Bytes() []byte { return o.b }

// Check looks into options of a known type and returns the offset in the
// header of the first octet that makes no sense, for a Parameter Problem.
// The other methods below are safe only for options that pass. An option of
// an unknown type passes (RFC 1122 §3.2.1.8: "the IP layer MUST silently
// ignore" it).
func (o IPv4Option) Check() (pointer int, ok bool) {
	bad := 0
	switch o.b[0] {
	case IPv4OptRecordRoute, IPv4OptLooseRoute, IPv4OptStrictRoute:
		bad = checkSlots(o.b, 3, 4)
	case IPv4OptTimestamp:
		bad = checkTimestamp(o.b)
	case IPv4OptRouterAlert:
		if len(o.b) != IPv4RouterAlertLen {
			bad = 1
		}
	}
	return o.at + bad, bad == 0
}

// checkSlots checks an option that has head bytes before slots of size bytes
// and a pointer, counted from one, to the next slot in its third byte. It
// returns the index of the byte that is wrong, or 0.
func checkSlots(b []byte, head, size int) int {
	if len(b) < head {
		return 1
	}
	switch p := int(b[2]); {
	case p <= head:
		return 2
	case p <= len(b) && p+size-1 > len(b): // room, but not enough
		return 2
	}
	return 0
}

func checkTimestamp(b []byte) int {
	if len(b) < 4 {
		return 1
	}
	switch b[3] & 0xf {
	case IPv4TimestampOnly:
		return checkSlots(b, 4, 4)
	case IPv4TimestampAddr, IPv4TimestampSpecified:
		return checkSlots(b, 4, 8)
	}
	return 3
}

// Full reports whether a route or timestamp option has no free slot: a route
// is recorded to the end, or a source route is used up.
func (o IPv4Option) Full() bool { return int(o.b[2]) > len(o.b) }

// Hop returns the address that a source route names next; the option is not
// Full.
func (o IPv4Option) Hop() netip.Addr {
	p := int(o.b[2]) - 1
	return netip.AddrFrom4([4]byte(o.b[p : p+4]))
}

// Record writes ip into the next slot of a record or source route and
// advances the pointer (RFC 791 §3.1). It does nothing to a Full one. The
// header checksum is the caller's.
func (o IPv4Option) Record(ip [4]byte) {
	if o.Full() {
		return
	}
	p := int(o.b[2]) - 1
	copy(o.b[p:p+4], ip[:])
	o.b[2] += 4
}

// Stamp writes a timestamp, in milliseconds since midnight UT, of the module
// with address ip into a timestamp option: with the address, or only if the
// option asks for ip, as its flag says (RFC 791 §3.1). If there is no room the
// overflow count goes up, and Stamp returns false if that does not fit
// either, which is a parameter problem at Offset()+3. The header checksum is
// the caller's.
func (o IPv4Option) Stamp(ip [4]byte, ms uint32) bool {
	if o.Full() {
		if o.b[3]>>4 == 0xf {
			return false
		}
		o.b[3] += 0x10
		return true
	}
	slot := o.b[int(o.b[2])-1:]
	switch o.b[3] & 0xf {
	case IPv4TimestampSpecified:
		if [4]byte(slot) != ip {
			return true
		}
		fallthrough
	case IPv4TimestampAddr:
		copy(slot, ip[:])
		slot = slot[4:]
		o.b[2] += 4
	}
	be.PutUint32(slot, ms)
	o.b[2] += 4
	return true
}
