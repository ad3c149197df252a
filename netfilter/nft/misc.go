package nft

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// loadNumgen compiles a generator of numbers. One that counts goes on counting when
// the rules around it change.
func (c *compiler) loadNumgen(x *rule.Numgen) loader {
	mod, offset := max(x.Mod, 1), x.Offset
	if x.Random {
		return func(_ *eval, dst []byte) bool { putNumber(dst, uint64(rand.Uint32N(mod)+offset)); return true }
	}
	count := keep(c, x, func() *atomic.Uint32 { return new(atomic.Uint32) })
	return func(_ *eval, dst []byte) bool {
		putNumber(dst, uint64((count.Add(1)-1)%mod+offset))
		return true
	}
}

// loadHash compiles jhash and symhash. Which packet falls into which of the mod
// classes depends on a seed, which is chosen at random, for as long as the rule is there,
// unless the rule says one.
func (c *compiler) loadHash(x *rule.Hash) (loader, error) {
	mod, offset := max(x.Mod, 1), x.Offset
	if x.Sym {
		return func(ev *eval, dst []byte) bool {
			putNumber(dst, uint64(reduce(ev.symHash(), mod)+offset))
			return true
		}, nil
	}
	load, err := c.load(x.Key)
	if err != nil {
		return nil, err
	}
	n := keyLen(x.Key)
	at, err := c.scratch(n)
	seed := x.Seed
	if !x.HasSeed {
		seed = *keep(c, x, func() *uint32 { s := rand.Uint32(); return &s })
	}
	return func(ev *eval, dst []byte) bool {
		key := ev.scratch[at : at+n]
		if !load(ev, key) {
			return false
		}
		putNumber(dst, uint64(reduce(jhash(key, seed), mod)+offset))
		return true
	}, err
}

// reduce spreads a hash over mod classes.
func reduce(h, mod uint32) uint32 { return uint32(uint64(h) * uint64(mod) >> 32) }

// symHash is the same for both directions of a flow.
func (ev *eval) symHash() uint32 {
	ev.parse()
	var a, b uint32
	switch ev.net {
	case wire.EtherTypeIPv4:
		if h := ev.header(rule.NetworkHeader, 12, 8); h != nil {
			a, b = uint32(number(h[:4])), uint32(number(h[4:]))
		}
	case wire.EtherTypeIPv6:
		if h := ev.header(rule.NetworkHeader, 8, 32); h != nil {
			a, b = jhash(h[:16], 0), jhash(h[16:], 0)
		}
	}
	var p, q uint32
	if ev.l4Proto == wire.ProtoTCP || ev.l4Proto == wire.ProtoUDP {
		if h := ev.header(rule.TransportHeader, 0, 4); h != nil {
			p, q = uint32(number(h[:2])), uint32(number(h[2:]))
		}
	}
	if a > b || a == b && p > q {
		a, b, p, q = b, a, q, p
	}
	return jhash([]byte{
		byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a), byte(b >> 24), byte(b >> 16), byte(b >> 8), byte(b),
		byte(p >> 8), byte(p), byte(q >> 8), byte(q), ev.l4Proto,
	}, ev.m.hashSeed)
}

// jhash is Bob Jenkins' lookup3 hash of b, hashlittle of his public domain text
// "A Hash Function for Hash Table Lookup" (2006), with the seed as its initial value.
func jhash(b []byte, seed uint32) uint32 {
	x := 0xdeadbeef + uint32(len(b)) + seed
	y, z := x, x
	word := func(i int) (w uint32) {
		for j := range 4 {
			if i+j < len(b) {
				w |= uint32(b[i+j]) << (8 * j)
			}
		}
		return w
	}
	i := 0
	for ; len(b)-i > 12; i += 12 {
		x, y, z = x+word(i), y+word(i+4), z+word(i+8)
		x, y, z = jmix(x, y, z)
	}
	if i == len(b) {
		return z
	}
	return jfinal(x+word(i), y+word(i+4), z+word(i+8))
}

func jmix(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - c) ^ bits.RotateLeft32(c, 4)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 6)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 8)
	b += a
	a = (a - c) ^ bits.RotateLeft32(c, 16)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 19)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 4)
	b += a
	return a, b, c
}

