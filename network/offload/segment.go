package offload

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// Segment cuts a packet with Meta.GSO set into packets of GSOSize payload bytes
// each, all with headers of their own, and pushes them to out. It owns pkt, whose
// network header is at Meta.L3, behind a link header perhaps. The segments have
// CsumPartial, whatever pkt had. A packet whose headers do not match its Meta.GSO
// is dropped for SKB_GSO_SEG.
func (*Offload) Segment(pkt *packet.Packet, out *packet.Queue) {
	var t template
	if !t.parse(pkt) {
		pkt.Drop(stat.SkbGSOSeg)
		return
	}
	total := pkt.Len() - t.n
	size := int(pkt.GSOSize)
	pkt.GSO, pkt.GSOSize, pkt.GSOSegs = packet.GSONone, 0, 0
	if total <= size {
		out.Push(pkt)
		return
	}
	t.resize(total, size)
	flags := t.flags(0)
	t.setFlags(flags &^ onLast)
	off := pkt.Offset()
	for at := 0; at < total; at += size {
		n := size
		if total-at <= size {
			n = total - at
			t.resize(size, n)
			t.setFlags(flags &^ onFirst)
		}
		p := pkt.Pool().Get()
		p.Meta = pkt.Meta
		copy(layout(p, off, t.n), t.b)
		share(p, pkt, t.n+at, n)
		out.Push(p)
		t.advance(n, flags)
	}
	pkt.Consume()
}

// share puts n bytes from offset off of src on behind p's headers.
func share(p, src *packet.Packet, off, n int) {
	if p.Share(src, off, n) {
		return
	}
	// Much payload in src's head, or it lies in more pieces than fit.
	buf := src.Pool().Buf(n)
	src.CopyOut(off, buf.Bytes()[:n])
	p.AddFrag(buf, 0, n)
}

// A template is the headers of the next segment, in the head of the packet that
// is cut.
type template struct {
	b      []byte // link, network and transport header
	n      int    // len(b)
	l3, l4 int    // where these begin
	v6     bool
	tcp    bool
	atomic bool // see isAtomic
	sum    int  // offset of the transport checksum; 0: UDP without one
}

// parse finds the headers of pkt and brings its checksum into the form of
// CsumPartial.
func (t *template) parse(pkt *packet.Packet) bool {
	t.l3 = int(pkt.L3) - pkt.Offset()
	if t.l3 < 0 || pkt.GSOSize == 0 || !pkt.Ensure(t.l3+wire.IPv4Len) {
		return false
	}
	var proto uint8
	var ok bool
	if pkt.Head()[t.l3]>>4 == 4 {
		proto, ok = t.parse4(pkt)
	} else {
		proto, ok = t.parse6(pkt)
	}
	return ok && t.parseTransport(pkt, proto)
}

func (t *template) parse4(pkt *packet.Packet) (proto uint8, ok bool) {
	// Not a byte more than the headers: payload that moves into the head could
	// not be shared any more.
	pkt.Ensure(t.l3 + int(pkt.Head()[t.l3]&0xf)*4)
	h, ok := wire.ParseIPv4(pkt.Head()[t.l3:])
	if !ok || h.TotalLen() != pkt.Len()-t.l3 || h.IsFragment() {
		return 0, false
	}
	t.l4 = t.l3 + h.HeaderLen()
	t.atomic = isAtomic(h.ID(), h.DF())
	return h.Protocol(), pkt.GSO != packet.GSOTCP6
}

func (t *template) parse6(pkt *packet.Packet) (proto uint8, ok bool) {
	pkt.Ensure(t.l3 + wire.IPv6Len + 1) // the walk wants to see that something follows
	h, ok := wire.ParseIPv6(pkt.Head()[t.l3:])
	if !ok || h.TotalLen() != pkt.Len()-t.l3 {
		return 0, false
	}
	w := h.WalkExts()
	for x, more := w.Next(); more; x, more = w.Next() {
		if x.Type() == wire.ProtoFragment {
			return 0, false
		}
	}
	err, _ := w.Err()
	proto, t.l4 = w.Upper()
	t.v6, t.l4 = true, t.l3+t.l4
	return proto, err == wire.IPv6ExtFine && pkt.GSO != packet.GSOTCP4
}

