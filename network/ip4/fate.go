package ip4

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// A fate is what becomes of a packet because of its addresses.
type fate uint8

const (
	unknown    fate = iota
	host            // it is for this host
	broadcast       // for everybody on the link
	multicast       // for a group that somebody here listens to
	transitory      // for somebody else
	notMember       // for a group that nobody here listens to
	martian         // from or to an address that cannot be on this link
	unreversed      // from where no packet would go back by this link
)

// addrs are the two addresses of a packet.
type addrs struct{ src, dst [4]byte }

// addrsOf reads the addresses of a checked header.
func addrsOf(b []byte) addrs {
	p := (*[8]byte)(b[12:20])
	return addrs{src: [4]byte(p[0:4]), dst: [4]byte(p[4:8])}
}

func isMulticast(a [4]byte) bool { return a[0]>>4 == 14 }

// isLimitedBroadcast reports whether a is 255.255.255.255.
func isLimitedBroadcast(a [4]byte) bool { return a == [4]byte{255, 255, 255, 255} }

// fateOf looks the addresses of a packet up. A source that is a group or a
// broadcast, "this host" (0) except towards the whole link, loopback addresses on
// any other link, and our own addresses coming in from outside are martian
// (RFC 1122 §3.2.1.3, RFC 1812 §5.3.7).
func (p *ip4) fateOf(dev *link.Device, cf *conf, a addrs, pkt *packet.Packet) fate {
	inside := p.net.IsInner(dev)
	zeroSrc := a.src == [4]byte{}
	switch {
	case isMulticast(a.src), isLimitedBroadcast(a.src), a.src[0] == 0 && !zeroSrc,
		!inside && (a.src[0] == 127 || a.dst[0] == 127) && !either(&p.conf.All.routeLocalnet, &cf.routeLocalnet):
		return martian
	}
	checked := !inside && !zeroSrc
	if checked && !p.validSource(dev, cf, a.src) {
		return martian
	}
	dst := netip.AddrFrom4(a.dst)
	h, _ := wire.ParseIPv4(pkt.Head())
	flow := p.net.FlowOf4(pkt, h)
	flow.In = dev.Index()
	f, out := transitory, int32(0)
	switch {
	case isMulticast(a.dst):
		f = p.groupFate(dev, a, dst)
	case isLimitedBroadcast(a.dst), zeroSrc && a.dst == [4]byte{}:
		f = broadcast
	case zeroSrc, a.dst[0] == 0:
		return martian
	default:
		f, out = p.routed(&flow)
	}
	if checked && !p.reversible(dev, cf, flow, out) {
		return unreversed
	}
	return f
}

// routed says what the rules make of a packet to one host, and by which interface a
// packet for somebody else leaves.
func (p *ip4) routed(flow *network.Flow) (f fate, out int32) {
	t, out := p.net.Inbound(flow)
	switch t {
	case route.Local:
		return host, 0
	case route.Broadcast:
		return broadcast, 0
	}
	return transitory, out
}

// fateSlots is the number of slots of a fateCache, a power of two.
const fateSlots = 1024

// A fateCache remembers what fateOf said of late, because two lookups in the table
// of local addresses would be half of what receiving a packet costs. It needs no
// lock: a slot is two words, one of which is the key mixed with the value, so that
// halves of two entries do not fit together.
type fateCache [fateSlots]struct{ mixed, value atomic.Uint64 }

const fateBits, indexBits = 4, 20

// fateValue is what a slot holds: the generation in which f was found out, for which
// interface, and f.
func fateValue(generation uint64, index int32, f fate) uint64 {
	return generation<<(fateBits+indexBits) | uint64(index)<<fateBits&(1<<(fateBits+indexBits)-1) | uint64(f)
}

// mix ties a key to a value. The product makes values that differ in one bit differ
// everywhere: otherwise the halves of two entries could make a third whose address
// differs from theirs in that bit.
func mix(key, value uint64) uint64 { return key ^ value*fibonacci }

// fibonacci is 2^64 divided by the golden ratio: products with it have well mixed
// high bits.
const fibonacci = 0x9e3779b97f4a7c15

func (a addrs) key() uint64 {
	return uint64(binary.LittleEndian.Uint32(a.src[:]))<<32 | uint64(binary.LittleEndian.Uint32(a.dst[:]))
}

