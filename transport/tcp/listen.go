package tcp

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
	"github.com/knitnet/knit/wire"
)

// A listener takes connections for a local address.
type listener struct {
	t     *tcp
	local netip.AddrPort // a zero Addr: all addresses of both versions
	opts  transport.StreamOptions
	id    uint64
	waker transport.Waker
	// own is what the layers below know of the listener, request and accepted of its
	// connections before and after they are open.
	own, request, accepted *network.Socket

	overflow atomic.Int64 // when the SYN queue was last full: cookies are believed for a while

	mu       sync.Mutex
	half     map[*conn]struct{} // handshake not complete
	queue    []*conn            // open, to be accepted; oldest first
	max      int
	drops    uint64
	closed   bool
	waiting  bool // an Accept found nothing
	unlisten func()
}

// listenTable finds listeners by port.
type listenTable struct {
	mu sync.RWMutex
	m  map[uint16][]*listener
}

func (t *listenTable) init() { t.m = map[uint16][]*listener{} }

func (t *listenTable) add(l *listener) (undo func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	port := l.local.Port()
	t.m[port] = append(slices.Clip(t.m[port]), l)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.m[port] = slices.DeleteFunc(slices.Clone(t.m[port]), func(x *listener) bool { return x == l })
		if len(t.m[port]) == 0 {
			delete(t.m, port)
		}
	}
}

// lookup returns the listener that fits a tuple best: bound to the address rather
// than to all, to the interface rather than to any. Equal ones (SO_REUSEPORT)
// share by hash.
func (t *listenTable) lookup(k *tuple, index int32) *listener {
	t.mu.RLock()
	ls := t.m[k.localPort]
	t.mu.RUnlock()
	score, n := 0, 0
	for _, l := range ls {
		switch s := l.score(k, index); {
		case s > score:
			score, n = s, 1
		case s == score && s > 0:
			n++
		}
	}
	if n == 0 {
		return nil
	}
	nth := int(k.hash()) % n
	for _, l := range ls {
		if l.score(k, index) != score {
			continue
		}
		if nth == 0 {
			return l
		}
		nth--
	}
	return nil
}

// score returns how well l fits, 0 if not at all.
func (l *listener) score(k *tuple, index int32) int {
	s := 1
	if a := l.local.Addr(); a.IsValid() {
		switch {
		case network.VersionOf(a) != k.version:
			return 0
		case !a.IsUnspecified() && a.WithZone("") != k.addr(&k.local):
			return 0
		case !a.IsUnspecified():
			s += 4
		default:
			s++
		}
	}
	switch {
	case index != 0 && !l.t.net.Hears(l.opts.Index, index, l.t.settings.l3mdevAccept.Load()) && !l.ownLink(index):
		return 0
	case l.opts.Index != 0:
		s += 8
	}
	return s
}

// ownLink reports whether a packet that came by interface index is one of this host
// to itself: for a link-local address it counts as come by the address's link.
func (l *listener) ownLink(index int32) bool {
	return l.local.Addr().IsLinkLocalUnicast() && l.t.net.IsInnerOf(index, l.opts.Index)
}

// hash returns a number that is the same for a connection's packets.
func (k *tuple) hash() uint32 {
	h := uint64(k.remotePort)<<16 | uint64(k.localPort)
	for _, b := range k.remote {
		h = h*31 + uint64(b)
	}
	return uint32(h * 0x9e3779b97f4a7c15 >> 33)
}

// Listen implements transport.StreamProtocol.
func (t *tcp) Listen(o transport.StreamOptions, local netip.AddrPort, w transport.Waker) (transport.StreamListener, error) {
	addr := local.Addr()
	switch {
	case addr.IsValid() && addr.IsUnspecified() && addr.Is6() && !o.V6Only:
		addr = netip.Addr{}
	case addr.IsValid() && !addr.IsUnspecified() && !t.net.IsLocalTo(addr.WithZone(""), o.Index) && !o.Transparent:
		return nil, syscall.EADDRNOTAVAIL
	}
	var err error
	if o.Index, err = transport.LocalScope(t.net, addr, o.Index); err != nil {
		return nil, err
	}
	addr = transport.Zoned(t.net, addr.WithZone(""), o.Index)
	if !t.sockets.Get() {
		return nil, syscall.EPROTONOSUPPORT
	}
	b, release, err := t.ports.Bind(transport.Binding{
		Addr: addr.WithZone(""), Port: local.Port(), Index: o.Index, Domain: t.portDomain(o.Index),
		ReuseAddr: o.ReuseAddr, ReusePort: o.ReusePort, Listening: true,
	})
	if err != nil {
		t.sockets.Put()
		return nil, err
	}
	l := &listener{t: t, local: netip.AddrPortFrom(addr, b.Port), opts: o, id: t.layer.NewID(), waker: w, half: map[*conn]struct{}{}}
	l.identify()
	l.max = int(t.settings.somaxconn.Load())
	if o.Backlog > 0 {
		l.max = min(l.max, o.Backlog)
	}
	undo := t.listeners.add(l)
	l.unlisten = func() { undo(); release(); t.sockets.Put() }
	return l, nil
}

// portDomain is the Binding.Domain of who is bound to an interface, 0 for none.
func (t *tcp) portDomain(index int32) int32 {
	if t.settings.l3mdevAccept.Load() {
		return 0
	}
	return t.net.VRF(index)
}

