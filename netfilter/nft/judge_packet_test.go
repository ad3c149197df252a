package nft_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/knitnet/knit/wire"
)

// A recipe is a packet as a line of words:
//
//	ip4 SRC DST [ttl N] [tos N] [id N] [df] [mf] [off N] [opt HEX] UPPER
//	ip6 SRC DST [ttl N] [tos N] [flow N] [hbh HEX] [dst HEX] [rt TYPE LEFT] [frag OFF MORE ID] [ext TYPE HEX] UPPER
//	arp OP SENDERMAC SENDER TARGETMAC TARGET
//	raw HEX
//
// where UPPER is one of
//
//	tcp SPORT DPORT FLAGS [seq N] [ack N] [win N] [topt HEX] [data N]
//	udp SPORT DPORT [nosum] [data N]
//	icmp TYPE CODE [rest HEX] [data N]
//	proto N [rest HEX] [data N]
//
// A word `cut N` behind the lot takes N bytes off the packet's end.
// A line that begins with `ether DST SRC [vlan ID]` has that header in front.
type recipe struct {
	words []string
	err   error

	v6       bool
	src, dst netip.Addr
	proto    uint8
	upper    []byte
	sumAt    int // in upper; -1: none
	exts     [][]byte
	extTypes []uint8
	f4       wire.IPv4Fields
	f6       wire.IPv6Fields
	fragment bool // not the first, or more follow: upper is what it is
}

// packetOf builds the packet that words describe.
func packetOf(words []string) ([]byte, error) {
	r := &recipe{words: words, sumAt: -1}
	b := r.frame()
	b = b[:len(b)-min(len(b), int(r.option("cut", 0)))]
	if r.err == nil && len(r.words) > 0 {
		r.err = fmt.Errorf("what is %q?", r.words[0])
	}
	return b, r.err
}

func (r *recipe) word() string {
	if len(r.words) == 0 {
		r.err = fmt.Errorf("too few words")
		return ""
	}
	w := r.words[0]
	r.words = r.words[1:]
	return w
}

// has takes the next word if it is w.
func (r *recipe) has(w string) bool {
	if len(r.words) == 0 || r.words[0] != w {
		return false
	}
	r.words = r.words[1:]
	return true
}

func (r *recipe) number() uint64 {
	n, err := strconv.ParseUint(r.word(), 0, 64)
	if err != nil && r.err == nil {
		r.err = err
	}
	return n
}

// option takes `NAME NUMBER` if it is next, else def.
func (r *recipe) option(name string, def uint64) uint64 {
	if r.has(name) {
		return r.number()
	}
	return def
}

func (r *recipe) hex() []byte {
	b, err := hex.DecodeString(r.word())
	if err != nil && r.err == nil {
		r.err = err
	}
	return b
}

func (r *recipe) addr() netip.Addr {
	a, err := netip.ParseAddr(r.word())
	if err != nil && r.err == nil {
		r.err = err
	}
	return a
}

func (r *recipe) mac() []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(r.word(), ":", ""))
	if err != nil && r.err == nil {
		r.err = err
	}
	return b
}

func (r *recipe) frame() []byte {
	if !r.has("ether") {
		b, _ := r.network()
		return b
	}
	head := slices.Concat(r.mac(), r.mac())
	if r.has("vlan") {
		head = binary.BigEndian.AppendUint16(append(head, 0x81, 0), uint16(r.number()))
	}
	b, typ := r.network()
	return append(binary.BigEndian.AppendUint16(head, typ), b...)
}

func (r *recipe) network() (b []byte, etherType uint16) {
	switch w := r.word(); w {
	case "ip4":
		return r.ip4(), wire.EtherTypeIPv4
	case "ip6":
		return r.ip6(), wire.EtherTypeIPv6
	case "arp":
		return r.arp(), wire.EtherTypeARP
	case "raw":
		b, typ := r.hex(), uint16(wire.EtherTypeIPv4)
		if len(b) > 0 && b[0]>>4 == 6 {
			typ = wire.EtherTypeIPv6
		}
		return b, typ
	default:
		r.err = fmt.Errorf("%q is no protocol", w)
		return nil, 0
	}
}

func (r *recipe) arp() []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, byte(r.number())}
	b = append(b, r.mac()...)
	b = append(b, r.addr().AsSlice()...)
	b = append(b, r.mac()...)
	return append(b, r.addr().AsSlice()...)
}

func (r *recipe) ip4() []byte {
	r.src, r.dst = r.addr(), r.addr()
	r.f4.TTL = uint8(r.option("ttl", 64))
	r.f4.TOS = uint8(r.option("tos", 0))
	r.f4.ID = uint16(r.option("id", 0x1234))
	r.f4.DF, r.f4.MF = r.has("df"), r.has("mf")
	r.f4.FragOffset = uint16(r.option("off", 0))
	r.fragment = r.f4.MF || r.f4.FragOffset > 0
	if r.has("opt") {
		r.f4.Options = r.hex()
	}
	r.transport()
	if r.err != nil {
		return nil
	}
	r.f4.Src, r.f4.Dst, r.f4.Protocol = r.src.As4(), r.dst.As4(), r.proto
	n := r.f4.HeaderLen()
	b := make([]byte, n, n+len(r.upper))
	r.f4.TotalLen = uint16(n + len(r.upper))
	wire.PutIPv4(b, &r.f4)
	return append(b, r.upper...)
}

