package wire

import "encoding/binary"

// Lengths of the header that goes before every packet of a TUN/TAP device
// with IFF_VNET_HDR, in bytes; TUNSETVNETHDRSZ chooses.
const (
	VNetLen   = 10 // struct virtio_net_hdr
	VNetV1Len = 12 // struct virtio_net_hdr_v1, with the number of buffers
)

// Flags of VNet (virtio 1.2 §5.1.6).
const (
	// VNetNeedsCsum: the checksum field holds the folded sum of the pseudo
	// header only; whoever puts the packet on a wire sums from CsumStart to
	// the end and writes the result at CsumStart+CsumOffset.
	VNetNeedsCsum = 1
	// VNetDataValid: the checksum has been checked.
	VNetDataValid = 2
)

// Segmentation types of VNet. VNetGSOECN is a flag beside a TCP type: the
// first segment only keeps CWR (RFC 3168 §6.1.2).
const (
	VNetGSONone  = 0
	VNetGSOTCPv4 = 1
	VNetGSOUDP   = 3 // fragmentation by IP
	VNetGSOTCPv6 = 4
	VNetGSOUDPL4 = 5 // datagrams of GSOSize each
	VNetGSOECN   = 0x80
)

// A VNet is a virtio-net header in little-endian order, as TUNSETVNETLE and
// virtio 1 have it. The zero value goes before a packet that needs nothing.
type VNet struct {
	Flags      uint8
	GSOType    uint8
	HdrLen     uint16 // headers up to the payload that is cut, in bytes; a hint
	GSOSize    uint16 // payload of one segment in bytes
	CsumStart  uint16 // where the checksummed part begins, in bytes
	CsumOffset uint16 // where its checksum field lies in that part, in bytes
	NumBuffers uint16 // VNetV1Len only; 1 from a device, 0 to it
}

// ParseVNet reads a header of VNetLen bytes in front of b. It does not check
// that the offsets lie in the packet: Fits does.
func ParseVNet(b []byte) (h VNet, ok bool) {
	if len(b) < VNetLen {
		return VNet{}, false
	}
	le := binary.LittleEndian
	return VNet{
		Flags: b[0], GSOType: b[1],
		HdrLen: le.Uint16(b[2:4]), GSOSize: le.Uint16(b[4:6]),
		CsumStart: le.Uint16(b[6:8]), CsumOffset: le.Uint16(b[8:10]),
	}, true
}

// ParseVNetV1 reads a header of VNetV1Len bytes in front of b, like
// ParseVNet.
func ParseVNetV1(b []byte) (h VNet, ok bool) {
	if len(b) < VNetV1Len {
		return VNet{}, false
	}
	h, ok = ParseVNet(b)
	h.NumBuffers = binary.LittleEndian.Uint16(b[10:12])
	return h, ok
}

// Fits reports whether the checksum field that h tells to complete lies
// within a packet of n bytes, and a packet that is to be cut says into pieces
// of what size.
func (h VNet) Fits(n int) bool {
	if h.Flags&VNetNeedsCsum != 0 && int(h.CsumStart)+int(h.CsumOffset)+2 > n {
		return false
	}
	return h.GSOType&^VNetGSOECN == VNetGSONone || h.GSOSize != 0
}

// PutVNet writes a header of VNetLen bytes.
func PutVNet(b []byte, h VNet) {
	le := binary.LittleEndian
	le.PutUint64(b[0:8], uint64(h.Flags)|uint64(h.GSOType)<<8|uint64(h.HdrLen)<<16|
		uint64(h.GSOSize)<<32|uint64(h.CsumStart)<<48)
	le.PutUint16(b[8:10], h.CsumOffset)
}

// PutVNetV1 writes a header of VNetV1Len bytes.
func PutVNetV1(b []byte, h VNet) {
	PutVNet(b, h)
	binary.LittleEndian.PutUint16(b[10:12], h.NumBuffers)
}

// CompleteChecksum does what VNetNeedsCsum asks for on packet p, for a reader
// that does not pass the request on: it sums from start to the end of p and
// writes the result at start+offset. It returns false, and does nothing, if
// the field is not in p.
func CompleteChecksum(p []byte, start, offset int) bool {
	at := start + offset
	if start < 0 || offset < 0 || at+2 > len(p) {
		return false
	}
	be.PutUint16(p[at:], Sum(p[start:], 0).FinishAt(offset))
	return true
}
