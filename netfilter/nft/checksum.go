package nft

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// correct brings the checksums up to date after bytes at an offset of a header have
// changed (RFC 1624).
func (ev *eval) correct(base rule.Base, off int, before, after []byte) {
	ev.parse()
	switch base {
	case rule.NetworkHeader:
		if ev.net == wire.EtherTypeIPv4 {
			ev.correctAt(10, off, before, after)
		}
		if at, in := ev.inPseudo(off); in {
			ev.correctTransport(at, before, after, true)
		}
	case rule.TransportHeader, rule.InnerHeader:
		ev.correctTransport(off, before, after, false)
	}
}

// correctable reports whether the checksum that covers bytes of a header is there, or
// there is none: without it nothing is changed.
func (ev *eval) correctable(base rule.Base, off int) bool {
	ev.parse()
	at, pseudo := checksumAt(ev.l4Proto)
	if base == rule.NetworkHeader {
		if _, in := ev.inPseudo(off); !in || !pseudo || ev.l4Proto == wire.ProtoUDP { // UDP may have none
			return true
		}
	}
	return at == 0 || !ev.hasL4 || ev.notHead || ev.header(rule.TransportHeader, at, 2) != nil
}

// inPseudo reports whether a byte of the IP header is part of the pseudo header that
// the transport's checksum covers: an address, the length or the protocol. at is where
// it is there, as far as it matters: even or odd.
func (ev *eval) inPseudo(off int) (at int, in bool) {
	if ev.net == wire.EtherTypeIPv4 {
		return off, off == 2 || off == 9 || off >= 12 && off < 20
	}
	if off == 6 { // the next header is behind three zeros there (RFC 8200 §8.1)
		return 39, true
	}
	return off, off == 4 || off >= 8 && off < 40
}

func (ev *eval) correctAt(at, off int, before, after []byte) {
	if covers(off, len(before), at) {
		return // the checksum itself was set
	}
	h := ev.pkt.Head()
	sum := binary.BigEndian.Uint16(h[at:])
	binary.BigEndian.PutUint16(h[at:], difference(sum, off, before, after))
}

// covers reports whether n bytes from off on have to do with the word at at.
func covers(off, n, at int) bool { return off <= at+1 && at < off+n }

// difference returns a checksum after a change of bytes at an offset; of the two zeros
// of such a sum the one that no protocol takes for the lack of it.
func difference(sum uint16, off int, before, after []byte) uint16 {
	b, a := wire.Sum(before, 0), wire.Sum(after, 0)
	if off%2 != 0 {
		b, a = b.Swap(), a.Swap()
	}
	if sum = wire.UpdateChecksum(sum, b, a); sum == 0 {
		return 0xffff
	}
	return sum
}

// checksumAt returns where a protocol keeps its Internet checksum, and whether that
// covers a pseudo header; 0: it has none.
func checksumAt(proto uint8) (at int, pseudo bool) {
	switch proto {
	case wire.ProtoTCP:
		return 16, true
	case wire.ProtoUDP, wire.ProtoUDPLite, protoDCCP:
		return 6, true
	case wire.ProtoICMPv6:
		return 2, true
	case wire.ProtoICMP, wire.ProtoIGMP:
		return 2, false
	}
	return 0, false
}

const protoDCCP = 33 // RFC 4340

// correctTransport corrects the checksum of the transport header after a change of
// bytes at an offset of it, or of its pseudo header.
func (ev *eval) correctTransport(off int, before, after []byte, pseudo bool) {
	if !ev.hasL4 || ev.notHead {
		return
	}
	if ev.l4Proto == wire.ProtoSCTP && !pseudo {
		ev.correctSCTP()
		return
	}
	at, hasPseudo := checksumAt(ev.l4Proto)
	if at == 0 || pseudo && !hasPseudo || !pseudo && covers(off, len(before), at) {
		return
	}
	b := ev.header(rule.TransportHeader, at, 2)
	if b == nil || ev.pkt.Csum == packet.CsumPartial && !pseudo {
		return // it is computed later
	}
	sum := binary.BigEndian.Uint16(b)
	if ev.l4Proto == wire.ProtoUDP && sum == 0 {
		return // none, which tunnels over IPv6 may do, too (RFC 6935 §5)
	}
	if ev.pkt.Csum == packet.CsumPartial {
		sum = ^difference(^sum, off, before, after)
	} else {
		sum = difference(sum, off, before, after)
	}
	binary.BigEndian.PutUint16(b, sum)
}

// correctSCTP writes the checksum of an SCTP packet, a CRC over all of it that a change
// of a few bytes cannot correct (RFC 9260 §6.8). That of a fragment stays: the rest is
// not here.
func (ev *eval) correctSCTP() {
	const at = 8
	b := ev.header(rule.TransportHeader, at, 4)
	if b == nil || ev.net == wire.EtherTypeIPv4 && ev.pkt.Head()[6]&0x20 != 0 {
		return
	}
	if sum, ok := netfilter.SCTPChecksum(ev.pkt, ev.l4Off); ok {
		binary.LittleEndian.PutUint32(b, sum)
	}
}
