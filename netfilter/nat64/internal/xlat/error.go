package xlat

import "github.com/knitnet/knit/wire"

const (
	// MaxError6 is the length of the longest ICMPv6 error, without the IPv6 header: the
	// packet must not be longer than the least MTU (RFC 4443 §2.4 (c)).
	MaxError6 = wire.IPv6MinMTU - wire.IPv6Len
	// MaxError4 is that of an ICMP error: the packet should not be longer than 576 bytes
	// (RFC 1812 §4.3.2.3).
	MaxError4 = wire.IPv4MinReasm - wire.IPv4Len
	// MaxError is how much of an error is looked at: all that fits into an Ethernet
	// frame.
	MaxError = 1500
)

// Error6 translates the ICMP error in, which quotes a packet for which Parse4 found q
// and that was n before it was translated. It writes the ICMPv6 error, with a checksum
// of zero, into out, which has room for MaxError6 bytes, and returns its length.
func Error6(out, in []byte, q *Four, n *New6, mtu MTUs) (size int, p Problem) {
	m, ok := wire.ParseICMP4(in)
	if !ok {
		return 0, Truncated
	}
	quoted, ext := m.Quoted()
	h, ok := wire.ParseIPv4(quoted)
	if !ok {
		return 0, Truncated
	}
	x, ok := error6(m, h.TotalLen(), mtu)
	switch {
	case !ok:
		return 0, Untranslatable
	case q.IsError4():
		return 0, Nested
	}
	if !x.extensible || len(ext) > MaxError6-wire.ICMPLen-wire.ICMPExtQuote {
		ext = nil
	}
	out = out[:MaxError6]
	wire.PutICMP6(out, x.typ, x.code, x.rest)
	room := out[wire.ICMPLen : len(out)-len(ext)]
	size = wire.ICMPLen + quote6(room, quoted, q, n)
	if ext == nil {
		return size, Fine
	}
	to := wire.ICMPLen + wire.ICMPExtQuoteLen(size-wire.ICMPLen, true)
	if to+len(ext) > len(out) { // the quotation gives way, in whole units of 8 bytes
		to = wire.ICMPLen + (len(out)-len(ext)-wire.ICMPLen)&^7
	}
	w, _ := wire.ParseICMP6(out)
	w.SetQuoteLen(to - wire.ICMPLen)
	return extend(out, size, to, ext), Fine
}

// Error4 translates the ICMPv6 error in, which quotes a packet for which Parse6 found
// q and that was n before it was translated. It writes the ICMP error, with a checksum
// of zero, into out, which has room for MaxError4 bytes, and returns its length.
func Error4(out, in []byte, q *Six, n *New4, mtu MTUs) (size int, p Problem) {
	m, ok := wire.ParseICMP6(in)
	if !ok {
		return 0, Truncated
	}
	quoted, ext := m.Quoted()
	x, ok := error4(m, mtu)
	switch {
	case len(quoted) < q.L4:
		return 0, Truncated
	case !ok:
		return 0, Untranslatable
	case q.IsError6():
		return 0, Nested
	}
	if !x.extensible || len(ext) > MaxError4-wire.ICMPLen-wire.ICMPExtQuote {
		ext = nil
	}
	out = out[:MaxError4]
	wire.PutICMP4(out, x.typ, x.code, x.rest)
	room := out[wire.ICMPLen : len(out)-len(ext)]
	size = wire.ICMPLen + quote4(room, quoted, q, n)
	if ext == nil {
		return size, Fine
	}
	to := wire.ICMPLen + wire.ICMPExtQuoteLen(size-wire.ICMPLen, false)
	if to+len(ext) > len(out) {
		to = wire.ICMPLen + (len(out)-len(ext)-wire.ICMPLen)&^3
	}
	w, _ := wire.ParseICMP4(out)
	w.SetQuoteLen(to - wire.ICMPLen)
	return extend(out, size, to, ext), Fine
}

// extend puts extensions, which are the same in both versions (RFC 7915 §4.2, §5.2),
// at offset to, behind a quotation that ends at size and is padded with zeros.
func extend(out []byte, size, to int, ext []byte) int {
	if to > size {
		clear(out[size:to])
	}
	return to + copy(out[to:], ext)
}

