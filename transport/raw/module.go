// Package raw gives sockets whole IP packets of one protocol, as raw(7) describes:
// IPv4 packets arrive with their header, IPv6 packets without (RFC 3542 §3), and
// every socket that matches gets a copy, beside the protocol itself.
package raw

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "raw",
	Version:     "1.0",
	Description: "raw IP sockets",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"net-pf-2-proto-255-type-3", "net-pf-10-proto-255-type-3"},
	Softdep:     module.Softdep{Pre: []string{"ip4", "ip6"}},
	Init:        start,
}

// sysctlSymbol is the kernel's table.
const sysctlSymbol = "sysctl"

type raw struct {
	net   *network.Layer
	layer *transport.Layer
	users *module.Users
	out   datagram.Outbox
	// l3mdevAccept: sockets that are not bound hear what comes in by any VRF.
	l3mdevAccept atomic.Bool

	mu      sync.Mutex
	sockets []*socket
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
	r := &raw{net: n, layer: l, users: c.Users("socket")}
	r.l3mdevAccept.Store(true)
	c.Free(r.closeAll)
	settings, err := module.Import[*sysctl.Table](c, sysctlSymbol)
	if err != nil {
		return err
	}
	if err := c.Register(settings.Register(sysctl.Bool("net.ipv4.raw_l3mdev_accept", &r.l3mdevAccept))); err != nil {
		return err
	}
	return c.Register(l.Add(transport.Raw, r))
}

// closeAll closes the sockets that are left when the kernel ends.
func (r *raw) closeAll() {
	r.mu.Lock()
	left := slices.Clone(r.sockets)
	r.mu.Unlock()
	for _, s := range left {
		s.Close()
	}
}

func (r *raw) add(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sockets = append(r.sockets, s)
}

func (r *raw) remove(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sockets = slices.DeleteFunc(r.sockets, func(x *socket) bool { return x == s })
}

// Sockets implements transport.Lister. As in /proc/net/raw, the protocol stands in
// the place of the local port.
func (r *raw) Sockets() (out []transport.SocketInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sockets {
		i := transport.SocketInfo{
			Proto: "raw", Local: s.LocalAddr(), Remote: s.RemoteAddr(), State: "UNCONN", StateNumber: 7,
			RecvQ: s.queue.Len(), Index: s.ends.Index(), Drops: s.queue.Drops(), ID: s.id, Owner: s.owner,
			UID: s.opts.Identity.Load().UID, Mark: s.opts.Identity.Load().Mark,
		}
		if i.Remote.IsValid() {
			i.State, i.StateNumber = "ESTAB", 1
		}
		out = append(out, i)
	}
	return out
}
