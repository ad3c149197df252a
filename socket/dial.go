package socket

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
)

// Symbol is the kernel symbol under which modules find the Sockets.
const Symbol = "socket"

// Sockets makes sockets of a kernel's transport layer. Layer and Clock must be
// set; it is safe for concurrent use once it is.
type Sockets struct {
	Layer *transport.Layer
	Clock *clock.Clock
	// LookupHost finds the addresses of a name. Nil knows literal addresses and
	// localhost only.
	LookupHost func(ctx context.Context, host string) ([]netip.Addr, error)
	// Owner is who the sockets belong to that do not say so (transport.SocketInfo);
	// see For.
	Owner string

	// messages are *transport.Message for calls through an interface, which would
	// make a variable escape.
	messages sync.Pool
}

// For implements module.Personal: a module's sockets are marked with its name.
func (s *Sockets) For(importer string) any {
	return &Sockets{Layer: s.Layer, Clock: s.Clock, LookupHost: s.LookupHost, Owner: importer}
}

// message returns an empty message.
func (s *Sockets) message() *transport.Message {
	if m, _ := s.messages.Get().(*transport.Message); m != nil {
		*m = transport.Message{}
		return m
	}
	return new(transport.Message)
}

// A Dialer opens connections with options. The zero values are usual.
type Dialer struct {
	Sockets *Sockets
	Options transport.StreamOptions
	// Local is the local address; zero means chosen by the kernel.
	Local netip.AddrPort
}

// Dial is DialContext without a context.
func (s *Sockets) Dial(network, address string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, address)
}

// DialContext connects to address on a network: "tcp", "tcp4", "tcp6", "udp",
// "udp4", "udp6", "ip:proto" or with 4 or 6, or "ping4" or "ping6", whose address
// is a host and whose local port is the ICMP identifier. The context bounds
// connecting, not the connection. Addresses of a name are tried in order.
func (s *Sockets) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return (&Dialer{Sockets: s}).DialContext(ctx, network, address)
}

// DialContext is Sockets.DialContext with the dialer's options.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n, err := parseNetwork(network)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var addrs []netip.AddrPort
	if err = errMissingAddress; address != "" {
		addrs, err = d.Sockets.resolve(ctx, n, address)
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var first error
	for _, a := range addrs {
		a = n.thisHost(a)
		c, err := d.dialOne(ctx, n, a)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = &net.OpError{Op: "dial", Net: network, Source: d.source(n), Addr: n.addr(a), Err: err}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

var errMissingAddress = errors.New("missing address")

// source is the local address as errors show it.
func (d *Dialer) source(n netKind) net.Addr {
	if !d.Local.IsValid() {
		return nil
	}
	return n.addr(d.Local)
}

func (d *Dialer) dialOne(ctx context.Context, n netKind, to netip.AddrPort) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, mapContext(err)
	}
	if n.kind == transport.TCP {
		return d.dialStream(ctx, to)
	}
	p, err := d.Sockets.open(n, d.Local, transport.DatagramOptions{
		Index: d.Options.Index, Version: network.VersionOf(to.Addr()), Proto: n.proto,
		RecvBuffer: d.Options.RecvBuffer, SendBuffer: d.Options.SendBuffer, Owner: d.Options.Owner,
		Mark: d.Options.Mark, UID: d.Options.UID, GID: d.Options.GID, Transparent: d.Options.Transparent,
	})
	if err != nil {
		return nil, err
	}
	if err := p.d.Connect(to); err != nil {
		p.Close()
		return nil, sysErr("connect", err)
	}
	return p, nil
}

func (d *Dialer) dialStream(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	proto, err := d.Sockets.Layer.Stream(transport.TCP)
	if err != nil {
		return nil, sysErr("socket", err)
	}
	c := newConn(d.Sockets.Clock, nil)
	o := d.Options
	o.Owner = cmp.Or(o.Owner, d.Sockets.Owner)
	s, err := proto.Connect(o, d.Local, to, c)
	if err != nil {
		return nil, sysErr("connect", err)
	}
	c.s = s
	if err := c.waitOpen(ctx); err != nil {
		s.Abort()
		return nil, err
	}
	c.attach()
	s.SetOption(transport.NoDelay, 1)
	return c, nil
}

