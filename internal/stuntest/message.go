// Package stuntest finds out what a NAT does, with STUN (RFC 8489) as RFC 5780
// describes it: a server with two addresses and two ports, and a client that asks it
// from behind the NAT. Clients of RFC 3489, the first version, are answered, too.
package stuntest

import (
	"encoding/binary"
	"net/netip"
)

// Message types: the method Binding and its classes (RFC 8489 §5).
const (
	BindingRequest  uint16 = 0x0001
	BindingResponse uint16 = 0x0101
)

// Attributes of RFC 8489 §18.3, RFC 5780 §7 and, of the first version, RFC 3489 §11.2.
const (
	attrMapped         uint16 = 0x0001
	attrChangeRequest  uint16 = 0x0003
	attrSource         uint16 = 0x0004
	attrChanged        uint16 = 0x0005
	attrXORMapped      uint16 = 0x0020
	attrResponseOrigin uint16 = 0x802b
	attrOther          uint16 = 0x802c
)

// cookie is in each message since RFC 5389; the first version has none.
const cookie = 0x2112a442

const headerLen = 20

// Change flags of a request (RFC 5780 §7.2): answer from the other address or port.
const (
	ChangePort uint32 = 2
	ChangeIP   uint32 = 4
)

// A Message is a Binding request or its answer. The zero Message is no valid one.
type Message struct {
	Type uint16
	// ID is the transaction, of which the first version counts the cookie's place as
	// a part, too.
	ID      [12]byte
	Classic bool // without the cookie: RFC 3489
	Cookie  uint32

	Change                uint32         // of a request
	Mapped, Origin, Other netip.AddrPort // of an answer; zero: not there
}

// Append appends the message to b.
func (m *Message) Append(b []byte) []byte {
	begin := len(b)
	b = binary.BigEndian.AppendUint16(b, m.Type)
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint32(b, m.magic())
	b = append(b, m.ID[:]...)
	if m.Change != 0 {
		b = append(b, byte(attrChangeRequest>>8), byte(attrChangeRequest), 0, 4)
		b = binary.BigEndian.AppendUint32(b, m.Change)
	}
	if m.Classic {
		b = m.address(b, attrMapped, m.Mapped)
		b = m.address(b, attrSource, m.Origin)
		b = m.address(b, attrChanged, m.Other)
	} else {
		b = m.address(b, attrXORMapped, m.Mapped)
		b = m.address(b, attrResponseOrigin, m.Origin)
		b = m.address(b, attrOther, m.Other)
	}
	binary.BigEndian.PutUint16(b[begin+2:], uint16(len(b)-begin-headerLen))
	return b
}

func (m *Message) magic() uint32 {
	if m.Classic {
		return m.Cookie
	}
	return cookie
}

// address appends an attribute with an address (RFC 8489 §14.1).
func (m *Message) address(b []byte, attr uint16, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	raw, family := a.Addr().AsSlice(), byte(1)
	if len(raw) == 16 {
		family = 2
	}
	b = binary.BigEndian.AppendUint16(b, attr)
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(raw)))
	b = append(b, 0, family)
	at := len(b)
	b = binary.BigEndian.AppendUint16(b, a.Port())
	b = append(b, raw...)
	if attr == attrXORMapped {
		m.xor(b[at:])
	}
	return b
}

// xor hides an address, or shows it again (RFC 8489 §14.2).
func (m *Message) xor(b []byte) {
	var key [16]byte
	binary.BigEndian.PutUint32(key[:], cookie)
	copy(key[4:], m.ID[:])
	b[0], b[1] = b[0]^key[0], b[1]^key[1]
	for i := range b[2:] {
		b[2+i] ^= key[i]
	}
}

// Parse reads a message. Attributes that it does not know are passed over.
func Parse(b []byte) (m Message, ok bool) {
	if len(b) < headerLen || b[0]&0xc0 != 0 || int(binary.BigEndian.Uint16(b[2:])) != len(b)-headerLen || len(b)%4 != 0 {
		return m, false
	}
	m.Type, m.Cookie = binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[4:])
	m.Classic = m.Cookie != cookie
	copy(m.ID[:], b[8:])
	for b = b[headerLen:]; len(b) > 0; {
		if len(b) < 4 {
			return m, false
		}
		attr, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		padded := 4 + (n+3)&^3
		if padded > len(b) || !m.attribute(attr, b[4:4+n]) {
			return m, false
		}
		b = b[padded:]
	}
	return m, true
}

func (m *Message) attribute(attr uint16, v []byte) (ok bool) {
	switch attr {
	case attrChangeRequest:
		if len(v) != 4 {
			return false
		}
		m.Change = binary.BigEndian.Uint32(v) & (ChangeIP | ChangePort)
	case attrMapped, attrXORMapped:
		m.Mapped, ok = m.parseAddress(v, attr == attrXORMapped)
		return ok
	case attrSource, attrResponseOrigin:
		m.Origin, ok = m.parseAddress(v, false)
		return ok
	case attrChanged, attrOther:
		m.Other, ok = m.parseAddress(v, false)
		return ok
	}
	return true
}

func (m *Message) parseAddress(v []byte, hidden bool) (netip.AddrPort, bool) {
	if len(v) != 8 && len(v) != 20 || (v[1] == 1) != (len(v) == 8) || (v[1] == 2) != (len(v) == 20) {
		return netip.AddrPort{}, false
	}
	v = append([]byte(nil), v...)
	if hidden {
		m.xor(v[2:])
	}
	a, ok := netip.AddrFromSlice(v[4:])
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(v[2:])), ok
}
