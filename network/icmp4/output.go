package icmp4

import (
	"cmp"
	"encoding/binary"
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// A message is an error that is to be sent.
type message struct {
	typ, code uint8
	rest      uint32
}

// messageOf translates what a layer says into type and code (RFC 792, RFC 1122
// §3.2.2.1, RFC 1812 §5.2.7.1).
func messageOf(kind network.ErrorKind, code uint8, mtu int, pointer uint32) (m message, ok bool) {
	unreachable := func(code uint8) (message, bool) { return message{typ: wire.ICMP4Unreachable, code: code}, true }
	switch kind {
	case network.NetUnreachable:
		return unreachable(wire.ICMP4NetUnreachable)
	case network.HostUnreachable:
		return unreachable(wire.ICMP4HostUnreachable)
	case network.ProtoUnreachable:
		return unreachable(wire.ICMP4ProtoUnreachable)
	case network.PortUnreachable:
		return unreachable(wire.ICMP4PortUnreachable)
	case network.SourceRouteFailed:
		return unreachable(wire.ICMP4SourceRouteFailed)
	case network.AdminProhibited:
		if code == wire.ICMP4NetProhibited || code == wire.ICMP4HostProhibited {
			return unreachable(code)
		}
		return unreachable(wire.ICMP4AdminProhibited)
	case network.PacketTooBig:
		return message{wire.ICMP4Unreachable, wire.ICMP4FragNeeded, wire.ICMP4MTURest(mtu)}, true
	case network.TimeExceeded:
		return message{typ: wire.ICMP4TimeExceeded, code: wire.ICMP4TTLExceeded}, true
	case network.ReassemblyTimeExceeded:
		return message{typ: wire.ICMP4TimeExceeded, code: wire.ICMP4ReassemblyExceeded}, true
	case network.ParameterProblem:
		return message{wire.ICMP4ParamProblem, code, wire.ICMP4PointerRest(int(pointer))}, true
	case network.BeyondScope: // IPv6's
	}
	return message{}, false
}

// SendError implements network.ErrorSender.
func (i *icmp) SendError(kind network.ErrorKind, code uint8, mtu int, pointer uint32, pkt *packet.Packet) {
	m, ok := messageOf(kind, code, mtu, pointer)
	if !ok {
		return
	}
	h, ok := i.mayAnswer(pkt)
	if !ok {
		return
	}
	path := i.errorPath(pkt, h)
	if path == nil {
		i.mib.outErrors.Inc()
		return
	}
	if i.allow(path, m.typ, m.code) {
		i.sendError(path, m, pkt, h)
	}
}

// SendRedirect implements network.RedirectSender. A host is told once in a while,
// because it may not listen.
func (i *icmp) SendRedirect(gateway netip.Addr, pkt *packet.Packet) {
	h, ok := i.mayAnswer(pkt)
	if !ok {
		return
	}
	path := i.errorPath(pkt, h)
	if path == nil || !i.redirects.take(path.Dst, i.net.Clock.Now(), redirectInterval, redirectBurst) {
		return
	}
	gw := gateway.As4()
	// Code 1 always: "Routers MUST NOT generate the Redirect for Network"
	// (RFC 1812 §5.2.7.2).
	i.sendError(path, message{wire.ICMP4Redirect, wire.ICMP4RedirectHost, binary.BigEndian.Uint32(gw[:])}, pkt, h)
}

// mayAnswer holds the rules of RFC 1122 §3.2.2: "An ICMP error message MUST NOT be
// sent as the result of receiving: an ICMP error message, or a datagram destined
// to an IP broadcast or IP multicast address, or a datagram sent as a link-layer
// broadcast, or a non-initial fragment, or a datagram whose source address does
// not define a single host".
func (i *icmp) mayAnswer(pkt *packet.Packet) (h wire.IPv4, ok bool) {
	if pkt.L3 == 0 {
		return h, false
	}
	h, ok = wire.ParseIPv4(pkt.At(pkt.L3))
	switch {
	case !ok, h.FragOffset() > 0, pkt.Kind == packet.Broadcast, pkt.Kind == packet.Multicast,
		i.isMany(h.Dst(), pkt.In), !i.isSingleHost(pkt, h.Src()), h.Protocol() == wire.ProtoICMP && quotesError(pkt, h):
		return h, false
	}
	return h, true
}

// isMany reports whether a packet to ip that came by an interface is for many.
func (i *icmp) isMany(ip netip.Addr, in int32) bool {
	if ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return true
	}
	r := i.net.Own(ip, in)
	return r != nil && r.Type == route.Broadcast
}

