// Package ip4 is the Internet Protocol version 4 (RFC 791, RFC 1122, RFC 1812).
package ip4

import (
	"sync/atomic"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/offload"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "ip4",
	Description: "Internet Protocol version 4",
	License:     "Apache-2.0",
	Alias:       []string{"net-pf-2"},
	Softdep:     module.Softdep{Pre: []string{"loopback"}, Post: []string{"arp", "icmp4"}},
	Init:        start,
}

type ip4 struct {
	net     *network.Layer
	hooks   *network.Hooks
	forward atomic.Bool  // net.ipv4.ip_forward
	ttl     atomic.Int32 // net.ipv4.ip_default_ttl
	ident   atomic.Uint32
	mib     mib
}

// mib holds the counters of the Ip group (RFC 4293).
type mib struct {
	inReceives, inHdrErrors, inAddrErrors, forwDatagrams, inUnknownProtos, inDiscards, inDelivers,
	outRequests, outDiscards, outNoRoutes, reasmTimeout, reasmReqds, reasmOKs, reasmFails,
	fragOKs, fragFails, fragCreates stat.Counter
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	p := &ip4{net: n, hooks: &n.Hooks[network.V4]}
	p.ttl.Store(64)
	if err := c.Register(n.AddFamily(network.V4, p)); err != nil {
		return err
	}
	if err := c.Register(n.Link.Offload(wire.EtherTypeIPv4, offload.New())); err != nil {
		return err
	}
	return c.Register(n.Link.Handle(wire.EtherTypeIPv4, p))
}

// MinMTU is the smallest path MTU that is believed: 552, as Linux's min_pmtu;
// RFC 791 allows 68, which is only good for attacks.
func (p *ip4) MinMTU() int { return 552 }
