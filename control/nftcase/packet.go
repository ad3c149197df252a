package nftcase

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// A Packet describes a packet by its fields; what is not said has a usual value. The
// zero Packet is one to which ParsePacket or With add.
type Packet struct {
	fields  []setting // later ones win
	l4      string    // nft's name of the transport header, "" for none
	arp     bool
	payload []byte
	options []byte // of TCP
	said    []byte // the bits of options that were said
	raw     []byte // the whole packet from the network header on
	cut     int    // bytes of the packet that are sent; 0: all
	mark    *uint32
}

// Limits of one packet in bytes.
const (
	maxPacket  = 65535
	maxOptions = 40
)

// protocols are the IP protocols of the headers that nft knows.
var protocols = map[string]uint8{
	"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "dccp": 33, "esp": 50, "ah": 51, "icmpv6": 58, "comp": 108, "sctp": 132, "udplite": 136,
}

// headerLens are the lengths of their headers, without options.
var headerLens = map[string]int{
	"icmp": 8, "igmp": 8, "tcp": wire.TCPLen, "udp": wire.UDPLen, "dccp": 12, "esp": 8, "ah": 12, "icmpv6": 8, "comp": 4, "sctp": 12, "udplite": 8,
}

// ParsePacket reads the description of a packet, such as
// `tcp 10.0.0.5:40000 > 10.0.0.1:22 flags syn` or `ip saddr 10.0.0.5 ip daddr
// 10.0.0.1 udp dport 53 payload 20`.
func ParsePacket(s string) (*Packet, error) {
	w, err := split(s)
	if err != nil {
		return nil, err
	}
	p := &Packet{}
	return p, p.parse(w)
}

// With returns a copy of p with further fields, in the words of ParsePacket.
func (p *Packet) With(s string) (*Packet, error) {
	w, err := split(s)
	if err != nil {
		return nil, err
	}
	n := p.clone()
	return n, n.parse(w)
}

func (p *Packet) clone() *Packet {
	n := *p
	n.fields = slices.Clone(p.fields)
	n.options, n.said = slices.Clone(p.options), slices.Clone(p.said)
	return &n
}