// input takes a segment for this listener that belongs to no connection
// (RFC 9293 §3.10.7.2). It owns pkt.
func (l *listener) input(pkt *packet.Packet, h wire.TCP, k *tuple, minISS tcb.Seq) {
	flags := h.Flags()
	switch {
	case flags&wire.TCPRst != 0:
		pkt.Drop(stat.TCPReset)
	case flags&wire.TCPAck != 0:
		if !l.cookie(pkt, h, k) {
			l.t.reset(pkt, h, l)
			pkt.Drop(stat.TCPFlags)
		}
	case flags&wire.TCPSyn == 0:
		pkt.Drop(stat.TCPFlags)
	default:
		l.syn(pkt, h, k, minISS)
	}
}

// syn opens a connection, or answers with a cookie when there are too many half
// open ones.
func (l *listener) syn(pkt *packet.Packet, h wire.TCP, k *tuple, minISS tcb.Seq) {
	l.mu.Lock()
	// Half-open ones become open, so the backlog bounds both, as in Linux.
	crowded := len(l.half) >= min(l.max, int(l.t.settings.synBacklog.Load()))
	closed := l.closed
	l.mu.Unlock()
	mode := l.t.settings.synCookies.Load()
	switch {
	case closed:
		pkt.Drop(stat.NoSocket)
	case l.overflows():
		pkt.Drop(stat.SocketBacklog)
	case mode == 2 || crowded && mode != 0:
		l.overflow.Store(int64(l.t.clock.Now()) | 1)
		l.sendCookie(pkt, h, k)
	case crowded:
		l.t.mib.listenDrops.Inc()
		pkt.Drop(stat.SocketBacklog)
	default:
		l.open(pkt, h, k, minISS)
	}
}

// overflows reports whether as many connections wait as may, and counts it.
func (l *listener) overflows() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) < l.max {
		return false
	}
	l.drops++
	l.t.mib.listenOverflows.Inc()
	return true
}

// open makes a connection in SYN-RECEIVED. It owns pkt.
func (l *listener) open(pkt *packet.Packet, h wire.TCP, k *tuple, minISS tcb.Seq) {
	c, now, err := l.newConn(pkt, k)
	if err != nil {
		pkt.Drop(stat.IPOutNoRoutes)
		return
	}
	defer c.kick(0)
	defer c.mu.Unlock()
	if !l.adopt(c) {
		c.gone = true
		pkt.Drop(stat.SocketBacklog)
		return
	}
	c.answerSYN(now, pkt, h, minISS)
	pkt.Consume() // data on a SYN is not kept: the peer sends it again
	c.applyOptions(now, &l.opts)
	c.after(now)
}

// answerSYN opens the machine in SYN-RECEIVED for the SYN in pkt, which it does not
// end. minISS is start's. c.mu is held.
func (c *conn) answerSYN(now clock.Time, pkt *packet.Packet, h wire.TCP, minISS tcb.Seq) {
	var syn tcb.Segment
	readSegment(pkt, h, &syn)
	c.t.mib.passiveOpens.Inc()
	c.tcb.Accept(now, c.t.settings.tcb.Load(), c.start(now, minISS), &syn)
}

// newConn makes a connection with its way back; its lock is held.
func (l *listener) newConn(pkt *packet.Packet, k *tuple) (*conn, clock.Time, error) {
	c := l.t.newConn(*k)
	c.listener, c.index, c.owner = l, cmp.Or(l.opts.Index, l.t.net.VRF(k.index)), l.opts.Owner
	c.takeAfter(l, pkt)
	now := l.t.clock.Now()
	c.mu.Lock()
	if !c.path(now) {
		c.mu.Unlock()
		return nil, now, syscall.EHOSTUNREACH
	}
	return c, now, nil
}

// adopt puts c among the half-open ones and into the table.
func (l *listener) adopt(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if ok, _ := l.t.conns.insert(c); !ok {
		return false
	}
	l.half[c] = struct{}{}
	return true
}

// ready is told by a connection whose handshake is complete. c.mu is held.
func (l *listener) ready(c *conn) {
	l.mu.Lock()
	delete(l.half, c)
	if !l.closed { // else Close is about to abort it
		l.queue = append(l.queue, c)
		c.queued = true
	}
	wake := l.waiting
	l.waiting = false
	l.mu.Unlock()
	if wake {
		l.waker.Wake(transport.Readable)
	}
}

// lost is told by a connection that died before it was accepted. One that was
// open stays in the queue: Accept returns it, and reading tells of the reset.
func (l *listener) lost(c *conn) {
	if c.queued {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.half, c)
}

// Accept implements transport.StreamListener.
func (l *listener) Accept() (transport.Stream, error) {
	if !l.t.sockets.Get() {
		return nil, net.ErrClosed // the module is on its way out
	}
	l.mu.Lock()
	if len(l.queue) == 0 {
		l.waiting = !l.closed
		err := error(transport.ErrWouldBlock)
		if l.closed {
			err = net.ErrClosed
		}
		l.mu.Unlock()
		l.t.sockets.Put()
		return nil, err
	}
	c := l.queue[0]
	l.queue[0] = nil
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	}
	l.mu.Unlock()
	c.mu.Lock()
	c.listener = nil
	c.mu.Unlock()
	c.kick(0)
	return c, nil
}

// LocalAddr implements transport.StreamListener.
func (l *listener) LocalAddr() netip.AddrPort {
	if a := l.local.Addr(); a.IsValid() {
		return l.local
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), l.local.Port())
}

// Close implements transport.StreamListener.
func (l *listener) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	doomed := l.queue
	for c := range l.half {
		doomed = append(doomed, c)
	}
	l.queue, l.half = nil, map[*conn]struct{}{}
	l.mu.Unlock()
	l.unlisten()
	for _, c := range doomed {
		c.with(func(clock.Time) {
			c.listener = nil
			c.state.Or(isOrphan)
			c.tcb.Abort()
			c.rcv.close()
		})
	}
	l.waker.Wake(transport.Readable)
}