func (r *recipe) ip6() []byte {
	r.v6 = true
	r.src, r.dst = r.addr(), r.addr()
	r.f6.HopLimit = uint8(r.option("ttl", 64))
	r.f6.TrafficClass = uint8(r.option("tos", 0))
	r.f6.FlowLabel = uint32(r.option("flow", 0))
	r.extensions()
	r.transport()
	if r.err != nil {
		return nil
	}
	next := r.proto
	for i, x := range slices.Backward(r.exts) {
		x[0] = next
		next = r.extTypes[i]
	}
	rest := append(slices.Concat(r.exts...), r.upper...)
	r.f6.Src, r.f6.Dst, r.f6.NextHeader, r.f6.PayloadLen = r.src.As16(), r.dst.As16(), next, uint16(len(rest))
	b := make([]byte, wire.IPv6Len)
	wire.PutIPv6(b, &r.f6)
	return append(b, rest...)
}

func (r *recipe) extensions() {
	add := func(typ uint8, b []byte) {
		r.exts, r.extTypes = append(r.exts, b), append(r.extTypes, typ)
	}
	for {
		switch {
		case r.has("hbh"):
			add(0, padded(append([]byte{0, 0}, r.hex()...)))
		case r.has("dst"):
			add(60, padded(append([]byte{0, 0}, r.hex()...)))
		case r.has("rt"):
			b := make([]byte, 24)
			b[1], b[2], b[3] = 2, byte(r.number()), byte(r.number())
			add(43, b)
		case r.has("frag"):
			off, more := r.number(), r.number()
			b := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(off&^7|more))
			add(44, binary.BigEndian.AppendUint32(b, uint32(r.number())))
			r.fragment = off > 0 || more > 0
		case r.has("ext"):
			typ := uint8(r.number())
			add(typ, append([]byte{0}, r.hex()...))
		default:
			return
		}
	}
}

// padded fills options up to whole units of 8 bytes with Pad1.
func padded(b []byte) []byte {
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	b[1] = byte(len(b)/8 - 1)
	return b
}

func (r *recipe) transport() {
	switch w := r.word(); w {
	case "tcp":
		r.tcp()
	case "udp":
		r.proto, r.sumAt = wire.ProtoUDP, 6
		r.upper = make([]byte, wire.UDPLen)
		binary.BigEndian.PutUint16(r.upper, uint16(r.number()))
		binary.BigEndian.PutUint16(r.upper[2:], uint16(r.number()))
		if r.has("nosum") {
			r.sumAt = -1
		}
	case "icmp":
		r.proto, r.sumAt = wire.ProtoICMP, 2
		if r.v6 {
			r.proto = wire.ProtoICMPv6
		}
		r.upper = []byte{byte(r.number()), byte(r.number()), 0, 0}
		if r.has("rest") {
			r.upper = append(r.upper, r.hex()...)
		} else {
			r.upper = append(r.upper, 0, 1, 0, 1)
		}
	case "proto":
		r.proto = uint8(r.number())
		if r.has("rest") {
			r.upper = r.hex()
		}
	default:
		r.err = fmt.Errorf("%q is no protocol", w)
	}
	for i := range r.option("data", 0) {
		r.upper = append(r.upper, byte(i))
	}
	if r.proto == wire.ProtoUDP && len(r.upper) >= wire.UDPLen {
		binary.BigEndian.PutUint16(r.upper[4:], uint16(len(r.upper)))
	}
	r.checksum()
}

func (r *recipe) tcp() {
	f := wire.TCPFields{SrcPort: uint16(r.number()), DstPort: uint16(r.number())}
	for _, c := range r.word() {
		f.Flags |= map[rune]uint16{
			'F': wire.TCPFin, 'S': wire.TCPSyn, 'R': wire.TCPRst, 'P': 8, 'A': wire.TCPAck, 'U': 32, 'E': 64, 'C': 128,
		}[c]
	}
	f.Seq, f.Ack = uint32(r.option("seq", 1000)), uint32(r.option("ack", 0))
	f.Window = uint16(r.option("win", 64000))
	var opts []byte
	if r.has("topt") {
		opts = r.hex()
	}
	r.proto, r.sumAt = wire.ProtoTCP, 16
	r.upper = make([]byte, wire.TCPLen)
	wire.PutTCP(r.upper, &f, len(opts))
	r.upper = append(r.upper, opts...)
}

// checksum sums a whole packet; a fragment keeps zero.
func (r *recipe) checksum() {
	if r.err != nil || r.sumAt < 0 || r.fragment {
		return
	}
	sum := wire.PartialSum(0)
	if r.proto != wire.ProtoICMP {
		sum = wire.Pseudo(r.src, r.dst, r.proto, len(r.upper))
	}
	binary.BigEndian.PutUint16(r.upper[r.sumAt:], wire.Sum(r.upper, sum).Finish())
}
