package nat

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Mangle implements netfilter.Translator.
func (t *translator) Mangle(pkt *packet.Packet, c *netfilter.Conn, info netfilter.Info, off, n int, with []byte) bool {
	v := c.Tuples[netfilter.Original].Version
	m := mangling{pkt: pkt, v: v}
	if !m.parse() || off < 0 || n < 0 || m.payload+off+n > pkt.Len() {
		return false
	}
	if pkt.GSO != packet.GSONone && n != len(with) {
		return false // its segments would not be those that were sent
	}
	if !m.replace(off, n, with) {
		return false
	}
	if grown := len(with) - n; grown != 0 && m.proto == wire.ProtoTCP {
		t.adjusts.Store(true)
		adjust(c, info.Dir(), m.seq(), int32(grown))
	}
	return true
}

// A mangling is the change of a packet's payload.
type mangling struct {
	pkt     *packet.Packet
	v       network.Version
	l4      int
	payload int
	proto   uint8
}

func (m *mangling) parse() bool {
	h := m.pkt.Head()
	m.l4, m.proto = int(h[0]&0xf)*4, h[9]
	if m.v == network.V6 {
		var ok bool
		if m.proto, m.l4, ok = upper6(h); !ok {
			return false
		}
	}
	switch m.proto {
	case wire.ProtoUDP:
		m.payload = m.l4 + wire.UDPLen
	case wire.ProtoTCP:
		if !m.pkt.Ensure(m.l4 + wire.TCPLen) {
			return false
		}
		m.payload = m.l4 + int(m.pkt.Head()[m.l4+12]>>4)*4
	default:
		return false
	}
	return m.payload <= m.pkt.Len() && m.pkt.Ensure(m.payload)
}

func (m *mangling) seq() uint32 { return binary.BigEndian.Uint32(m.pkt.Head()[m.l4+4:]) }

// replace rebuilds the packet: headers, payload with the change, lengths, checksums.
// Helpers' packets are few and small.
func (m *mangling) replace(off, n int, with []byte) bool {
	at := m.payload + off
	rest := make([]byte, m.pkt.Len()-at-n)
	m.pkt.CopyOut(at+n, rest)
	total := at + len(with) + len(rest)
	if total > wire.IPv4MaxTotal {
		return false
	}
	m.pkt.TrimTo(at)
	if !m.pkt.Append(with) || !m.pkt.Append(rest) {
		return false
	}
	h := m.pkt.Head()
	if m.v == network.V4 {
		ip, ok := wire.ParseIPv4(h)
		if !ok {
			return false
		}
		ip.SetTotalLen(total)
	} else {
		put16(h[4:], uint16(total-wire.IPv6Len))
	}
	if m.proto == wire.ProtoUDP {
		put16(h[m.l4+4:], uint16(total-m.l4))
	}
	m.sum(total - m.l4)
	return true
}

// sum lets the checksum be computed when it is needed: the field holds the sum of
// the pseudo header from now on.
func (m *mangling) sum(length int) {
	h := m.pkt.Head()
	var s wire.PartialSum
	if m.v == network.V4 {
		s = wire.PseudoIPv4([4]byte(h[12:16]), [4]byte(h[16:20]), m.proto, length)
	} else {
		s = wire.PseudoIPv6([16]byte(h[8:24]), [16]byte(h[24:40]), m.proto, length)
	}
	put16(h[m.l4+sumAt(m.proto):], s.Fold())
	m.pkt.Csum = packet.CsumPartial
	m.pkt.CsumStart = uint16(m.pkt.Offset() + m.l4)
	m.pkt.CsumOffset = uint16(sumAt(m.proto))
}
