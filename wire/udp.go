package wire

// UDPLen is the length of a UDP header in bytes.
const UDPLen = 8

// UDPChecksumOffset is where the checksum lies in the header, for devices
// that complete it.
const UDPChecksumOffset = 6

// A UDP is a checked view of a UDP header (RFC 768).
type UDP struct{ b []byte }

// ParseUDP returns the header in front of b. The payload need not be in b:
// the caller compares Len with what it has; bytes beyond Len are a surplus
// area (RFC 9868 §7) that UDP ignores. A length below UDPLen is not ok.
func ParseUDP(b []byte) (UDP, bool) {
	if len(b) < UDPLen || be.Uint16(b[4:6]) < UDPLen {
		return UDP{}, false
	}
	return UDP{b}, true
}

// SrcPort returns the source port; zero means no answer is expected.
func (h UDP) SrcPort() uint16 { return be.Uint16(h.b[0:2]) }

// DstPort returns the destination port.
func (h UDP) DstPort() uint16 { return be.Uint16(h.b[2:4]) }

// Len returns the length of header and payload in bytes.
func (h UDP) Len() int { return int(be.Uint16(h.b[4:6])) }

// Checksum returns the checksum as it is written; zero means that the sender
// computed none, which IPv6 forbids (RFC 8200 §8.1).
func (h UDP) Checksum() uint16 { return be.Uint16(h.b[6:8]) }

// Payload returns what follows the header in the parsed slice, up to Len. It
// is shorter than the header says if the slice was.
func (h UDP) Payload() []byte { return h.b[UDPLen:min(h.Len(), len(h.b))] }

// SetChecksum changes the checksum field.
func (h UDP) SetChecksum(sum uint16) { be.PutUint16(h.b[6:8], sum) }

// SetSrcPort changes the source port and nothing else.
func (h UDP) SetSrcPort(p uint16) { be.PutUint16(h.b[0:2], p) }

// SetDstPort changes the destination port and nothing else.
func (h UDP) SetDstPort(p uint16) { be.PutUint16(h.b[2:4], p) }

// PutUDP writes a header of UDPLen bytes for a payload of n bytes, with a
// checksum of zero.
func PutUDP(b []byte, src, dst uint16, n int) {
	be.PutUint64(b, uint64(src)<<48|uint64(dst)<<32|uint64(uint16(UDPLen+n))<<16)
}
