package nft

import (
	"fmt"
	"math/rand/v2"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// metaLoaders are the keys that need nothing but the packet.
func metaLoader(k rule.MetaKey) loader {
	switch k {
	case rule.MetaLength:
		return func(ev *eval, dst []byte) bool { putNumber(dst, uint64(ev.size())); return true }
	case rule.MetaProtocol:
		return func(ev *eval, dst []byte) bool { ev.parse(); putNumber(dst, uint64(ev.net)); return true }
	case rule.MetaNFProto:
		return loadNFProto
	case rule.MetaL4Proto:
		return func(ev *eval, dst []byte) bool {
			ev.parse()
			dst[0] = ev.l4Proto
			return ev.hasL4
		}
	case rule.MetaMark:
		return func(ev *eval, dst []byte) bool { putNumber(dst, uint64(ev.pkt.Mark)); return true }
	case rule.MetaPriority:
		return func(ev *eval, dst []byte) bool { putNumber(dst, uint64(ev.pkt.Priority)); return true }
	case rule.MetaPkttype:
		return loadPkttype
	case rule.MetaIif:
		return func(ev *eval, dst []byte) bool { putNumber(dst, uint64(ev.in)); return true } // 0: none
	case rule.MetaOif:
		return func(ev *eval, dst []byte) bool { putNumber(dst, uint64(ev.out)); return true }
	case rule.MetaSDIF, rule.MetaSDIFname:
		return func(_ *eval, dst []byte) bool { clear(dst); return true } // no device has another as its port
	case rule.MetaRandom:
		return func(_ *eval, dst []byte) bool { putNumber(dst, uint64(rand.Uint32())); return true }
	case rule.MetaCPU:
		return func(_ *eval, dst []byte) bool { putNumber(dst, 0); return true } // knit has one
	case rule.MetaCgroup:
		return func(ev *eval, dst []byte) bool { putNumber(dst, 0); return ev.owner() != nil }
	case rule.MetaRtClassID:
		return func(ev *eval, dst []byte) bool { putNumber(dst, 0); return ev.routed() }
	case rule.MetaIifgroup:
		return func(ev *eval, dst []byte) bool { putNumber(dst, 0); return ev.in != 0 }
	case rule.MetaOifgroup:
		return func(ev *eval, dst []byte) bool { putNumber(dst, 0); return ev.out != 0 }
	case rule.MetaSecpath:
		return func(_ *eval, dst []byte) bool { dst[0] = 0; return true }
	case rule.MetaSKUID:
		return loadOwner(func(s *network.Socket) uint32 { return s.UID })
	case rule.MetaSKGID:
		return loadOwner(func(s *network.Socket) uint32 { return s.GID })
	case rule.MetaTime:
		return func(ev *eval, dst []byte) bool { putNumber(dst, uint64(ev.m.clock.Wall().UnixNano())); return true }
	case rule.MetaDay:
		return func(ev *eval, dst []byte) bool { dst[0] = byte(ev.m.clock.Wall().UTC().Weekday()); return true }
	case rule.MetaHour:
		return func(ev *eval, dst []byte) bool {
			t := ev.m.clock.Wall().UTC()
			putNumber(dst, uint64(t.Hour()*3600+t.Minute()*60+t.Second()))
			return true
		}
	}
	return nil
}

// loadOwner compiles whose socket a packet is due to.
func loadOwner(of func(s *network.Socket) uint32) loader {
	return func(ev *eval, dst []byte) bool {
		s := ev.owner()
		if s != nil {
			putNumber(dst, uint64(of(s)))
		}
		return s != nil
	}
}

func putBool(dst []byte, v bool) {
	if v {
		dst[0] = 1
	}
}

// loadNFProto: the IP version as NFPROTO_IPV4 or NFPROTO_IPV6.
func loadNFProto(ev *eval, dst []byte) bool {
	switch ev.family {
	case rule.IP:
		dst[0] = 2
	case rule.IP6:
		dst[0] = 10
	case rule.ARP:
		dst[0] = 3
	case rule.Netdev:
		dst[0] = 5
	case rule.Bridge:
		dst[0] = 7
	}
	return true
}

// loadPkttype is what the link layer says: that of a device without headers knows of no
// broadcasts, whatever IP has found out since.
func loadPkttype(ev *eval, dst []byte) bool {
	k := ev.pkt.Kind
	if dev := ev.m.link.Device(ev.in); k == packet.Broadcast && dev != nil && dev.Type() == link.None {
		k = packet.Host
	}
	dst[0] = byte(k)
	return true
}

// deviceLoader compiles the keys about devices.
func deviceLoader(k rule.MetaKey) loader {
	out := k == rule.MetaOifname || k == rule.MetaOiftype || k == rule.MetaOifkind
	var put func(dev *link.Device, dst []byte)
	switch k {
	case rule.MetaIifname, rule.MetaOifname:
		return nameLoader(out)
	case rule.MetaIifkind, rule.MetaOifkind:
		put = func(dev *link.Device, dst []byte) { putName(dst, dev.Kind()) }
	case rule.MetaIiftype, rule.MetaOiftype:
		put = func(dev *link.Device, dst []byte) { putNumber(dst, uint64(dev.Type())) }
	default:
		return nil
	}
	return func(ev *eval, dst []byte) bool {
		index := ev.in
		if out || ev.hook == rule.Egress { // there, the type of the one device is meant
			index = ev.out
		}
		dev := ev.m.link.Device(index)
		if dev == nil {
			return false
		}
		put(dev, dst)
		return true
	}
}

// nameLoader compiles the name of a device, empty if the packet has none there.
func nameLoader(out bool) loader {
	return func(ev *eval, dst []byte) bool {
		index := ev.in
		if out {
			index = ev.out
		}
		putName(dst, ev.m.deviceName(index))
		return true
	}
}

func putName(dst []byte, name string) { clear(dst[copy(dst, name):]) }

func (c *compiler) loadMeta(x *rule.Meta) (loader, error) {
	if l := metaLoader(x.Key); l != nil {
		return l, nil
	}
	if l := deviceLoader(x.Key); l != nil {
		return l, nil
	}
	return nil, syscall.EOPNOTSUPP
}

// loadExthdr compiles extension headers and options.
func loadExthdr(x *rule.Exthdr) (loader, error) {
	find := finder(x)
	if find == nil {
		return nil, fmt.Errorf("options of this kind are not looked into")
	}
	if x.Field == nil && !x.Raw {
		return func(ev *eval, dst []byte) bool {
			dst[0] = 0
			putBool(dst, find(ev) != nil)
			return true
		}, nil
	}
	off, bits := x.Offset, x.N
	if x.Field != nil {
		off, bits = x.Field.Offset, x.Field.Bits
	}
	first, n := off/8, bytesFor(off%8+bits)
	return func(ev *eval, dst []byte) bool {
		b := find(ev)
		if first+n > len(b) {
			return false
		}
		cutBits(dst, b[first:first+n], off%8, bits)
		return true
	}, nil
}

// finder returns the function that finds the header or option; it returns its bytes
// or nil.
func finder(x *rule.Exthdr) func(ev *eval) []byte {
	number := x.Number
	switch x.Kind {
	case rule.IPv6Ext:
		return func(ev *eval) []byte { return ev.ipv6Ext(number) }
	case rule.TCPOption:
		return func(ev *eval) []byte { return ev.tcpOption(number) }
	case rule.IPOption:
		return func(ev *eval) []byte { return ev.ipOption(number) }
	}
	return nil
}

func (ev *eval) ipv6Ext(number uint8) []byte {
	ev.parse()
	if ev.net != wire.EtherTypeIPv6 {
		return nil
	}
	h, ok := wire.ParseIPv6(ev.pkt.Head())
	if !ok {
		return nil
	}
	w := h.WalkExts()
	for x, ok := w.Next(); ok; x, ok = w.Next() {
		if x.Type() == number {
			return x.Bytes()
		}
	}
	return nil
}

func (ev *eval) tcpOption(kind uint8) []byte {
	ev.parse()
	if ev.l4Proto != wire.ProtoTCP {
		return nil
	}
	b := ev.header(rule.TransportHeader, 12, 1)
	if b == nil {
		return nil
	}
	n := int(b[0]>>4) * 4
	if b = ev.header(rule.TransportHeader, 0, n); len(b) < wire.TCPLen {
		return nil
	}
	return findOption(b[wire.TCPLen:], kind)
}

func (ev *eval) ipOption(typ uint8) []byte {
	ev.parse()
	if ev.net != wire.EtherTypeIPv4 || ev.l4Off <= wire.IPv4Len {
		return nil
	}
	h, ok := wire.ParseIPv4(ev.header(rule.NetworkHeader, 0, ev.l4Off))
	if !ok || !sound(h) {
		return nil
	}
	return findOption(h.Options(), typ)
}

// sound reports whether all options of a header make sense: as on Linux, what is among
// others that do not is not found.
func sound(h wire.IPv4) bool {
	w := h.WalkOptions()
	for o, ok := w.Next(); ok; o, ok = w.Next() {
		if _, fine := o.Check(); !fine {
			return false
		}
	}
	_, bad := w.Bad()
	return !bad
}

// findOption walks options of the form kind, length, data, where the kinds 0 and 1
// are single octets.
func findOption(b []byte, kind uint8) []byte {
	for len(b) > 0 {
		n := 1
		if b[0] > 1 {
			if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
				return nil
			}
			n = int(b[1])
		}
		if b[0] == kind {
			return b[:n]
		}
		if b[0] == 0 {
			return nil
		}
		b = b[n:]
	}
	return nil
}
