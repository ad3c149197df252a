package udp

import (
	"net/netip"
	"sync"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// An interceptor is a module's function in the form an atomic pointer takes.
type interceptor struct {
	ask func(transport.DatagramRequest) bool
}

// Intercept implements transport.DatagramInterceptor.
func (u *udp) Intercept(f func(transport.DatagramRequest) bool) (undo func(), err error) {
	i := &interceptor{f}
	if !u.interceptor.CompareAndSwap(nil, i) {
		return nil, syscall.EBUSY
	}
	return func() { u.interceptor.CompareAndSwap(i, nil) }, nil
}

// intercept offers a datagram to the interceptor, and reports whether that took
// it. It owns pkt, whose data is the payload, if it returns true. heard reports
// whether a socket waits for it, which counts for addresses of this host.
func (u *udp) intercept(pkt *packet.Packet, f *flow, m *mib, heard bool) bool {
	i := u.interceptor.Load()
	foreign := !u.net.IsLocalTo(f.dst, f.index)
	if i == nil || heard && (!foreign || u.isAnswer(f)) {
		return false
	}
	r := &request{u: u, pkt: pkt, flow: *f, mib: m, foreign: foreign}
	taken := i.ask(r)
	if pkt = r.take(); pkt != nil && taken {
		pkt.Drop(stat.NoSocket) // it promised an answer and gave none
		return true
	}
	return pkt == nil
}

// isAnswer reports whether a datagram is what an interceptor answers to this host,
// when that asked in the name of the other end because it has no address to show
// (see network.Layer.Resolve).
func (u *udp) isAnswer(f *flow) bool {
	if f.src != f.dst {
		return false
	}
	asked := *f
	asked.srcPort, asked.dstPort = f.dstPort, f.srcPort
	s := u.table.find(&asked)
	return s != nil && s.intercepted
}

// A request implements transport.DatagramRequest while interceptor.ask runs.
type request struct {
	u       *udp
	flow    flow
	mib     *mib
	foreign bool

	mu  sync.Mutex
	pkt *packet.Packet // nil: answered
}

// take returns the datagram to whoever is to answer it, nil if that was done.
func (r *request) take() *packet.Packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	pkt := r.pkt
	r.pkt = nil
	return pkt
}

// LocalAddr implements transport.Request.
func (r *request) LocalAddr() netip.AddrPort { return netip.AddrPortFrom(r.flow.dst, r.flow.dstPort) }

// RemoteAddr implements transport.Request.
func (r *request) RemoteAddr() netip.AddrPort { return netip.AddrPortFrom(r.flow.src, r.flow.srcPort) }

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
	r.mib.noPorts.Inc()
	r.Fail(network.PortUnreachable)
}

// Fail implements transport.Request.
func (r *request) Fail(kind network.ErrorKind) {
	if pkt := r.take(); pkt != nil {
		r.u.net.SendError(network.VersionOf(r.flow.dst), kind, pkt)
		pkt.Drop(stat.NoSocket)
	}
}

// Accept implements transport.DatagramRequest.
func (r *request) Accept(o transport.DatagramOptions, w transport.Waker) (transport.InterceptedDatagram, error) {
	u := r.u
	if !u.sockets.Get() {
		return nil, syscall.EPROTONOSUPPORT
	}
	pkt := r.take()
	if pkt == nil {
		u.sockets.Put()
		return nil, syscall.ECONNABORTED
	}
	// No port is bound: as with an accepted TCP connection, the pair of addresses
	// is what tells the exchange from others.
	s := &socket{u: u, addr: r.flow.dst, port: r.flow.dstPort, intercepted: true, owner: o.Owner, id: u.layer.NewID()}
	s.queue.Init(w, o.RecvBuffer)
	id := o.Socket()
	id.Transparent = id.Transparent || r.foreign
	s.identify(id)
	s.peer.Store(&peer{addr: r.RemoteAddr(), src: r.flow.dst})
	s.unbind = func() {
		u.table.remove(s)
		s.opts.Close()
		s.queue.Close()
		u.sockets.Put()
	}
	u.table.add(s)
	u.deliver(s, pkt, r.mib)
	return s, nil
}

// Unreachable implements transport.InterceptedDatagram: the error quotes a
// datagram without payload, which has all that the peer knows its socket by.
func (s *socket) Unreachable(kind network.ErrorKind) {
	p := s.peer.Load()
	if p == nil {
		return
	}
	pkt := s.u.net.Pool.Get()
	wire.PutUDP(pkt.Push(wire.UDPLen), p.addr.Port(), s.port, 0)
	pkt.L4 = uint16(pkt.Offset())
	if s.addr.Is4() {
		wire.PutIPv4(pkt.Push(wire.IPv4Len), &wire.IPv4Fields{
			TotalLen: wire.IPv4Len + wire.UDPLen, TTL: 1, Protocol: wire.ProtoUDP, Src: p.addr.Addr().As4(), Dst: s.addr.As4(),
		})
	} else {
		wire.PutIPv6(pkt.Push(wire.IPv6Len), &wire.IPv6Fields{
			PayloadLen: wire.UDPLen, HopLimit: 1, NextHeader: wire.ProtoUDP, Src: p.addr.Addr().As16(), Dst: s.addr.As16(),
		})
	}
	pkt.L3 = uint16(pkt.Offset())
	pkt.Pull(int(pkt.L4 - pkt.L3))
	s.u.net.SendError(network.VersionOf(s.addr), kind, pkt)
	pkt.Consume()
}
