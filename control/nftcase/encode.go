package nftcase

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// encode returns the packet from its network header on, and its EtherType.
func (p *Packet) encode() (b []byte, etherType uint16, err error) {
	switch {
	case p.raw != nil:
		if err := p.checkRaw(); err != nil {
			return nil, 0, err
		}
		b, etherType = p.raw, wire.EtherTypeIPv4
		if b[0]>>4 == 6 {
			etherType = wire.EtherTypeIPv6
		}
	case p.arp:
		if err := p.checkFields("arp"); err != nil {
			return nil, 0, err
		}
		b, etherType = p.encodeARP(), wire.EtherTypeARP
	default:
		b, etherType, err = p.encodeIP()
	}
	if v := p.get("ether", "type"); v != nil {
		etherType = binary.BigEndian.Uint16(v)
	}
	if err == nil && p.cut > 0 && p.cut < len(b) {
		b = b[:p.cut]
	}
	return b, etherType, err
}

// checkFields refuses fields of headers that a packet does not have, whose network
// header is header.
func (p *Packet) checkFields(header string) error {
	for _, s := range p.fields {
		f := s.field
		switch f.Base {
		case rule.NetworkHeader:
			if f.Header == header {
				continue
			}
		case rule.TransportHeader:
			if f.Header == p.l4 || f.Header == "th" && p.l4 != "" {
				continue
			}
		case rule.LinkHeader:
			if f.Header == "vlan" && !p.has("vlan", "id") {
				return fmt.Errorf("vlan %s: the tag needs an id", f.Name)
			}
			continue
		}
		return fmt.Errorf("%s %s: the packet has no such header", f.Header, f.Name)
	}
	return nil
}

// checkRaw refuses what cannot be said of a packet that is given as its bytes.
func (p *Packet) checkRaw() error {
	inside := func(s setting) bool { return s.field.Base != rule.LinkHeader }
	if p.payload != nil || p.options != nil || slices.ContainsFunc(p.fields, inside) {
		return errors.New("raw: the packet is whole, and has no fields beside")
	}
	return nil
}

func (p *Packet) encodeARP() []byte {
	b := make([]byte, 28)
	copy(b, []byte{0, 1, 8, 0, 6, 4, 0, 1}) // Ethernet, IPv4, a request (RFC 826)
	p.overlay(b, rule.NetworkHeader, 0)
	return b
}

func (p *Packet) encodeIP() ([]byte, uint16, error) {
	src, ok := p.addr(true)
	dst, ok2 := p.addr(false)
	if !ok || !ok2 {
		return nil, 0, errors.New("the packet needs a source and a destination address")
	}
	if src.BitLen() != dst.BitLen() {
		return nil, 0, fmt.Errorf("%v and %v are of different families", src, dst)
	}
	at, etherType, header := wire.IPv4Len, uint16(wire.EtherTypeIPv4), "ip"
	if src.Is6() {
		at, etherType, header = wire.IPv6Len, wire.EtherTypeIPv6, "ip6"
	}
	if err := p.checkFields(header); err != nil {
		return nil, 0, err
	}
	options := (len(p.options) + 3) &^ 3
	n := at + headerLens[p.l4] + options + len(p.payload)
	if n > maxPacket {
		return nil, 0, fmt.Errorf("a packet of %d bytes is too long", n)
	}
	b := make([]byte, n)
	proto := protocols[p.l4]
	if p.l4 == "" {
		proto = 253 // for experiments (RFC 3692)
	}
	if etherType == wire.EtherTypeIPv4 {
		wire.PutIPv4(b, &wire.IPv4Fields{TotalLen: uint16(n), TTL: 64, Protocol: proto, Src: src.As4(), Dst: dst.As4()})
	} else {
		wire.PutIPv6(b, &wire.IPv6Fields{PayloadLen: uint16(n - at), NextHeader: proto, HopLimit: 64, Src: src.As16(), Dst: dst.As16()})
	}
	p.transport(b[at:], options)
	p.overlay(b, rule.NetworkHeader, 0)
	p.overlay(b, rule.TransportHeader, at)
	p.sums(b, at)
	return b, etherType, nil
}

// transport fills in the usual values of a transport header.
func (p *Packet) transport(b []byte, options int) {
	n := headerLens[p.l4]
	copy(b[n:], p.options)
	copy(b[n+options:], p.payload)
	switch p.l4 {
	case "tcp":
		wire.PutTCP(b, &wire.TCPFields{Flags: wire.TCPSyn, Window: 65535}, options)
	case "udp", "udplite":
		wire.PutUDP(b, 0, 0, len(b)-wire.UDPLen)
	case "icmp":
		b[0] = 8
	case "icmpv6":
		b[0] = 128
	case "dccp":
		b[4] = 3 // data offset in words of 4 bytes
	}
}

// overlay writes the fields that were said.
func (p *Packet) overlay(b []byte, base rule.Base, at int) {
	for _, s := range p.fields {
		f := s.field
		if f.Base == base && at*8+f.Offset+f.Bits <= len(b)*8 && (base != rule.TransportHeader || f.Header == p.l4 || f.Header == "th") {
			putBits(b[at:], s.value, f.Offset, f.Bits)
		}
	}
}

// sums computes the checksums, but for those that were said.
func (p *Packet) sums(b []byte, at int) {
	if at == wire.IPv4Len && !p.has("ip", "checksum") {
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], wire.Checksum(b[:at]))
	}
	f := rule.HeaderByName(p.l4)
	if f == nil || f.Field("checksum") == nil || p.has(p.l4, "checksum") || p.l4 == "sctp" {
		return
	}
	l4, off := b[at:], f.Field("checksum").Offset/8
	l4[off], l4[off+1] = 0, 0
	sum := wire.PartialSum(0)
	if p.l4 != "icmp" && p.l4 != "igmp" {
		src, _ := p.addr(true)
		dst, _ := p.addr(false)
		sum = wire.Pseudo(src, dst, protocols[p.l4], len(l4))
	}
	v := wire.Sum(l4, sum).Finish()
	if v == 0 && p.l4 == "udp" {
		v = 0xffff // RFC 768: zero means that there is none
	}
	binary.BigEndian.PutUint16(l4[off:], v)
}

// frame puts an Ethernet header in front, and a VLAN tag if one was said.
func (p *Packet) frame(b []byte, etherType uint16, dst, src wire.MAC) []byte {
	n := wire.EthernetLen
	vlan := p.has("vlan", "id")
	if vlan {
		n += wire.VLANLen
	}
	out := make([]byte, n+len(b))
	copy(out[n:], b)
	wire.PutEthernet(out, dst, src, etherType)
	if vlan {
		wire.PutEthernet(out, dst, src, wire.EtherTypeVLAN)
		wire.PutVLAN(out[wire.EthernetLen:], 0, 0, false, etherType)
	}
	for _, s := range p.fields {
		f := s.field
		if f.Base == rule.LinkHeader && f.Offset+f.Bits <= n*8 && f.Name != "type" {
			putBits(out, s.value, f.Offset, f.Bits)
		}
	}
	return out
}
