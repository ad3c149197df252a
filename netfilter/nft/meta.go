package nft

import (
	"math/rand/v2"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
)

// metaLoader compiles the keys that need nothing but the packet; nil: it is another.
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
	case rule.MetaSDIF: // the device that iif is a VRF of
		return func(ev *eval, dst []byte) bool { putNumber(dst, uint64(ev.slave)); return true }
	case rule.MetaSDIFname:
		return func(ev *eval, dst []byte) bool { putName(dst, ev.m.deviceName(ev.slave)); return true }
	case rule.MetaRandom:
		return func(_ *eval, dst []byte) bool { putNumber(dst, uint64(rand.Uint32())); return true }
	case rule.MetaCPU:
		return func(_ *eval, dst []byte) bool { putNumber(dst, 0); return true } // knit has one
	case rule.MetaCgroup:
		return func(ev *eval, dst []byte) bool { return ev.cgroup(dst) }
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
		if s == nil || s.Orphan {
			return false
		}
		putNumber(dst, uint64(of(s)))
		return true
	}
}

// cgroup is the number of a socket's control group: there is the one for all.
func (ev *eval) cgroup(dst []byte) bool {
	putNumber(dst, 0)
	s := ev.owner()
	return s != nil && !(s.Mini && s.Orphan)
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
