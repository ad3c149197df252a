package icmp4

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// Redirects to one host: two at once, then one per 20 s (Linux sends up to nine
// with growing pauses).
const (
	redirectInterval = 20 * time.Second
	redirectBurst    = 2
)

// maxError is how much of an error message is looked at: all that fits into an
// Ethernet frame.
const maxError = 1500

// A received error with its bytes, kept because what is passed to an interface
// would be allocated for every message.
type received struct {
	e network.Error
	b [maxError]byte
}

// takeError gives an error message to the transport whose packet it quotes.
func (i *icmp) takeError(pkt *packet.Packet) {
	r := i.errors.Get().(*received)
	defer i.errors.Put(r)
	m, _ := wire.ParseICMP4(r.b[:pkt.CopyOut(0, r.b[:])])
	quoted, _ := m.Quoted()
	h, ok := wire.ParseIPv4(quoted)
	from, whole := wire.ParseIPv4(pkt.At(pkt.L3))
	switch {
	case !ok || !whole || len(h.Payload()) < wire.ICMPLen:
		i.bad(pkt, stat.PktTooSmall)
		return
	case h.FragOffset() > 0 || !i.net.TakesIn(h.Src(), pkt.In): // nothing that a transport of ours would know
		pkt.Consume()
		return
	}
	in, source := pkt.In, from.Src()
	pkt.Consume()
	if m.Type() == wire.ICMP4Redirect {
		i.takeRedirect(m, h, source, in)
		return
	}
	kind, ok := kindOf(m)
	if !ok {
		return
	}
	r.e = network.Error{
		Kind: kind, From: source, Src: h.Src(), Dst: h.Dst(), Proto: h.Protocol(), Index: in,
		Type: m.Type(), Code: m.Code(), Payload: h.Payload(),
	}
	switch kind {
	case network.PacketTooBig:
		r.e.MTU = nextHopMTU(m.MTU(), h.TotalLen())
	case network.ParameterProblem:
		r.e.Pointer = uint32(m.Pointer())
	}
	i.net.Deliver(&r.e)
}

// kindOf translates type and code. It is not ok for what tells nothing: "A host
// MUST silently discard" source quenches (RFC 6633 §4), and codes that nobody has
// assigned are ignored.
func kindOf(m wire.ICMP4) (k network.ErrorKind, ok bool) {
	switch m.Type() {
	case wire.ICMP4TimeExceeded:
		if m.Code() == wire.ICMP4ReassemblyExceeded {
			return network.ReassemblyTimeExceeded, true
		}
		return network.TimeExceeded, true
	case wire.ICMP4ParamProblem:
		return network.ParameterProblem, true
	case wire.ICMP4Unreachable:
		return unreachableKind(m.Code())
	}
	return 0, false
}

func unreachableKind(code uint8) (k network.ErrorKind, ok bool) {
	switch code {
	case wire.ICMP4NetUnreachable, wire.ICMP4NetUnknown, wire.ICMP4NetUnreachableTOS:
		return network.NetUnreachable, true
	case wire.ICMP4HostUnreachable, wire.ICMP4HostUnknown, wire.ICMP4SourceIsolated, wire.ICMP4HostUnreachableTOS:
		return network.HostUnreachable, true
	case wire.ICMP4ProtoUnreachable:
		return network.ProtoUnreachable, true
	case wire.ICMP4PortUnreachable:
		return network.PortUnreachable, true
	case wire.ICMP4FragNeeded:
		return network.PacketTooBig, true
	case wire.ICMP4SourceRouteFailed:
		return network.SourceRouteFailed, true
	case wire.ICMP4NetProhibited, wire.ICMP4HostProhibited, wire.ICMP4AdminProhibited,
		wire.ICMP4PrecedenceViolation, wire.ICMP4PrecedenceCutoff:
		return network.AdminProhibited, true
	}
	return 0, false
}

// plateaus are the MTUs that links have in practice (RFC 1191 §7.1).
var plateaus = [...]int{65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, wire.IPv4MinMTU}

// nextHopMTU returns the MTU that a router told of. One that knows no RFC 1191
// tells 0: then it is the next plateau below the length of the packet that was too
// long (RFC 1191 §5).
func nextHopMTU(told, length int) int {
	if told != 0 {
		return max(told, wire.IPv4MinMTU) // "A host MUST never reduce its estimate below 68 octets" (§3)
	}
	for _, mtu := range plateaus {
		if mtu < length {
			return mtu
		}
	}
	return wire.IPv4MinMTU
}

// takeRedirect follows a redirect, if redirects are accepted, to a gateway that "is
// on the same connected (sub-)net through which the Redirect arrived", told by "the
// current first-hop gateway for the specified destination" (RFC 1122 §3.2.2.2).
// One for a network counts for the host alone.
func (i *icmp) takeRedirect(m wire.ICMP4, h wire.IPv4, from netip.Addr, in int32) {
	gateway := m.Gateway()
	if !i.acceptsRedirects(in) || m.Code() > wire.ICMP4RedirectHostTOS || i.isMany(gateway, in) || i.net.IsLocalTo(gateway, in) ||
		!i.onLink(in, gateway) {
		return
	}
	path, err := i.net.Resolve(network.Flow{Dst: h.Dst(), Src: h.Src(), Index: i.net.VRF(in)})
	if err != nil || path.Type != route.Unicast || path.Device.Index() != in || path.NextHop != from || path.NextHop == h.Dst() {
		return
	}
	i.net.LearnRedirect(h.Dst(), gateway, in)
}

// onLink reports whether ip is in a subnet of the interface.
func (i *icmp) onLink(index int32, ip netip.Addr) bool {
	for _, a := range i.net.Addrs(index) {
		if a.IP().Is4() && a.Prefix.Contains(ip) {
			return true
		}
	}
	return false
}
