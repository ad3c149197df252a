package wire

// The setters below keep the header checksum right by incremental update
// (RFC 1624), so that a forwarder never hides damage that happened before it
// by summing the header anew.

// DecrementTTL takes one hop off; the caller has seen that TTL is not zero.
func (h IPv4) DecrementTTL() { h.SetTTL(h.b[8] - 1) }

// SetTTL changes the time to live.
func (h IPv4) SetTTL(ttl uint8) {
	before := be.Uint16(h.b[8:10])
	h.b[8] = ttl
	h.update(before, be.Uint16(h.b[8:10]))
}

// SetTOS changes the type of service octet.
func (h IPv4) SetTOS(tos uint8) {
	before := be.Uint16(h.b[0:2])
	h.b[1] = tos
	h.update(before, be.Uint16(h.b[0:2]))
}

// SetTotalLen changes the length of header and payload in bytes. The view
// does not check it again.
func (h IPv4) SetTotalLen(n int) {
	before := be.Uint16(h.b[2:4])
	be.PutUint16(h.b[2:4], uint16(n))
	h.update(before, uint16(n))
}

// SetID changes the identification.
func (h IPv4) SetID(id uint16) {
	before := be.Uint16(h.b[4:6])
	be.PutUint16(h.b[4:6], id)
	h.update(before, id)
}

// SetSrc4 changes the source address. The transport's checksum, which covers
// it too, is the caller's.
func (h IPv4) SetSrc4(ip [4]byte) { h.setAddr(12, ip) }

// SetDst4 changes the destination address, like SetSrc4.
func (h IPv4) SetDst4(ip [4]byte) { h.setAddr(16, ip) }

// UpdateHeaderChecksum sums the whole header and writes the checksum, for who
// has rewritten the bytes behind the view's back, options say.
func (h IPv4) UpdateHeaderChecksum() {
	be.PutUint16(h.b[10:12], 0)
	be.PutUint16(h.b[10:12], Checksum(h.Header()))
}

func (h IPv4) setAddr(at int, ip [4]byte) {
	p := (*[4]byte)(h.b[at : at+4])
	sum := UpdateChecksum(h.Checksum(), Sum(p[:], 0), Sum(ip[:], 0))
	*p = ip
	be.PutUint16(h.b[10:12], sum)
}

func (h IPv4) update(before, after uint16) {
	be.PutUint16(h.b[10:12], UpdateChecksum16(h.Checksum(), before, after))
}
