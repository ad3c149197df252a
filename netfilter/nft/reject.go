package nft

import (
	"fmt"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// reject compiles `reject`: the packet is dropped and its sender told.
func (c *compiler) reject(x *rule.Reject) (step, error) {
	switch x.Kind {
	case rule.RejectTCPReset:
		return func(ev *eval) next { ev.reset4or6(); return dropNow }, nil
	case rule.RejectICMP:
		code := x.Code
		return func(ev *eval) next { ev.unreachable(wire.EtherTypeIPv4, code); return dropNow }, nil
	case rule.RejectICMP6:
		code := x.Code
		return func(ev *eval) next { ev.unreachable(wire.EtherTypeIPv6, code); return dropNow }, nil
	case rule.RejectICMPX:
		if int(x.Code) >= len(icmpx4) {
			return nil, fmt.Errorf("reject: there is no icmpx code %d", x.Code)
		}
		code := x.Code
		return func(ev *eval) next {
			ev.unreachable(wire.EtherTypeIPv4, icmpx4[code])
			ev.unreachable(wire.EtherTypeIPv6, icmpx6[code])
			return dropNow
		}, nil
	}
	return nil, fmt.Errorf("reject: unknown kind")
}

// What the codes of icmpx mean in each version: no route, port, host and
// administratively prohibited.
var (
	icmpx4 = [...]uint8{0, 3, 1, 13}
	icmpx6 = [...]uint8{0, 4, 3, 1}
)

// unreachable answers a packet of one version with "destination unreachable".
func (ev *eval) unreachable(etherType uint16, code uint8) {
	ev.parse()
	if ev.net != etherType || !ev.sound() {
		return
	}
	v, kind := network.V4, network.AdminProhibited
	if etherType == wire.EtherTypeIPv6 {
		v = network.V6
	}
	if kinds := rejectKinds[v]; int(code) < len(kinds) {
		kind = kinds[code]
	}
	ev.pkt.L3 = uint16(ev.pkt.Offset())
	ev.m.net.SendErrorDetail(v, kind, code, 0, 0, ev.pkt)
}

// rejectKinds are what the codes of each version say; the others are all ways to say
// that something is prohibited.
var rejectKinds = [2][]network.ErrorKind{
	network.V4: {network.NetUnreachable, network.HostUnreachable, network.ProtoUnreachable, network.PortUnreachable},
	network.V6: {
		network.NetUnreachable, network.AdminProhibited, network.BeyondScope, network.HostUnreachable, network.PortUnreachable,
	},
}

// reset4or6 answers a TCP segment with a reset (RFC 9293 §3.10.7.1).
func (ev *eval) reset4or6() {
	ev.parse()
	h := ev.header(rule.TransportHeader, 0, wire.TCPLen)
	if h == nil || ev.l4Proto != wire.ProtoTCP || h[13]&wire.TCPRst != 0 || !ev.sound() {
		return
	}
	src, ok := ev.address(true)
	dst, ok2 := ev.address(false)
	if !ok || !ok2 {
		return
	}
	f := wire.TCPFields{SrcPort: uint16(number(h[2:4])), DstPort: uint16(number(h[0:2])), Flags: wire.TCPRst}
	if h[13]&wire.TCPAck != 0 {
		f.Seq = uint32(number(h[8:12]))
	} else {
		f.Flags |= wire.TCPAck
		n := ev.pkt.Len() - ev.l4Off - int(h[12]>>4)*4
		f.Ack = uint32(number(h[4:8])) + uint32(n)
		f.Ack += uint32(h[13]&wire.TCPSyn/wire.TCPSyn + h[13]&wire.TCPFin/wire.TCPFin)
	}
	mark := ev.m.net.ReplyMark(network.VersionOf(src), ev.pkt.Mark)
	path, err := ev.m.paths.Resolve(network.Flow{Dst: src, Src: dst, Mark: mark, Index: ev.domain()})
	if err != nil {
		return
	}
	pkt := ev.m.net.Pool.Get()
	wire.PutTCP(pkt.Extend(wire.TCPLen), &f, 0)
	b := pkt.Head()
	sum := wire.Sum(b, wire.Pseudo(dst, src, wire.ProtoTCP, len(b))).Finish()
	b[16], b[17] = byte(sum>>8), byte(sum)
	if ev.track(); ev.ct != nil {
		ev.gen.tracker.Set(pkt, ev.ct, answerInfo(ev.ctInfo))
	}
	var q packet.Queue
	q.Push(pkt)
	ev.m.net.Send(&network.Send{Path: path, Proto: wire.ProtoTCP, Mark: mark}, &q)
}

// answerInfo is what an answer to a packet is to the connection: it is about it, and
// no segment of it.
func answerInfo(i netfilter.Info) netfilter.Info {
	if i.Dir() == netfilter.Reply {
		return netfilter.Related
	}
	return netfilter.RelatedReply
}

// sound reports whether a packet may be answered: it has a transport header, and if
// that has a checksum, a right one. What its receiver would throw away brings no
// answer.
func (ev *eval) sound() bool {
	if !ev.hasL4 || ev.notHead || ev.net == wire.EtherTypeIPv6 && ev.l4Proto == wire.ProtoNoNext {
		return false
	}
	if ev.pkt.In == 0 || ev.pkt.Csum != packet.CsumNone {
		return true
	}
	src, ok := ev.address(true)
	dst, ok2 := ev.address(false)
	n := ev.pkt.Len() - ev.l4Off
	sum := wire.PartialSum(0)
	switch ev.l4Proto {
	case wire.ProtoUDP:
		b := ev.header(rule.TransportHeader, 6, 2)
		if b == nil || b[0]|b[1] == 0 {
			return b != nil // none, which tunnels over IPv6 may do, too (RFC 6935 §5)
		}
		sum = wire.Pseudo(src, dst, wire.ProtoUDP, n)
	case wire.ProtoTCP, wire.ProtoICMPv6:
		sum = wire.Pseudo(src, dst, ev.l4Proto, n)
	case wire.ProtoICMP:
	default:
		return true
	}
	return ok && ok2 && link.ChecksumFrom(ev.pkt, ev.l4Off, sum).Valid()
}
