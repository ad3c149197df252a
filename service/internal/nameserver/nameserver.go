// Package nameserver is what the services share that answer DNS queries: sockets over
// UDP and TCP, and bounds for what strangers may ask at a time. What the answers are
// is for the services.
package nameserver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/socket"
)

const (
	// maxQueries is how many questions may be open; more are left to be repeated. Each
	// may have a few sockets, and a buffer for each.
	maxQueries = 256
	// maxClients is how many TCP clients there may be; more are turned away.
	maxClients = 256
	// idle is how long a TCP client may be silent (RFC 7766 §6.2.3).
	idle = 30 * time.Second
)

// A Server answers at the addresses that Listen is given. Its fields are set before
// that.
type Server struct {
	Context *module.Context
	Clock   *clock.Clock
	// Answer returns the reply to a query that came by a network, "udp" or "tcp"; nil
	// if there should be none. It is called concurrently. ctx ends when the module is
	// unloaded.
	Answer func(ctx context.Context, network string, query []byte) []byte

	open    quota // questions over UDP
	clients quota // over TCP: those that are silent must not keep others from asking
}

// Listen answers at an address and port until the module is unloaded.
func (s *Server) Listen(sockets *socket.Sockets, at string) error {
	p, err := sockets.ListenPacket("udp", at)
	if err != nil {
		return err
	}
	s.Context.Cleanup(func() { p.Close() })
	ln, err := sockets.Listen("tcp", at)
	if err != nil {
		return err
	}
	s.Context.Cleanup(func() { ln.Close() })
	s.Context.Go(func(context.Context) { s.serveDatagrams(p) })
	s.Context.Go(func(context.Context) { s.serveStreams(ln) })
	return nil
}

// serveDatagrams answers until p is closed.
func (s *Server) serveDatagrams(p net.PacketConn) {
	buf := make([]byte, 65535)
	for {
		n, from, err := p.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || !s.open.take(maxQueries):
			continue // an error tells of a client that did not wait
		}
		query := append([]byte(nil), buf[:n]...)
		if !s.Context.Go(func(ctx context.Context) {
			defer s.open.put()
			if b := s.Answer(ctx, "udp", query); b != nil {
				p.WriteTo(b, from)
			}
		}) {
			return
		}
	}
}

// serveStreams answers until ln is closed.
func (s *Server) serveStreams(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		if !s.clients.take(maxClients) {
			conn.Close()
			continue
		}
		if !s.Context.Go(func(ctx context.Context) {
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
func (s *Server) serveStream(ctx context.Context, conn net.Conn) {
	for {
		conn.SetDeadline(s.Clock.Wall().Add(idle))
		query, err := ReadMessage(conn)
		if err != nil {
			return
		}
		b := s.Answer(ctx, "tcp", query)
		if b == nil || WriteMessage(conn, b) != nil {
			return
		}
	}
}

// WriteMessage writes a message to a stream with its length in front (RFC 1035
// §4.2.2).
func WriteMessage(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

// ReadMessage reads a message with its length in front from a stream.
func ReadMessage(r io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

// A quota counts how many of something there are.
type quota struct{ n atomic.Int64 }

// take reports whether there was room for one more.
func (q *quota) take(most int64) bool {
	if q.n.Add(1) > most {
		q.n.Add(-1)
		return false
	}
	return true
}

// put gives one back.
func (q *quota) put() { q.n.Add(-1) }
