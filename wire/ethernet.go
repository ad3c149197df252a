package wire

// Lengths of Ethernet's headers in bytes.
const (
	EthernetLen = 14
	VLANLen     = 4
)

// An Ethernet is a checked view of an Ethernet II header (RFC 894).
type Ethernet struct{ b []byte }

// ParseEthernet returns the header in front of frame b, which has no
// preamble and no frame check sequence.
func ParseEthernet(b []byte) (Ethernet, bool) {
	if len(b) < EthernetLen {
		return Ethernet{}, false
	}
	return Ethernet{b}, true
}

// Dst returns the destination address.
func (h Ethernet) Dst() MAC { return MAC(h.b[0:6]) }

// Src returns the source address.
func (h Ethernet) Src() MAC { return MAC(h.b[6:12]) }

// EtherType returns the type of the payload; a value below EtherTypeMin is a
// length (IEEE 802.3).
func (h Ethernet) EtherType() uint16 { return be.Uint16(h.b[12:14]) }

// Payload returns what follows the header, link padding included.
func (h Ethernet) Payload() []byte { return h.b[EthernetLen:] }

// SetDst changes the destination address.
func (h Ethernet) SetDst(m MAC) { *(*MAC)(h.b[0:6]) = m }

// SetSrc changes the source address.
func (h Ethernet) SetSrc(m MAC) { *(*MAC)(h.b[6:12]) = m }

// PutEthernet writes a header of EthernetLen bytes.
func PutEthernet(b []byte, dst, src MAC, etherType uint16) {
	p := (*[EthernetLen]byte)(b)
	*(*MAC)(p[0:6]) = dst
	*(*MAC)(p[6:12]) = src
	be.PutUint16(p[12:14], etherType)
}

// A VLAN is a checked view of what follows EtherTypeVLAN or EtherTypeQinQ:
// the tag control information and the inner EtherType (IEEE 802.1Q §9.6).
type VLAN struct{ b []byte }

// ParseVLAN returns the tag in front of b.
func ParseVLAN(b []byte) (VLAN, bool) {
	if len(b) < VLANLen {
		return VLAN{}, false
	}
	return VLAN{b}, true
}

// ID returns the VLAN identifier, 0 to 4095. Zero means that the tag carries
// a priority only; 4095 is reserved.
func (h VLAN) ID() uint16 { return be.Uint16(h.b[0:2]) & 0xfff }

// Priority returns the priority code point, 0 to 7.
func (h VLAN) Priority() uint8 { return h.b[0] >> 5 }

// DropEligible returns the drop eligible indicator.
func (h VLAN) DropEligible() bool { return h.b[0]&0x10 != 0 }

// EtherType returns the type of the payload.
func (h VLAN) EtherType() uint16 { return be.Uint16(h.b[2:4]) }

// Payload returns what follows the tag.
func (h VLAN) Payload() []byte { return h.b[VLANLen:] }

// PutVLAN writes a tag of VLANLen bytes. Bits of id above the 12th and of
// priority above the third are ignored.
func PutVLAN(b []byte, id uint16, priority uint8, dropEligible bool, etherType uint16) {
	tci := id&0xfff | uint16(priority&7)<<13
	if dropEligible {
		tci |= 0x1000
	}
	be.PutUint16(b[0:2], tci)
	be.PutUint16(b[2:4], etherType)
}
