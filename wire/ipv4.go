package wire

import "net/netip"

// Lengths of IPv4 in bytes.
const (
	IPv4Len        = 20    // header without options
	IPv4MaxLen     = 60    // header with the most options that fit
	IPv4MaxOptions = 40    // options alone
	IPv4MaxTotal   = 65535 // header and payload
	IPv4MinMTU     = 68    // every module must forward this much (RFC 791 §3.2)
	IPv4MinReasm   = 576   // every host must take this much (RFC 1122 §3.3.2)
)

// An IPv4 is a checked view of an IPv4 header (RFC 791 §3.1).
type IPv4 struct{ b []byte }

// IPv4Fields are the values of an IPv4 header. Version, header length and
// checksum are computed.
type IPv4Fields struct {
	TOS        uint8
	TTL        uint8
	Protocol   uint8
	DF, MF     bool   // don't fragment, more fragments
	TotalLen   uint16 // header and payload in bytes
	ID         uint16
	FragOffset uint16 // in bytes, a multiple of 8
	Src, Dst   [4]byte
	Options    []byte // at most IPv4MaxOptions bytes; padded when written
}

// ParseIPv4 returns the header in front of b. It checks the header and that
// b holds all of it, not that b holds the payload, which may lie elsewhere or
// be cut short: the caller compares TotalLen with what it has, and treats
// bytes beyond as link padding.
func ParseIPv4(b []byte) (IPv4, bool) {
	if len(b) < IPv4Len || b[0]>>4 != 4 {
		return IPv4{}, false
	}
	n := int(b[0]&0xf) * 4
	if n < IPv4Len || n > len(b) || int(be.Uint16(b[2:4])) < n {
		return IPv4{}, false
	}
	return IPv4{b}, true
}

// HeaderLen returns the header length in bytes, options included.
func (h IPv4) HeaderLen() int { return int(h.b[0]&0xf) * 4 }

// TOS returns the type of service octet: DSCP and ECN (RFC 2474 §3, RFC 3168 §5).
func (h IPv4) TOS() uint8 { return h.b[1] }

// TotalLen returns the length of header and payload in bytes.
func (h IPv4) TotalLen() int { return int(be.Uint16(h.b[2:4])) }

// ID returns the identification, which has meaning only for fragments
// (RFC 6864 §4.1).
func (h IPv4) ID() uint16 { return be.Uint16(h.b[4:6]) }

// DF reports whether the packet must not be fragmented.
func (h IPv4) DF() bool { return h.b[6]&0x40 != 0 }

// MF reports whether more fragments follow this one.
func (h IPv4) MF() bool { return h.b[6]&0x20 != 0 }

// FragOffset returns where the payload lies in the original packet, in bytes.
func (h IPv4) FragOffset() int { return int(be.Uint16(h.b[6:8])&0x1fff) * 8 }

// IsFragment reports whether the packet is a part of a larger one.
func (h IPv4) IsFragment() bool { return be.Uint16(h.b[6:8])&0x3fff != 0 }

// TTL returns the time to live in hops.
func (h IPv4) TTL() uint8 { return h.b[8] }

// Protocol returns the protocol number of the payload.
func (h IPv4) Protocol() uint8 { return h.b[9] }

// Checksum returns the header checksum as it is written.
func (h IPv4) Checksum() uint16 { return be.Uint16(h.b[10:12]) }

// ChecksumOK reports whether the header checksum is right.
func (h IPv4) ChecksumOK() bool {
	if h.b[0] == 4<<4|IPv4Len/4 {
		p := (*[IPv4Len]byte)(h.b)
		s := uint64(be.Uint32(p[0:4])) + uint64(be.Uint32(p[4:8])) + uint64(be.Uint32(p[8:12])) +
			uint64(be.Uint32(p[12:16])) + uint64(be.Uint32(p[16:20]))
		return fold(s) == 0xffff
	}
	return Sum(h.Header(), 0).Valid()
}

