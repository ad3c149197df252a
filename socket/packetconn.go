package socket

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/knitnet/knit/transport"
)

// A PacketConn is a datagram socket: UDP, raw IP or ping. It implements
// net.PacketConn and, when connected, net.Conn, and has the methods of
// *net.UDPConn that have a meaning here. It is safe for concurrent use.
type PacketConn struct {
	d       transport.Datagram
	s       *Sockets
	network string // "udp", "ip", "ping"
	closed  atomic.Bool
	turn    sync.Mutex
	rd, wr  waiter
}

func newPacketConn(s *Sockets, network string) *PacketConn {
	p := &PacketConn{s: s, network: network}
	p.rd.init(s.Clock)
	p.wr.init(s.Clock)
	return p
}

// Wake implements transport.Waker.
func (p *PacketConn) Wake(r transport.Ready) {
	if r&transport.Readable != 0 {
		p.rd.wake()
	}
	if r&transport.Writable != 0 {
		p.wr.wake()
	}
}

func (p *PacketConn) addr(a netip.AddrPort) net.Addr {
	if !a.Addr().IsValid() {
		return nil
	}
	if p.network == "ip" {
		return &net.IPAddr{IP: a.Addr().AsSlice(), Zone: a.Addr().Zone()}
	}
	return net.UDPAddrFromAddrPort(a)
}

func (p *PacketConn) opError(op string, to netip.AddrPort, err error) error {
	if err == nil {
		return nil
	}
	addr := p.addr(to)
	if addr == nil {
		addr = p.RemoteAddr()
	}
	return opError(op, p.network, p.LocalAddr(), addr, err)
}

// ReadMessage receives one datagram into b and describes it in m, which keeps
// nothing of before.
func (p *PacketConn) ReadMessage(b []byte, m *transport.Message) (int, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	for {
		if err := p.rd.check(); err != nil {
			return 0, p.opError("read", netip.AddrPort{}, err)
		}
		n, err := p.d.RecvFrom(b, m)
		if err != transport.ErrWouldBlock {
			return n, p.opError("read", netip.AddrPort{}, p.rd.failed(err))
		}
		if err := p.rd.wait(); err != nil {
			return 0, p.opError("read", netip.AddrPort{}, err)
		}
	}
}

// WriteMessage sends b as m says; net.ErrWriteToConnected when it names a
// destination though the socket is connected.
func (p *PacketConn) WriteMessage(b []byte, m *transport.Message) (int, error) {
	if m.Dst.IsValid() && p.d.RemoteAddr().IsValid() {
		return 0, p.opError("write", m.Dst, net.ErrWriteToConnected)
	}
	for {
		if err := p.wr.check(); err != nil {
			return 0, p.opError("write", m.Dst, err)
		}
		n, err := p.d.SendTo(b, m)
		if err != transport.ErrWouldBlock {
			return n, p.opError("write", m.Dst, p.wr.failed(err))
		}
		if err := p.wr.wait(); err != nil {
			return 0, p.opError("write", m.Dst, err)
		}
	}
}

// ReadFromAddrPort receives one datagram; what does not fit into b is lost.
func (p *PacketConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	m := p.s.message()
	n, err := p.ReadMessage(b, m)
	from := m.Src
	p.s.messages.Put(m)
	return n, from, err
}

// WriteToAddrPort sends b as one datagram.
func (p *PacketConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return p.writeTo(b, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
}

// writeTo sends b to an address, or to the connected peer if it is zero.
func (p *PacketConn) writeTo(b []byte, to netip.AddrPort) (int, error) {
	m := p.s.message()
	m.Dst = to
	n, err := p.WriteMessage(b, m)
	p.s.messages.Put(m)
	return n, err
}

// ReadFrom implements net.PacketConn.
func (p *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, p.addr(from), nil
}

// WriteTo implements net.PacketConn. to may be a *net.UDPAddr, a *net.IPAddr, or
// anything whose String is an address. A connected socket has Write instead.
func (p *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, err := addrPort(to)
	if err == nil && !a.Addr().IsValid() {
		err = syscall.EDESTADDRREQ
	}
	if err != nil {
		return 0, p.opError("write", netip.AddrPort{}, err)
	}
	return p.WriteToAddrPort(b, a)
}

// Read implements net.Conn: it receives one datagram.
func (p *PacketConn) Read(b []byte) (int, error) {
	n, _, err := p.ReadFromAddrPort(b)
	return n, err
}

// Write implements net.Conn: it sends one datagram to the connected peer.
func (p *PacketConn) Write(b []byte) (int, error) {
	return p.writeTo(b, netip.AddrPort{})
}

// Close implements net.Conn and net.PacketConn.
func (p *PacketConn) Close() error {
	if p.closed.Swap(true) {
		return p.opError("close", netip.AddrPort{}, net.ErrClosed)
	}
	p.rd.close()
	p.wr.close()
	p.d.Close()
	return nil
}

// LocalAddr implements net.Conn; it is a *net.UDPAddr, or a *net.IPAddr.
func (p *PacketConn) LocalAddr() net.Addr { return p.addr(p.d.LocalAddr()) }

// RemoteAddr implements net.Conn; nil when not connected.
func (p *PacketConn) RemoteAddr() net.Addr { return p.addr(p.d.RemoteAddr()) }

// SetDeadline implements net.Conn.
func (p *PacketConn) SetDeadline(t time.Time) error {
	if err := p.SetReadDeadline(t); err != nil {
		return err
	}
	return p.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (p *PacketConn) SetReadDeadline(t time.Time) error { return p.setDeadline(&p.rd, t) }

// SetWriteDeadline implements net.Conn.
func (p *PacketConn) SetWriteDeadline(t time.Time) error { return p.setDeadline(&p.wr, t) }

func (p *PacketConn) setDeadline(w *waiter, t time.Time) error {
	if p.closed.Load() {
		return p.opError("set", netip.AddrPort{}, net.ErrClosed)
	}
	w.setDeadline(t)
	return nil
}

// Connect sets the peer: datagrams of others are not heard any more, and Write goes
// to it. The zero address dissolves the association.
func (p *PacketConn) Connect(to netip.AddrPort) error {
	return p.opError("connect", to, p.d.Connect(to))
}

// SetReadBuffer and SetWriteBuffer set buffer sizes in bytes.
func (p *PacketConn) SetReadBuffer(n int) error { return p.SetOption(transport.RecvBuffer, int64(n)) }

// SetWriteBuffer sets the send buffer in bytes.
func (p *PacketConn) SetWriteBuffer(n int) error { return p.SetOption(transport.SendBuffer, int64(n)) }

func (p *PacketConn) setError(err error) error {
	if p.closed.Load() {
		err = net.ErrClosed
	}
	return p.opError("set", netip.AddrPort{}, err)
}

// SetOption changes a setting.
func (p *PacketConn) SetOption(o transport.Option, v int64) error {
	return p.setError(p.d.SetOption(o, v))
}

// Join joins a multicast group on an interface (0: by route).
func (p *PacketConn) Join(group netip.Addr, index int32) error {
	return p.setError(p.d.Join(group, index, netip.Addr{}))
}

// Leave leaves a multicast group.
func (p *PacketConn) Leave(group netip.Addr, index int32) error {
	return p.setError(p.d.Leave(group, index, netip.Addr{}))
}