// fate is fateOf, from the cache if that knows. Rules that look at more than
// addresses leave nothing to remember.
func (p *ip4) fate(dev *link.Device, cf *conf, a addrs, pkt *packet.Packet) fate {
	if p.net.Needs(false) != 0 {
		return p.fateOf(dev, cf, a, pkt)
	}
	k, generation := a.key(), p.net.Generation()
	slot := &p.fates[k*fibonacci>>(64-10)]
	v := slot.value.Load()
	if slot.mixed.Load() == mix(k, v) && v&^(1<<fateBits-1) == fateValue(generation, dev.Index(), 0) {
		return fate(v & (1<<fateBits - 1))
	}
	f := p.fateOf(dev, cf, a, pkt)
	if (f == host || f == transitory) && dev.Index() < 1<<indexBits {
		v := fateValue(generation, dev.Index(), f)
		slot.value.Store(v)
		slot.mixed.Store(mix(k, v))
	}
	return f
}

// validSource refuses what claims to come from us or from a broadcast address.
func (p *ip4) validSource(dev *link.Device, cf *conf, src [4]byte) bool {
	r := p.net.Own(netip.AddrFrom4(src), dev.Index())
	return r == nil || r.Type == route.Local && either(&p.conf.All.acceptLocal, &cf.acceptLocal)
}

// reversePathLoose is the value of net.ipv4.conf.NAME.rp_filter with which there
// must be a way back (RFC 3704 §2.4); with 1 it must be by the same link (§2.2).
const reversePathLoose = 2

// reversible reports whether the source is such as rp_filter demands, for a packet that
// leaves by interface out, 0 if it is for this host. Of the setting of the device and
// that of "all" the larger one counts, as on Linux. The way back is that of a packet
// from the destination that comes by out; its mark counts with src_valid_mark alone.
func (p *ip4) reversible(dev *link.Device, cf *conf, f network.Flow, out int32) bool {
	mode := max(cf.rpFilter.Load(), p.conf.All.rpFilter.Load())
	if mode == 0 {
		return true
	}
	if p.net.Own(f.Src, dev.Index()) != nil { // ours: accept_local has decided
		return true
	}
	k := route.Key{
		Dst: f.Src, Src: f.Dst, In: cmp.Or(out, p.net.VRF(dev.Index())), TOS: f.TOS, Proto: f.Proto, SrcPort: f.DstPort, DstPort: f.SrcPort,
	}
	if either(&p.conf.All.srcValidMark, &cf.srcValidMark) {
		k.Mark = f.Mark
	}
	r := p.net.Lookup(&k).Route
	if r == nil || r.Type != route.Unicast {
		return false
	}
	vrf := p.net.VRF(dev.Index())
	return mode == reversePathLoose || r.Uses(dev.Index()) || vrf != 0 && r.Uses(vrf)
}

// isMembership reports whether b is a message about a group that this host is in:
// source filters do not hold for IGMP.
func (p *ip4) isMembership(dev *link.Device, b []byte) bool {
	return b[9] == wire.ProtoIGMP && p.net.IsMember(dev.Index(), netip.AddrFrom4([4]byte(b[16:20])))
}

// groupFate decides about a group. All hosts are in 224.0.0.1 (RFC 1112 §4). A
// sender without an address can only speak to its own link (RFC 3376 §4.2.13).
func (p *ip4) groupFate(dev *link.Device, a addrs, dst netip.Addr) fate {
	zero := a.src == [4]byte{}
	switch {
	case zero && (a.dst[0] != 224 || a.dst[1] != 0 || a.dst[2] != 0):
		return martian
	case a.dst == [4]byte{224, 0, 0, 1}:
		return multicast
	case p.net.Accepts(dev.Index(), dst, netip.AddrFrom4(a.src)):
		return multicast
	}
	return notMember
}

// CheckSource implements network.SourceChecker.
func (p *ip4) CheckSource(f network.Flow) error {
	dev := p.net.Link.Device(f.In)
	if dev == nil {
		return syscall.ENODEV
	}
	if !f.Src.IsValid() {
		return syscall.EINVAL
	}
	cf, src := p.conf.Of(f.In), f.Src.As4()
	if isMulticast(src) || isLimitedBroadcast(src) || src[0] == 0 || !p.validSource(dev, cf, src) {
		return syscall.EINVAL
	}
	if _, out := p.net.Inbound(&f); !p.reversible(dev, cf, f, out) {
		return syscall.EXDEV
	}
	return nil
}
