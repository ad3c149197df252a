package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/socket"
)

func nc() Handler {
	return Handle(control.Nc(), func(ctx context.Context, e *Env, q control.NcRequest, emit func(control.NcReply) error) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		in := make(chan []byte)
		go pieces(ctx, e.Stdin, in)
		n := &netcat{kernel: e.Kernel, q: q, in: in, emit: emit}
		if q.Listen {
			return n.listen(ctx)
		}
		return n.dial(ctx)
	})
}

// pieces sends what it reads to ch until ctx ends. It is the only reader, so that
// what is typed goes to the connection of the moment.
func pieces(ctx context.Context, r io.Reader, ch chan<- []byte) {
	defer close(ch)
	for {
		buf := make([]byte, 16<<10) // one datagram of -u, as large as the original's
		n, err := r.Read(buf)
		if n > 0 {
			select {
			case ch <- buf[:n]:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A netcat is one run of nc.
type netcat struct {
	kernel *knit.Kernel
	q      control.NcRequest
	in     <-chan []byte // the input in pieces; closed at its end

	mu   sync.Mutex // replies come from two goroutines
	emit func(control.NcReply) error
}

func (n *netcat) reply(r control.NcReply) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.emit(r)
}

func (n *netcat) remark(format string, args ...any) error {
	return n.reply(control.NcReply{Remark: fmt.Sprintf(format, args...)})
}

// network is the network's name, of one IP version if one was asked for.
func (n *netcat) network() string {
	name := "tcp"
	if n.q.UDP {
		name = "udp"
	}
	if n.q.Version != 0 {
		name += strconv.Itoa(n.q.Version)
	}
	return name
}

func (n *netcat) proto() string {
	if n.q.UDP {
		return "udp"
	}
	return "tcp"
}

func (n *netcat) dial(ctx context.Context) error {
	dialing := ctx
	if n.q.Timeout > 0 {
		var cancel context.CancelFunc
		dialing, cancel = context.WithTimeout(ctx, n.q.Timeout)
		defer cancel()
	}
	d := socket.Dialer{Sockets: n.kernel.Sockets}
	if n.q.Source != "" || n.q.From != 0 {
		source := netip.IPv4Unspecified()
		if n.q.Source != "" {
			a, err := netip.ParseAddr(n.q.Source)
			if err != nil {
				return control.Errorf(1, "nc: -s %q: want an address", n.q.Source)
			}
			source = a
		}
		d.Local = netip.AddrPortFrom(source, uint16(n.q.From))
	}
	c, err := d.DialContext(dialing, n.network(), net.JoinHostPort(n.q.Host, n.q.Port))
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) {
			return control.Errorf(1, "nc: getaddrinfo for host %q port %s: Name or service not known", n.q.Host, n.q.Port)
		}
		why := reason(err)
		if errors.Is(err, context.DeadlineExceeded) {
			why = "Connection timed out"
		}
		return control.Errorf(1, "nc: connect to %s port %s (%s) failed: %s", n.q.Host, n.q.Port, n.proto(), why)
	}
	defer c.Close()
	if err := n.remark("Connection to %s %s port [%s/*] succeeded!", n.q.Host, n.q.Port, n.proto()); err != nil || n.q.Scan {
		return err
	}
	return n.copy(ctx, c)
}

func (n *netcat) listen(ctx context.Context) error {
	if n.q.UDP {
		return n.listenUDP(ctx)
	}
	ln, err := n.kernel.Listen(n.network(), net.JoinHostPort(n.q.Source, n.q.Port))
	if err != nil {
		return control.Errorf(1, "nc: %s", reason(err))
	}
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	if err := n.remark("Listening on %s", ln.Addr()); err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return nil // asked to finish
		}
		err = errors.Join(n.remark("Connection received on %s", c.RemoteAddr()), n.copy(ctx, c))
		c.Close()
		if err != nil || !n.q.Keep {
			return err
		}
	}
}

// listenUDP talks to whoever sends the first datagram.
func (n *netcat) listenUDP(ctx context.Context) error {
	p, err := n.kernel.ListenPacket(n.network(), net.JoinHostPort(n.q.Source, n.q.Port))
	if err != nil {
		return control.Errorf(1, "nc: %s", reason(err))
	}
	c := p.(*socket.PacketConn)
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	size, from, err := c.ReadFromAddrPort(buf)
	if err != nil {
		return nil // asked to finish
	}
	if err := c.Connect(from); err != nil {
		return control.Errorf(1, "nc: %s", reason(err))
	}
	if err := errors.Join(n.remark("Connection received on %v", from), n.reply(control.NcReply{Data: buf[:size]})); err != nil {
		return err
	}
	return n.copy(ctx, c)
}

// copy carries both directions until the connection, or the user, ends it.
func (n *netcat) copy(ctx context.Context, c net.Conn) error {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	over := make(chan struct{})
	defer close(over)
	go n.send(c, over)
	buf := make([]byte, chunk)
	for {
		if n.q.Timeout > 0 {
			c.SetReadDeadline(time.Now().Add(n.q.Timeout))
		}
		size, err := c.Read(buf)
		if size > 0 {
			if err := n.reply(control.NcReply{Data: buf[:size]}); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case err == io.EOF, errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		default:
			return control.Errorf(1, "nc: %s", reason(err))
		}
	}
}

// send carries the input until the connection is over, and does at its end what the
// options say.
func (n *netcat) send(c net.Conn, over <-chan struct{}) {
	for {
		select {
		case b, more := <-n.in:
			if !more {
				n.endInput(c)
				return
			}
			if _, err := c.Write(b); err != nil {
				return
			}
		case <-over:
			return
		}
	}
}

func (n *netcat) endInput(c net.Conn) {
	switch half, ok := c.(interface{ CloseWrite() error }); {
	case n.q.Half && ok:
		half.CloseWrite()
	case n.q.QuitSet:
		time.AfterFunc(n.q.Quit, func() { c.Close() })
	}
}
