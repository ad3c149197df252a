// Package resolve answers DNS queries as the host would: from its table of names,
// by the nameservers of its resolv.conf, which get the query as it is, or, when
// there are none, by whatever else its resolver knows.
package resolve

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// A Dialer opens a connection to a nameserver; network is "udp" or "tcp".
type Dialer func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)

// Config describes a Resolver.
type Config struct {
	Dial Dialer
	// ResolvConf and Hosts are the names of the host's files. They are read again
	// whenever they have changed.
	ResolvConf, Hosts string
	// System is asked when there is no nameserver; nil means net.DefaultResolver.
	System System
}

// A Resolver answers queries. It is safe for concurrent use.
type Resolver struct {
	cfg   Config
	conf  file[conf]
	hosts file[table]
}

// New returns a Resolver. cfg.Dial must be set.
func New(cfg Config) *Resolver {
	if cfg.System == nil {
		cfg.System = net.DefaultResolver
	}
	return &Resolver{
		cfg:   cfg,
		conf:  file[conf]{name: cfg.ResolvConf, parse: parseConf},
		hosts: file[table]{name: cfg.Hosts, parse: parseHosts},
	}
}

// Answer returns the reply to a query that came by a network, "udp" or "tcp"; nil
// if there should be none.
func (r *Resolver) Answer(ctx context.Context, network string, query []byte) []byte {
	q, err := parseQuestion(query)
	switch {
	case len(query) >= headerLen && query[2]&0x80 != 0:
		return nil // a reply
	case err != nil:
		return refusal(query, rcodeFormErr)
	case q.flags&opcodeMask != 0:
		return refusal(query, rcodeNotImp)
	}
	limit := maxUDP
	if network == "tcp" {
		limit = 65535
	}
	if q.class == classIN {
		if a, ok := r.hosts.get().answer(query, q); ok {
			return a.finish(q, limit)
		}
	}
	c := r.conf.get()
	if len(c.servers) == 0 {
		return r.ask(ctx, query, q).finish(q, limit)
	}
	if b := r.forward(ctx, c, network, query, q); b != nil {
		return b
	}
	return newReply(query, q, rcodeServFail).finish(q, limit)
}

// systemTimeout bounds a question to System.
const systemTimeout = 10 * time.Second

// A System is the part of net.Resolver that is used.
type System interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupCNAME(ctx context.Context, host string) (string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupNS(ctx context.Context, name string) ([]*net.NS, error)
}
