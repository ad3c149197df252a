package dns64

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/knitnet/knit/service/internal/nameserver"
)

// An upstream is the nameservers that are asked.
type upstream struct {
	dial    dialer
	wall    func() time.Time // of the kernel
	servers []netip.AddrPort
	timeout time.Duration // for one server
}

// maxUDP is the longest answer over UDP that is asked for and promised: what fits
// into every link's MTU, since fragments are lost and forged.
const maxUDP = 1232

var errNoAnswer = errors.New("no nameserver answered")

// ask sends a question, one server after the other, until one gives an answer that
// settles it. The worst answer is better than none. The question gets an identifier
// that nobody can guess, and by its socket a port (RFC 5452 §9).
func (u *upstream) ask(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	var worst *dns.Msg
	for _, s := range u.servers {
		q.Id = dns.Id()
		r, err := u.exchange(ctx, "udp", s, q)
		if err == nil && r.Truncated {
			r, err = u.exchange(ctx, "tcp", s, q)
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			continue
		case r.Rcode == dns.RcodeSuccess || r.Rcode == dns.RcodeNameError:
			return r, nil
		}
		worst = r
	}
	if worst == nil {
		return nil, errNoAnswer
	}
	return worst, nil
}

// exchange asks one server.
func (u *upstream) exchange(ctx context.Context, network string, s netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	query, err := q.Pack()
	if err != nil {
		return nil, err
	}
	conn, err := u.dial(ctx, network, s.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.SetDeadline(u.wall().Add(u.timeout))
	if network == "tcp" {
		if err := nameserver.WriteMessage(conn, query); err != nil {
			return nil, err
		}
		b, err := nameserver.ReadMessage(conn)
		if err != nil {
			return nil, err
		}
		r, ok := parseAnswer(b, q)
		if !ok {
			return nil, errNoAnswer
		}
		return r, nil
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	return readDatagram(conn, q)
}

// readDatagram returns the first datagram that answers q.
func readDatagram(conn net.Conn, q *dns.Msg) (*dns.Msg, error) {
	buf := make([]byte, 65535)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if r, ok := parseAnswer(buf[:n], q); ok {
			return r, nil
		}
	}
}

// parseAnswer reads a message, and holds it against the question lest a stranger's be
// believed (RFC 5452 §9.1). A reply without a question is one that says that there
// was something wrong with it.
func parseAnswer(b []byte, q *dns.Msg) (*dns.Msg, bool) {
	r := new(dns.Msg)
	if err := r.Unpack(b); err != nil || !r.Response || r.Id != q.Id || r.Opcode != q.Opcode {
		return nil, false
	}
	if len(r.Question) == 0 {
		return r, r.Rcode != dns.RcodeSuccess
	}
	got, want := r.Question[0], q.Question[0]
	same := len(r.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass &&
		dns.CanonicalName(got.Name) == dns.CanonicalName(want.Name)
	return r, same
}
