package knit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/socket"
)

// dialFrom dials from a local address.
func dialFrom(k *knit.Kernel, local, remote string) (net.Conn, error) {
	d := socket.Dialer{Sockets: k.Sockets, Local: netip.MustParseAddrPort(local)}
	return d.DialContext(context.Background(), "tcp", remote)
}

// exchangeHello sends from c to z and back.
func exchangeHello(t *testing.T, c, z net.Conn) {
	t.Helper()
	for _, x := range [][2]net.Conn{{c, z}, {z, c}} {
		b := make([]byte, 5)
		if _, err := x[0].Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(x[1], b); err != nil || string(b) != "hello" {
			t.Errorf("read %q, %v", b, err)
		}
	}
}

// TestSimultaneousOpen: RFC 9293 §3.5 figure 7: two hosts that dial each other have one
// connection.
func TestSimultaneousOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: 10 * time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		other := make(chan net.Conn)
		go func() {
			c, err := dialFrom(z, "10.0.0.2:6000", "10.0.0.1:5000")
			if err != nil {
				t.Error(err)
			}
			other <- c
		}()
		c, err := dialFrom(a, "10.0.0.1:5000", "10.0.0.2:6000")
		if err != nil {
			t.Fatal(err)
		}
		d := <-other
		exchangeHello(t, c, d)
		if n := tcpCounter(t, a, "ActiveOpens"); n != 1 || tcpCounter(t, a, "PassiveOpens") != 0 || tcpCounter(t, a, "OutRsts") != 0 {
			t.Errorf("%d connections were opened, with resets or from outside", n)
		}
		c.Close()
		d.Close()
	})
}

// TestSelfConnection: a socket that is told to connect to its own address does, as in
// RFC 9293; one whose port the kernel chooses never does by chance.
func TestSelfConnection(t *testing.T) {
	k := lab.Kernel(t, nil, "tcp", "loopback")
	c, err := dialFrom(k, "127.0.0.1:5000", "127.0.0.1:5000")
	if err != nil {
		t.Fatal(err)
	}
	exchangeHello(t, c, c)
	c.Close()
	if err := k.Transport.Ephemeral.Set(7000, 7003); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if c, err := k.Dial("tcp", "127.0.0.1:7002"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial a port where nobody listens: %v, %v", c, err)
		}
	}
}

// TestPortsUsedUp: RFC 6056: when each port of the range has a connection to a peer the
// next one fails, to another peer it does not; a closed one makes room.
func TestPortsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, z := lab.Kernel(t, nil, "tcp"), lab.Kernel(t, nil, "tcp")
		lab.Connect(t, a, z, lab.Wire{Delay: time.Millisecond}, netip.MustParsePrefix("10.0.0.0/24"))
		for _, port := range []string{"80", "81"} {
			ln, err := z.Listen("tcp", "10.0.0.2:"+port)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
		}
		if err := a.Transport.Ephemeral.Set(7000, 7009); err != nil {
			t.Fatal(err)
		}
		used := map[string]net.Conn{}
		for range 10 {
			c, err := a.Dial("tcp", "10.0.0.2:80")
			if err != nil {
				t.Fatalf("after %d connections: %v", len(used), err)
			}
			defer c.Close()
			used[c.LocalAddr().String()] = c
		}
		if len(used) != 10 {
			t.Errorf("10 connections have %d ports", len(used))
		}
		_, err := a.Dial("tcp", "10.0.0.2:80")
		want := "dial tcp 10.0.0.2:80: connect: cannot assign requested address"
		if !errors.Is(err, syscall.EADDRNOTAVAIL) || fmt.Sprint(err) != want {
			t.Errorf("with all ports used up: %v\nwant %s", err, want)
		}
		c, err := a.Dial("tcp", "10.0.0.2:81")
		if err != nil {
			t.Errorf("to another peer: %v", err)
		} else {
			c.Close()
		}
		used["10.0.0.1:7004"].(*socket.Conn).SetLinger(0)
		used["10.0.0.1:7004"].Close()
		time.Sleep(10 * time.Millisecond)
		if c, err = a.Dial("tcp", "10.0.0.2:80"); err != nil || c.LocalAddr().String() != "10.0.0.1:7004" {
			t.Errorf("with one port free: %v, %v", c, err)
		} else {
			c.Close()
		}
	})
}
