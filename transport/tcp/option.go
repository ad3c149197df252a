package tcp

import (
	"syscall"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
)

// applyOptions sets what was chosen before the connection began. c.mu is held.
func (c *conn) applyOptions(now clock.Time, o *transport.StreamOptions) {
	if o.RecvBuffer > 0 {
		c.tcb.SetRcvBuf(o.RecvBuffer)
	}
	if o.SendBuffer > 0 {
		c.setSendBuffer(o.SendBuffer)
	}
	c.send.TTL, c.send.TOS = o.TTL, o.TOS
	if o.Congestion != "" {
		c.tcb.SetCC(now, c.t.newCC(o.Congestion))
	}
}

// maxLinger is the largest l_linger of Linux, in seconds, which a Duration holds.
const maxLinger = 1<<31 - 1

func (c *conn) setSendBuffer(n int) {
	cfg := c.t.settings.tcb.Load()
	c.sndFixed = true
	c.snd.limit.Store(int64(min(max(n, cfg.SndBuf.Min), cfg.SndBuf.Max)))
	c.roomForWriter()
}

// SetOption implements transport.Stream.
func (c *conn) SetOption(o transport.Option, v int64) (err error) {
	c.with(func(now clock.Time) { err = c.setOption(now, o, v) })
	return err
}

func (c *conn) setOption(now clock.Time, o transport.Option, v int64) error {
	switch o {
	case transport.NoDelay:
		c.tcb.SetNoDelay(v != 0)
	case transport.Cork:
		c.cork = v != 0
		c.tcb.SetCork(c.cork)
	case transport.QuickAck:
		c.tcb.SetQuickAck(v != 0)
	case transport.UserTimeout:
		c.tcb.SetUserTimeout(time.Duration(v))
	case transport.Linger:
		c.linger = min(v, maxLinger)
	case transport.SendBuffer:
		c.setSendBuffer(int(v))
	case transport.RecvBuffer:
		c.tcb.SetRcvBuf(int(v))
	case transport.TTL:
		if v < 0 || v > 255 {
			return syscall.EINVAL
		}
		c.send.TTL = uint8(v)
	case transport.TOS:
		c.send.TOS = uint8(v)
		c.send.Path = nil // rules may look at it
	case transport.KeepAlive, transport.KeepIdle, transport.KeepInterval, transport.KeepCount:
		return c.setKeepAlive(now, o, v)
	default:
		if err := c.identity.Set(o, v); err != nil {
			return err
		}
		c.identify(*c.identity.Load())
	}
	return nil
}

func (c *conn) setKeepAlive(now clock.Time, o transport.Option, v int64) error {
	c.keep = c.keepAlive()
	if o != transport.KeepAlive && v <= 0 {
		return syscall.EINVAL
	}
	switch o {
	case transport.KeepIdle:
		c.keep.Idle = time.Duration(v)
	case transport.KeepInterval:
		c.keep.Interval = time.Duration(v)
	case transport.KeepCount:
		c.keep.Count = int(v)
	case transport.KeepAlive:
		c.keepOn = v != 0
	}
	if c.keepOn {
		c.tcb.SetKeepAlive(now, c.keep)
	} else {
		c.tcb.SetKeepAlive(now, tcb.KeepAlive{})
	}
	return nil
}

// keepAlive returns the connection's times, or the defaults of now.
func (c *conn) keepAlive() tcb.KeepAlive {
	if c.keep == (tcb.KeepAlive{}) {
		return c.t.settings.keepAlive()
	}
	return c.keep
}

// Option implements transport.Stream.
func (c *conn) Option(o transport.Option) (v int64, err error) {
	c.with(func(clock.Time) { v, err = c.option(o) })
	return v, err
}

func (c *conn) option(o transport.Option) (int64, error) {
	keep := c.keepAlive()
	switch o {
	case transport.Linger:
		return c.linger, nil
	case transport.SendBuffer:
		return c.snd.limit.Load(), nil
	case transport.RecvBuffer:
		return int64(c.tcb.Info().RcvSpace), nil
	case transport.SendQueue:
		return c.snd.queued.Load(), nil
	case transport.MaxSegment:
		return int64(c.tcb.MSS()), nil
	case transport.TTL:
		return int64(c.send.TTL), nil
	case transport.TOS:
		return int64(c.send.TOS), nil
	case transport.AtMark:
		if n, ok := c.rcv.toMark(); ok && n == 0 {
			return 1, nil
		}
		return 0, nil
	case transport.KeepIdle:
		return int64(keep.Idle), nil
	case transport.KeepInterval:
		return int64(keep.Interval), nil
	case transport.KeepCount:
		return int64(keep.Count), nil
	case transport.KeepAlive:
		if c.keepOn {
			return 1, nil
		}
		return 0, nil
	}
	return c.identity.Get(o)
}

// SetCongestion implements transport.Stream; ENOENT for one that is not loaded
// and cannot be.
func (c *conn) SetCongestion(name string) error {
	if name != "" {
		if _, ok := c.t.cc.Lookup(name); !ok {
			if c.t.net.Request("tcp-cc-"+name) != nil {
				return syscall.ENOENT
			}
			if _, ok := c.t.cc.Lookup(name); !ok {
				return syscall.ENOENT
			}
		}
	}
	c.with(func(now clock.Time) {
		if !c.gone {
			c.tcb.SetCC(now, c.t.newCC(name))
		}
	})
	return nil
}
