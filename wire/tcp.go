package wire

// Lengths of TCP in bytes, and where the checksum lies in the header.
const (
	TCPLen            = 20 // header without options
	TCPMaxLen         = 60 // header with the most options that fit
	TCPMaxOptions     = 40 // options alone
	TCPChecksumOffset = 16
)

// Control bits (RFC 9293 §3.1), as they lie in the header's 13th and 14th
// octets. AE is the former nonce bit (RFC 9768 §3.1).
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAck
	TCPUrg
	TCPEce
	TCPCwr
	TCPAe
)

// A TCP is a checked view of a TCP header (RFC 9293 §3.1).
type TCP struct{ b []byte }

// TCPFields are the values of a TCP header without its options. The data
// offset is computed.
type TCPFields struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            uint16 // TCPFin ... TCPAe
	Window           uint16 // as it is written, before scaling
	Checksum         uint16
	Urgent           uint16
}

// ParseTCP returns the header in front of b, which holds all of it, options
// included; payload may lie elsewhere.
func ParseTCP(b []byte) (TCP, bool) {
	if len(b) < TCPLen {
		return TCP{}, false
	}
	if n := int(b[12]>>4) * 4; n < TCPLen || n > len(b) {
		return TCP{}, false
	}
	return TCP{b}, true
}

// SrcPort returns the source port.
func (h TCP) SrcPort() uint16 { return be.Uint16(h.b[0:2]) }

// DstPort returns the destination port.
func (h TCP) DstPort() uint16 { return be.Uint16(h.b[2:4]) }

// Seq returns the sequence number of the first octet, or of SYN.
func (h TCP) Seq() uint32 { return be.Uint32(h.b[4:8]) }

// Ack returns the acknowledgment number, valid with TCPAck.
func (h TCP) Ack() uint32 { return be.Uint32(h.b[8:12]) }

// HeaderLen returns the header length in bytes, options included.
func (h TCP) HeaderLen() int { return int(h.b[12]>>4) * 4 }

// Flags returns the nine control bits.
func (h TCP) Flags() uint16 { return be.Uint16(h.b[12:14]) & 0x1ff }

// Window returns the window field, before scaling.
func (h TCP) Window() uint16 { return be.Uint16(h.b[14:16]) }

// Checksum returns the checksum as it is written.
func (h TCP) Checksum() uint16 { return be.Uint16(h.b[16:18]) }

// Urgent returns the urgent pointer, valid with TCPUrg.
func (h TCP) Urgent() uint16 { return be.Uint16(h.b[18:20]) }

// Options returns the bytes between fixed header and payload, padding
// included. They belong to the packet.
func (h TCP) Options() []byte { return h.b[TCPLen:h.HeaderLen()] }

// Payload returns what follows the header in the parsed slice.
func (h TCP) Payload() []byte { return h.b[h.HeaderLen():] }

// Fields returns all values but the options.
func (h TCP) Fields() TCPFields {
	return TCPFields{
		SrcPort: h.SrcPort(), DstPort: h.DstPort(), Seq: h.Seq(), Ack: h.Ack(),
		Flags: h.Flags(), Window: h.Window(), Checksum: h.Checksum(), Urgent: h.Urgent(),
	}
}

// SetSeq changes the sequence number and nothing else.
func (h TCP) SetSeq(v uint32) { be.PutUint32(h.b[4:8], v) }

// SetAck changes the acknowledgment number and nothing else.
func (h TCP) SetAck(v uint32) { be.PutUint32(h.b[8:12], v) }

// SetFlags changes the nine control bits and nothing else.
func (h TCP) SetFlags(v uint16) { be.PutUint16(h.b[12:14], be.Uint16(h.b[12:14])&^0x1ff|v&0x1ff) }

// SetWindow changes the window field and nothing else.
func (h TCP) SetWindow(v uint16) { be.PutUint16(h.b[14:16], v) }

// SetChecksum changes the checksum field.
func (h TCP) SetChecksum(sum uint16) { be.PutUint16(h.b[16:18], sum) }

// SetSrcPort changes the source port and nothing else.
func (h TCP) SetSrcPort(p uint16) { be.PutUint16(h.b[0:2], p) }

// SetDstPort changes the destination port and nothing else.
func (h TCP) SetDstPort(p uint16) { be.PutUint16(h.b[2:4], p) }

// PutTCP writes a header of TCPLen bytes whose data offset counts optLen
// bytes of options, a multiple of 4 up to TCPMaxOptions. The options
// themselves are TCPOptions.Put's to write.
func PutTCP(b []byte, f *TCPFields, optLen int) {
	p := (*[TCPLen]byte)(b)
	// Whole words, so that Sum can load what the stores have not yet written.
	be.PutUint64(p[0:8], uint64(f.SrcPort)<<48|uint64(f.DstPort)<<32|uint64(f.Seq))
	be.PutUint64(p[8:16], uint64(f.Ack)<<32|uint64(TCPLen+optLen)>>2<<28|
		uint64(f.Flags&0x1ff)<<16|uint64(f.Window))
	be.PutUint32(p[16:20], uint32(f.Checksum)<<16|uint32(f.Urgent))
}