// parse adds what the words say. A header's name holds until the next one.
func (p *Packet) parse(w *words) error {
	header := p.l4
	for !w.end() {
		word, _ := w.next("")
		var err error
		switch h := rule.HeaderByName(word); {
		case w.peek(0) == ">":
			w.at++
			err = p.endpoints(w, word)
		case header == "tcp" && word == "option":
			err = p.option(w)
		case isField(header, word, w):
			err = p.field(w, header, word)
		case h != nil:
			header = word
			err = p.enter(word)
		case p.bare(word):
		default:
			err = p.extra(w, word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enter notes that there is a header.
func (p *Packet) enter(name string) error {
	if name == "arp" {
		p.arp = true
	}
	if _, ok := protocols[name]; !ok {
		return nil
	}
	if p.l4 != "" && p.l4 != name {
		return fmt.Errorf("%s: the packet has a %s header already", name, p.l4)
	}
	p.l4 = name
	return nil
}

func isField(header, word string, w *words) bool {
	h := rule.HeaderByName(header)
	return h != nil && (h.Field(word) != nil || h.Field(word+" "+w.peek(0)) != nil)
}

func (p *Packet) field(w *words, header, name string) error {
	f := rule.HeaderByName(header).Field(name + " " + w.peek(0))
	if f != nil { // `arp saddr ip`
		w.at++
	} else {
		f = rule.HeaderByName(header).Field(name)
	}
	word, err := w.next("the value of " + header + " " + f.Name)
	if err != nil {
		return err
	}
	v, err := parseValue(f, word)
	if err != nil {
		return err
	}
	p.set(f, v)
	return nil
}

func (p *Packet) set(f *rule.Field, v []byte) { p.fields = append(p.fields, setting{f, v}) }

// endpoints reads the right side of `SRC > DST`.
func (p *Packet) endpoints(w *words, from string) error {
	to, err := w.next("the destination")
	if err != nil {
		return err
	}
	for i, word := range []string{from, to} {
		a, port, err := parseEndpoint(word)
		if err != nil {
			return err
		}
		p.setAddr(i == 0, a)
		if port >= 0 {
			if err := p.setPort(i == 0, uint16(port)); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseEndpoint reads an address, or an address with a port; else the port is -1.
func parseEndpoint(s string) (a netip.Addr, port int, err error) {
	if a, err = netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a, -1, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Addr().Zone() != "" {
		return a, 0, fmt.Errorf("%s is neither an address nor address:port", s)
	}
	return ap.Addr(), int(ap.Port()), nil
}

// addrField is the field of the source or destination address.
func addrField(src, v6 bool) *rule.Field {
	header, name := "ip", "daddr"
	if v6 {
		header = "ip6"
	}
	if src {
		name = "saddr"
	}
	return rule.HeaderByName(header).Field(name)
}

func (p *Packet) setAddr(src bool, a netip.Addr) { p.set(addrField(src, a.Is6()), a.AsSlice()) }

func (p *Packet) setPort(src bool, port uint16) error {
	name := "dport"
	if src {
		name = "sport"
	}
	if p.l4 == "" || rule.HeaderByName(p.l4).Field(name) == nil {
		return errors.New("a port needs the name of a protocol with ports in front of the addresses")
	}
	p.set(rule.HeaderByName(p.l4).Field(name), []byte{byte(port >> 8), byte(port)})
	return nil
}

// option reads a TCP option: `option maxseg size 1400`.
func (p *Packet) option(w *words) error {
	name, err := w.next("the name of a TCP option")
	if err != nil {
		return err
	}
	h := rule.ExthdrByName(rule.TCPOption, name)
	n, known := optionLens[name]
	if h == nil || !known {
		return fmt.Errorf("%s is no TCP option that can be made: want one of %s", name, strings.Join(slices.Sorted(maps.Keys(optionLens)), ", "))
	}
	b := make([]byte, n)
	b[0] = h.Number
	said := make([]byte, n)
	said[0] = 0xff
	if n > 1 {
		b[1], said[1] = byte(n), 0xff
	}
	for f := h.Field(w.peek(0)); f != nil && n > 1; f = h.Field(w.peek(0)) {
		w.at++
		word, err := w.next("the value of tcp option " + name + " " + f.Name)
		if err != nil {
			return err
		}
		v, err := parseValue(f, word)
		if err != nil {
			return err
		}
		putBits(b, v, f.Offset, f.Bits)
		putBits(said, ones(len(v)), f.Offset, f.Bits)
	}
	p.options, p.said = append(p.options, b...), append(p.said, said...)
	if len(p.options) > maxOptions {
		return fmt.Errorf("TCP options of more than %d bytes", maxOptions)
	}
	return nil
}

func ones(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }

// optionLens are the lengths of TCP options that can be made, in bytes.
var optionLens = map[string]int{"nop": 1, "maxseg": 4, "window": 3, "sack-perm": 2, "sack": 10, "timestamp": 10, "md5sig": 18, "fastopen": 2}

// bare takes words that stand alone: the flags of a TCP segment.
func (p *Packet) bare(word string) bool {
	f := rule.HeaderByName("tcp").Field("flags")
	if p.l4 != "tcp" || word == "" || word[0] >= '0' && word[0] <= '9' {
		return false
	}
	v, err := parseValue(f, word)
	if err == nil {
		p.set(f, v)
	}
	return err == nil
}

// extra reads what is no field.
func (p *Packet) extra(w *words, word string) error {
	switch word {
	case "payload", "raw", "truncate", "mark":
	default:
		return fmt.Errorf("%s: want a header, one of its fields, ADDRESS > ADDRESS, payload, raw, truncate or mark", word)
	}
	value, err := w.next("a value for " + word)
	if err != nil {
		return err
	}
	switch word {
	case "payload":
		p.payload, err = parsePayload(value)
	case "raw":
		if p.raw, err = hex.DecodeString(value); err == nil && (len(p.raw) == 0 || len(p.raw) > maxPacket) {
			err = fmt.Errorf("raw: a packet has 1 to %d bytes", maxPacket)
		}
	case "truncate":
		if p.cut, err = strconv.Atoi(value); err == nil && p.cut < 1 {
			err = fmt.Errorf("truncate: %s bytes are no packet", value)
		}
	case "mark":
		var v uint64
		v, err = strconv.ParseUint(value, 0, 32)
		m := uint32(v)
		p.mark = &m
	}
	return err
}

// parsePayload reads a length, bytes in hexadecimal, or a text in quotes, in which
// \r and \n stand for the end of a line.
func parsePayload(s string) ([]byte, error) {
	switch {
	case s[0] == '"':
		return []byte(strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(unquote(s))), nil
	case strings.HasPrefix(s, "0x"):
		return hex.DecodeString(s[2:])
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxPacket {
		return nil, fmt.Errorf("payload: %s is neither a length nor 0x and bytes nor a text in quotes", s)
	}
	return make([]byte, n), nil
}

// markValue is the packet's mark, 0 if it was not said.
func (p *Packet) markValue() uint32 {
	if p.mark == nil {
		return 0
	}
	return *p.mark
}

// has reports whether a field was said.
func (p *Packet) has(header, name string) bool { return p.get(header, name) != nil }

// get returns the value of a field as it was said, or nil.
func (p *Packet) get(header, name string) []byte {
	for _, s := range slices.Backward(p.fields) {
		if s.field.Header == header && s.field.Name == name {
			return s.value
		}
	}
	return nil
}

// addr returns an address of the packet.
func (p *Packet) addr(src bool) (netip.Addr, bool) {
	for _, s := range slices.Backward(p.fields) {
		if s.field == addrField(src, false) || s.field == addrField(src, true) {
			return netip.AddrFromSlice(s.value)
		}
	}
	return netip.Addr{}, false
}
