package system

import (
	"encoding/binary"
	"net/netip"
)

// Datagram returns an IPv4 packet of PacketSize bytes that carries UDP from src
// to dst, with a valid header checksum and no UDP checksum, which IPv4 allows
// (RFC 768).
func Datagram(src, dst netip.Addr) []byte { return DatagramOf(src, dst, 4000, 4001) }

// DatagramOf is Datagram with ports.
func DatagramOf(src, dst netip.Addr, sport, dport uint16) []byte {
	const (
		ipHeader   = 20
		headerWord = 0x4500 // version 4, five words of header
		ttlUDP     = 64<<8 | 17
	)
	p := make([]byte, PacketSize)
	put := binary.BigEndian.PutUint16
	put(p[0:], headerWord)
	put(p[2:], PacketSize)
	put(p[8:], ttlUDP)
	copy(p[12:16], src.AsSlice())
	copy(p[16:20], dst.AsSlice())
	put(p[10:], headerChecksum(p[:ipHeader]))
	put(p[ipHeader:], sport)
	put(p[ipHeader+2:], dport)
	put(p[ipHeader+4:], PacketSize-ipHeader)
	return p
}

// headerChecksum is the Internet checksum (RFC 1071) of b, whose length is even.
func headerChecksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