// Src returns the source address.
func (h IPv4) Src() netip.Addr { return netip.AddrFrom4([4]byte(h.b[12:16])) }

// Dst returns the destination address.
func (h IPv4) Dst() netip.Addr { return netip.AddrFrom4([4]byte(h.b[16:20])) }

// Src4 returns the source address as bytes.
func (h IPv4) Src4() [4]byte { return [4]byte(h.b[12:16]) }

// Dst4 returns the destination address as bytes.
func (h IPv4) Dst4() [4]byte { return [4]byte(h.b[16:20]) }

// Options returns the bytes between fixed header and payload, padding
// included. They belong to the packet.
func (h IPv4) Options() []byte { return h.b[IPv4Len:h.HeaderLen()] }

// Header returns the header's own bytes.
func (h IPv4) Header() []byte { return h.b[:h.HeaderLen()] }

// Payload returns what follows the header in the parsed slice, up to
// TotalLen. It is shorter than the packet says if the slice was.
func (h IPv4) Payload() []byte { return h.b[h.HeaderLen():min(h.TotalLen(), len(h.b))] }

// PseudoSum returns the pseudo header's sum for an upper layer of length
// bytes.
func (h IPv4) PseudoSum(length int) PartialSum {
	return PseudoIPv4(h.Src4(), h.Dst4(), h.b[9], length)
}

// Fields returns all values. Options belong to the packet.
func (h IPv4) Fields() IPv4Fields {
	return IPv4Fields{
		TOS: h.TOS(), TTL: h.TTL(), Protocol: h.Protocol(),
		DF: h.DF(), MF: h.MF(),
		TotalLen: uint16(h.TotalLen()), ID: h.ID(), FragOffset: uint16(h.FragOffset()),
		Src: h.Src4(), Dst: h.Dst4(), Options: h.Options(),
	}
}

// HeaderLen returns the length that PutIPv4 will write, in bytes.
func (f *IPv4Fields) HeaderLen() int { return IPv4Len + (len(f.Options)+3)&^3 }

// PutIPv4 writes a header with its checksum and returns its length in bytes.
// Options are padded with End of Option List; more than IPv4MaxOptions bytes
// of them panic.
func PutIPv4(b []byte, f *IPv4Fields) int {
	n := IPv4Len
	var opts uint16
	if len(f.Options) != 0 {
		n, opts = putIPv4Options(b, f)
	}
	frag := uint64(f.FragOffset >> 3)
	if f.DF {
		frag |= 0x4000
	}
	if f.MF {
		frag |= 0x2000
	}
	first := uint64(4<<4|n/4)<<56 | uint64(f.TOS)<<48 | uint64(f.TotalLen)<<32 | uint64(f.ID)<<16 | frag
	second := uint32(f.TTL)<<24 | uint32(f.Protocol)<<16
	// Summed from registers: loads that span several stores would wait.
	sum := fold(first>>32 + first&0xffffffff + uint64(second) + uint64(opts) +
		uint64(be.Uint32(f.Src[:])) + uint64(be.Uint32(f.Dst[:])))
	p := (*[IPv4Len]byte)(b)
	be.PutUint64(p[0:8], first)
	be.PutUint32(p[8:12], second|uint32(^sum))
	*(*[4]byte)(p[12:16]) = f.Src
	*(*[4]byte)(p[16:20]) = f.Dst
	return n
}

// putIPv4Options writes the options with padding and returns the header's
// length and the options' folded sum.
func putIPv4Options(b []byte, f *IPv4Fields) (n int, sum uint16) {
	n = f.HeaderLen()
	if n > IPv4MaxLen {
		panic("wire: IPv4 options longer than 40 bytes")
	}
	opts := b[IPv4Len:n]
	clear(opts[copy(opts, f.Options):])
	return n, Sum(opts, 0).Fold()
}
