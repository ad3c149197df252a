// Package udp is the User Datagram Protocol (RFC 768, RFC 8085, RFC 8200 §8.1).
package udp

import (
	"sync/atomic"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "udp",
	Version:     "1.0",
	Description: "User Datagram Protocol",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Alias:       []string{"net-pf-2-proto-17", "net-pf-2-proto-17-type-2", "net-pf-10-proto-17-type-2"},
	Softdep:     module.Softdep{Pre: []string{"ip4", "ip6"}},
	Init:        start,
}

// sysctlSymbol is the kernel's table.
const sysctlSymbol = "sysctl"

type udp struct {
	net         *network.Layer
	layer       *transport.Layer
	ports       *transport.Ports
	sockets     *module.Users
	table       table
	interceptor atomic.Pointer[interceptor]
	out         datagram.Outbox
	sent        sentTable
	mib         [2]mib // by network.Version
	// l3mdevAccept: sockets that are not bound hear what comes in by any VRF.
	l3mdevAccept atomic.Bool
}

// mib holds the counters of the Udp and Udp6 groups (RFC 4113).
type mib struct {
	inDatagrams, noPorts, inErrors, outDatagrams, rcvbufErrors, csumErrors, ignoredMulti stat.Counter
}

func (m *mib) fields() []stat.Field {
	return []stat.Field{
		stat.F("InDatagrams", &m.inDatagrams), stat.F("NoPorts", &m.noPorts), stat.F("InErrors", &m.inErrors),
		stat.F("OutDatagrams", &m.outDatagrams), stat.F("RcvbufErrors", &m.rcvbufErrors),
		{Name: "SndbufErrors", Load: func() uint64 { return 0 }}, stat.F("InCsumErrors", &m.csumErrors),
		stat.F("IgnoredMulti", &m.ignoredMulti), {Name: "MemErrors", Load: func() uint64 { return 0 }},
	}
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
	u := &udp{net: n, layer: l, ports: transport.NewPorts(&l.Ephemeral), sockets: c.Users("socket")}
	u.table.init()
	u.sent.init()
	c.Free(u.closeAll)
	for v, group := range []string{"Udp", "Udp6"} {
		if err := c.Register(n.Stats.Add(group, u.mib[v].fields()...)); err != nil {
			return err
		}
		if err := c.Register(n.Handle(network.Version(v), wire.ProtoUDP, u)); err != nil {
			return err
		}
	}
	settings, err := module.Import[*sysctl.Table](c, sysctlSymbol)
	if err != nil {
		return err
	}
	if err := c.Register(settings.Register(sysctl.Bool("net.ipv4.udp_l3mdev_accept", &u.l3mdevAccept))); err != nil {
		return err
	}
	return c.Register(l.Add(transport.UDP, u))
}

// closeAll closes the sockets that are left when the kernel ends.
func (u *udp) closeAll() {
	for _, s := range u.table.all() {
		s.Close()
	}
}
