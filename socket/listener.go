package socket

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport"
)

// A Listener is a TCP listener. It implements net.Listener and is safe for
// concurrent use.
type Listener struct {
	l      transport.StreamListener
	clock  *clock.Clock
	local  netip.AddrPort
	closed atomic.Bool
	turn   sync.Mutex
	rd     waiter
}

// Wake implements transport.Waker.
func (l *Listener) Wake(transport.Ready) { l.rd.wake() }

// Accept implements net.Listener; the connection is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept with its type.
func (l *Listener) AcceptConn() (*Conn, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	for {
		if err := l.rd.check(); err != nil {
			return nil, opError("accept", "tcp", nil, l.Addr(), err)
		}
		s, err := l.l.Accept()
		if err == nil {
			c := newConn(l.clock, s)
			c.attach()
			s.SetOption(transport.NoDelay, 1)
			return c, nil
		}
		if err != transport.ErrWouldBlock {
			return nil, opError("accept", "tcp", nil, l.Addr(), l.rd.failed(err))
		}
		if err := l.rd.wait(); err != nil {
			return nil, opError("accept", "tcp", nil, l.Addr(), err)
		}
	}
}

// Close implements net.Listener: connections that nobody accepted are reset.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return opError("close", "tcp", nil, l.Addr(), net.ErrClosed)
	}
	l.rd.close()
	l.l.Close()
	return nil
}

// Addr implements net.Listener; it is a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.local) }

// SetDeadline sets when Accept fails with a timeout.
func (l *Listener) SetDeadline(t time.Time) error {
	if l.closed.Load() {
		return net.ErrClosed // bare, as in package net
	}
	l.rd.setDeadline(t)
	return nil
}
