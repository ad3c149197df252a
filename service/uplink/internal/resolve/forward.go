package resolve

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/knitnet/knit/service/internal/nameserver"
)

// patience is how long one server is waited for before the next one is asked as
// well: a dead first server should not cost every name the whole timeout, after
// which the client has often given up.
const patience = time.Second

// forward sends the query to the nameservers, in their order, until one gives an
// answer that is better than that it cannot tell. nil means that none did.
func (r *Resolver) forward(ctx context.Context, c conf, network string, query []byte, q question) []byte {
	ctx, cancel := context.WithTimeout(ctx, c.timeout*time.Duration(c.rounds))
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	order := slices.Repeat(c.servers, c.rounds)
	answers := make(chan []byte, len(order)) // nil: no answer
	var worst []byte
	next := time.NewTimer(0)
	defer next.Stop()
	for asked, open := 0, 0; asked < len(order) || open > 0; {
		select {
		case <-next.C:
			if asked < len(order) {
				server := order[asked]
				asked++
				open++
				asking.Go(func() { answers <- r.exchange(ctx, c.timeout, network, server, query, q) })
				next.Reset(patience)
			}
		case b := <-answers:
			open--
			if b != nil && decides(b) {
				return b
			}
			if b != nil {
				worst = b
			}
			next.Reset(0) // why wait for the next one
		case <-ctx.Done():
			return worst
		}
	}
	return worst
}

// decides reports whether an answer settles the question.
func decides(b []byte) bool {
	switch b[3] & 0xf {
	case rcodeServFail, rcodeNotImp, rcodeRefused:
		return false
	}
	return true
}

// exchange asks one server. nil means that it did not answer.
func (r *Resolver) exchange(ctx context.Context, timeout time.Duration, network string, server netip.AddrPort, query []byte, q question) []byte {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := r.cfg.Dial(ctx, network, server)
	if err != nil {
		return nil
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if network == "tcp" {
		return exchangeStream(conn, query, q)
	}
	return exchangeDatagram(conn, query, q)
}

func exchangeDatagram(conn net.Conn, query []byte, q question) []byte {
	if _, err := conn.Write(query); err != nil {
		return nil
	}
	buf := make([]byte, 65535)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil
		}
		if isAnswer(buf[:n], q) {
			return slices.Clone(buf[:n])
		}
	}
}

func exchangeStream(conn net.Conn, query []byte, q question) []byte {
	if err := nameserver.WriteMessage(conn, query); err != nil {
		return nil
	}
	b, err := nameserver.ReadMessage(conn)
	if err != nil || !isAnswer(b, q) {
		return nil
	}
	return b
}

// isAnswer holds a message against the question, lest a stranger's be believed
// (RFC 5452 §9.1). A reply without a question is one that says that there was
// something wrong with it.
func isAnswer(b []byte, q question) bool {
	if len(b) < headerLen || binary.BigEndian.Uint16(b) != q.id || b[2]&0x80 == 0 {
		return false
	}
	if binary.BigEndian.Uint16(b[4:]) == 0 {
		return b[3]&0xf != rcodeOK
	}
	got, err := parseQuestion(b)
	return err == nil && got.name == q.name && got.typ == q.typ && got.class == q.class
}
