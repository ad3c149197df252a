// Package socket makes blocking sockets of what transport protocols offer: they
// implement net.Conn, net.Listener and net.PacketConn with the manners of package
// net: deadlines, half close, *net.OpError around the errno Linux would give.
package socket

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport"
)

// A Conn is a TCP connection. It implements net.Conn, io.ReaderFrom and
// io.WriterTo, and the methods of *net.TCPConn that have a meaning here. It is
// safe for concurrent use; concurrent Reads, and concurrent Writes, take turns.
type Conn struct {
	s             transport.Stream
	local, remote netip.AddrPort
	closed        atomic.Bool

	readTurn sync.Mutex
	rd       waiter

	writeTurn sync.Mutex
	wr        waiter
}

func newConn(c *clock.Clock, s transport.Stream) *Conn {
	x := &Conn{s: s}
	x.rd.init(c)
	x.wr.init(c)
	return x
}

// attach learns the addresses and begins to listen for news.
func (c *Conn) attach() {
	c.local, c.remote = c.s.LocalAddr(), c.s.RemoteAddr()
	c.s.SetWaker(c)
}

// Wake implements transport.Waker.
func (c *Conn) Wake(r transport.Ready) {
	if r&transport.Readable != 0 {
		c.rd.wake()
	}
	if r&transport.Writable != 0 {
		c.wr.wake()
	}
}

func (c *Conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return opError(op, "tcp", c.LocalAddr(), c.RemoteAddr(), err)
}

// Read implements net.Conn. It returns io.EOF after the peer's FIN.
func (c *Conn) Read(b []byte) (int, error) {
	c.readTurn.Lock()
	defer c.readTurn.Unlock()
	for {
		if err := c.rd.check(); err != nil && (len(b) > 0 || err == net.ErrClosed) {
			return 0, c.opError("read", err)
		}
		n, err := c.s.Recv(b)
		if err != transport.ErrWouldBlock {
			return n, c.opError("read", c.rd.failed(err))
		}
		if err := c.rd.wait(); err != nil {
			return 0, c.opError("read", err)
		}
	}
}

// Write implements net.Conn: it returns when all of b is in the send buffer.
func (c *Conn) Write(b []byte) (n int, err error) {
	c.writeTurn.Lock()
	defer c.writeTurn.Unlock()
	for {
		if err := c.wr.check(); err != nil {
			return n, c.opError("write", err)
		}
		m, err := c.s.Send(b[n:])
		n += m
		if n == len(b) && err == nil {
			return n, nil
		}
		if err := c.sent(err); err != nil {
			return n, c.opError("write", err)
		}
	}
}

// sent waits for room if a send that failed with err wants it; any other error it
// returns.
func (c *Conn) sent(err error) error {
	switch err {
	case nil:
		return nil
	case transport.ErrWouldBlock:
		return c.wr.wait()
	}
	return c.wr.failed(err)
}

// Close implements net.Conn: blocked calls return, what was written is still
// delivered, then the connection ends in order; see SetLinger.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	c.rd.close()
	c.wr.close()
	c.s.Close()
	return nil
}

// CloseRead shuts the reading side: once what has arrived was read, Reads return
// io.EOF instead of waiting for more.
func (c *Conn) CloseRead() error {
	if err := c.alive("close"); err != nil {
		return err
	}
	return c.opError("close", sysErr("shutdown", c.s.CloseRead()))
}

// CloseWrite sends a FIN behind what was written. Reading goes on.
func (c *Conn) CloseWrite() error {
	if err := c.alive("close"); err != nil {
		return err
	}
	return c.opError("close", sysErr("shutdown", c.s.CloseWrite()))
}

func (c *Conn) alive(op string) error {
	if c.closed.Load() {
		return c.opError(op, net.ErrClosed)
	}
	return nil
}

// settable is alive for what belongs to this end alone: such errors do not name the
// peer.
func (c *Conn) settable() error {
	if c.closed.Load() {
		return opError("set", "tcp", nil, c.LocalAddr(), net.ErrClosed)
	}
	return nil
}

// LocalAddr implements net.Conn; it is a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr implements net.Conn; it is a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.settable(); err != nil {
		return err
	}
	c.rd.setDeadline(t)
	c.wr.setDeadline(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if err := c.settable(); err != nil {
		return err
	}
	c.rd.setDeadline(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if err := c.settable(); err != nil {
		return err
	}
	c.wr.setDeadline(t)
	return nil
}