// quote6 writes a quoted IPv4 packet as an IPv6 packet, as far as there is room, and
// returns how much it wrote. Its length is what the whole packet would have.
func quote6(out, quoted []byte, q *Four, n *New6) int {
	h, _ := wire.ParseIPv4(quoted)
	f := wire.IPv6Fields{TrafficClass: h.TOS(), NextHeader: h.Protocol(), HopLimit: h.TTL(), Src: n.Src, Dst: n.Dst}
	size := h.TotalLen() - q.L4
	if q.Proto == wire.ProtoICMP {
		f.NextHeader = wire.ProtoICMPv6
	}
	at, next := wire.IPv6Len, f.NextHeader
	if q.Fragment.Is() {
		f.NextHeader = wire.ProtoFragment
		at += wire.IPv6FragmentLen
	}
	f.PayloadLen = uint16(min(size+at-wire.IPv6Len, wire.IPv6MaxPayload))
	wire.PutIPv6(out, &f)
	if q.Fragment.Is() {
		wire.PutIPv6Fragment(out[wire.IPv6Len:], next, q.Fragment.Offset, q.Fragment.More, q.Fragment.ID)
	}
	end := at + copy(out[at:], quoted[q.L4:])
	before, after := wire.PseudoIPv4(q.Src, q.Dst, 0, 0), wire.PseudoIPv6(n.Src, n.Dst, 0, 0)
	if q.Proto == wire.ProtoICMP {
		after = after.Add(wire.PseudoIPv6([16]byte{}, [16]byte{}, wire.ProtoICMPv6, size))
		requoteEcho(out[at:end], echo6(q.Type), n.SrcPort, 0, after)
		return end
	}
	requote(out[at:end], &q.Upper, before, after, n.SrcPort, n.DstPort)
	return end
}

// quote4 writes a quoted IPv6 packet as an IPv4 packet, as quote6 does.
func quote4(out, quoted []byte, q *Six, n *New4) int {
	h, _ := wire.ParseIPv6(quoted)
	size := max(h.TotalLen()-q.L4, 0)
	f := wire.IPv4Fields{
		TOS: h.TrafficClass(), TTL: h.HopLimit(), Protocol: q.Proto, Src: n.Src, Dst: n.Dst,
		DF:       !q.Fragment.Present && wire.IPv4Len+size > atomicLen,
		TotalLen: uint16(min(wire.IPv4Len+size, wire.IPv4MaxTotal)),
		ID:       uint16(q.Fragment.ID), MF: q.Fragment.More, FragOffset: uint16(q.Fragment.Offset),
	}
	if q.Proto == wire.ProtoICMPv6 {
		f.Protocol = wire.ProtoICMP
	}
	wire.PutIPv4(out, &f)
	at := wire.IPv4Len
	end := at + copy(out[at:], quoted[q.L4:])
	before, after := wire.PseudoIPv6(q.Src, q.Dst, 0, 0), wire.PseudoIPv4(n.Src, n.Dst, 0, 0)
	if q.Proto == wire.ProtoICMPv6 {
		before = before.Add(wire.PseudoIPv6([16]byte{}, [16]byte{}, wire.ProtoICMPv6, size))
		requoteEcho(out[at:end], echo4(q.Type), n.SrcPort, before, 0)
		return end
	}
	requote(out[at:end], &q.Upper, before, after, n.SrcPort, n.DstPort)
	return end
}

// requote changes a quoted transport header, of which the checksum may be missing.
func requote(t []byte, u *Upper, before, after wire.PartialSum, src, dst uint16) {
	if u.Fragment.Offset > 0 || len(t) < 4 {
		return
	}
	if at := checksumAt(u.Proto); len(t) >= at+2 {
		if was := be.Uint16(t[at:]); was != 0 || u.Proto != wire.ProtoUDP {
			before, after = before.Uint16(u.SrcPort).Uint16(u.DstPort), after.Uint16(src).Uint16(dst)
			be.PutUint16(t[at:], update(u.Proto, was, before, after))
		}
	}
	be.PutUint16(t, src)
	be.PutUint16(t[2:], dst)
}

func requoteEcho(t []byte, typ uint8, id uint16, before, after wire.PartialSum) {
	if typ != noType && len(t) >= wire.ICMPLen {
		retouchEcho(t, typ, id, before, after)
	}
}
