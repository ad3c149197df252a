package uplink_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/service/uplink"
)

// newHostWorld is a world whose outside is the loopback of the real host.
func newHostWorld(t *testing.T) *world {
	w := newWorld(t, nil, "host_loopback")
	w.dial = uplink.DialHost
	return w
}

// at is where the guest finds a port of the host's loopback.
func at(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return net.JoinHostPort("10.0.2.2", port)
}

// TestHostStream: bytes, half close, resets and refusals cross real sockets of the
// host.
func TestHostStream(t *testing.T) {
	const size = 32 << 20
	w := newHostWorld(t)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		io.Copy(c, c) // ends with our FIN
		c.Close()
		if c, err = ln.Accept(); err == nil {
			c.Read(make([]byte, 1))
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	c := w.call("tcp", at(ln.Addr()))
	sent, got := sha256.New(), sha256.New()
	go func() {
		io.Copy(io.MultiWriter(c, sent), io.LimitReader(rand.NewChaCha8([32]byte{1}), size))
		c.(halfCloser).CloseWrite()
	}()
	if n, err := io.Copy(got, struct{ io.Reader }{c}); n != size || err != nil || !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
		t.Errorf("%d bytes, %v, or others than were sent", n, err)
	}
	c = w.call("tcp", at(ln.Addr()))
	c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want connection reset", err)
	}
	ln.Close()
	if c, err := w.guest.Dial("tcp", at(ln.Addr())); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v; want connection refused", c, err)
	}
}

// TestHostDatagrams: datagrams, empty ones too, and refusals cross real sockets.
func TestHostDatagrams(t *testing.T) {
	w := newHostWorld(t)
	p, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	go func() {
		b := make([]byte, 65535)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			p.WriteTo(b[:n], from)
		}
	}()
	c := w.call("udp", at(p.LocalAddr()))
	c.SetDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, 65535)
	for _, n := range []int{0, 1, 1472, 20000, 65000} {
		b := bytes.Repeat([]byte{7}, n)
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if m, err := c.Read(got); err != nil || !bytes.Equal(got[:m], b) {
			t.Fatalf("%d bytes came back as %d, %v", n, m, err)
		}
	}
	p.Close()
	until(t, "a refusal", func() bool {
		c.Write([]byte("x"))
		_, err := c.Read(got)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}
