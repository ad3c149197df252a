package uplink

import (
	"context"

	"github.com/knitnet/knit/transport"
)

// An inner is the half of a connection that is inside the kernel. Recv and Send
// are used as they are, without a blocking socket around them, so that a buffer is
// needed only once there are bytes for it.
type inner struct {
	transport.Stream
	readable, writable chan struct{} // hold one token
}

func newInner() *inner {
	return &inner{readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
}

// Wake implements transport.Waker.
func (s *inner) Wake(r transport.Ready) {
	if r&transport.Readable != 0 {
		signal(s.readable)
	}
	if r&transport.Writable != 0 {
		signal(s.writable)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// wait blocks until c was signalled since the last wait.
func wait(ctx context.Context, c chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// opened waits for the end of the handshake.
func (s *inner) opened(ctx context.Context) error {
	for {
		if err := s.Connected(); err != transport.ErrWouldBlock {
			return err
		}
		if err := wait(ctx, s.writable); err != nil {
			return err
		}
	}
}

// send queues all of b, waiting for room. It calls progress for each part.
func (s *inner) send(ctx context.Context, b []byte, progress func()) error {
	for len(b) > 0 {
		n, err := s.Send(b)
		if n > 0 {
			progress()
		}
		b = b[n:]
		if err == transport.ErrWouldBlock {
			err = wait(ctx, s.writable)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
