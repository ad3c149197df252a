package wire

// EtherTypes, in the registry that RFC 9542 §3 describes.
const (
	EtherTypeIPv4 = 0x0800 // RFC 894
	EtherTypeARP  = 0x0806 // RFC 826
	EtherTypeVLAN = 0x8100 // IEEE 802.1Q customer tag
	EtherTypeIPv6 = 0x86dd // RFC 2464 §3
	EtherTypeQinQ = 0x88a8 // IEEE 802.1ad service tag

	// EtherTypeMin is the least value that is a type; anything smaller is
	// the length of an IEEE 802.3 frame (RFC 1122 §2.3.3).
	EtherTypeMin = 0x0600
)

// Protocol numbers of IPv4 and next-header values of IPv6: one registry for
// both (RFC 5237).
const (
	ProtoHopByHop = 0   // RFC 8200 §4.3
	ProtoICMP     = 1   // RFC 792
	ProtoIGMP     = 2   // RFC 3376
	ProtoIPv4     = 4   // RFC 2003
	ProtoTCP      = 6   // RFC 9293
	ProtoUDP      = 17  // RFC 768
	ProtoIPv6     = 41  // RFC 2473
	ProtoRouting  = 43  // RFC 8200 §4.4
	ProtoFragment = 44  // RFC 8200 §4.5
	ProtoGRE      = 47  // RFC 2784
	ProtoESP      = 50  // RFC 4303
	ProtoAH       = 51  // RFC 4302
	ProtoICMPv6   = 58  // RFC 4443
	ProtoNoNext   = 59  // RFC 8200 §4.7
	ProtoDstOpts  = 60  // RFC 8200 §4.6
	ProtoSCTP     = 132 // RFC 9260
	ProtoUDPLite  = 136 // RFC 3828
	ProtoRaw      = 255 // reserved; Linux's IPPROTO_RAW
)

// ECN is the codepoint in the two low bits of TOS and traffic class
// (RFC 3168 §5).
const (
	ECNNotECT = 0
	ECNECT1   = 1
	ECNECT0   = 2
	ECNCE     = 3
	ECNMask   = 3
)
