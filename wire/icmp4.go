package wire

import "net/netip"

// ICMPLen is the length of the fixed part of an ICMP message in bytes: type,
// code, checksum and four bytes whose meaning depends on the type.
const ICMPLen = 8

// Types of ICMP messages (RFC 792).
const (
	ICMP4EchoReply        = 0
	ICMP4Unreachable      = 3
	ICMP4SourceQuench     = 4 // deprecated; never sent, ignored (RFC 6633)
	ICMP4Redirect         = 5
	ICMP4Echo             = 8
	ICMP4RouterAdvert     = 9  // RFC 1256
	ICMP4RouterSolicit    = 10 // RFC 1256
	ICMP4TimeExceeded     = 11
	ICMP4ParamProblem     = 12
	ICMP4Timestamp        = 13
	ICMP4TimestampReply   = 14
	ICMP4ExtendedEcho     = 42 // RFC 8335
	ICMP4ExtendedEchoRply = 43 // RFC 8335
)

// Codes of ICMP4Unreachable (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1).
const (
	ICMP4NetUnreachable      = 0
	ICMP4HostUnreachable     = 1
	ICMP4ProtoUnreachable    = 2
	ICMP4PortUnreachable     = 3
	ICMP4FragNeeded          = 4 // with the next hop's MTU (RFC 1191 §4)
	ICMP4SourceRouteFailed   = 5
	ICMP4NetUnknown          = 6
	ICMP4HostUnknown         = 7
	ICMP4SourceIsolated      = 8
	ICMP4NetProhibited       = 9
	ICMP4HostProhibited      = 10
	ICMP4NetUnreachableTOS   = 11
	ICMP4HostUnreachableTOS  = 12
	ICMP4AdminProhibited     = 13
	ICMP4PrecedenceViolation = 14
	ICMP4PrecedenceCutoff    = 15
)

// Codes of ICMP4TimeExceeded.
const (
	ICMP4TTLExceeded        = 0
	ICMP4ReassemblyExceeded = 1
)

// Codes of ICMP4Redirect (RFC 792, RFC 1122 §3.2.2.2).
const (
	ICMP4RedirectNet     = 0
	ICMP4RedirectHost    = 1
	ICMP4RedirectNetTOS  = 2
	ICMP4RedirectHostTOS = 3
)

// Codes of ICMP4ParamProblem.
const (
	ICMP4BadOctet      = 0 // Pointer names it
	ICMP4MissingOption = 1 // RFC 1108
	ICMP4BadLength     = 2 // RFC 1812 §5.2.7.2, IANA
)

// An ICMP4 is a checked view of an ICMP message (RFC 792).
type ICMP4 struct{ b []byte }

// ParseICMP4 returns the message that fills b.
func ParseICMP4(b []byte) (ICMP4, bool) {
	if len(b) < ICMPLen {
		return ICMP4{}, false
	}
	return ICMP4{b}, true
}

// Type returns the type.
func (m ICMP4) Type() uint8 { return m.b[0] }

// Code returns the code, whose meaning depends on the type.
func (m ICMP4) Code() uint8 { return m.b[1] }

// Checksum returns the checksum as it is written.
func (m ICMP4) Checksum() uint16 { return be.Uint16(m.b[2:4]) }

// ChecksumOK reports whether the checksum over the whole message is right.
func (m ICMP4) ChecksumOK() bool { return Sum(m.b, 0).Valid() }

// ID returns the identifier of echo and timestamp messages.
func (m ICMP4) ID() uint16 { return be.Uint16(m.b[4:6]) }

// Seq returns the sequence number of echo and timestamp messages.
func (m ICMP4) Seq() uint16 { return be.Uint16(m.b[6:8]) }

// MTU returns the next hop's MTU in bytes, from ICMP4FragNeeded. Zero means
// that the router does not know of RFC 1191.
func (m ICMP4) MTU() int { return int(be.Uint16(m.b[6:8])) }

// Pointer returns the offset of the octet that was in the way, from
// ICMP4ParamProblem.
func (m ICMP4) Pointer() uint8 { return m.b[4] }

// Gateway returns the better first hop, from ICMP4Redirect.
func (m ICMP4) Gateway() netip.Addr { return netip.AddrFrom4([4]byte(m.b[4:8])) }

// Payload returns what follows the fixed part: echo data, or for an error
// the packet that caused it, with extensions.
func (m ICMP4) Payload() []byte { return m.b[ICMPLen:] }

// IsError reports whether the message is one that is never answered with an
// ICMP error, because it is one itself (RFC 1122 §3.2.2). A type that nobody
// knows does not count.
func (m ICMP4) IsError() bool { return IsICMP4Error(m.b[0]) }

// IsICMP4Error reports whether typ reports an error (RFC 1122 §3.2.2).
func IsICMP4Error(typ uint8) bool {
	switch typ {
	case ICMP4Unreachable, ICMP4SourceQuench, ICMP4Redirect, ICMP4TimeExceeded, ICMP4ParamProblem:
		return true
	}
	return false
}

// Quoted returns the part of the offending packet that an error carries, and
// its extensions, nil if there are none (RFC 4884 §5.1). Unless IsError, both
// are nil.
func (m ICMP4) Quoted() (packet, ext []byte) {
	if !m.IsError() {
		return nil, nil
	}
	words := 0
	switch m.b[0] {
	case ICMP4Unreachable, ICMP4TimeExceeded, ICMP4ParamProblem:
		words = int(m.b[5])
	}
	return splitQuote(m.Payload(), words*4)
}

// SetID changes the identifier of an echo message, and the checksum with it.
func (m ICMP4) SetID(id uint16) {
	sum := UpdateChecksum16(m.Checksum(), m.ID(), id)
	be.PutUint16(m.b[4:6], id)
	be.PutUint16(m.b[2:4], sum)
}

// SetChecksum changes the checksum field.
func (m ICMP4) SetChecksum(sum uint16) { be.PutUint16(m.b[2:4], sum) }

// PutICMP4 writes the fixed part, ICMPLen bytes, with a checksum of zero.
// rest are the four bytes after the checksum: see ICMPEchoRest, ICMP4MTURest,
// ICMP4PointerRest, and a gateway's address for a redirect.
func PutICMP4(b []byte, typ, code uint8, rest uint32) {
	be.PutUint64(b, uint64(typ)<<56|uint64(code)<<48|uint64(rest))
}

// FinishICMP4 computes and writes the checksum of the message that fills b.
func FinishICMP4(b []byte) {
	be.PutUint16(b[2:4], 0)
	be.PutUint16(b[2:4], Checksum(b))
}

// ICMPEchoRest returns the rest of an echo or timestamp message, in both
// families.
func ICMPEchoRest(id, seq uint16) uint32 { return uint32(id)<<16 | uint32(seq) }

// ICMP4MTURest returns the rest of ICMP4FragNeeded.
func ICMP4MTURest(mtu int) uint32 { return uint32(min(max(mtu, 0), 0xffff)) }

// ICMP4PointerRest returns the rest of ICMP4ParamProblem.
func ICMP4PointerRest(offset int) uint32 { return uint32(uint8(offset)) << 24 }
