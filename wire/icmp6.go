package wire

// Types of ICMPv6 messages. Those below 128 report errors (RFC 4443 §2.1).
const (
	ICMP6Unreachable      = 1
	ICMP6PacketTooBig     = 2
	ICMP6TimeExceeded     = 3
	ICMP6ParamProblem     = 4
	ICMP6Echo             = 128
	ICMP6EchoReply        = 129
	ICMP6MLDQuery         = 130 // RFC 2710, RFC 3810
	ICMP6MLDReport        = 131 // version 1, RFC 2710
	ICMP6MLDDone          = 132 // version 1, RFC 2710
	ICMP6RouterSolicit    = 133 // RFC 4861
	ICMP6RouterAdvert     = 134 // RFC 4861
	ICMP6NeighborSolicit  = 135 // RFC 4861
	ICMP6NeighborAdvert   = 136 // RFC 4861
	ICMP6Redirect         = 137 // RFC 4861
	ICMP6MLDv2Report      = 143 // RFC 3810
	ICMP6ExtendedEcho     = 160 // RFC 8335
	ICMP6ExtendedEchoRply = 161 // RFC 8335
)

// Codes of ICMP6Unreachable (RFC 4443 §3.1).
const (
	ICMP6NoRoute            = 0
	ICMP6AdminProhibited    = 1
	ICMP6BeyondScope        = 2
	ICMP6AddrUnreachable    = 3
	ICMP6PortUnreachable    = 4
	ICMP6SourcePolicy       = 5
	ICMP6RejectRoute        = 6
	ICMP6SourceRoutingError = 7 // RFC 6550
)

// Codes of ICMP6TimeExceeded (RFC 4443 §3.3).
const (
	ICMP6HopLimitExceeded   = 0
	ICMP6ReassemblyExceeded = 1
)

// Codes of ICMP6ParamProblem (RFC 4443 §3.4, RFC 7112 §5).
const (
	ICMP6BadField        = 0
	ICMP6BadNextHeader   = 1
	ICMP6BadOption       = 2
	ICMP6IncompleteChain = 3
)

// An ICMP6 is a checked view of an ICMPv6 message (RFC 4443 §2.1).
type ICMP6 struct{ b []byte }

// ParseICMP6 returns the message that fills b.
func ParseICMP6(b []byte) (ICMP6, bool) {
	if len(b) < ICMPLen {
		return ICMP6{}, false
	}
	return ICMP6{b}, true
}

// Type returns the type.
func (m ICMP6) Type() uint8 { return m.b[0] }

// Code returns the code, whose meaning depends on the type.
func (m ICMP6) Code() uint8 { return m.b[1] }

// Checksum returns the checksum as it is written.
func (m ICMP6) Checksum() uint16 { return be.Uint16(m.b[2:4]) }

// ChecksumOK reports whether the checksum over pseudo header and message is
// right (RFC 4443 §2.3).
func (m ICMP6) ChecksumOK(src, dst [16]byte) bool {
	return Sum(m.b, PseudoIPv6(src, dst, ProtoICMPv6, len(m.b))).Valid()
}

// ID returns the identifier of an echo message.
func (m ICMP6) ID() uint16 { return be.Uint16(m.b[4:6]) }

// Seq returns the sequence number of an echo message.
func (m ICMP6) Seq() uint16 { return be.Uint16(m.b[6:8]) }

// MTU returns the next hop's MTU in bytes, from ICMP6PacketTooBig. It may be
// any value that fits into 32 bits.
func (m ICMP6) MTU() uint32 { return be.Uint32(m.b[4:8]) }

// Pointer returns the offset of the octet that was in the way, from
// ICMP6ParamProblem. It may lie beyond what is quoted.
func (m ICMP6) Pointer() uint32 { return be.Uint32(m.b[4:8]) }

// Payload returns what follows the fixed part.
func (m ICMP6) Payload() []byte { return m.b[ICMPLen:] }

// IsError reports whether the type is below 128; such a message is never
// answered with an error (RFC 4443 §2.4 (e.1)).
func (m ICMP6) IsError() bool { return m.b[0] < 128 }

// Quoted returns the part of the offending packet that an error carries, and
// its extensions, nil if there are none (RFC 4884 §5.2). Unless IsError, both
// are nil.
func (m ICMP6) Quoted() (packet, ext []byte) {
	if !m.IsError() {
		return nil, nil
	}
	words := 0
	switch m.b[0] {
	case ICMP6Unreachable, ICMP6TimeExceeded:
		words = int(m.b[4])
	}
	return splitQuote(m.Payload(), words*8)
}

// SetID changes the identifier of an echo message, and the checksum with it.
func (m ICMP6) SetID(id uint16) {
	sum := UpdateChecksum16(m.Checksum(), m.ID(), id)
	be.PutUint16(m.b[4:6], id)
	be.PutUint16(m.b[2:4], sum)
}

// SetChecksum changes the checksum field.
func (m ICMP6) SetChecksum(sum uint16) { be.PutUint16(m.b[2:4], sum) }

// PutICMP6 writes the fixed part, ICMPLen bytes, with a checksum of zero.
// rest are the four bytes after the checksum: ICMPEchoRest, an MTU, a
// pointer, or zero.
func PutICMP6(b []byte, typ, code uint8, rest uint32) {
	be.PutUint64(b, uint64(typ)<<56|uint64(code)<<48|uint64(rest))
}

// FinishICMP6 computes and writes the checksum of the message that fills b
// and goes from src to dst.
func FinishICMP6(b []byte, src, dst [16]byte) {
	be.PutUint16(b[2:4], 0)
	be.PutUint16(b[2:4], Sum(b, PseudoIPv6(src, dst, ProtoICMPv6, len(b))).Finish())
}
