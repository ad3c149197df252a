// Package ping gives programs ICMP echo without the privilege of raw sockets, as
// Linux's ping sockets do: a socket sends echo requests (RFC 792, RFC 4443 §4.1)
// whose identifier is its local port, and receives the replies to them.
package ping

import (
	"slices"
	"sync"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "ping",
	Version:     "1.0",
	Description: "ICMP echo sockets",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"net-pf-2-proto-1-type-2", "net-pf-10-proto-58-type-2"},
	Softdep:     module.Softdep{Pre: []string{"icmp4", "icmp6"}},
	Init:        start,
}

type ping struct {
	net   *network.Layer
	layer *transport.Layer
	users *module.Users
	out   datagram.Outbox
	// idents are the identifiers in use by version. They have the range of
	// ephemeral ports for themselves.
	idents [2]*transport.Ports

	mu      sync.RWMutex
	sockets map[key][]*socket // slices are replaced, never changed
}

// A key is what a reply is told apart by.
type key struct {
	v     network.Version
	ident uint16
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	l, err := module.Import[*transport.Layer](c, transport.Symbol)
	if err != nil {
		return err
	}
	p := &ping{net: n, layer: l, users: c.Users("socket"), sockets: map[key][]*socket{}}
	c.Free(p.closeAll)
	for v, proto := range [2]uint8{network.V4: wire.ProtoICMP, network.V6: wire.ProtoICMPv6} {
		p.idents[v] = transport.NewPorts(&l.Ephemeral)
		c.Cleanup(n.SetRaw(network.Version(v), proto, p))
	}
	return c.Register(l.Add(transport.Ping, p))
}

// closeAll closes the sockets that are left when the kernel ends.
func (p *ping) closeAll() {
	p.mu.RLock()
	var left []*socket
	for _, ss := range p.sockets {
		left = append(left, ss...)
	}
	p.mu.RUnlock()
	for _, s := range left {
		s.Close()
	}
}

func (p *ping) at(k key) []*socket {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.sockets[k]
}

func (p *ping) add(k key, s *socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sockets[k] = append(slices.Clip(p.sockets[k]), s)
}

func (p *ping) remove(k key, s *socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(p.sockets[k]), func(x *socket) bool { return x == s })
	if len(rest) == 0 {
		delete(p.sockets, k)
		return
	}
	p.sockets[k] = rest
}

// Sockets implements transport.Lister.
func (p *ping) Sockets() (out []transport.SocketInfo) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, ss := range p.sockets {
		for _, s := range ss {
			i := transport.SocketInfo{
				Proto: "icmp", Local: s.LocalAddr(), Remote: s.RemoteAddr(), State: "UNCONN", StateNumber: 7,
				RecvQ: s.queue.Len(), Index: s.ends.Index(), Drops: s.queue.Drops(), ID: s.id, Owner: s.owner,
				UID: s.opts.Identity.Load().UID, Mark: s.opts.Identity.Load().Mark,
			}
			if i.Remote.IsValid() {
				i.State, i.StateNumber = "ESTAB", 1
			}
			out = append(out, i)
		}
	}
	return out
}
