package socket

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/knitnet/knit/transport"
)

func (c *Conn) set(o transport.Option, v int64) error {
	if err := c.alive("set"); err != nil {
		return err
	}
	return c.opError("set", c.s.SetOption(o, v))
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// SetNoDelay turns Nagle's algorithm off, or on. New connections have it off, as
// those of package net.
func (c *Conn) SetNoDelay(noDelay bool) error { return c.set(transport.NoDelay, flag(noDelay)) }

// SetKeepAlive sets whether an idle connection is probed.
func (c *Conn) SetKeepAlive(on bool) error { return c.set(transport.KeepAlive, flag(on)) }

// SetKeepAlivePeriod sets the idle time before, and the time between, probes.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return errors.Join(c.set(transport.KeepIdle, int64(d)), c.set(transport.KeepInterval, int64(d)))
}

// SetKeepAliveConfig sets all of keepalive at once. As in package net, zero
// fields mean 15 s, 15 s and 9, negative ones leave the value as it is.
func (c *Conn) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	const usual = 15 * time.Second
	for _, x := range []struct {
		o        transport.Option
		v, usual int64
	}{
		{transport.KeepIdle, int64(k.Idle), int64(usual)},
		{transport.KeepInterval, int64(k.Interval), int64(usual)},
		{transport.KeepCount, int64(k.Count), 9},
	} {
		if x.v == 0 {
			x.v = x.usual
		}
		if x.v < 0 {
			continue
		}
		if err := c.set(x.o, x.v); err != nil {
			return err
		}
	}
	return c.SetKeepAlive(k.Enable)
}

// SetLinger sets what Close does with data that was not sent yet: sec < 0 sends
// it in the background, 0 discards it and resets the connection, sec > 0 sends
// it for at most that many seconds.
func (c *Conn) SetLinger(sec int) error { return c.set(transport.Linger, int64(sec)) }

// SetReadBuffer fixes the receive buffer in bytes and ends its autotuning.
func (c *Conn) SetReadBuffer(n int) error { return c.setBuffer(transport.RecvBuffer, n) }

// SetWriteBuffer fixes the send buffer in bytes and ends its autotuning.
func (c *Conn) SetWriteBuffer(n int) error { return c.setBuffer(transport.SendBuffer, n) }

func (c *Conn) setBuffer(o transport.Option, n int) error {
	if err := c.settable(); err != nil {
		return err
	}
	return opError("set", "tcp", nil, c.LocalAddr(), c.s.SetOption(o, int64(n)))
}

// SetUserTimeout sets how long sent data may stay unacknowledged before the
// connection is given up (RFC 5482); 0 means the retransmission limit.
func (c *Conn) SetUserTimeout(d time.Duration) error { return c.set(transport.UserTimeout, int64(d)) }

// SetCongestionControl changes the congestion control by name, loading its
// module if need be; "" means the default.
func (c *Conn) SetCongestionControl(name string) error {
	if err := c.alive("set"); err != nil {
		return err
	}
	return c.opError("set", c.s.SetCongestion(name))
}

// SetOption changes a setting that has no method of its own.
func (c *Conn) SetOption(o transport.Option, v int64) error { return c.set(o, v) }

// Option returns a setting.
func (c *Conn) Option(o transport.Option) (int64, error) {
	if err := c.alive("get"); err != nil {
		return 0, err
	}
	v, err := c.s.Option(o)
	return v, c.opError("get", err)
}

// AtMark reports whether the next octet to be read is the last one of urgent data, as
// SIOCATMARK does where the data is in line (SO_OOBINLINE): RFC 6093 leaves no other
// way. A Read ends in front of it. Urgent data cannot be sent: RFC 6093 §5 advises
// against it.
func (c *Conn) AtMark() (bool, error) {
	v, err := c.Option(transport.AtMark)
	return v != 0, err
}

// SyscallConn fails with errors.ErrUnsupported: there is no file descriptor.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }
