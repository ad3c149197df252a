// Package tcp is the Transmission Control Protocol (RFC 9293): the shell around
// the pure state machine in internal/tcb. The shell finds a packet's connection,
// holds its lock and timer, keeps its buffers, and turns segments into packets.
package tcp

import (
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/cc"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "tcp",
	Description: "Transmission Control Protocol",
	License:     "Apache-2.0",
	Alias:       []string{"net-pf-2-proto-6", "net-pf-2-proto-6-type-1", "net-pf-10-proto-6-type-1"},
	Softdep:     module.Softdep{Pre: []string{"ip4", "ip6", "tcp_cubic"}},
	Init:        start,
}

type tcp struct {
	net         *network.Layer
	layer       *transport.Layer
	clock       *clock.Clock
	cc          *cc.Table
	ports       *transport.Ports
	sockets     *module.Users
	conns       table
	listeners   listenTable
	interceptor atomic.Pointer[interceptor]
	waits       waitList
	singles     sync.Pool         // of *single
	over        [2]network.Socket // see overSockets
	secret      secret
	nextPort    portTable
	settings    settings
	mib         mib
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
	algorithms, err := module.Import[*cc.Table](c, cc.Symbol)
	if err != nil {
		return err
	}
	t := &tcp{
		net: n, layer: l, clock: n.Clock, cc: algorithms, ports: transport.NewPorts(&l.Ephemeral), sockets: c.Users("socket"),
		secret: newSecret(), over: overSockets(),
	}
	t.conns.init()
	t.listeners.init()
	t.settings.init()
	t.waits.init(t)
	c.Free(t.discardAll)
	c.Cleanup(algorithms.Watch(t.moveFrom))
	if err := t.publish(c); err != nil {
		return err
	}
	if err := t.registerSysctls(c); err != nil {
		return err
	}
	for _, v := range []network.Version{network.V4, network.V6} {
		if err := c.Register(n.Handle(v, wire.ProtoTCP, t)); err != nil {
			return err
		}
	}
	return c.Register(l.Add(transport.TCP, t))
}

// discardAll ends what is left when the module goes: connections that nobody
// holds, which were closing, and when the kernel ends also listeners and
// connections in use.
func (t *tcp) discardAll() {
	for _, l := range t.listeners.all() {
		l.Close()
	}
	for _, c := range t.conns.all() {
		c.with(func(clock.Time) { c.cut() })
		c.rcv.close()
	}
	t.waits.stop()
}

// cut ends the connection without a word; a reader must not take that for the end
// of the stream. c.mu is held.
func (c *conn) cut() {
	if !c.gone {
		c.errno.Store(uint32(syscall.ECONNABORTED))
	}
	c.discard()
}

// moveFrom gives connections whose congestion control goes away the default.
func (t *tcp) moveFrom(name string) {
	for _, c := range t.conns.all() {
		c.with(func(now clock.Time) {
			if !c.gone && c.tcb.Info().CC == name {
				c.tcb.SetCC(now, t.newCC(""))
			}
		})
	}
}

// newCC returns an instance of the named congestion control, or of the default;
// nil, which is plain RFC 5681, when there is none.
func (t *tcp) newCC(name string) cc.Algorithm {
	if name != "" {
		if make, ok := t.cc.Lookup(name); ok {
			return make()
		}
	}
	if _, make, ok := t.cc.Default(); ok {
		return make()
	}
	return nil
}
