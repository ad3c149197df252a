package icmp4

import (
	"encoding/binary"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// Input implements network.Handler.
func (i *icmp) Input(q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		i.mib.inMsgs.Inc()
		if i.check(pkt) {
			i.take(pkt)
		}
	}
}

// Error implements network.Handler. Errors about ICMP messages of this host are for
// ping and raw sockets, which hear of them by themselves.
func (i *icmp) Error(e *network.Error) {
	if e.Kind == network.PacketTooBig {
		i.net.LearnMTU(e.Dst, e.Index, e.MTU)
	}
}

// check drops messages that are damaged.
func (i *icmp) check(pkt *packet.Packet) bool {
	if !pkt.Ensure(wire.ICMPLen) {
		i.bad(pkt, stat.PktTooSmall)
		return false
	}
	if pkt.Csum == packet.CsumNone && !link.ChecksumFrom(pkt, 0, 0).Valid() {
		i.mib.inCsumErrors.Inc()
		i.bad(pkt, stat.ICMPCsum)
		return false
	}
	return true
}

func (i *icmp) bad(pkt *packet.Packet, why stat.Reason) {
	i.mib.inErrors.Inc()
	pkt.Drop(why)
}

// take acts on one message. One of an unknown type "MUST be silently discarded"
// (RFC 1122 §3.2.2).
func (i *icmp) take(pkt *packet.Packet) {
	typ := pkt.Head()[0]
	i.mib.in[typ].Inc()
	switch {
	case typ == wire.ICMP4Echo:
		i.echo(pkt)
	case typ == wire.ICMP4Timestamp:
		i.timestamp(pkt)
	case wire.IsICMP4Error(typ):
		i.takeError(pkt)
	default:
		if f := i.net.ICMP(network.V4, typ); f != nil {
			f(pkt)
			return
		}
		pkt.Consume() // raw and ping sockets have seen it
	}
}

// forMany reports whether a message was sent to a group or a broadcast address.
func (i *icmp) forMany(pkt *packet.Packet, h wire.IPv4) bool {
	return pkt.Kind == packet.Broadcast || pkt.Kind == packet.Multicast || !i.net.IsLocalTo(h.Dst(), pkt.In)
}

// echo answers an echo request (RFC 1122 §3.2.2.6). The request itself becomes the
// answer.
func (i *icmp) echo(pkt *packet.Packet) {
	if i.settings.ignoreAll.Load() {
		pkt.Consume()
		return
	}
	i.answer(pkt, wire.ICMP4EchoReply)
}

// timestamp answers a timestamp request (RFC 792, RFC 1122 §3.2.2.8): the times,
// in milliseconds since midnight UT, when it came and when the answer goes.
func (i *icmp) timestamp(pkt *packet.Packet) {
	const length, receive, transmit = 20, 12, 16
	if pkt.Len() < length || !pkt.Ensure(length) {
		i.bad(pkt, stat.PktTooSmall)
		return
	}
	wall := i.net.Clock.Wall().UTC()
	ms := uint32(wall.Sub(wall.Truncate(24*time.Hour)) / time.Millisecond)
	b := pkt.Head()
	sum := wire.Sum(b[receive:length], 0)
	binary.BigEndian.PutUint32(b[receive:], ms)
	binary.BigEndian.PutUint32(b[transmit:], ms)
	m, _ := wire.ParseICMP4(b)
	m.SetChecksum(wire.UpdateChecksum(m.Checksum(), sum, wire.Sum(b[receive:length], 0)))
	i.answer(pkt, wire.ICMP4TimestampReply)
}

// answer turns a request into its answer of a type and sends it back, with the
// same type of service (RFC 1122 §3.2.2), from the address that was asked: it
// "MUST be the same as the specific-destination address" (§3.2.2.6, §3.2.2.8).
func (i *icmp) answer(pkt *packet.Packet, typ uint8) {
	h, ok := wire.ParseIPv4(pkt.At(pkt.L3))
	if !ok {
		i.bad(pkt, stat.IPInHdr)
		return
	}
	many := i.forMany(pkt, h)
	if many && i.settings.ignoreBroadcasts.Load() || h.Src().IsUnspecified() {
		pkt.Consume()
		return
	}
	r := i.replies.Get().(*reply)
	opts, first := echoedOptions(h, r.opts[:0])
	mark := i.net.ReplyMark(network.V4, pkt.Mark)
	f := network.Flow{Dst: first, Src: h.Dst(), Index: i.net.VRF(pkt.In), Mark: mark}
	if many {
		f = network.Flow{Dst: first, Index: pkt.In, Mark: mark}
	}
	path, err := i.paths.Resolve(f)
	if err != nil || !isHost(path) {
		i.replies.Put(r)
		i.mib.outErrors.Inc()
		pkt.Drop(stat.IPOutNoRoutes)
		return
	}
	r.send = network.Send{Path: path, TOS: h.TOS(), Options: opts, Mark: mark}
	i.mib.sent(typ)
	i.send(r, becomeAnswer(pkt, typ))
}

// becomeAnswer changes the type of a message, and with it the checksum, and makes
// it a packet that nobody has sent yet.
func becomeAnswer(pkt *packet.Packet, typ uint8) *packet.Packet {
	b := pkt.Head()
	was := binary.BigEndian.Uint16(b)
	b[0], b[1] = typ, 0
	m, _ := wire.ParseICMP4(b)
	m.SetChecksum(wire.UpdateChecksum16(m.Checksum(), was, binary.BigEndian.Uint16(b)))
	pkt.Scrub()
	pkt.Proto, pkt.L2 = 0, 0
	if pkt.Room() >= packet.Headroom-wire.IPv4Len {
		return pkt
	}
	// It came with less in front of it than it will need.
	fresh := pkt.Pool().Get()
	fresh.Csum = pkt.Csum
	if !fresh.Share(pkt, 0, pkt.Len()) {
		buf := pkt.Pool().Buf(pkt.Len())
		fresh.AddFrag(buf, 0, pkt.CopyOut(0, buf.Bytes()))
		fresh.Ensure(wire.ICMPLen)
	}
	pkt.Consume()
	return fresh
}