func (t *template) parseTransport(pkt *packet.Packet, proto uint8) bool {
	switch {
	case proto == wire.ProtoTCP && pkt.GSO != packet.GSOUDP:
		if !pkt.Ensure(t.l4 + wire.TCPLen) {
			return false
		}
		n := int(pkt.Head()[t.l4+12]>>4) * 4
		if n < wire.TCPLen || !pkt.Ensure(t.l4+n) {
			return false
		}
		t.tcp, t.n, t.sum = true, t.l4+n, t.l4+wire.TCPChecksumOffset
	case proto == wire.ProtoUDP && pkt.GSO == packet.GSOUDP:
		if !pkt.Ensure(t.l4 + wire.UDPLen) {
			return false
		}
		t.n, t.sum = t.l4+wire.UDPLen, t.l4+wire.UDPChecksumOffset
	default:
		return false
	}
	t.b = pkt.Head()[:t.n]
	if pkt.Csum != packet.CsumPartial {
		t.partial(pkt, proto)
		return true
	}
	return int(pkt.CsumStart) == pkt.Offset()+t.l4 && int(pkt.CsumOffset) == t.sum-t.l4
}

// partial puts the sum of the pseudo header into the checksum field. It believes
// the payload: who gave it to the stack vouched for it, or summed it.
func (t *template) partial(pkt *packet.Packet, proto uint8) {
	if !t.tcp && binary.BigEndian.Uint16(t.b[t.sum:]) == 0 {
		t.sum = 0
		return
	}
	n := pkt.Len() - t.l4
	var s wire.PartialSum
	if t.v6 {
		h, _ := wire.ParseIPv6(t.b[t.l3:])
		s = h.PseudoSum(proto, n)
	} else {
		h, _ := wire.ParseIPv4(t.b[t.l3:])
		s = h.PseudoSum(n)
	}
	binary.BigEndian.PutUint16(t.b[t.sum:], s.Fold())
	pkt.Csum = packet.CsumPartial
	pkt.CsumStart = uint16(pkt.Offset() + t.l4)
	pkt.CsumOffset = uint16(t.sum - t.l4)
}

// resize changes the lengths in the headers from before to after payload bytes.
func (t *template) resize(before, after int) {
	b := t.b
	fromL4 := t.n - t.l4 // transport header
	if t.v6 {
		binary.BigEndian.PutUint16(b[t.l3+ip6PayloadLen:], uint16(t.n-t.l3-wire.IPv6Len+after))
	} else {
		fromL3 := t.n - t.l3
		binary.BigEndian.PutUint16(b[t.l3+ip4TotalLen:], uint16(fromL3+after))
		s := binary.BigEndian.Uint16(b[t.l3+ip4Sum:])
		binary.BigEndian.PutUint16(b[t.l3+ip4Sum:], wire.UpdateChecksum16(s, uint16(fromL3+before), uint16(fromL3+after)))
	}
	if !t.tcp {
		binary.BigEndian.PutUint16(b[t.l4+udpLen:], uint16(fromL4+after))
	}
	if t.sum != 0 {
		addToField(b[t.sum:], fromL4+before, fromL4+after)
	}
}

// flags returns the control bits, or def for UDP.
func (t *template) flags(def uint8) uint8 {
	if !t.tcp {
		return def
	}
	return t.b[t.l4+tcpFlagByte]
}

func (t *template) setFlags(f uint8) {
	if t.tcp {
		t.b[t.l4+tcpFlagByte] = f
	}
}

// advance makes the headers those of the segment behind one of n bytes.
func (t *template) advance(n int, flags uint8) {
	if t.tcp {
		seq := t.b[t.l4+tcpSeq:]
		binary.BigEndian.PutUint32(seq, binary.BigEndian.Uint32(seq)+uint32(n))
		t.b[t.l4+tcpFlagByte] = flags &^ (onFirst | onLast)
	}
	if !t.v6 && !t.atomic {
		b := t.b[t.l3:][:wire.IPv4Len]
		id := binary.BigEndian.Uint16(b[ip4ID:])
		binary.BigEndian.PutUint16(b[ip4ID:], id+1)
		s := binary.BigEndian.Uint16(b[ip4Sum:])
		binary.BigEndian.PutUint16(b[ip4Sum:], wire.UpdateChecksum16(s, id, id+1))
	}
}
