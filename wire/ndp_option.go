package wire

import "net/netip"

// Types of Neighbour Discovery options.
const (
	NDPOptSourceLink = 1  // RFC 4861 §4.6.1
	NDPOptTargetLink = 2  // RFC 4861 §4.6.1
	NDPOptPrefix     = 3  // RFC 4861 §4.6.2
	NDPOptRedirected = 4  // RFC 4861 §4.6.3
	NDPOptMTU        = 5  // RFC 4861 §4.6.4
	NDPOptNonce      = 14 // RFC 3971 §5.3.2, RFC 7527
	NDPOptRoute      = 24 // RFC 4191 §2.3
	NDPOptRDNSS      = 25 // RFC 8106 §5.1
	NDPOptDNSSL      = 31 // RFC 8106 §5.2
)

// Lengths of options in bytes.
const (
	NDPLinkAddrLen   = 8 // for Ethernet (RFC 2464 §6)
	NDPPrefixLen     = 32
	NDPMTULen        = 8
	NDPRedirectedLen = 8 // before the packet
	NDPRDNSSLen      = 8 // before the addresses
)

// NDPInfinite is a lifetime that does not end, in seconds.
const NDPInfinite = 0xffffffff

// ndpOptionsOK reports whether options of legal lengths fill b: "Nodes MUST
// silently discard an ND packet that contains an option with length zero"
// (RFC 4861 §4.6).
func ndpOptionsOK(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) {
			return false
		}
		b = b[int(b[1])*8:]
	}
	return true
}

// NDPOptions walks over the options of a message that has been checked. It is
// a value: a copy goes its own way.
type NDPOptions struct{ rest []byte }

// Next returns the next option; it is not ok at the end.
func (w *NDPOptions) Next() (o NDPOption, ok bool) {
	if len(w.rest) == 0 {
		return NDPOption{}, false
	}
	n := int(w.rest[1]) * 8
	o = NDPOption{w.rest[:n:n]}
	w.rest = w.rest[n:]
	return o, true
}

// An NDPOption is one option; NDPOptions makes it. The methods that read a
// type are not ok for options of another type or of too short a length;
// what lies beyond the known length is ignored (RFC 4861 §9).
type NDPOption struct{ b []byte }

// Type returns the type octet.
func (o NDPOption) Type() uint8 { return o.b[0] }

// Bytes returns the whole option. It belongs to the packet.
func (o NDPOption) Bytes() []byte { return o.b }

func (o NDPOption) is(typ uint8, n int) bool { return o.b[0] == typ && len(o.b) >= n }

// LinkAddr returns the Ethernet address in a source or target link-layer
// address option.
func (o NDPOption) LinkAddr() (m MAC, ok bool) {
	if !o.is(NDPOptSourceLink, NDPLinkAddrLen) && !o.is(NDPOptTargetLink, NDPLinkAddrLen) {
		return MAC{}, false
	}
	return MAC(o.b[2:8]), true
}

// MTU returns the link's MTU in bytes.
func (o NDPOption) MTU() (mtu uint32, ok bool) {
	if !o.is(NDPOptMTU, NDPMTULen) {
		return 0, false
	}
	return be.Uint32(o.b[4:8]), true
}

// NDPPrefix are the values of a prefix information option.
type NDPPrefix struct {
	Bits       uint8 // of Prefix that are valid, up to 128
	OnLink     bool
	Autonomous bool   // for address configuration (RFC 4862)
	Valid      uint32 // lifetime in s, or NDPInfinite
	Preferred  uint32 // lifetime in s, or NDPInfinite
	Prefix     [16]byte
}

// Prefix returns a prefix information option. A length above 128 is not ok.
func (o NDPOption) Prefix() (p NDPPrefix, ok bool) {
	if !o.is(NDPOptPrefix, NDPPrefixLen) || o.b[2] > 128 {
		return NDPPrefix{}, false
	}
	return NDPPrefix{
		Bits: o.b[2], OnLink: o.b[3]&0x80 != 0, Autonomous: o.b[3]&0x40 != 0,
		Valid: be.Uint32(o.b[4:8]), Preferred: be.Uint32(o.b[8:12]), Prefix: [16]byte(o.b[16:32]),
	}, true
}

// NDPRoute are the values of a route information option (RFC 4191 §2.3).
type NDPRoute struct {
	Bits       uint8 // of Prefix that are valid, up to 128
	Preference uint8 // PreferenceMedium, High or Low
	Lifetime   uint32
	Prefix     [16]byte
}

