package knit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/knitnet/knit/lab"
	"github.com/knitnet/knit/socket"
)

// A stack is what the scenarios below run over: package net, or a kernel.
type stack struct {
	t      *testing.T
	listen func(network, address string) (net.Listener, error)
	dial   func(ctx context.Context, local, network, address string) (net.Conn, error)
}

func stackOfHost(t *testing.T) *stack {
	return &stack{t: t, listen: net.Listen, dial: func(ctx context.Context, local, network, address string) (net.Conn, error) {
		var d net.Dialer
		if local != "" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(local))
		}
		return d.DialContext(ctx, network, address)
	}}
}

func stackOfKernel(t *testing.T) *stack {
	k := lab.Kernel(t, nil, "tcp", "loopback")
	return &stack{t: t, listen: k.Listen, dial: func(ctx context.Context, local, network, address string) (net.Conn, error) {
		d := socket.Dialer{Sockets: k.Sockets}
		if local != "" {
			d.Local = netip.MustParseAddrPort(local)
		}
		return d.DialContext(ctx, network, address)
	}}
}

// tcpConn has the methods of *net.TCPConn that the scenarios use.
type tcpConn interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SetLinger(int) error
	SetNoDelay(bool) error
	SetKeepAlive(bool) error
	SetReadBuffer(int) error
}

// pair opens a connection over loopback.
func (s *stack) pair() (c, z tcpConn) {
	s.t.Helper()
	ln, err := s.listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer ln.Close()
	x, err := s.dial(context.Background(), "", "tcp", ln.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	y, err := ln.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { x.Close(); y.Close() })
	return x.(tcpConn), y.(tcpConn)
}

// reset returns a connection that its peer has reset.
func (s *stack) reset() tcpConn {
	c, z := s.pair()
	z.SetLinger(0)
	z.Close()
	return c
}

// closedPort returns an address where nobody listens.
func (s *stack) closedPort() string {
	s.t.Helper()
	ln, err := s.listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ln.Close()
	return ln.Addr().String()
}

func (s *stack) dialError(local, network, address string) error {
	c, err := s.dial(context.Background(), local, network, address)
	if err == nil {
		c.Close()
	}
	return err
}

func (s *stack) listenError(network, address string) error {
	ln, err := s.listen(network, address)
	if err == nil {
		ln.Close()
	}
	return err
}

func readError(c net.Conn) error {
	_, err := c.Read(make([]byte, 1))
	return err
}

// failing is a writer that fails.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func writeError(c net.Conn) error {
	_, err := c.Write([]byte("x"))
	return err
}

