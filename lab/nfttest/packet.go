package nfttest

import (
	"fmt"
	"strings"
)

// A Packet is a packet that is being described. Its methods return it, so that
// descriptions chain.
type Packet struct{ words []string }

// TCP is a segment from an address and port to another, with SYN unless Flags says
// otherwise.
func TCP(src, dst string) *Packet { return packet("tcp", src, dst) }

// UDP is a datagram.
func UDP(src, dst string) *Packet { return packet("udp", src, dst) }

// ICMP is a message of an ICMP type in nft's words, such as "echo-request", over IPv4.
func ICMP(src, dst, typ string) *Packet { return packet("icmp", src, dst).Set("icmp type", typ) }

// ICMPv6 is the same over IPv6.
func ICMPv6(src, dst, typ string) *Packet { return packet("icmpv6", src, dst).Set("icmpv6 type", typ) }

// IP is a packet without a transport header.
func IP(src, dst string) *Packet { return &Packet{[]string{src, ">", dst}} }

func packet(proto, src, dst string) *Packet { return &Packet{[]string{proto, src, ">", dst}} }

// Flags sets the flags of a TCP segment: "syn,ack".
func (p *Packet) Flags(flags string) *Packet { return p.Set("tcp flags", flags) }

// Set sets a field by nft's name, such as "ip ttl" or "ether saddr".
func (p *Packet) Set(field string, value any) *Packet {
	p.words = append(p.words, field, fmt.Sprint(value))
	return p
}

// Payload gives the packet a payload of n zeros.
func (p *Packet) Payload(n int) *Packet { return p.Set("payload", n) }

// Mark sets the packet's mark.
func (p *Packet) Mark(mark uint32) *Packet { return p.Set("mark", mark) }

// String returns the description in the words of a table.
func (p *Packet) String() string { return strings.Join(p.words, " ") }