// Route returns a route information option. It is not ok if the prefix does
// not fit the option, and with the reserved preference ("the Route
// Information Option MUST be ignored", RFC 4191 §2.3).
func (o NDPOption) Route() (r NDPRoute, ok bool) {
	if !o.is(NDPOptRoute, 8) || len(o.b) > 24 || o.b[2] > 128 ||
		len(o.b) < routeLen(o.b[2]) || o.b[3]>>3&3 == 2 {
		return NDPRoute{}, false
	}
	r = NDPRoute{Bits: o.b[2], Preference: o.b[3] >> 3 & 3, Lifetime: be.Uint32(o.b[4:8])}
	copy(r.Prefix[:], o.b[8:])
	return r, true
}

// routeLen returns the length of a route information option for a prefix of
// so many bits: "depending on Prefix Length" 8, 16 or 24 bytes.
func routeLen(bits uint8) int { return 8 + (int(bits)+63)/64*8 }

// Redirected returns the packet that a Redirect is about, or its beginning,
// padded to a multiple of 8 bytes.
func (o NDPOption) Redirected() (packet []byte, ok bool) {
	if !o.is(NDPOptRedirected, NDPRedirectedLen) {
		return nil, false
	}
	return o.b[NDPRedirectedLen:], true
}

// An NDPServers is a checked view of a recursive DNS server option.
type NDPServers struct{ b []byte }

// RDNSS returns a recursive DNS server option, which holds one address at
// least (RFC 8106 §5.3.1).
func (o NDPOption) RDNSS() (NDPServers, bool) {
	if !o.is(NDPOptRDNSS, NDPRDNSSLen+16) || len(o.b)%16 != 8 {
		return NDPServers{}, false
	}
	return NDPServers(o), true
}

// Lifetime returns for how long the servers may be used, in seconds, or
// NDPInfinite; zero means no longer.
func (s NDPServers) Lifetime() uint32 { return be.Uint32(s.b[4:8]) }

// Len returns the number of servers.
func (s NDPServers) Len() int { return len(s.b) / 16 }

// At returns the i-th server, 0 <= i < Len.
func (s NDPServers) At(i int) netip.Addr {
	return netip.AddrFrom16([16]byte(s.b[NDPRDNSSLen+16*i:]))
}

// PutNDPLinkAddr writes an option of NDPLinkAddrLen bytes; typ is
// NDPOptSourceLink or NDPOptTargetLink.
func PutNDPLinkAddr(b []byte, typ uint8, m MAC) {
	b[0], b[1] = typ, NDPLinkAddrLen/8
	copy(b[2:NDPLinkAddrLen], m[:])
}

// PutNDPMTU writes an option of NDPMTULen bytes.
func PutNDPMTU(b []byte, mtu uint32) {
	be.PutUint64(b, NDPOptMTU<<56|NDPMTULen/8<<48|uint64(mtu))
}

// PutNDPPrefix writes an option of NDPPrefixLen bytes.
func PutNDPPrefix(b []byte, p NDPPrefix) {
	var flags uint8
	if p.OnLink {
		flags |= 0x80
	}
	if p.Autonomous {
		flags |= 0x40
	}
	b[0], b[1], b[2], b[3] = NDPOptPrefix, NDPPrefixLen/8, p.Bits, flags
	be.PutUint32(b[4:], p.Valid)
	be.PutUint32(b[8:], p.Preferred)
	be.PutUint32(b[12:], 0)
	copy(b[16:NDPPrefixLen], p.Prefix[:])
}

// PutNDPRoute writes a route information option of the least length that
// holds the prefix and returns that length in bytes.
func PutNDPRoute(b []byte, r NDPRoute) int {
	n := routeLen(r.Bits)
	b[0], b[1], b[2], b[3] = NDPOptRoute, uint8(n/8), r.Bits, r.Preference&3<<3
	be.PutUint32(b[4:], r.Lifetime)
	copy(b[8:n], r.Prefix[:])
	return n
}

// PutNDPRDNSS writes a recursive DNS server option and returns its length in
// bytes: NDPRDNSSLen and 16 for each server.
func PutNDPRDNSS(b []byte, lifetime uint32, servers ...[16]byte) int {
	n := NDPRDNSSLen + 16*len(servers)
	be.PutUint64(b, NDPOptRDNSS<<56|uint64(n/8)<<48|uint64(lifetime))
	for i := range servers {
		copy(b[NDPRDNSSLen+16*i:n], servers[i][:])
	}
	return n
}

// PutNDPRedirected writes an option with the beginning of packet, padded with
// zeros, and returns its length in bytes. At most 2032 bytes of packet fit;
// the caller keeps the whole message within IPv6MinMTU (RFC 4861 §4.6.3).
func PutNDPRedirected(b []byte, packet []byte) int {
	packet = packet[:min(len(packet), 255*8-NDPRedirectedLen)]
	n := NDPRedirectedLen + (len(packet)+7)&^7
	be.PutUint64(b, NDPOptRedirected<<56|uint64(n/8)<<48)
	d := b[NDPRedirectedLen:n]
	clear(d[copy(d, packet):])
	return n
}
