package tcp

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
	"github.com/knitnet/knit/wire"
)

// An interceptor keeps the connection requests that a module was asked about.
type interceptor struct {
	t   *tcp
	ask func(transport.StreamRequest) bool
	max int

	mu      sync.Mutex
	pending map[tuple]*request
	closed  bool
}

// Intercept implements transport.StreamInterceptor.
func (t *tcp) Intercept(max int, f func(transport.StreamRequest) bool) (undo func(), err error) {
	i := &interceptor{t: t, ask: f, max: max, pending: map[tuple]*request{}}
	if !t.interceptor.CompareAndSwap(nil, i) {
		return nil, syscall.EBUSY
	}
	return func() {
		if t.interceptor.CompareAndSwap(i, nil) {
			i.close()
		}
	}, nil
}

// isForeign reports whether a segment for somebody else is here for an interceptor.
func (t *tcp) isForeign(k *tuple) bool {
	return t.interceptor.Load() != nil && !t.net.IsLocalTo(k.localAddr().Addr(), k.index)
}

// intercept offers a segment that belongs to no connection to the interceptor and
// reports whether that took it.
func (t *tcp) intercept(pkt *packet.Packet, h wire.TCP, k *tuple, minISS tcb.Seq, foreign bool) bool {
	i := t.interceptor.Load()
	if i == nil {
		return false
	}
	switch flags := h.Flags(); {
	case flags&wire.TCPRst != 0:
		i.cancel(k)
		return false
	case flags&(wire.TCPAck|wire.TCPSyn) != wire.TCPSyn:
		return false
	}
	return i.offer(pkt, k, minISS, foreign)
}

// offer asks about a SYN. It owns pkt if it returns true.
func (i *interceptor) offer(pkt *packet.Packet, k *tuple, minISS tcb.Seq, foreign bool) bool {
	r := &request{i: i, key: *k, pkt: pkt, minISS: minISS, foreign: foreign}
	switch taken, repeated := i.add(r); {
	case repeated:
		pkt.Drop(stat.TCPOldData)
		return true
	case !taken:
		i.t.mib.listenDrops.Inc()
		pkt.Drop(stat.SocketBacklog)
		return true
	}
	if i.ask(r) {
		return true
	}
	// The request goes on: what the interceptor says to it later has no effect.
	return r.take() == nil
}

// add puts r among those that wait.
func (i *interceptor) add(r *request) (taken, repeated bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.pending[r.key] != nil:
		return false, true
	case i.closed || len(i.pending) >= i.max:
		return false, false
	}
	i.pending[r.key] = r
	return true, false
}

// cancel forgets the request of a peer that has given up.
func (i *interceptor) cancel(k *tuple) {
	i.mu.Lock()
	r := i.pending[*k]
	i.mu.Unlock()
	if r != nil {
		r.Ignore()
	}
}

func (i *interceptor) close() {
	i.mu.Lock()
	i.closed = true
	pending := i.pending
	i.pending = nil
	i.mu.Unlock()
	for _, r := range pending {
		r.Ignore()
	}
}

// A request implements transport.StreamRequest. It keeps the SYN, because the
// answer depends on it whatever the answer is.
type request struct {
	i       *interceptor
	key     tuple
	minISS  tcb.Seq
	foreign bool

	answered atomic.Bool
	pkt      *packet.Packet // of whoever has set answered
}

// take returns the SYN to whoever is to answer it, nil if that was done.
func (r *request) take() *packet.Packet {
	if r.answered.Swap(true) {
		return nil
	}
	r.i.mu.Lock()
	delete(r.i.pending, r.key)
	r.i.mu.Unlock()
	return r.pkt
}

// LocalAddr implements transport.Request.
func (r *request) LocalAddr() netip.AddrPort { return r.key.localAddr() }

// RemoteAddr implements transport.Request.
func (r *request) RemoteAddr() netip.AddrPort { return r.key.remoteAddr() }

// Foreign implements transport.Request.
func (r *request) Foreign() bool { return r.foreign }

// Ignore implements transport.Request.
func (r *request) Ignore() {
	if pkt := r.take(); pkt != nil {
		pkt.Drop(stat.NoSocket)
	}
}

// Refuse implements transport.Request.
func (r *request) Refuse() {
	pkt := r.take()
	if pkt == nil {
		return
	}
	h, _ := wire.ParseTCP(pkt.Head())
	r.i.t.reset(pkt, h, nil)
	pkt.Drop(stat.NoSocket)
}

// Fail implements transport.Request.
func (r *request) Fail(kind network.ErrorKind) {
	if pkt := r.take(); pkt != nil {
		r.i.t.net.SendError(r.key.version, kind, pkt)
		pkt.Drop(stat.IPInNoRoute)
	}
}

// Accept implements transport.StreamRequest.
func (r *request) Accept(w transport.Waker) (transport.Stream, error) {
	t := r.i.t
	if !t.sockets.Get() {
		r.Ignore()
		return nil, syscall.EPROTONOSUPPORT
	}
	pkt := r.take()
	if pkt == nil {
		t.sockets.Put()
		return nil, syscall.ECONNABORTED
	}
	c, err := r.open(pkt, w)
	if err != nil {
		pkt.Drop(stat.IPOutNoRoutes)
		t.sockets.Put()
		return nil, err
	}
	pkt.Consume() // data on a SYN is not kept: the peer sends it again
	c.kick(0)
	return c, nil
}

// open makes a connection in SYN-RECEIVED. It does not end pkt.
func (r *request) open(pkt *packet.Packet, w transport.Waker) (*conn, error) {
	t := r.i.t
	c := t.newConn(r.key)
	c.identify(network.Socket{Transparent: r.foreign})
	c.waker.Store(&wakerBox{w})
	now := t.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.path(now) {
		c.gone = true
		return nil, syscall.EHOSTUNREACH
	}
	if ok, _ := t.conns.insert(c); !ok {
		c.gone = true
		return nil, syscall.EADDRINUSE
	}
	h, _ := wire.ParseTCP(pkt.Head())
	c.answerSYN(now, pkt, h, r.minISS)
	c.after(now)
	return c, nil
}
