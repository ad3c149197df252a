package wire

// ICMP extensions (RFC 4884): a structure of objects behind the quoted
// packet, which is then padded to icmpExtQuote bytes at least.

// Lengths of ICMP extensions in bytes.
const (
	ICMPExtHeaderLen = 4
	ICMPExtObjectLen = 4 // header of one object

	// ICMPExtQuote is the least length of the quoted packet when extensions
	// follow, zero padded (RFC 4884 §5.3).
	ICMPExtQuote = 128
)

// Classes of ICMP extension objects.
const (
	ICMPExtMPLS      = 1 // RFC 4950
	ICMPExtInterface = 2 // RFC 5837
)

// splitQuote cuts an error's payload behind n bytes of quoted packet; zero
// means that nothing but the packet is there. A length that the payload does
// not have counts as zero, and so does a structure that is damaged.
func splitQuote(b []byte, n int) (packet, ext []byte) {
	if n == 0 || n > len(b) {
		return b, nil
	}
	if _, ok := ParseICMPExt(b[n:]); !ok {
		return b[:n], nil
	}
	return b[:n], b[n:]
}

// An ICMPExt walks over the objects of an extension structure. It is a value:
// a copy goes its own way.
type ICMPExt struct{ rest []byte }

// ParseICMPExt checks version and checksum of the extension structure that
// fills b (RFC 4884 §7). A checksum of zero means that there is none.
func ParseICMPExt(b []byte) (ICMPExt, bool) {
	if len(b) < ICMPExtHeaderLen || b[0]>>4 != 2 {
		return ICMPExt{}, false
	}
	if be.Uint16(b[2:4]) != 0 && !Sum(b, 0).Valid() {
		return ICMPExt{}, false
	}
	return ICMPExt{b[ICMPExtHeaderLen:]}, true
}

// Next returns the next object: its class, its type within the class and its
// data. It is not ok at the end and at an object whose length is wrong.
func (e *ICMPExt) Next() (class, typ uint8, data []byte, ok bool) {
	if len(e.rest) < ICMPExtObjectLen {
		return 0, 0, nil, false
	}
	n := int(be.Uint16(e.rest[0:2]))
	if n < ICMPExtObjectLen || n > len(e.rest) {
		e.rest = nil
		return 0, 0, nil, false
	}
	class, typ, data = e.rest[2], e.rest[3], e.rest[ICMPExtObjectLen:n]
	e.rest = e.rest[n:]
	return class, typ, data, true
}

// PutICMPExtObject writes one object and returns its length in bytes. data is
// padded to a multiple of 4 (RFC 4884 §8).
func PutICMPExtObject(b []byte, class, typ uint8, data []byte) int {
	n := ICMPExtObjectLen + (len(data)+3)&^3
	be.PutUint32(b, uint32(n)<<16|uint32(class)<<8|uint32(typ))
	d := b[ICMPExtObjectLen:n]
	clear(d[copy(d, data):])
	return n
}

// FinishICMPExt writes the structure's header, ICMPExtHeaderLen bytes, into
// the front of b, whose rest are the objects, with the checksum over all.
func FinishICMPExt(b []byte) {
	be.PutUint32(b, 2<<28)
	be.PutUint16(b[2:4], Checksum(b))
}

// ICMPExtQuoteLen returns how many bytes the quoted packet of n bytes takes
// up, padding included, when extensions follow it: n is rounded up to a
// multiple of 4 for IPv4 and of 8 for IPv6, and is at least ICMPExtQuote
// (RFC 4884 §5.1, §5.2). The caller zeroes the padding.
func ICMPExtQuoteLen(n int, v6 bool) int {
	unit := 4
	if v6 {
		unit = 8
	}
	return (max(n, ICMPExtQuote) + unit - 1) &^ (unit - 1)
}

// SetQuoteLen writes the length field of an error that carries extensions;
// n is what ICMPExtQuoteLen returned, up to 1020 bytes.
func (m ICMP4) SetQuoteLen(n int) { m.b[5] = uint8(n / 4) }

// SetQuoteLen writes the length field of an error that carries extensions;
// n is what ICMPExtQuoteLen returned, up to 2040 bytes.
func (m ICMP6) SetQuoteLen(n int) { m.b[4] = uint8(n / 8) }
