package knit_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
)

// TestDialThisHost: an unspecified address means this host, as in package net, so
// that what a listener on all addresses says can be dialled.
func TestDialThisHost(t *testing.T) {
	leak.Check(t)
	_, z := pair(t, link.PipeConfig{}, "tcp", "udp", "loopback")
	ln, err := z.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, address := range []string{ln.Addr().String(), "0.0.0.0:" + port, ":" + port} {
		c, err := z.Dial("tcp", address)
		if err != nil {
			t.Errorf("dial %s: %v", address, err)
			continue
		}
		if got, want := c.RemoteAddr().String(), "127.0.0.1:"+port; got != want {
			t.Errorf("dial %s: connected to %s, want %s", address, got, want)
		}
		c.Close()
	}
}

// TestDialOneHostOnly: RFC 9293 §3.9.2.3: "A TCP implementation MUST reject as an
// error a local OPEN call for an invalid remote IP address (e.g., a broadcast or
// multicast address)".
func TestDialOneHostOnly(t *testing.T) {
	leak.Check(t)
	a, _ := pair(t, link.PipeConfig{Ethernet: true}, "tcp")
	for _, address := range []string{"10.0.0.255:80", "255.255.255.255:80", "224.0.0.1:80"} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := a.DialContext(ctx, "tcp", address)
		cancel()
		if !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("dial %s: %v, want network is unreachable", address, err)
		}
	}
}

// TestNetworkNames: only the networks of the documentation exist.
func TestNetworkNames(t *testing.T) {
	leak.Check(t)
	a, _ := pair(t, link.PipeConfig{}, "tcp", "udp")
	for _, network := range []string{"tcp46", "tcp66", "udp64", "4", ""} {
		_, err := a.Dial(network, "10.0.0.2:80")
		if !errors.Is(err, net.UnknownNetworkError(network)) {
			t.Errorf("dial on %q: %v", network, err)
		}
	}
}

// TestCopyFromResetConn: io.Copy fails as Read does, with a *net.OpError.
func TestCopyFromResetConn(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	c, s := open(t, a, z)
	c.SetLinger(0)
	c.Close()
	_, err := io.Copy(io.Discard, s)
	var op *net.OpError
	if !errors.As(err, &op) || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("io.Copy: %T %v, want a *net.OpError of ECONNRESET", err, err)
	}
}

// TestShutdownErrors: half closes name shutdown, as those of package net.
func TestShutdownErrors(t *testing.T) {
	leak.Check(t)
	a, z := pair(t, link.PipeConfig{}, "tcp")
	c, s := open(t, a, z)
	c.SetLinger(0)
	c.Close()
	s.Read(make([]byte, 1))
	err := s.CloseWrite()
	want := "close tcp " + s.LocalAddr().String() + "->" + s.RemoteAddr().String() + ": shutdown: transport endpoint is not connected"
	if err == nil || err.Error() != want {
		t.Errorf("CloseWrite after a reset: %v\nwant %s", err, want)
	}
}
