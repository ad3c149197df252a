package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/knitnet/knit/service/uplink/internal/resolve"
	"github.com/knitnet/knit/socket"
)

const (
	dnsPort = "53"
	// maxQueries is how many questions may be open; more are left to be repeated. Each
	// may have a few sockets of the host, and a buffer for each.
	maxQueries = 256
	// maxClients is how many TCP clients there may be; more are turned away.
	maxClients = 256
	// dnsIdle is how long a TCP client may be silent (RFC 7766 §6.2.3).
	dnsIdle = 30 * time.Second
)

// A nameserver answers at the addresses of the parameter dns.
type nameserver struct {
	u        *uplink
	resolver *resolve.Resolver
	open     quota // questions over UDP
	clients  quota // over TCP: those that are silent must not keep others from asking
}

// serveNames listens for questions over UDP and TCP.
func (u *uplink) serveNames(sockets *socket.Sockets, r *resolve.Resolver) error {
	s := &nameserver{u: u, resolver: r}
	s.open.max = func() int64 { return maxQueries }
	s.clients.max = func() int64 { return maxClients }
	for _, text := range u.c.List("dns") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("parameter dns: %q: want IP addresses of this kernel", text)
		}
		at := net.JoinHostPort(a.String(), dnsPort)
		p, err := sockets.ListenPacket("udp", at)
		if err != nil {
			return err
		}
		u.c.Cleanup(func() { p.Close() })
		ln, err := sockets.Listen("tcp", at)
		if err != nil {
			return err
		}
		u.c.Cleanup(func() { ln.Close() })
		u.c.Go(func(context.Context) { s.serveDatagrams(p) })
		u.c.Go(func(context.Context) { s.serveStreams(ln) })
	}
	return nil
}

// serveDatagrams answers until p is closed.
func (s *nameserver) serveDatagrams(p net.PacketConn) {
	buf := make([]byte, 65535)
	for {
		n, from, err := p.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || !s.open.take():
			continue // an error tells of a client that did not wait
		}
		query := append([]byte(nil), buf[:n]...)
		if !s.u.c.Go(func(ctx context.Context) {
			defer s.open.put()
			if b := s.resolver.Answer(ctx, "udp", query); b != nil {
				p.WriteTo(b, from)
			}
		}) {
			return
		}
	}
}

// serveStreams answers until ln is closed.
func (s *nameserver) serveStreams(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		if !s.clients.take() {
			conn.Close()
			continue
		}
		if !s.u.c.Go(func(ctx context.Context) {
			defer s.clients.put()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			s.serveStream(ctx, conn)
		}) {
			conn.Close()
			return
		}
	}
}

// serveStream answers one client's questions in their order.
func (s *nameserver) serveStream(ctx context.Context, conn net.Conn) {
	for {
		conn.SetDeadline(s.u.clock.Wall().Add(dnsIdle))
		query, err := resolve.ReadMessage(conn)
		if err != nil {
			return
		}
		b := s.resolver.Answer(ctx, "tcp", query)
		if b == nil || resolve.WriteMessage(conn, b) != nil {
			return
		}
	}
}
