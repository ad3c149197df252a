package uplink

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
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

	lost  atomic.Bool // the half outside has ended before its time
	stall clock.Timer // runs from then on; see progress
}

const (
	// lostGrace is how long the inside may do nothing about what had come before the
	// half outside was reset.
	lostGrace = 10 * time.Second
	// drainPause is between looks at what the inside has not acknowledged.
	drainPause = 5 * time.Millisecond
)

// run returns when both directions have ended.
func (t *tunnel) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, t.abort)
	t.stall.Init(t.u.clock, func(clock.Time) { cancel() })
	defer t.stall.StopWait()
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

// lose notes that the half outside has ended before its time. What the host had
// received by then goes inside before the reset does: on the host it could have been
// read too.
func (t *tunnel) lose() {
	if !t.lost.Swap(true) {
		t.progress()
	}
}

// progress gives the inside more time.
func (t *tunnel) progress() {
	if t.lost.Load() {
		t.stall.ResetAfter(lostGrace)
	}
}

// drain waits until the inside has acknowledged what was sent to it, or has ended.
func (t *tunnel) drain(ctx context.Context) {
	for before := int64(-1); ; {
		n, err := t.in.Option(transport.SendQueue)
		switch {
		case n == 0 || err != nil:
			return
		case n != before:
			t.progress()
		}
		before = n
		if t.u.clock.Sleep(ctx, drainPause) != nil {
			return
		}
	}
}

// up carries what the inside sends. It returns nil after the end of the stream.
// When the outside is lost what comes is taken all the same: who is held up writing
// would not read.
func (t *tunnel) up(ctx context.Context) error {
	for {
		buf := t.u.buffers.get()
		n, err := t.in.Recv(*buf)
		if n > 0 && !t.lost.Load() && t.write((*buf)[:n]) != nil {
			t.lose()
		}
		t.u.buffers.put(buf)
		switch {
		case err == transport.ErrWouldBlock:
			err = wait(ctx, t.in.readable)
		case err == io.EOF:
			t.in.SetOption(transport.KeepIdle, int64(orphanIdle))
			if t.closeWrite() != nil {
				t.lose()
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tunnel) write(b []byte) error {
	_, err := t.out.Write(b)
	return err
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
		case err == io.EOF && !t.lost.Load():
			t.probe()
			return t.in.CloseWrite()
		case err != nil: // a reset, of which Linux tells once: the writer may have heard it
			t.lose()
			t.drain(ctx)
			return err
		}
		err = t.in.send(ctx, (*buf)[:n], t.progress)
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
