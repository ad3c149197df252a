package nft

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// An eval is one packet on its way through the rules of a hook point. It is reused
// for the packets of a batch and never leaves the goroutine.
type eval struct {
	m   *machine
	gen *generation
	pkt *packet.Packet

	family rule.Family // of the hook point: IP, IP6, ARP, Bridge, Netdev
	hook   rule.Hook
	in     int32
	slave  int32 // the device that came in as one of the VRF in; 0: in is it itself
	out    int32
	now    clock.Time // of the batch; 0: not asked yet

	// What is known of the packet's headers. Offsets count from its first byte as it
	// is at this hook.
	parsed bool
	net    uint16 // EtherType of the network header
	// pulled is how much was pulled for this hook, front how much of it counts.
	pulled, front int
	l4Off         int   // 0: no transport header here
	l4Proto       uint8 // valid if hasL4
	hasL4         bool
	notHead       bool // a fragment that is not the first
	ct            *netfilter.Conn
	ctInfo        netfilter.Info
	ctKnown       bool
	trace         bool
	told          bool // this chain's trace has begun
	// watch is who sees all rules that hold, or nil.
	watch *func(netfilter.RuleEvent)

	chain  *chain // of the verdict jump or goto
	stolen bool
	nat    netfilter.NATRange // what a NAT statement may choose from
	// scratch is what expressions compute in; the compiler hands out places.
	scratch [scratchLen]byte
}

// scratchLen is what the expressions of one rule may need together, in bytes.
const scratchLen = 1024

// maxKey is the longest key in bytes: five IPv6 addresses' worth, as nft has it.
const maxKey = 80

// reset prepares ev for the next packet.
func (ev *eval) reset(pkt *packet.Packet) {
	ev.pkt = pkt
	ev.parsed, ev.hasL4, ev.notHead, ev.ctKnown, ev.stolen = false, false, false, false, false
	ev.l4Off, ev.net, ev.pulled, ev.front = 0, 0, 0, 0
	ev.ct, ev.chain, ev.trace, ev.told = nil, nil, pkt.Trace, false
}

// parse finds the headers, once.
func (ev *eval) parse() {
	if ev.parsed {
		return
	}
	ev.parsed = true
	switch ev.family {
	case rule.IP:
		ev.net = wire.EtherTypeIPv4
		ev.parse4()
	case rule.IP6:
		ev.net = wire.EtherTypeIPv6
		ev.parse6()
	case rule.ARP:
		ev.net = wire.EtherTypeARP
	default:
		ev.parseFrame()
	}
}

func (ev *eval) parse4() {
	b := ev.pkt.Head()
	n := int(b[0]&0xf) * 4
	if b[0]>>4 != 4 || n < wire.IPv4Len {
		return
	}
	ev.l4Proto, ev.hasL4, ev.l4Off = b[9], true, n
	ev.notHead = binary.BigEndian.Uint16(b[6:])&0x1fff != 0
}

func (ev *eval) parse6() {
	b := ev.pkt.Head()
	if b[0]>>4 != 6 {
		return
	}
	if wire.IsIPv6Ext(b[6]) {
		ev.l4Proto, ev.l4Off, ev.notHead, ev.hasL4 = ev.walk6(upperLayer)
		return
	}
	ev.l4Proto, ev.l4Off, ev.hasL4 = b[6], wire.IPv6Len, true
}

// track finds the packet's connection, once.
func (ev *eval) track() {
	if ev.ctKnown {
		return
	}
	ev.ctKnown = true
	if t := ev.gen.tracker; t != nil {
		ev.ct, ev.ctInfo = t.Of(ev.pkt)
	}
}

// clock returns the time of the batch.
func (ev *eval) clock() clock.Time {
	if ev.now == 0 {
		ev.now = ev.m.clock.Now()
	}
	return ev.now
}

// header returns n bytes of a header from off on, or nil if the packet has no such
// header or ends before, or if they are too far back. The bytes are the packet's own.
func (ev *eval) header(base rule.Base, off, n int) []byte {
	if base == rule.LinkHeader {
		return ev.linkHeader(off, n)
	}
	at, ok := ev.start(base)
	if off += at; !ok {
		return nil
	}
	if h := ev.pkt.Head(); off+n <= len(h) {
		return h[off : off+n]
	}
	if !ev.pkt.Ensure(off + n) {
		return nil
	}
	return ev.pkt.Head()[off : off+n]
}

// copyOut is header for bytes that may be anywhere in the packet, which dst gets.
func (ev *eval) copyOut(base rule.Base, off int, dst []byte) bool {
	at, ok := ev.start(base)
	return ok && off+at+len(dst) <= ev.pkt.Len() && ev.pkt.CopyOut(off+at, dst) == len(dst)
}

// start returns where a header begins that is behind the link header, and whether the
// packet has it.
func (ev *eval) start(base rule.Base) (at int, ok bool) {
	switch base {
	case rule.NetworkHeader:
		return 0, true
	case rule.TransportHeader:
		ev.parse()
		return ev.l4Off, ev.hasL4 && !ev.notHead
	case rule.InnerHeader:
		ev.parse()
		at = ev.innerOffset()
		return at, at != 0
	}
	return 0, false
}

// innerOffset is where the payload of a transport header begins.
func (ev *eval) innerOffset() int {
	if !ev.hasL4 || ev.notHead {
		return 0
	}
	switch ev.l4Proto {
	case wire.ProtoUDP:
		return ev.l4Off + wire.UDPLen
	case wire.ProtoTCP:
		if b := ev.header(rule.TransportHeader, 12, 1); b != nil {
			return ev.l4Off + int(b[0]>>4)*4
		}
	}
	return 0
}

// linkHeader returns bytes of the Ethernet header, which was pulled: at POSTROUTING it
// is that of another link. The tag of a frame that only has a priority is not there
// for IP's hooks.
func (ev *eval) linkHeader(off, n int) []byte {
	if ev.pkt.L2 == 0 || ev.hook == rule.Postrouting {
		return nil
	}
	b := ev.pkt.At(ev.pkt.L2)
	if tag := ev.pkt.Offset() - int(ev.pkt.L2) - wire.EthernetLen; tag > 0 && ev.hook != rule.Ingress && ev.hook != rule.Egress {
		switch {
		case off >= wire.EthernetLen-2:
			off += tag
		case off+n > wire.EthernetLen-2:
			return nil
		}
	}
	if off+n > len(b) {
		return nil
	}
	return b[off : off+n]
}