func jfinal(a, b, c uint32) uint32 {
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	return (c ^ b) - bits.RotateLeft32(b, 24)
}

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
			putNumber(dst, ev.m.addrType(addr, index))
			return true
		}
		dev := ev.m.wayBack(addr, index, flags, ev.pkt.Mark)
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

// address returns the source or destination of an IP packet.
func (ev *eval) address(source bool) (netip.Addr, bool) {
	ev.parse()
	off, n := 16, 4
	switch ev.net {
	case wire.EtherTypeIPv6:
		off, n = 24, 16
	case wire.EtherTypeIPv4:
	default:
		return netip.Addr{}, false
	}
	if source {
		off -= n
	}
	b := ev.header(rule.NetworkHeader, off, n)
	if b == nil {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(b)
}

// addrType is the RTN_ type of an address, on a device if one is given.
func (m *machine) addrType(a netip.Addr, index int32) uint64 {
	if a.IsMulticast() {
		return rtnMulticast
	}
	if a.Is4() && (a == netip.AddrFrom4([4]byte{}) || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
		return rtnBroadcast
	}
	r := m.net.Local.Lookup(a)
	if r == nil && a.Is4() {
		return rtnUnicast // with or without a route, as on Linux
	}
	if r == nil {
		r = m.net.Lookup(&route.Key{Dst: a}).Route
	}
	if r == nil {
		return rtnUnspec
	}
	if index != 0 && r.Type == route.Local && !uses(r, index) {
		return rtnUnspec
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
	rtnUnspec    = 0
	rtnUnicast   = 1
	rtnBroadcast = 3
	rtnMulticast = 5
)

func rtnOf(t route.Type) uint64 {
	return [...]uint64{
		route.Unicast: rtnUnicast, route.Local: 2, route.Broadcast: rtnBroadcast, route.Multicast: rtnMulticast,
		route.Blackhole: 6, route.Unreachable: 7, route.Prohibit: 8, route.Throw: rtnUnspec,
	}[t]
}

// wayBack returns the device by which packets to an address leave, if it is the one
// given, or nil.
func (m *machine) wayBack(a netip.Addr, index int32, flags rule.FIBFlags, mark uint32) *link.Device {
	if m.net.IsLocal(a) {
		return nil
	}
	f := network.Flow{Dst: a, Index: index}
	if flags&rule.FIBMark != 0 {
		f.Mark = mark
	}
	p, err := m.paths.Resolve(f)
	if err != nil || p.Type != route.Unicast || p.Route == nil {
		return nil // this host's own, everybody's, or without a route: by no device
	}
	return p.Device
}

// loadRT compiles what is known of a packet's route.
func (c *compiler) loadRT(x *rule.RT) (loader, error) {
	switch x.Key {
	case rule.RTClassID:
		return func(_ *eval, dst []byte) bool { putNumber(dst, 0); return true }, nil
	case rule.RTIPsec:
		return func(_ *eval, dst []byte) bool { dst[0] = 0; return true }, nil
	case rule.RTMTU:
		return func(ev *eval, dst []byte) bool {
			p := ev.path()
			if p == nil {
				return false
			}
			mtu := p.MTU()
			if ev.net == wire.EtherTypeIPv4 {
				mtu -= wire.IPv4Len
			} else {
				mtu -= wire.IPv6Len
			}
			putNumber(dst, uint64(mtu-wire.TCPLen))
			return true
		}, nil
	case rule.RTNexthop:
		return func(ev *eval, dst []byte) bool {
			p := ev.path()
			if p == nil || p.NextHop.BitLen() != len(dst)*8 {
				return false
			}
			copy(dst, p.NextHop.AsSlice())
			return true
		}, nil
	}
	return nil, fmt.Errorf("rt %v cannot be read", x.Key)
}

// path returns the way of a packet that has one.
func (ev *eval) path() *network.Path {
	a, ok := ev.address(false)
	if !ok || ev.out == 0 {
		return nil
	}
	p, err := ev.m.paths.Resolve(network.Flow{Dst: a, Index: ev.out, Mark: ev.pkt.Mark})
	if err != nil {
		return nil
	}
	return p
}