// isSingleHost refuses "a zero address, a loopback address, a broadcast address, a
// multicast address, or a Class E address" (RFC 1122 §3.2.2); a loopback address
// is fine inside this host.
func (i *icmp) isSingleHost(pkt *packet.Packet, ip netip.Addr) bool {
	switch b := ip.As4(); {
	case b[0] == 0, b[0] >= 240, i.isMany(ip, pkt.In):
		return false
	case b[0] == 127:
		dev := i.net.Link.Device(pkt.In)
		return dev == nil || i.net.IsInner(dev)
	}
	return true
}

// quotesError reports whether pkt is an ICMP error message, or one of a type that
// nobody knows: that may be one, too (RFC 1812 §4.3.2.7).
func quotesError(pkt *packet.Packet, h wire.IPv4) bool {
	var typ [1]byte
	back := pkt.Offset() - int(pkt.L3)
	pkt.Unpull(back)
	n := pkt.CopyOut(h.HeaderLen(), typ[:])
	pkt.Pull(back)
	return n == 0 || wire.IsICMP4Error(typ[0]) || typ[0] >= assigned
}

// errorPath is the way back to the sender of pkt, from the address it was sent to
// if that is ours, else from one of the interface the error leaves by (RFC 1812
// §4.3.2.4), or of the one pkt came in by if icmp_errors_use_inbound_ifaddr says so.
func (i *icmp) errorPath(pkt *packet.Packet, h wire.IPv4) *network.Path {
	f := network.Flow{Dst: h.Src(), Index: i.net.VRF(cmp.Or(pkt.In, pkt.Out)), Mark: i.net.ReplyMark(network.V4, pkt.Mark)}
	switch dev := i.net.Link.Device(pkt.In); {
	case i.net.IsLocalTo(h.Dst(), pkt.In):
		f.Src = h.Dst()
	case dev != nil && i.settings.inboundAddr.Load():
		f.Src, _ = i.net.Family(network.V4).SelectSource(h.Src(), dev)
	}
	path, err := i.paths.Resolve(f)
	if err != nil || !isHost(path) {
		return nil
	}
	return path
}

func isHost(p *network.Path) bool { return p.Type == route.Unicast || p.Type == route.Local }

// sendError sends m about pkt, which it quotes: "the original datagram as much as
// possible without the length of the ICMP datagram exceeding 576 bytes" (RFC 1812
// §4.3.2.3).
func (i *icmp) sendError(path *network.Path, m message, pkt *packet.Packet, h wire.IPv4) {
	const room = wire.IPv4MinReasm - wire.IPv4Len - wire.ICMPLen
	var quote [room]byte
	back := pkt.Offset() - int(pkt.L3)
	pkt.Unpull(back)
	n := pkt.CopyOut(0, quote[:min(room, h.TotalLen())])
	pkt.Pull(back)
	out := i.net.Pool.Get()
	b := out.Extend(wire.ICMPLen)
	wire.PutICMP4(b, m.typ, m.code, m.rest)
	sum := wire.Sum(quote[:n], wire.Sum(b, 0)).Finish()
	msg, _ := wire.ParseICMP4(b)
	msg.SetChecksum(sum)
	out.Append(quote[:n])
	i.mib.sent(m.typ)
	r := i.replies.Get().(*reply)
	r.send = network.Send{Path: path, TOS: errorTOS(h.TOS()), Mark: i.net.ReplyMark(network.V4, pkt.Mark)}
	i.net.Answer(out, pkt)
	i.send(r, out)
}

// errorTOS is the type of service of an error: that of the packet it is about
// (RFC 1122 §3.2.2), with the precedence of internetwork control (RFC 1812
// §4.3.2.5).
func errorTOS(tos uint8) uint8 {
	const control, typeOfService = 0xc0, 0x1e
	return control | tos&typeOfService
}
