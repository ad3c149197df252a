package wire

// An IPv6ExtError says why a walk over extension headers stopped early.
type IPv6ExtError uint8

// The reasons of IPv6ExtError.
const (
	// IPv6ExtFine is no error.
	IPv6ExtFine IPv6ExtError = iota
	// IPv6ExtTruncated is a header that goes beyond the packet, or an upper
	// header of which not a byte is there.
	IPv6ExtTruncated
	// IPv6ExtIncomplete is IPv6ExtTruncated in a first fragment, which has to
	// hold the whole chain: ICMP6IncompleteChain (RFC 7112 §5).
	IPv6ExtIncomplete
	// IPv6ExtMisplaced is a hop-by-hop header that does not follow the fixed
	// header at once: ICMP6BadNextHeader (RFC 8200 §4.1).
	IPv6ExtMisplaced
)

// String returns the reason in words.
func (e IPv6ExtError) String() string {
	switch e {
	case IPv6ExtTruncated:
		return "truncated extension header"
	case IPv6ExtIncomplete:
		return "incomplete header chain in first fragment"
	case IPv6ExtMisplaced:
		return "misplaced hop-by-hop options"
	}
	return "no error"
}

// An IPv6Ext is one extension header; IPv6Exts makes it. It is complete.
type IPv6Ext struct {
	b   []byte
	at  int
	typ uint8
}

// Type returns which header it is: ProtoHopByHop, ProtoRouting,
// ProtoFragment, ProtoDstOpts or ProtoAH.
func (x IPv6Ext) Type() uint8 { return x.typ }

// Offset returns where the header begins in the packet, in bytes from the
// start of the fixed header.
func (x IPv6Ext) Offset() int { return x.at }

// Bytes returns the whole header. It belongs to the packet.
func (x IPv6Ext) Bytes() []byte { return x.b }

// NextHeader returns the type of the header that follows.
func (x IPv6Ext) NextHeader() uint8 { return x.b[0] }

// RoutingType returns the third octet of a routing header. Type 0 must not be
// obeyed (RFC 5095 §3).
func (x IPv6Ext) RoutingType() uint8 { return x.b[2] }

// SegmentsLeft returns the fourth octet of a routing header. Zero means that
// the packet is where it should be, whatever the type (RFC 8200 §4.4).
func (x IPv6Ext) SegmentsLeft() uint8 { return x.b[3] }

// An IPv6Exts walks over the extension headers of a packet. It is a value: a
// copy goes its own way. No Next Header, ESP and everything that is not an
// extension header ends the walk as the upper layer.
type IPv6Exts struct {
	b          []byte // the packet, from the fixed header to its end
	off        int    // of the next header
	named      int    // offset of the octet that names it
	badAt      int
	next       uint8
	err        IPv6ExtError
	fragmented bool // a fragment header went by
	opaque     bool // it was not the first fragment: what follows is payload
}

// WalkExts returns a walk over the extension headers behind h. Bytes beyond
// PayloadLen are not looked at.
func (h IPv6) WalkExts() IPv6Exts {
	return IPv6Exts{b: h.b[:min(h.TotalLen(), len(h.b))], off: IPv6Len, named: 6, next: h.b[6]}
}

// IsIPv6Ext reports whether an extension header of type next can be walked
// over.
func IsIPv6Ext(next uint8) bool {
	switch next {
	case ProtoHopByHop, ProtoRouting, ProtoFragment, ProtoDstOpts, ProtoAH:
		return true
	}
	return false
}

// Next returns the next extension header. It is not ok at the upper layer,
// behind a fragment header that is not the first fragment's, and at an error.
func (w *IPv6Exts) Next() (x IPv6Ext, ok bool) {
	if w.err != IPv6ExtFine || w.opaque || !IsIPv6Ext(w.next) {
		w.checkUpper()
		return IPv6Ext{}, false
	}
	if w.next == ProtoHopByHop && w.off != IPv6Len {
		w.err, w.badAt = IPv6ExtMisplaced, w.named
		return IPv6Ext{}, false
	}
	rest := w.b[w.off:]
	n := extLen(w.next, rest)
	if n == 0 || n > len(rest) {
		w.truncated()
		return IPv6Ext{}, false
	}
	x = IPv6Ext{b: rest[:n:n], at: w.off, typ: w.next}
	if w.next == ProtoFragment {
		w.fragmented = be.Uint16(x.b[2:4])&^6 != 0
		w.opaque = be.Uint16(x.b[2:4])&^7 != 0
	}
	w.named, w.next = w.off, x.b[0]
	w.off += n
	return x, true
}

// extLen returns the length of the header of type next at the front of b, or
// 0 if b is too short to say.
func extLen(next uint8, b []byte) int {
	switch {
	case len(b) < 8:
		return 0
	case next == ProtoFragment:
		return IPv6FragmentLen
	case next == ProtoAH:
		return (int(b[1]) + 2) * 4 // RFC 4302 §2.2
	}
	return (int(b[1]) + 1) * 8
}

// checkUpper makes it an error if the chain promises an upper layer and the
// packet ends before it.
func (w *IPv6Exts) checkUpper() {
	if w.err == IPv6ExtFine && !w.opaque && w.off >= len(w.b) && w.next != ProtoNoNext {
		w.truncated()
	}
}

func (w *IPv6Exts) truncated() {
	w.err, w.badAt = IPv6ExtTruncated, w.off
	if w.fragmented {
		w.err = IPv6ExtIncomplete
	}
}

// Upper returns the type of what follows the headers that Next has returned,
// and its offset from the start of the fixed header in bytes. When Next has
// returned false without an error it is the upper layer.
func (w *IPv6Exts) Upper() (proto uint8, offset int) { return w.next, w.off }

// NamedAt returns the offset of the octet that names Upper's type: the
// pointer of a Parameter Problem ICMP6BadNextHeader (RFC 8200 §4).
func (w *IPv6Exts) NamedAt() int { return w.named }

// NotFirst reports whether the packet is a fragment other than the first, so
// that Upper is the type of a header that lies in another packet.
func (w *IPv6Exts) NotFirst() bool { return w.opaque }

// Err returns why the walk stopped early, and the offset of the octet that is
// to blame, which is the pointer of a Parameter Problem.
func (w *IPv6Exts) Err() (err IPv6ExtError, pointer int) { return w.err, w.badAt }

// Upper walks over all extension headers and returns the upper layer's type
// and offset in bytes from the start of h. first is false for a fragment
// other than the first, which has no upper header. It is not ok if the chain
// is broken.
func (h IPv6) Upper() (proto uint8, offset int, first, ok bool) {
	w := h.WalkExts()
	for {
		if _, more := w.Next(); !more {
			break
		}
	}
	return w.next, w.off, !w.opaque, w.err == IPv6ExtFine
}
