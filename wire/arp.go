package wire

import "net/netip"

// ARPLen is the length of an ARP packet for IPv4 over Ethernet in bytes.
const ARPLen = 28

// ARP operations (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// An ARP is a checked view of an ARP packet that maps IPv4 to Ethernet
// (RFC 826).
type ARP struct{ b []byte }

// ARPFields are the values of an ARP packet.
type ARPFields struct {
	Op        uint16
	SenderMAC MAC
	SenderIP  [4]byte
	TargetMAC MAC
	TargetIP  [4]byte
}

// ParseARP returns the packet in front of b. Other hardware and protocol
// spaces than Ethernet and IPv4 are not ok, as RFC 826 wants ("Do I have the
// hardware type in ar$hrd?").
func ParseARP(b []byte) (ARP, bool) {
	const space = 1<<48 | EtherTypeIPv4<<32 | 6<<24 | 4<<16
	if len(b) < ARPLen || be.Uint64(b)&^0xffff != space {
		return ARP{}, false
	}
	return ARP{b}, true
}

// Op returns the operation, usually ARPRequest or ARPReply.
func (a ARP) Op() uint16 { return be.Uint16(a.b[6:8]) }

// SenderMAC returns the hardware address of who speaks.
func (a ARP) SenderMAC() MAC { return MAC(a.b[8:14]) }

// SenderIP returns the address of who speaks; unspecified in a probe.
func (a ARP) SenderIP() netip.Addr { return netip.AddrFrom4([4]byte(a.b[14:18])) }

// TargetMAC returns the hardware address of who is spoken to; it has no
// meaning in a request.
func (a ARP) TargetMAC() MAC { return MAC(a.b[18:24]) }

// TargetIP returns the address of who is spoken to.
func (a ARP) TargetIP() netip.Addr { return netip.AddrFrom4([4]byte(a.b[24:28])) }

// Fields returns all values.
func (a ARP) Fields() ARPFields {
	return ARPFields{
		Op:        a.Op(),
		SenderMAC: a.SenderMAC(), SenderIP: [4]byte(a.b[14:18]),
		TargetMAC: a.TargetMAC(), TargetIP: [4]byte(a.b[24:28]),
	}
}

// IsProbe reports whether a asks for an address that its sender does not use
// yet (RFC 5227 §1.1).
func (a ARP) IsProbe() bool { return a.Op() == ARPRequest && be.Uint32(a.b[14:18]) == 0 }

// IsAnnouncement reports whether a tells everybody of its sender's address
// (RFC 5227 §1.1): a request, or by older habit a reply, whose sender and
// target address are the same (RFC 5227 §3).
func (a ARP) IsAnnouncement() bool {
	ip := be.Uint32(a.b[14:18])
	return ip != 0 && ip == be.Uint32(a.b[24:28])
}

// PutARP writes a packet of ARPLen bytes.
func PutARP(b []byte, f ARPFields) {
	p := (*[ARPLen]byte)(b)
	be.PutUint64(p[0:8], 1<<48|EtherTypeIPv4<<32|6<<24|4<<16|uint64(f.Op))
	*(*MAC)(p[8:14]) = f.SenderMAC
	*(*[4]byte)(p[14:18]) = f.SenderIP
	*(*MAC)(p[18:24]) = f.TargetMAC
	*(*[4]byte)(p[24:28]) = f.TargetIP
}

// ARPRequestFor returns the fields that ask for target.
func ARPRequestFor(target [4]byte, mac MAC, ip [4]byte) ARPFields {
	return ARPFields{Op: ARPRequest, SenderMAC: mac, SenderIP: ip, TargetIP: target}
}

// ARPProbeFor returns the fields of a probe: the sender's address is zero, so
// that nobody's cache takes it up (RFC 5227 §2.1.1).
func ARPProbeFor(ip [4]byte, mac MAC) ARPFields {
	return ARPFields{Op: ARPRequest, SenderMAC: mac, TargetIP: ip}
}

// ARPAnnouncementOf returns the fields of an announcement (RFC 5227 §2.3).
func ARPAnnouncementOf(ip [4]byte, mac MAC) ARPFields {
	return ARPFields{Op: ARPRequest, SenderMAC: mac, SenderIP: ip, TargetIP: ip}
}

// Reply returns the fields that answer request a: its target, at mac, speaks
// to its sender.
func (a ARP) Reply(mac MAC) ARPFields {
	f := a.Fields()
	return ARPFields{
		Op:        ARPReply,
		SenderMAC: mac, SenderIP: f.TargetIP,
		TargetMAC: f.SenderMAC, TargetIP: f.SenderIP,
	}
}
