package nft

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
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

// loadRT compiles what is known of a packet's route.
func (c *compiler) loadRT(x *rule.RT) (loader, error) {
	switch x.Key {
	case rule.RTClassID:
		return func(_ *eval, dst []byte) bool { putNumber(dst, 0); return true }, nil
	case rule.RTIPsec:
		return func(_ *eval, dst []byte) bool { dst[0] = 0; return true }, nil
	case rule.RTMTU:
		return loadMSS, nil
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

// loadMSS is the largest segment that fits the way of a packet and the way back, without
// options (RFC 6691): a connection is as wide as its narrower direction.
func loadMSS(ev *eval, dst []byte) bool {
	p := ev.path()
	if p == nil {
		return false
	}
	mtu := p.MTU()
	if src, ok := ev.address(true); ok {
		if back, err := ev.m.paths.Resolve(network.Flow{Dst: src, Index: ev.m.net.VRF(ev.out), Mark: ev.pkt.Mark}); err == nil {
			mtu = min(mtu, back.MTU())
		}
	}
	headers := wire.IPv4Len + wire.TCPLen
	if ev.net == wire.EtherTypeIPv6 {
		headers = wire.IPv6Len + wire.TCPLen
	}
	mss := mtu - headers
	if mss <= 0 || mtu > math.MaxUint16 {
		mss = defaultMSS
	}
	putNumber(dst, uint64(mss))
	return true
}

// defaultMSS is what a way is taken to carry whose MTU says nothing (RFC 9293 §3.7.1).
const defaultMSS = 536

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