// waitOpen waits for the handshake.
func (c *Conn) waitOpen(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.wr.wake() })
	defer stop()
	for {
		err := c.s.Connected()
		if err == nil {
			return nil
		}
		if err != transport.ErrWouldBlock {
			return sysErr("connect", err)
		}
		if err := ctx.Err(); err != nil {
			return mapContext(err)
		}
		if err := c.wr.wait(); err != nil {
			return err
		}
	}
}

// Listen announces on a local TCP address, as net.Listen does: an empty host
// means all addresses of both versions ("tcp4" and "tcp6": of one).
func (s *Sockets) Listen(network, address string) (net.Listener, error) {
	return s.ListenStream(network, address, transport.StreamOptions{ReuseAddr: true})
}

// ListenStream is Listen with options.
func (s *Sockets) ListenStream(network, address string, o transport.StreamOptions) (*Listener, error) {
	n, local, err := s.local(network, address)
	if err != nil {
		return nil, err
	}
	if n.kind != transport.TCP {
		return nil, wrongKind(n, network, address, local)
	}
	proto, err := s.Layer.Stream(transport.TCP)
	if err != nil {
		return nil, opError("listen", network, nil, n.addr(local), err)
	}
	o.V6Only = o.V6Only || n.version == 6
	o.Owner = cmp.Or(o.Owner, s.Owner)
	l := &Listener{clock: s.Clock}
	l.rd.init(s.Clock)
	l.l, err = proto.Listen(o, local, l)
	if err != nil {
		return nil, opError("listen", network, nil, n.shown(local, address), err)
	}
	l.local = l.l.LocalAddr()
	return l, nil
}

// ListenPacket announces on a local address: "udp", "udp4", "udp6", "ip:proto" for
// a raw socket of that protocol, or "ping4" or "ping6" for one of ICMP echo.
func (s *Sockets) ListenPacket(network, address string) (net.PacketConn, error) {
	return s.ListenDatagram(network, address, transport.DatagramOptions{})
}

// ListenDatagram is ListenPacket with options.
func (s *Sockets) ListenDatagram(network, address string, o transport.DatagramOptions) (*PacketConn, error) {
	n, local, err := s.local(network, address)
	if err != nil {
		return nil, err
	}
	if n.kind == transport.TCP {
		return nil, wrongKind(n, network, address, local)
	}
	o.V6Only = o.V6Only || n.version == 6
	o.Proto = n.proto
	p, err := s.open(n, local, o)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: n.shown(local, address), Err: err}
	}
	return p, nil
}

func (s *Sockets) open(n netKind, local netip.AddrPort, o transport.DatagramOptions) (*PacketConn, error) {
	proto, err := s.Layer.Datagram(n.kind)
	if err != nil {
		return nil, sysErr("socket", err)
	}
	o.Owner = cmp.Or(o.Owner, s.Owner)
	p := newPacketConn(s, n.name)
	if p.d, err = proto.Open(o, local, p); err != nil {
		return nil, sysErr("bind", err)
	}
	if n.kind == transport.UDP {
		p.d.SetOption(transport.BroadcastOK, 1) // as package net does
	}
	return p, nil
}

// local reads the network and the local address of a listener.
func (s *Sockets) local(network, address string) (netKind, netip.AddrPort, error) {
	n, err := parseNetwork(network)
	if err != nil {
		return n, netip.AddrPort{}, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	host := "[::]"
	if n.version == 4 {
		host = "0.0.0.0"
	}
	switch {
	case address == "" && n.hostOnly():
		address = host
	case address == "":
		address = host + ":0"
	case strings.HasPrefix(address, ":") && !n.hostOnly():
		address = host + address
	}
	as, err := s.resolve(context.Background(), n, address)
	if err != nil {
		return n, netip.AddrPort{}, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	return n, as[0], nil
}

// wrongKind is the error of Listen for datagrams, and of ListenPacket for streams.
func wrongKind(n netKind, network, address string, local netip.AddrPort) error {
	return &net.OpError{Op: "listen", Net: network, Addr: n.addr(local), Err: &net.AddrError{Err: "unexpected address type", Addr: address}}
}

func mapContext(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errTimeout{}
	}
	return errCanceled{}
}

// errTimeout and errCanceled are what package net makes of context errors.
type (
	errTimeout  struct{}
	errCanceled struct{}
)

func (errTimeout) Error() string   { return "i/o timeout" }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }
func (errTimeout) Is(err error) bool {
	return err == context.DeadlineExceeded
}
func (errCanceled) Error() string     { return "operation was canceled" }
func (errCanceled) Is(err error) bool { return err == context.Canceled }
