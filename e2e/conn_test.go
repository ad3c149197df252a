//go:build e2e && linux

package e2e

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"

	"github.com/knitnet/knit"
)

// inside runs f on a thread in the host's namespace; sockets that f makes stay there.
func (h *host) inside(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread has changed
		fd, err := unix.Open(h.ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// TestNetConn holds connections between the kernel and Linux, opened by either, to
// the contract of net.Conn.
func TestNetConn(t *testing.T) {
	kinds(t, func(t *testing.T, k *knit.Kernel, h *host) {
		captureAll(t, h.device)
		linux := func(t *testing.T) (ln net.Listener) {
			err := h.inside(func() (err error) { ln, err = net.Listen("tcp", net.JoinHostPort(h.v4.String(), "0")); return err })
			if err != nil {
				t.Fatal(err)
			}
			return ln
		}
		t.Run("knit dials", func(t *testing.T) {
			conformance(t, linux(t), k.Dial)
		})
		t.Run("linux dials", func(t *testing.T) {
			ln, err := k.Listen("tcp", net.JoinHostPort(h.gw6.String(), "0"))
			if err != nil {
				t.Fatal(err)
			}
			conformance(t, ln, func(network, address string) (c net.Conn, err error) {
				h.inside(func() error { c, err = net.Dial(network, address); return nil })
				return c, err
			})
		})
	}, "veth")
}

func conformance(t *testing.T, ln net.Listener, dial func(network, address string) (net.Conn, error)) {
	t.Cleanup(func() { ln.Close() })
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		accepted := make(chan net.Conn, 1)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- c
		}()
		if c1, err = dial("tcp", ln.Addr().String()); err != nil {
			return nil, nil, nil, err
		}
		c2 = <-accepted
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

// TestPacketConn: datagrams of all sizes keep their borders and their sender
// between the kernel and Linux, both ways and over both IP versions.
func TestPacketConn(t *testing.T) {
	kinds(t, func(t *testing.T, k *knit.Kernel, h *host) {
		captureAll(t, h.device)
		for _, x := range []struct{ ours, theirs string }{{h.gw4.String(), h.v4.String()}, {h.gw6.String(), h.v6.String()}} {
			a, err := k.ListenPacket("udp", net.JoinHostPort(x.ours, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			var z net.PacketConn
			err = h.inside(func() (err error) { z, err = net.ListenPacket("udp", net.JoinHostPort(x.theirs, "0")); return err })
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			for _, n := range []int{0, 1, 1000, 1472, 1473, 20000, 65507} {
				exchange(t, a, z, n)
				exchange(t, z, a, n)
			}
		}
	})
}

func exchange(t *testing.T, from, to net.PacketConn, n int) {
	t.Helper()
	want := make([]byte, n)
	io.ReadFull(noise(), want)
	if _, err := from.WriteTo(want, to.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 70000)
	to.SetReadDeadline(time.Now().Add(20 * time.Second))
	m, sender, err := to.ReadFrom(buf)
	if err != nil || !bytes.Equal(buf[:m], want) || sender.String() != from.LocalAddr().String() {
		t.Errorf("%d bytes from %v arrived as %d from %v, %v", n, from.LocalAddr(), m, sender, err)
	}
}
