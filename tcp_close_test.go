package knit_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/socket"
)

// TestCloseMeetsWrite: a Write that runs while the connection is closed takes
// nothing back: what it and those before it took arrives, and then the FIN.
func TestCloseMeetsWrite(t *testing.T) {
	leak.Check(t)
	for name, end := range map[string]func(*socket.Conn) error{"Close": (*socket.Conn).Close, "CloseWrite": (*socket.Conn).CloseWrite} {
		t.Run(name, func(t *testing.T) {
			a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
			lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
			for range 100 {
				closeMeetsWrite(t, end)(open(t, a, z))
			}
		})
	}
}

func closeMeetsWrite(t *testing.T, end func(*socket.Conn) error) func(c, s *socket.Conn) {
	return func(c, s *socket.Conn) {
		var begun atomic.Bool
		wrote := make(chan int)
		go func() {
			total, b := 0, bytes.Repeat([]byte("x"), 8<<10)
			for {
				n, err := c.Write(b)
				total += n
				begun.Store(true)
				if err != nil {
					break
				}
			}
			wrote <- total
		}()
		for !begun.Load() {
		}
		end(c)
		s.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, err := io.Copy(io.Discard, s)
		if want := <-wrote; err != nil || got != int64(want) {
			t.Errorf("received %d bytes, %v; %d were written", got, err, want)
		}
		s.Close()
		c.Close()
	}
}

// TestLongLinger: a time that no clock can add is a long one, not one that is over.
func TestLongLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		c, s := open(t, a, z)
		c.Write(make([]byte, 50000))
		c.SetLinger(1 << 34)
		c.Close()
		if n, err := io.Copy(io.Discard, s); n != 50000 || err != nil {
			t.Errorf("received %d bytes, %v", n, err)
		}
		s.Close()
	})
}

// TestLargerSendBuffer: a Write that waits for room goes on when there is more,
// though the peer's window is closed.
func TestLargerSendBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		c, s := open(t, a, z)
		s.SetReadBuffer(4096)
		c.SetWriteBuffer(8192)
		wrote := make(chan error, 1)
		go func() { _, err := c.Write(make([]byte, 512<<10)); wrote <- err }()
		time.Sleep(time.Second) // until both buffers are full
		c.SetWriteBuffer(1 << 20)
		synctest.Wait()
		select {
		case err := <-wrote:
			if err != nil {
				t.Errorf("write: %v", err)
			}
		default:
			t.Error("write still waits with a buffer of 1 MiB")
		}
	})
}

// TestUnloadIsNoEndOfStream: the reader of a connection that a kernel ends learns
// that the stream was cut.
func TestUnloadIsNoEndOfStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		c, s := open(t, a, z)
		read := make(chan error)
		go func() { _, err := s.Read(make([]byte, 1)); read <- err }()
		synctest.Wait()
		z.Close()
		if err := <-read; !errors.Is(err, syscall.ECONNABORTED) {
			t.Errorf("read when the kernel ended: %v, want %v", err, syscall.ECONNABORTED)
		}
		c.Close()
		s.Close()
	})
}