// scenarios are what programs do, and the errors that they see.
var scenarios = []struct {
	name string
	run  func(s *stack) []error
	// ours are the numbers of the errors that knit means to be different.
	ours []int
}{
	{name: "dial a closed port", run: func(s *stack) []error { return []error{s.dialError("", "tcp", s.closedPort())} }},
	{name: "dial port 0", run: func(s *stack) []error { return []error{s.dialError("", "tcp", "127.0.0.1:0")} }},
	{name: "dial bad addresses", run: func(s *stack) []error {
		return []error{
			s.dialError("", "tcp", "127.0.0.1"), s.dialError("", "tcp", "127.0.0.1:99999"), s.dialError("", "tcp", "127.0.0.1:-1"),
			s.dialError("", "tcp", "127.0.0.1:nosuchservice"), s.dialError("", "tcp", "[::1:80"), s.dialError("", "tcp4", "[::1]:80"),
			s.dialError("", "tcp6", "127.0.0.1:80"), s.dialError("", "tpc", "127.0.0.1:80"), s.dialError("", "", "127.0.0.1:80"),
			s.dialError("", "tcp", ""),
		}
	}},
	{name: "dial addresses that are no host's", run: func(s *stack) []error {
		return []error{s.dialError("", "tcp", "255.255.255.255:80"), s.dialError("", "tcp", "224.0.0.1:80"), s.dialError("", "tcp", "[fe80::1]:80")}
	}},
	{name: "dial from an address that is not ours", run: func(s *stack) []error { return []error{s.dialError("192.0.2.77:0", "tcp", "127.0.0.1:80")} }},
	{name: "dial from a port in use", run: func(s *stack) []error {
		ln, err := s.listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		defer ln.Close()
		return []error{s.dialError(ln.Addr().String(), "tcp", s.closedPort())}
	}},
	{name: "dial when the context is over", run: func(s *stack) []error {
		ln, err := s.listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		defer ln.Close()
		canceled, cancel := context.WithCancel(context.Background())
		cancel()
		late, cancel := context.WithTimeout(context.Background(), -time.Second)
		defer cancel()
		_, err1 := s.dial(canceled, "", "tcp", ln.Addr().String())
		_, err2 := s.dial(late, "", "tcp", ln.Addr().String())
		return []error{err1, err2}
	}},
	{name: "listen twice", run: func(s *stack) []error {
		ln, err := s.listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		return []error{s.listenError("tcp", ln.Addr().String()), s.listenError("tcp4", ":"+port)}
	}},
	{name: "listen on bad addresses", run: func(s *stack) []error {
		return []error{
			s.listenError("tcp", "192.0.2.77:0"), s.listenError("tcp", "127.0.0.1:99999"), s.listenError("tcp", "127.0.0.1"),
			s.listenError("tcp4", "[::1]:0"), s.listenError("udp", "127.0.0.1:0"), s.listenError("tpc", "127.0.0.1:0"),
		}
	}},
	{name: "a listener that is closed", run: func(s *stack) []error {
		ln, err := s.listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		first := ln.Close()
		_, accept := ln.Accept()
		return []error{first, accept, ln.Close(), ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Time{})}
	}},
	{name: "accept past the deadline", run: func(s *stack) []error {
		ln, err := s.listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		defer ln.Close()
		ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(-time.Second))
		_, err = ln.Accept()
		return []error{err}
	}},
	// Linux says once that a connection was reset, and then that its stream has ended.
	// Who reads on must not take that for a whole stream.
	{name: "read of a reset connection, again, and write", ours: []int{2}, run: func(s *stack) []error {
		c := s.reset()
		return []error{readError(c), readError(c), writeError(c), writeError(c)}
	}},
	{name: "write to a reset connection, and read", ours: []int{3}, run: func(s *stack) []error {
		c := s.reset()
		var first error
		for first == nil {
			first = writeError(c)
			runtime.Gosched()
		}
		return []error{first, writeError(c), readError(c)}
	}},
	{name: "copies that fail", run: func(s *stack) []error {
		boom := errors.New("boom")
		_, read := io.Copy(io.Discard, s.reset())
		c, z := s.pair()
		_, from := io.Copy(c, iotest.ErrReader(boom))
		z.Write([]byte("x"))
		_, to := io.Copy(failing{boom}, c)
		return []error{read, from, to}
	}},
	{name: "options of a reset connection", run: func(s *stack) []error {
		c := s.reset()
		return []error{readError(c), c.SetNoDelay(true), c.SetKeepAlive(true), c.SetLinger(3), c.SetReadBuffer(10000), c.CloseRead(), c.CloseWrite(), c.Close()}
	}},
	{name: "data in front of a reset", run: func(s *stack) []error {
		c, z := s.pair()
		z.Write([]byte("x"))
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		first := readError(c)
		z.SetLinger(0)
		z.Close()
		return []error{first, readError(c)}
	}},
	{name: "half close", run: func(s *stack) []error {
		c, z := s.pair()
		return []error{c.CloseWrite(), writeError(c), c.CloseWrite(), readError(z), readError(z), writeError(z), readError(c), z.Close(), readError(c)}
	}},
	{name: "close of the reading side", run: func(s *stack) []error {
		c, z := s.pair()
		return []error{c.CloseRead(), readError(c), c.CloseRead(), writeError(c), readError(z)}
	}},
	{name: "close with unread data", run: func(s *stack) []error {
		c, z := s.pair()
		z.Write([]byte("xy"))
		return []error{readError(c), c.Close(), readError(z)}
	}},
	{name: "deadlines that are past", run: func(s *stack) []error {
		c, _ := s.pair()
		past := time.Now().Add(-time.Second)
		set := c.SetDeadline(past)
		_, empty := c.Read(nil)
		_, none := c.Write(nil)
		read, write := readError(c), writeError(c)
		again := c.SetDeadline(time.Time{})
		return []error{set, empty, none, read, write, again, writeError(c)}
	}},
	{name: "a connection that is closed", run: func(s *stack) []error {
		c, _ := s.pair()
		first := c.Close()
		_, empty := c.Read(nil)
		_, none := c.Write(nil)
		_, from := c.(io.ReaderFrom).ReadFrom(strings.NewReader("x"))
		return []error{
			first, readError(c), writeError(c), empty, none, from, c.CloseRead(), c.CloseWrite(), c.SetDeadline(time.Now()), c.SetReadDeadline(time.Now()),
			c.SetWriteDeadline(time.Now()), c.SetLinger(1), c.SetNoDelay(true), c.SetKeepAlive(true), c.SetReadBuffer(1), c.Close(),
		}
	}},
	{name: "close while reading", run: func(s *stack) []error {
		c, _ := s.pair()
		read := make(chan error)
		begun := make(chan bool)
		go func() { close(begun); read <- readError(c) }()
		<-begun
		err := c.Close()
		return []error{err, <-read}
	}},
}

// TestErrorsMatchNet runs each scenario over package net on this host's loopback and
// over a kernel's: programs see the same errors, of the same kind and with the same
// text.
func TestErrorsMatchNet(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the errors are Linux's")
	}
	for _, x := range scenarios {
		t.Run(x.name, func(t *testing.T) {
			want, got := x.run(stackOfHost(t)), x.run(stackOfKernel(t))
			for i := range want {
				w, g := describe(want[i]), describe(got[i])
				if same := w == g; same == slices.Contains(x.ours, i+1) {
					t.Errorf("error %d:\nknit: %s\nnet:  %s", i+1, g, w)
				}
			}
		})
	}
}

var ports = regexp.MustCompile(`(127\.0\.0\.1|listen tcp4 ):[1-9]\d+`)

// describe returns all that a program can tell of an error, but for port numbers.
func describe(err error) string {
	if err == nil {
		return "nil"
	}
	var op *net.OpError
	kind := "no *net.OpError"
	if errors.As(err, &op) {
		kind = op.Op + " " + op.Net
		var sys *os.SyscallError
		if errors.As(err, &sys) {
			kind += fmt.Sprintf(" %s %d", sys.Syscall, sys.Err)
		}
	}
	for name, is := range map[string]error{
		"closed": net.ErrClosed, "deadline": os.ErrDeadlineExceeded, "canceled": context.Canceled, "late": context.DeadlineExceeded, "EOF": io.EOF,
	} {
		if errors.Is(err, is) {
			kind += " " + name
		}
	}
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		kind += " timeout"
	}
	return ports.ReplaceAllString(err.Error(), "$1:PORT") + " (" + kind + ")"
}
