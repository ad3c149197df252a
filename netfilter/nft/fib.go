package nft

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// loadFIB compiles a look at the routing table.
func (c *compiler) loadFIB(x *rule.FIB) (loader, error) {
	flags := x.Flags
	if flags&(rule.FIBSaddr|rule.FIBDaddr) == 0 {
		return nil, fmt.Errorf("fib needs saddr or daddr")
	}
	result := x.Result
	return func(ev *eval, dst []byte) bool {
		addr, ok := ev.address(flags&rule.FIBSaddr != 0)
		if !ok {
			return false
		}
		index := int32(0)
		switch {
		case flags&rule.FIBIif != 0:
			index = ev.in
		case flags&rule.FIBOif != 0:
			index = ev.out
		}
		if result == rule.FIBType {
			putNumber(dst, ev.m.addrType(addr, index, ev.domain()))
			return true
		}
		dev := ev.unasked()
		if dev == nil {
			dev = ev.m.wayBack(addr, index, ev.domain(), flags, ev.pkt.Mark)
		}
		clear(dst)
		switch {
		case dev == nil:
		case x.Present:
			dst[0] = 1
		case result == rule.FIBOifName:
			putName(dst, dev.Name())
		default:
			putNumber(dst, uint64(dev.Index()))
		}
		return true
	}, nil
}

// domain returns the VRF that a packet is in, 0 for none.
func (ev *eval) domain() int32 { return ev.m.net.VRF(cmp.Or(ev.pkt.In, ev.pkt.Out)) }

// unasked returns the device of a packet whose way back is not asked for, as on Linux,
// so that `fib saddr . iif oif missing drop` does not hit it: what this host sends to
// itself, and what a host sends that has no address yet (DHCP, RFC 2131 §4.1; duplicate
// address detection, RFC 4862 §5.4). Others have none.
func (ev *eval) unasked() *link.Device {
	dev := ev.m.link.Device(ev.in)
	if dev == nil || ev.hook == rule.Prerouting && ev.m.net.IsInner(dev) {
		return dev
	}
	src, ok := ev.address(true)
	if !ok || !src.IsUnspecified() {
		return nil
	}
	dst, _ := ev.address(false)
	switch {
	case dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}), dst.Is4() && dst.IsLinkLocalMulticast(),
		dst.Is6() && ev.l4Proto == wire.ProtoICMPv6 && dst.IsLinkLocalMulticast():
		return dev
	}
	return nil
}

// addrType is the RTN_ type of an address, on a device if one is given: what this host
// has on another one is somebody's. vrf is the packet's, 0 for none.
func (m *machine) addrType(a netip.Addr, index, vrf int32) uint64 {
	if a.IsMulticast() {
		return rtnMulticast
	}
	if a.Is4() && (a == netip.AddrFrom4([4]byte{}) || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
		return rtnBroadcast
	}
	r := m.net.Own(a, cmp.Or(index, vrf))
	if r == nil && a.Is4() {
		return rtnUnicast // with or without a route, as on Linux
	}
	if r == nil {
		r = m.net.Lookup(&route.Key{Dst: a, In: vrf}).Route
	}
	if r == nil || r.Type == route.Throw {
		return rtnUnreachable
	}
	if index != 0 && (r.Type == route.Local || r.Type == route.Broadcast) && index != vrf && !uses(r, index) {
		return rtnUnicast
	}
	return rtnOf(r.Type)
}

func uses(r *route.Route, index int32) bool {
	for i := range r.NextHops {
		if r.NextHops[i].Index == index {
			return true
		}
	}
	return false
}

// The numbers of route types (RTN_*).
const (
	rtnUnicast     = 1
	rtnBroadcast   = 3
	rtnMulticast   = 5
	rtnUnreachable = 7
)

func rtnOf(t route.Type) uint64 {
	return [...]uint64{
		route.Unicast: rtnUnicast, route.Local: 2, route.Broadcast: rtnBroadcast, route.Multicast: rtnMulticast,
		route.Blackhole: 6, route.Unreachable: rtnUnreachable, route.Prohibit: 8, route.Throw: rtnUnreachable,
	}[t]
}

// wayBack returns the device by which packets to an address leave, if it is the one
// given, or nil. vrf is the packet's, 0 for none.
func (m *machine) wayBack(a netip.Addr, index, vrf int32, flags rule.FIBFlags, mark uint32) *link.Device {
	if m.net.IsLocalTo(a, vrf) {
		return nil
	}
	f := network.Flow{Dst: a, Index: cmp.Or(index, vrf)}
	if flags&rule.FIBMark != 0 {
		f.Mark = mark
	}
	p, err := m.paths.Resolve(f)
	if err != nil || p.Type != route.Unicast && p.Type != route.Broadcast || p.Route == nil {
		return nil // this host's own, a group's, or without a route: by no device
	}
	return p.Device
}
