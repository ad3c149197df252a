package nat64

import (
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// A binding is an entry of a BIB (RFC 6146 §3.1): it does not change while it is
// there, and is there as long as a session uses it.
type binding struct {
	inside
	outside  outside
	sessions int // under table.mu
}

// A session is an entry of a session table (RFC 6146 §3.2).
type session struct {
	table *table
	*binding
	peer     peer
	admitted bool        // it counts in table.spoken; under table.mu
	timer    clock.Timer // of its end

	mu    sync.Mutex // what follows
	state tcpState
	gone  bool
	// stored is a SYN from outside that waits for one from inside, or nil (RFC 6146
	// §3.5.2.2).
	stored *packet.Packet
}

// A table is the bindings and sessions of a kernel. Sessions are found without
// waiting for those who make or end others.
type table struct {
	clock    *clock.Clock
	timeouts timeouts
	// dependent: only peers that the inside has spoken to may speak to it, at whatever
	// port (address-dependent filtering).
	dependent   bool
	maxSessions int
	maxClient   int // bindings of one /64 of the inside
	// probe asks the inside whether a TCP connection lives; refused takes stored packets
	// whose time is up. Both are called without locks.
	probe   func(s *session)
	refused func(pkt *packet.Packet)

	by6 index[flow6]
	by4 index[flow4]

	count    atomic.Int64 // sessions
	bound    atomic.Int64 // bindings
	nstored  atomic.Int64
	sessions stat.Counter // ever made

	mu      sync.RWMutex
	closed  bool
	pool    *pool
	inside  map[inside]*binding
	outside map[outside]*binding
	// spoken counts the sessions of a binding with one address, for dependent.
	spoken  map[flow4]int
	clients map[[8]byte]int    // bindings by /64
	hosts   map[[16]byte]*host // of the inside
}

// A host is an IPv6 address that has bindings, all of them to one IPv4 address if
// that is possible.
type host struct {
	outside [4]byte
	n       int
}

func (t *table) init() {
	t.by6.init()
	t.by4.init()
	t.inside, t.outside = map[inside]*binding{}, map[outside]*binding{}
	t.spoken, t.clients, t.hosts = map[flow4]int{}, map[[8]byte]int{}, map[[16]byte]*host{}
}

// lookup4 returns the binding of an outside transport address, or nil.
func (t *table) lookup4(o outside) *binding {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.outside[o]
}

// lookup6 returns the binding of an inside transport address, or nil.
func (t *table) lookup6(k inside) *binding {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.inside[k]
}

// allows reports whether the filter lets a packet from a peer to b in.
func (t *table) allows(b *binding, p peer) bool {
	if !t.dependent {
		return true
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.spoken[flow4{b.outside, peer{addr: p.addr}}] > 0
}

// What became of a packet that needed a new session.
type outcome uint8

const (
	found    outcome = iota
	full             // as many sessions or bindings as there may be
	usedUp           // no port is left
	unbound          // no binding, and none to be made
	stray            // the same of TCP
	filtered         // the filter does not let it in
	stored           // it waits for the other side
	stopped          // the module is going
)

// open returns the session of a packet from inside, made if it is not there, and its
// binding too. own is this host's address for a pool of those.
func (t *table) open(f flow6, own [4]byte) (*session, outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.by6.get(f); s != nil && !s.isGone() {
		return s, found
	}
	b, o := t.bind(f.inside, own)
	if b == nil {
		return nil, o
	}
	s := t.add(b, f.peer)
	if s == nil {
		t.unbind(b)
		return nil, full
	}
	t.speak(s)
	return s, found
}

// bind returns the binding of k, made if it is not there; t.mu is held.
func (t *table) bind(k inside, own [4]byte) (*binding, outcome) {
	if b := t.inside[k]; b != nil {
		return b, found
	}
	client := [8]byte(k.addr[:8])
	switch {
	case t.closed:
		return nil, stopped
	case t.clients[client] >= t.maxClient, int(t.count.Load()) >= t.maxSessions:
		return nil, full
	}
	h := t.hosts[k.addr]
	if h == nil {
		h = &host{}
	}
	o, ok := t.pool.pick(&k, h.outside, own)
	if !ok {
		return nil, usedUp
	}
	if h.n++; h.n == 1 {
		h.outside = o.addr
		t.hosts[k.addr] = h
	}
	b := &binding{inside: k, outside: o}
	t.inside[k], t.outside[o] = b, b
	t.clients[client]++
	t.bound.Add(1)
	return b, found
}

// unbind removes a binding that no session uses; t.mu is held.
func (t *table) unbind(b *binding) {
	if b.sessions > 0 || t.inside[b.inside] != b {
		return
	}
	delete(t.inside, b.inside)
	delete(t.outside, b.outside)
	t.pool.put(b.outside)
	client := [8]byte(b.addr[:8])
	if t.clients[client]--; t.clients[client] <= 0 {
		delete(t.clients, client)
	}
	if h := t.hosts[b.addr]; h != nil {
		if h.n--; h.n <= 0 {
			delete(t.hosts, b.addr)
		}
	}
	t.bound.Add(-1)
}

// add makes a session of b, unless there are too many; t.mu is held.
func (t *table) add(b *binding, p peer) *session {
	if t.closed || int(t.count.Load()) >= t.maxSessions {
		return nil
	}
	s := &session{table: t, binding: b, peer: p}
	s.timer.Init(t.clock, s.expire)
	b.sessions++
	t.by6.put(flow6{b.inside, p}, s)
	t.by4.put(flow4{b.outside, p}, s)
	t.count.Add(1)
	t.sessions.Inc()
	return s
}

// accept returns the session of a packet from outside, made if the filter lets it in
// (RFC 6146 §3.5.1, §3.5.2.2). hold makes one for a SYN that the filter does not
// let in, so that it can wait.
func (t *table) accept(f flow4, hold bool) (*session, outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.by4.get(f); s != nil && !s.isGone() {
		return s, found
	}
	b := t.outside[f.outside]
	if b == nil {
		return nil, unbound
	}
	allowed := !t.dependent || t.spoken[flow4{f.outside, peer{addr: f.peer.addr}}] > 0
	if !allowed && !hold {
		return nil, filtered
	}
	s := t.add(b, f.peer)
	switch {
	case s == nil:
		return nil, full
	case !allowed:
		return s, stored
	}
	t.speak(s)
	return s, found
}

// speak notes that the inside speaks with the peer of s; t.mu is held.
func (t *table) speak(s *session) {
	if t.dependent && !s.admitted {
		s.admitted = true
		t.spoken[flow4{s.outside, peer{addr: s.peer.addr}}]++
	}
}

// admit is speak for a session whose SYN from outside had to wait.
func (t *table) admit(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.isGone() {
		t.speak(s)
	}
}

// remove takes a session out, and its binding with the last one.
func (t *table) remove(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := s.binding
	if f := (flow6{b.inside, s.peer}); t.by6.get(f) == s {
		t.by6.delete(f)
	}
	if f := (flow4{b.outside, s.peer}); t.by4.get(f) == s {
		t.by4.delete(f)
	}
	if s.admitted {
		f := flow4{b.outside, peer{addr: s.peer.addr}}
		if t.spoken[f]--; t.spoken[f] <= 0 {
			delete(t.spoken, f)
		}
	}
	b.sessions--
	t.unbind(b)
	t.count.Add(-1)
}

// each calls f for every session until it returns false.
func (t *table) each(f func(s *session) bool) {
	for i := range t.by6.shard {
		shard := &t.by6.shard[i]
		shard.RLock()
		list := make([]*session, 0, len(shard.m))
		for _, s := range shard.m {
			list = append(list, s)
		}
		shard.RUnlock()
		for _, s := range list {
			if !f(s) {
				return
			}
		}
	}
}

// bindings returns all bindings as they are now.
func (t *table) bindings() []binding {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]binding, 0, len(t.inside))
	for _, b := range t.inside {
		list = append(list, *b)
	}
	return list
}

// forget ends the sessions of an IPv4 address that is not there any more.
func (t *table) forget(a [4]byte) {
	t.each(func(s *session) bool {
		if s.outside.addr == a {
			s.end()
		}
		return true
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pool.forget(a)
}

// close ends all sessions and refuses new ones.
func (t *table) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.each(func(s *session) bool { s.end(); return true })
}
