package network

import (
	"net/netip"
	"syscall"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// A Flow is what decides a packet's way.
type Flow struct {
	Dst netip.Addr
	Src netip.Addr // zero: to be chosen
	// Index is the interface the packet must leave by; 0: any.
	Index int32
	// In is the interface the packet came by; 0: it is made here.
	In int32
	// Hash spreads flows over next hops; 0: that of what the Multipath policy names.
	Hash uint32
	Mark uint32
	// UID is the user whose socket sends; 0 for what is forwarded.
	UID uint32
	// What rules may ask for beside; see FIB.Needs.
	TOS, Proto       uint8
	SrcPort, DstPort uint16
	Label            uint32 // IPv6's flow label
}

// key is what rules look at of f.
func (f *Flow) key() route.Key {
	return route.Key{
		Dst: f.Dst, Src: f.Src, In: f.In, Out: f.Index, Mark: f.Mark, UID: f.UID,
		TOS: f.TOS, Proto: f.Proto, SrcPort: f.SrcPort, DstPort: f.DstPort,
	}
}

// ExplainFlow tells of each rule that is tried for f what became of it, in each VRF
// that its way leads into.
func (l *Layer) ExplainFlow(f Flow) (steps []route.Step) {
	for range maxLeaks {
		k := f.key()
		steps = append(steps, l.Explain(&k)...)
		r := l.Lookup(&k).Route
		if r == nil || len(r.NextHops) == 0 {
			break
		}
		if f.Index = l.out(r, &k, &f); f.Index == 0 || l.VRF(f.Index) != f.Index || r.Type != route.Unicast {
			break
		}
	}
	return steps
}

// A Path is the resolved way to a destination. It is immutable, may be shared,
// and is good until Valid says no.
type Path struct {
	Dst, Src netip.Addr
	// Device is the one the packet leaves by.
	Device *link.Device
	// Bound is the interface that the packet must leave by whatever becomes of its
	// destination: Flow.Index.
	Bound int32
	// NextHop is the address on Device's link the packet goes to.
	NextHop netip.Addr
	// Type is Unicast, Local, Broadcast or Multicast.
	Type route.Type
	// Route is the table's entry, nil where there is none: a neighbour by the interface
	// that Bound says.
	Route *route.Route

	neigh *neigh.Entry // nil: none needed, or mac says it
	mac   wire.MAC     // of groups and broadcasts
	mtu   int
	// locked: the path MTU is larger than what really fits.
	locked bool
	hash   uint64 // of Dst, in the layer's sizes
	layer  *Layer
	gen    uint64
}

// Valid reports whether routes, addresses and MTUs are still those the path was
// resolved with.
func (p *Path) Valid() bool { return p.gen == p.layer.generation.Load() }

// MTU returns the path MTU in bytes (RFC 1191, RFC 8201).
func (p *Path) MTU() int { return p.mtu }

// MTULocked reports whether less than MTU fits, but no packet is made as small: so
// IPv4 packets must not have DF set, where there is a choice.
func (p *Path) MTULocked() bool { return p.locked }

// Confirm tells that the next hop is alive, for upper layers that made progress
// (RFC 4861 §7.3.1).
func (p *Path) Confirm() {
	if p.neigh != nil {
		p.neigh.Confirm()
	}
}

// Resolve finds the way for f. Errors are Linux's errno: ENETUNREACH without a
// route, EHOSTUNREACH, EACCES and EINVAL for unreachable, prohibit and
// blackhole routes, EADDRNOTAVAIL without a source address, EAFNOSUPPORT
// without the IP version.
func (l *Layer) Resolve(f Flow) (*Path, error) {
	gen := l.generation.Load() // before reading any table
	fam := l.Family(VersionOf(f.Dst))
	if fam == nil {
		return nil, syscall.EAFNOSUPPORT
	}
	p := &Path{Dst: f.Dst, Src: f.Src, Bound: f.Index, layer: l, gen: gen, hash: l.sizes.hash(f.Dst)}
	if err := l.lookup(p, f); err != nil {
		return nil, err
	}
	if err := l.choose(p, fam); err != nil {
		return nil, err
	}
	return p, l.neighbour(p)
}

// maxLeaks is how often a packet's way may lead from one VRF into another.
const maxLeaks = 4

// lookup finds the type, the device and the next hop of p. A route by a VRF's device
// leads into the VRF: the way goes on as its table says.
func (l *Layer) lookup(p *Path, f Flow) error {
	for range maxLeaks {
		into, err := l.lookupIn(p, f)
		if into == 0 || err != nil {
			return err
		}
		f.Index = into
	}
	return syscall.ELOOP
}

// leak returns the VRF that a route leads into by a next hop; 0: into none.
func (l *Layer) leak(r *route.Route, h *route.NextHop) int32 {
	if r.Type == route.Unicast && l.VRF(h.Index) == h.Index {
		return h.Index
	}
	return 0
}

// lookupIn is lookup in one domain. If the way leads into a VRF that is the result.
func (l *Layer) lookupIn(p *Path, f Flow) (into int32, err error) {
	p.Type = groupType(f.Dst)
	k := f.key()
	res := l.Lookup(&k)
	if res.Err != nil {
		if f.Index != 0 && k.Out != 0 && f.In == 0 && (f.Dst.Is4() || res.Route == nil) {
			return 0, l.onLink(p, f.Index)
		}
		return 0, res.Err
	}
	r := res.Route
	hash := uint32(0)
	if len(r.NextHops) > 1 {
		hash = l.hash(&f)
	}
	hop := l.Hop(r, &k, hash)
	if hop == nil {
		return 0, syscall.ENETUNREACH
	}
	if into = l.leak(r, hop); into != 0 {
		return into, nil
	}
	p.Route, p.Device, p.NextHop = r, l.Link.Device(hop.Index), hop.Gateway
	switch r.Type {
	case route.Local: // ours, or somebody here speaks for it: see Inbound
		p.Type, p.Device = route.Local, l.InnerDevice(hop.Index)
	case route.Broadcast:
		p.Type = route.Broadcast
	}
	if !p.NextHop.IsValid() || p.Type != route.Unicast {
		p.NextHop = f.Dst
	}
	if p.Device == nil {
		return 0, syscall.ENETUNREACH
	}
	if p.Type == route.Unicast {
		if better, ok := l.redirects.lookup(f.Dst, hop.Index, l.Clock.Now()); ok {
			p.NextHop = better
		}
	}
	return 0, nil
}

func groupType(a netip.Addr) route.Type {
	switch {
	case a.IsMulticast():
		return route.Multicast
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return route.Broadcast
	}
	return route.Unicast
}

// onLink is the way without a route: by the named device, where the destination
// must then be a neighbour.
func (l *Layer) onLink(p *Path, index int32) error {
	if index == 0 {
		return syscall.ENETUNREACH
	}
	if p.Device = l.Link.Device(index); p.Device == nil {
		return syscall.ENODEV
	}
	if p.Type == route.Unicast && p.Dst.Is6() && !p.Dst.IsLinkLocalUnicast() {
		return syscall.ENETUNREACH
	}
	p.NextHop = p.Dst
	return nil
}

// choose sets the source address and the MTU.
func (l *Layer) choose(p *Path, fam Family) error {
	if !p.Src.IsValid() {
		switch {
		case p.Type == route.Local && l.IsLocalTo(p.Dst, p.Device.Index()):
			p.Src = p.Dst
		case p.Route != nil && p.Route.Src.IsValid() && !l.outdated(p.Route):
			p.Src = p.Route.Src
		default:
			src, ok := fam.SelectSource(p.NextHop, p.Device)
			if p.NextHop != p.Dst && p.Dst.Is6() {
				src, ok = fam.SelectSource(p.Dst, p.Device)
			}
			switch {
			case ok:
				p.Src = src
			case p.Type == route.Local: // as Linux: it comes from where it goes
				p.Src = p.Dst
			default:
				return syscall.EADDRNOTAVAIL
			}
		}
	}
	p.mtu = p.Device.MTU()
	if m, ok := fam.(MTULimiter); ok {
		p.mtu = min(p.mtu, m.LinkMTU(p.Device))
	}
	if p.Route != nil && p.Route.MTU != 0 {
		p.mtu = min(p.mtu, p.Route.MTU)
	}
	if m, ok := l.pmtu.lookup(pmtuKey{p.Dst, l.VRF(p.Device.Index())}, l.Clock.Now()); ok {
		p.mtu, p.locked = min(p.mtu, m.mtu), m.locked
	}
	return nil
}

// outdated reports whether the source that r prefers is only that of the address
// which it came with, and deprecated since: then there may be a better one.
func (l *Layer) outdated(r *route.Route) bool {
	if r.Proto != route.ProtoKernel {
		return false
	}
	_, a := l.addrIn(r.Src, l.VRF(r.NextHops[0].Index))
	return a != nil && a.Flags&Deprecated != 0
}

// neighbour finds the hardware address, or who will find it.
func (l *Layer) neighbour(p *Path) error {
	if !p.Device.NeedsNeighbour() {
		return nil
	}
	switch p.Type {
	case route.Broadcast:
		p.mac = wire.BroadcastMAC()
		return nil
	case route.Multicast:
		p.mac = wire.MulticastMAC(p.Dst)
		return nil
	case route.Local: // by a VRF
		p.mac = p.Device.MAC()
		return nil
	}
	t := l.Neighbours(VersionOf(p.NextHop))
	if t == nil {
		return syscall.EHOSTUNREACH
	}
	e, err := t.Lookup(p.Device, p.NextHop)
	p.neigh = e
	return err
}
