package tcp

import (
	"net/netip"
	"sync"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A tuple identifies a connection, seen from this host. IPv4 addresses fill the
// first four bytes.
type tuple struct {
	local, remote         [16]byte
	localPort, remotePort uint16
	version               network.Version
	// index tells apart link-local peers of different links, and others of different
	// VRFs, by these; 0 for what is in none.
	index int32
}

func newTuple(local, remote netip.AddrPort, index int32) (k tuple) {
	k.version = network.VersionOf(remote.Addr())
	k.local, k.remote = bytes16(local.Addr()), bytes16(remote.Addr())
	k.localPort, k.remotePort = local.Port(), remote.Port()
	k.index = index
	return k
}

// domain is the index in the tuple of who has address remote and is reached by an
// interface, 0 for any.
func (t *tcp) domain(remote netip.Addr, index int32) int32 {
	if remote.Is6() && remote.IsLinkLocalUnicast() {
		return index
	}
	return t.net.VRF(index)
}

// lookup returns the conn that has the tuple, or nil. One that is bound to no VRF
// takes what comes in by any if tcp_l3mdev_accept says so.
func (t *tcp) lookup(k *tuple) *conn {
	c := t.conns.lookup(k)
	if c == nil && k.index != 0 && t.settings.l3mdevAccept.Load() && t.net.VRF(k.index) == k.index {
		all := *k
		all.index = 0
		c = t.conns.lookup(&all)
	}
	return c
}

func bytes16(a netip.Addr) (b [16]byte) {
	if a.Is4() {
		a4 := a.As4()
		copy(b[:], a4[:])
		return b
	}
	return a.As16()
}

func (k *tuple) addr(b *[16]byte) netip.Addr {
	if k.version == network.V4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(*b)
}

func (k *tuple) localAddr() netip.AddrPort {
	return netip.AddrPortFrom(k.addr(&k.local), k.localPort)
}

func (k *tuple) remoteAddr() netip.AddrPort {
	return netip.AddrPortFrom(k.addr(&k.remote), k.remotePort)
}

// tupleOf reads the tuple of a received packet, whose IP header is at L3 and
// whose TCP header h is.
func (t *tcp) tupleOf(pkt *packet.Packet, h wire.TCP) (k tuple) {
	ip := pkt.At(pkt.L3)
	if ip[0]>>4 == 4 {
		*(*[4]byte)(k.remote[:4]) = [4]byte(ip[12:16])
		*(*[4]byte)(k.local[:4]) = [4]byte(ip[16:20])
	} else {
		k.version = network.V6
		k.remote, k.local = [16]byte(ip[8:24]), [16]byte(ip[24:40])
	}
	if k.version == network.V6 && k.remote[0] == 0xfe && k.remote[1]&0xc0 == 0x80 {
		k.index = pkt.In
	} else {
		k.index = t.net.VRF(pkt.In)
	}
	k.remotePort, k.localPort = h.SrcPort(), h.DstPort()
	return k
}

const shards = 64

// table finds connections by tuple, which is that of one conn or one timeWait. It
// is sharded, so that connections on different processors seldom meet at a lock.
type table struct {
	shards [shards]struct {
		sync.RWMutex
		m     map[tuple]*conn
		waits map[tuple]*timeWait
		_     [24]byte // a cache line each
	}
}

func (t *table) init() {
	for i := range t.shards {
		t.shards[i].m = map[tuple]*conn{}
		t.shards[i].waits = map[tuple]*timeWait{}
	}
}

// shard mixes the parts of a tuple in which connections differ.
func (t *table) shard(k *tuple) int {
	h := uint64(k.remotePort)<<16 | uint64(k.localPort)
	h ^= uint64(k.remote[3])<<32 | uint64(k.remote[15])<<40 | uint64(k.remote[2])<<48
	return int(h * 0x9e3779b97f4a7c15 >> 58)
}

func (t *table) lookup(k *tuple) *conn {
	s := &t.shards[t.shard(k)]
	s.RLock()
	c := s.m[*k]
	s.RUnlock()
	return c
}

// lookupWait returns the connection in TIME-WAIT that has the tuple. Who has found
// no other one before finds one that went there meanwhile.
func (t *table) lookupWait(k *tuple) *timeWait {
	s := &t.shards[t.shard(k)]
	s.RLock()
	w := s.waits[*k]
	s.RUnlock()
	return w
}

// insert adds c and reports whether its tuple was free. If a connection in
// TIME-WAIT has it, wait is that.
func (t *table) insert(c *conn) (ok bool, wait *timeWait) {
	s := &t.shards[t.shard(&c.key)]
	s.Lock()
	defer s.Unlock()
	if wait = s.waits[c.key]; wait != nil || s.m[c.key] != nil {
		return false, wait
	}
	s.m[c.key] = c
	return true, nil
}

// replace puts w into the place of c.
func (t *table) replace(c *conn, w *timeWait) {
	s := &t.shards[t.shard(&c.key)]
	s.Lock()
	defer s.Unlock()
	delete(s.m, c.key)
	s.waits[c.key] = w
}

// forget takes w out, if it is still there.
func (t *table) forget(w *timeWait) {
	s := &t.shards[t.shard(&w.key)]
	s.Lock()
	defer s.Unlock()
	if s.waits[w.key] == w {
		delete(s.waits, w.key)
	}
}

// remove takes c out, if it is still there.
func (t *table) remove(c *conn) {
	s := &t.shards[t.shard(&c.key)]
	s.Lock()
	defer s.Unlock()
	if s.m[c.key] == c {
		delete(s.m, c.key)
	}
}

// all returns the connections of now.
func (t *table) all() (out []*conn) {
	for i := range t.shards {
		s := &t.shards[i]
		s.RLock()
		for _, c := range s.m {
			out = append(out, c)
		}
		s.RUnlock()
	}
	return out
}

// allWaits returns the connections in TIME-WAIT of now.
func (t *table) allWaits() (out []*timeWait) {
	for i := range t.shards {
		s := &t.shards[i]
		s.RLock()
		for _, w := range s.waits {
			out = append(out, w)
		}
		s.RUnlock()
	}
	return out
}
