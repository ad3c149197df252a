package nat64

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/knitnet/knit/wire"
)

// masquerade is the word for this host's own address on the packet's way out.
const masquerade = "masquerade"

const (
	// maxPool bounds the addresses of a pool: each may need a set of ports for TCP, UDP
	// and ICMP of 8 KiB.
	maxPool = 4096
	// maxTries is how many addresses are looked at for a free port: a search must not
	// take long when nothing is left.
	maxTries = 8
	// ownPortsLo is the first of the ports of this host's own addresses that a pool uses unless
	// told otherwise: those behind the host's own ephemeral ones
	// (net.ipv4.ip_local_port_range).
	ownPortsLo = 61001
)

// A pool is the IPv4 addresses and ports that stand for the inside. table.mu guards
// what changes.
type pool struct {
	// own: addresses are this host's, by the way out.
	own      bool
	prefixes []netip.Prefix
	addrs    [][4]byte
	rng      portRange
	seed     maphash.Seed

	used map[[4]byte]*usage
	// known is a copy of the keys of used, for the packet path.
	known atomic.Pointer[map[[4]byte]bool]
}

// usage is the ports of one address by protocol.
type usage struct{ tcp, udp, icmp *ports }

func (u *usage) of(proto uint8) **ports {
	switch proto {
	case wire.ProtoTCP:
		return &u.tcp
	case wire.ProtoUDP:
		return &u.udp
	}
	return &u.icmp
}

// parsePool reads the parameters pool4 and ports.
func parsePool(words []string, ports string) (*pool, error) {
	p := &pool{seed: maphash.MakeSeed(), used: map[[4]byte]*usage{}, rng: portRange{1, 65535}}
	for _, w := range words {
		if w == masquerade {
			p.own, p.rng.lo = true, ownPortsLo
			continue
		}
		if err := p.add(w); err != nil {
			return nil, err
		}
	}
	if p.own == (len(p.addrs) > 0) {
		return nil, fmt.Errorf("parameter pool4: want either masquerade or IPv4 addresses and prefixes")
	}
	if ports == "" {
		return p, nil
	}
	var err error
	p.rng, err = parsePorts(ports)
	return p, err
}

func (p *pool) add(word string) error {
	pre, err := netip.ParsePrefix(word)
	if a, aerr := netip.ParseAddr(word); aerr == nil {
		pre, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil || !pre.Addr().Is4() || pre != pre.Masked() || pre.Addr().IsMulticast() || pre.Addr().IsUnspecified() {
		return fmt.Errorf("parameter pool4: %q: want masquerade, or an IPv4 address or prefix", word)
	}
	if n := 1 << (32 - pre.Bits()); pre.Bits() < 20 || len(p.addrs)+n > maxPool {
		return fmt.Errorf("parameter pool4: %q: more than %d addresses", word, maxPool)
	}
	for _, x := range p.prefixes {
		if x.Overlaps(pre) {
			return fmt.Errorf("parameter pool4: %q: overlaps with %v", word, x)
		}
	}
	p.prefixes = append(p.prefixes, pre)
	for a := pre.Addr(); pre.Contains(a); a = a.Next() {
		p.addrs = append(p.addrs, a.As4())
	}
	return nil
}

func parsePorts(text string) (r portRange, err error) {
	lo, hi, found := strings.Cut(text, "-")
	if !found {
		hi = lo
	}
	l, err1 := strconv.ParseUint(lo, 10, 16)
	h, err2 := strconv.ParseUint(hi, 10, 16)
	if err1 != nil || err2 != nil || l == 0 || l > h {
		return r, fmt.Errorf("parameter ports: %q: want LOW-HIGH, from 1 to 65535", text)
	}
	return portRange{uint16(l), uint16(h)}, nil
}

// take finds a port for k at a.
func (p *pool) take(a [4]byte, k *inside) (port uint16, ok bool) {
	u := p.used[a]
	if u == nil {
		u = &usage{}
	}
	set := u.of(k.proto)
	if *set == nil {
		*set = new(ports)
	}
	if port, ok = (*set).free(p.rng.class(k)); !ok {
		lo, hi, _ := p.rng.class(k) // better one of the other parity than none
		if port, ok = (*set).free(lo, hi, anyParity); !ok {
			return 0, false
		}
	}
	(*set).set(port)
	if p.used[a] == nil {
		p.used[a] = u
		p.publish()
	}
	return port, true
}

func (p *pool) put(o outside) {
	if u := p.used[o.addr]; u != nil {
		if set := *u.of(o.proto); set != nil {
			set.clear(o.port)
		}
	}
}

// forget drops an address that this host has lost.
func (p *pool) forget(a [4]byte) {
	delete(p.used, a)
	p.publish()
}

func (p *pool) publish() {
	known := make(map[[4]byte]bool, len(p.used))
	for a := range p.used {
		known[a] = true
	}
	p.known.Store(&known)
}

// knows reports whether anything was ever mapped to a.
func (p *pool) knows(a [4]byte) bool {
	m := p.known.Load()
	return m != nil && (*m)[a]
}

// first returns where the search for an address begins for a host of the inside: the
// same for all of its connections.
func (p *pool) first(host *[16]byte) int {
	h := maphash.Bytes(p.seed, host[:])
	return int(h % uint64(len(p.addrs)))
}

// pick finds an address and a port for k: prefer, which the host has already
// ("paired" of RFC 4787 REQ-2), is tried first; own is this host's address for a
// pool of those.
func (p *pool) pick(k *inside, prefer, own [4]byte) (o outside, ok bool) {
	o.proto = k.proto
	for _, a := range [...][4]byte{prefer, own} {
		if a == ([4]byte{}) {
			continue
		}
		o.addr = a
		if o.port, ok = p.take(a, k); ok {
			return o, true
		}
	}
	if len(p.addrs) == 0 {
		return o, false
	}
	at := p.first(&k.addr)
	for i := range min(len(p.addrs), maxTries) {
		o.addr = p.addrs[(at+i)%len(p.addrs)]
		if o.port, ok = p.take(o.addr, k); ok {
			return o, true
		}
	}
	return o, false
}
