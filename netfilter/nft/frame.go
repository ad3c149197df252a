package nft

import (
	"slices"
	"strings"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// enter prepares a packet at a hook of the link layer for a chain: goOn if the chain is
// for it, which is one of its devices and in the family inet IP, else acceptNow. The
// family inet drops what is no whole IP packet, as IP does later.
//
// Whatever the hook, rules find the network header at the start of the data: the link
// header of what is to be sent, and the VLAN tag of what came in, are pulled until the
// chain has decided.
func (ev *eval) enter(f rule.Family, ch *chain) next {
	dev := ev.m.link.Device(max(ev.in, ev.out))
	if dev == nil || !ch.sitsAt(dev.Name()) {
		return acceptNow
	}
	pkt := ev.pkt
	ev.net = pkt.Proto
	if f == rule.Inet {
		switch ev.net {
		case wire.EtherTypeIPv4:
			ev.family = rule.IP
		case wire.EtherTypeIPv6:
			ev.family = rule.IP6
		default:
			return acceptNow
		}
		ev.parsed = true
		if ev.parseFrame(); !ev.hasL4 {
			return dropNow
		}
		return goOn
	}
	switch {
	case ev.hook == rule.Egress && dev.Type() == link.Ether:
		if pkt.L2 = uint16(pkt.Offset()); pkt.Pull(wire.EthernetLen) {
			ev.pulled, ev.front = wire.EthernetLen, wire.EthernetLen
		}
	case ev.hook == rule.Ingress && (ev.net == wire.EtherTypeVLAN || ev.net == wire.EtherTypeQinQ) && pkt.Ensure(wire.VLANLen):
		tag, _ := wire.ParseVLAN(pkt.Head())
		ev.net = tag.EtherType()
		pkt.Pull(wire.VLANLen)
		ev.pulled = wire.VLANLen
	}
	return goOn
}

// sitsAt reports whether a chain is for a device: by its name, which need not be there
// yet, or by the beginning of it, `eth*`.
func (c *chain) sitsAt(name string) bool {
	return slices.ContainsFunc(c.devices, func(d string) bool {
		start, wild := strings.CutSuffix(d, "*")
		return d == name || wild && strings.HasPrefix(name, start)
	})
}

// size is the packet's length in bytes as rules count it: with the link header where
// the packet has it, which is at egress.
func (ev *eval) size() int { return ev.pkt.Len() + ev.front }

// parseFrame finds the transport header of what is at a hook of the link layer, where
// nobody has checked the IP header yet: a packet that is shorter than its header says has
// none.
func (ev *eval) parseFrame() {
	pkt := ev.pkt
	switch ev.net {
	case wire.EtherTypeIPv4:
		if !pkt.Ensure(wire.IPv4Len) {
			return
		}
		b := pkt.Head()
		if total := int(number(b[2:4])); total >= int(b[0]&0xf)*4 && total <= pkt.Len() {
			ev.parse4()
		}
	case wire.EtherTypeIPv6:
		if !pkt.Ensure(wire.IPv6Len) {
			return
		}
		if h, ok := wire.ParseIPv6(pkt.Head()); ok && h.TotalLen() <= pkt.Len() {
			ev.parse6()
		}
	}
}
