package uplink

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/knitnet/knit/transport"
)

// orphanIdle is after how much silence a half-closed connection is probed: the
// side that closed may be gone altogether, and only an answer can tell.
const orphanIdle = time.Minute

// streamRequest takes a connection request if it goes outside. It is called on
// the packet path.
func (u *uplink) streamRequest(r transport.StreamRequest) bool {
	to, ok := u.outside(r)
	if !ok {
		return false
	}
	if !u.flows.take() {
		u.warn.Warn("%v: more than %d flows", to, u.flows.max())
		r.Ignore()
		return true
	}
	if !u.c.Go(func(ctx context.Context) { u.carry(ctx, r, to) }) {
		u.flows.put()
		r.Ignore()
	}
	return true
}

// carry connects on the host, answers the request accordingly and carries the
// connection to its end.
func (u *uplink) carry(ctx context.Context, r transport.StreamRequest, to netip.AddrPort) {
	defer u.flows.put()
	out, err := u.connect(ctx, to)
	if err != nil {
		u.answer(r, to, err)
		return
	}
	in := newInner()
	if in.Stream, err = r.Accept(in); err != nil {
		reset(out)
		return
	}
	if err := in.opened(ctx); err != nil {
		in.Abort()
		reset(out)
		return
	}
	(&tunnel{u: u, in: in, out: out, aborted: make(chan struct{})}).run(ctx)
}

func (u *uplink) connect(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, u.c.Duration("connect_timeout"))
	defer cancel()
	return u.dial(ctx, "tcp", to)
}

// reset closes a connection of the host with a reset, if it can.
func reset(out net.Conn) {
	if l, ok := out.(interface{ SetLinger(sec int) error }); ok {
		l.SetLinger(0)
	}
	out.Close()
}

// A tunnel is a connection that is being carried: what one half says, down to the
// end of the stream and resets, is told to the other.
type tunnel struct {
	u   *uplink
	in  *inner
	out net.Conn
	// aborted is closed when both halves have been reset.
	aborted chan struct{}
}

// run returns when both directions have ended.
func (t *tunnel) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, t.abort)
	t.in.SetOption(transport.NoDelay, 1)
	t.in.SetOption(transport.KeepIdle, int64(keepAlive().Idle))
	t.in.SetOption(transport.KeepAlive, 1)
	down := make(chan struct{})
	if !t.u.c.Go(func(context.Context) {
		defer close(down)
		if t.down(ctx) != nil {
			cancel()
		}
	}) {
		cancel()
		close(down)
	}
	if t.up(ctx) != nil {
		cancel()
	}
	<-down
	if !stop() {
		<-t.aborted
		return
	}
	t.in.Close()
	t.out.Close()
}

// abort resets both halves.
func (t *tunnel) abort() {
	defer close(t.aborted)
	t.in.Abort()
	reset(t.out)
}

// up carries what the inside sends. It returns nil after the end of the stream.
func (t *tunnel) up(ctx context.Context) error {
	for {
		buf := t.u.buffers.get()
		n, err := t.in.Recv(*buf)
		if n > 0 {
			_, err = t.out.Write((*buf)[:n])
		}
		t.u.buffers.put(buf)
		switch {
		case err == transport.ErrWouldBlock:
			err = wait(ctx, t.in.readable)
		case err == io.EOF:
			t.in.SetOption(transport.KeepIdle, int64(orphanIdle))
			return t.closeWrite()
		}
		if err != nil {
			return err
		}
	}
}

func (t *tunnel) closeWrite() error {
	if c, ok := t.out.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// down carries what the outside sends. It returns nil after the end of the stream.
func (t *tunnel) down(ctx context.Context) error {
	src := newSource(t.out, &t.u.buffers)
	for {
		buf, n, err := src.read()
		switch {
		case err == io.EOF:
			t.probe()
			return t.in.CloseWrite()
		case err != nil:
			return err
		}
		err = t.in.send(ctx, (*buf)[:n])
		t.u.buffers.put(buf)
		if err != nil {
			return err
		}
	}
}

// probe shortens the host's keepalive.
func (t *tunnel) probe() {
	k := keepAlive()
	k.Idle = orphanIdle
	if c, ok := t.out.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		c.SetKeepAliveConfig(k)
	}
}
