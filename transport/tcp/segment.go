package tcp

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
	"github.com/knitnet/knit/wire"
)

// checkSegment brings the header into the head and holds it and the checksum
// against RFC 9293 §3.1. It ends the packet when they are wrong.
func (t *tcp) checkSegment(pkt *packet.Packet) (wire.TCP, bool) {
	if !pkt.Ensure(wire.TCPLen) {
		return t.badSegment(pkt, stat.PktTooSmall)
	}
	n := int(pkt.Head()[12]>>4) * 4
	if n < wire.TCPLen || !pkt.Ensure(n) {
		return t.badSegment(pkt, stat.PktTooSmall)
	}
	h, ok := wire.ParseTCP(pkt.Head())
	if !ok {
		return t.badSegment(pkt, stat.PktTooSmall)
	}
	if pkt.Csum == packet.CsumNone && !checksumOK(pkt) {
		t.mib.csumErrors.Inc()
		return t.badSegment(pkt, stat.TCPCsum)
	}
	if pkt.Kind != packet.Host {
		// RFC 9293 §3.9.2.3: a SYN to a broadcast or multicast address is
		// discarded; the same goes for everything else there.
		pkt.Drop(stat.NotSpecified)
		return h, false
	}
	return h, true
}

func (t *tcp) badSegment(pkt *packet.Packet, why stat.Reason) (wire.TCP, bool) {
	t.mib.inErrs.Inc()
	pkt.Drop(why)
	return wire.TCP{}, false
}

func checksumOK(pkt *packet.Packet) bool {
	return link.ChecksumFrom(pkt, 0, pseudoOf(pkt.At(pkt.L3), pkt.Len())).Valid()
}

func pseudoOf(ip []byte, n int) wire.PartialSum {
	if ip[0]>>4 == 4 {
		return wire.PseudoIPv4([4]byte(ip[12:16]), [4]byte(ip[16:20]), wire.ProtoTCP, n)
	}
	return wire.PseudoIPv6([16]byte(ip[8:24]), [16]byte(ip[24:40]), wire.ProtoTCP, n)
}

// readSegment turns the header of pkt into seg and pulls it, so that the payload
// is what is left.
func readSegment(pkt *packet.Packet, h wire.TCP, seg *tcb.Segment) {
	n := h.HeaderLen()
	*seg = tcb.Segment{
		Seq: tcb.Seq(h.Seq()), Ack: tcb.Seq(h.Ack()), Flags: tcb.Flags(h.Flags()),
		Window: h.Window(), Urgent: h.Urgent(), Len: pkt.Len() - n,
	}
	if pkt.GSO != packet.GSONone {
		seg.Cut = pkt.GSOSize
	}
	if n > wire.TCPLen {
		var o wire.TCPOptions
		o.Parse(h.Options())
		readOptions(&o, &seg.Options)
	}
	pkt.Pull(n)
}

// The bits of the two option sets are the same.
const (
	_ = uint(wire.TCPHasMSS) - uint(tcb.HasMSS)
	_ = uint(wire.TCPHasWindowScale) - uint(tcb.HasWScale)
	_ = uint(wire.TCPHasSACKPermitted) - uint(tcb.HasSACKPermitted)
	_ = uint(wire.TCPHasTimestamps) - uint(tcb.HasTimestamps)
)

func readOptions(o *wire.TCPOptions, out *tcb.Options) {
	out.Has = tcb.OptionSet(o.Present)
	out.MSS, out.WScale, out.TSVal, out.TSEcr = o.MSS, o.WindowScale, o.TSVal, o.TSEcr
	for i, b := range o.Blocks() {
		out.SACK[i] = tcb.Block{Left: tcb.Seq(b.Left), Right: tcb.Seq(b.Right)}
		out.SACKs++
	}
}

func writeOptions(o *tcb.Options, out *wire.TCPOptions) {
	out.Present = wire.TCPOptionSet(o.Has)
	out.MSS, out.WindowScale, out.TSVal, out.TSEcr = o.MSS, o.WScale, o.TSVal, o.TSEcr
	for i := range o.SACKs {
		out.SACK[i] = wire.SACKBlock{Left: uint32(o.SACK[i].Left), Right: uint32(o.SACK[i].Right)}
		out.NumSACK++
	}
}

// pushHeader puts the TCP header of seg in front of pkt, whose data is the
// payload, with the checksum left to complete. pseudo is the sum of the pseudo
// header without the length.
func pushHeader(pkt *packet.Packet, seg *tcb.Segment, localPort, remotePort uint16, pseudo wire.PartialSum, v network.Version) {
	var o wire.TCPOptions
	n := wire.TCPLen
	if seg.Has != 0 || seg.SACKs != 0 {
		writeOptions(&seg.Options, &o)
		n += o.Len()
	}
	b := pkt.Push(n)
	f := wire.TCPFields{
		SrcPort: localPort, DstPort: remotePort, Seq: uint32(seg.Seq), Ack: uint32(seg.Ack),
		Flags: uint16(seg.Flags), Window: seg.Window, Urgent: seg.Urgent,
	}
	f.Checksum = pseudo.Uint32(uint32(pkt.Len())).Fold()
	wire.PutTCP(b, &f, n-wire.TCPLen)
	if n > wire.TCPLen {
		o.Put(b[wire.TCPLen:])
	}
	pkt.Csum = packet.CsumPartial
	pkt.CsumStart, pkt.CsumOffset = uint16(pkt.Offset()), wire.TCPChecksumOffset
	if seg.Cut != 0 && seg.Len > int(seg.Cut) {
		pkt.GSO = packet.GSOTCP4
		if v == network.V6 {
			pkt.GSO = packet.GSOTCP6
		}
		pkt.GSOSize = seg.Cut
		pkt.GSOSegs = uint16((seg.Len + int(seg.Cut) - 1) / int(seg.Cut))
	}
}

// pseudoSum returns the sum of the pseudo header without the length.
func (k *tuple) pseudoSum() wire.PartialSum {
	if k.version == network.V4 {
		return wire.PseudoIPv4([4]byte(k.local[:4]), [4]byte(k.remote[:4]), wire.ProtoTCP, 0)
	}
	return wire.PseudoIPv6(k.local, k.remote, wire.ProtoTCP, 0)
}

// quotedPorts reads the ports and the sequence number of a segment that an ICMP
// error quotes.
func quotedPorts(b []byte) (src, dst uint16, seq tcb.Seq, ok bool) {
	if len(b) < 8 {
		return 0, 0, 0, false
	}
	return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), tcb.Seq(binary.BigEndian.Uint32(b[4:])), true
}
