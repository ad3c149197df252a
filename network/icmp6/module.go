// Package icmp6 is the Internet Control Message Protocol for IPv6 (RFC 4443): it
// answers echo requests, sends errors and passes received ones to who sent the
// packet they are about. Neighbour Discovery and MLD take their messages from it.
package icmp6

import (
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/internal/msg6"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "icmp6",
	Version:     "1.0",
	Description: "Internet Control Message Protocol for IPv6",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Exports:     []string{msg6.CountSymbol},
	Imports:     []string{conf6.Symbol},
	Init:        start,
}

type icmp6 struct {
	net   *network.Layer
	paths *network.PathCache
	sends sync.Pool // of *network.Send, which would be allocated for each message
	// queues are of *packet.Queue, for the same reason.
	queues sync.Pool
	limit  *limiter
	mib    mib

	// net.ipv6.icmp.*
	ratelimit       atomic.Int64 // ms between two errors to one destination
	echoIgnoreAll   atomic.Bool
	echoIgnoreGroup atomic.Bool
}

// mib holds the counters of the Icmp6 group (RFC 4293).
type mib struct {
	inMsgs, inErrors, outMsgs, outErrors, inCsumErrors, outRateLimited stat.Counter
	in, out                                                            [256]stat.Counter // by type
}

// names are the messages that /proc/net/snmp6 knows by name.
var names = [...]struct {
	typ  uint8
	name string
}{
	{wire.ICMP6Unreachable, "DestUnreachs"}, {wire.ICMP6PacketTooBig, "PktTooBigs"}, {wire.ICMP6TimeExceeded, "TimeExcds"},
	{wire.ICMP6ParamProblem, "ParmProblems"}, {wire.ICMP6Echo, "Echos"}, {wire.ICMP6EchoReply, "EchoReplies"},
	{wire.ICMP6MLDQuery, "GroupMembQueries"}, {wire.ICMP6MLDReport, "GroupMembResponses"}, {wire.ICMP6MLDDone, "GroupMembReductions"},
	{wire.ICMP6RouterSolicit, "RouterSolicits"}, {wire.ICMP6RouterAdvert, "RouterAdvertisements"},
	{wire.ICMP6NeighborSolicit, "NeighborSolicits"}, {wire.ICMP6NeighborAdvert, "NeighborAdvertisements"},
	{wire.ICMP6Redirect, "Redirects"}, {wire.ICMP6MLDv2Report, "MLDv2Reports"},
}

func (m *mib) fields() []stat.Field {
	fs := []stat.Field{
		stat.F("InMsgs", &m.inMsgs), stat.F("InErrors", &m.inErrors), stat.F("OutMsgs", &m.outMsgs),
		stat.F("OutErrors", &m.outErrors), stat.F("InCsumErrors", &m.inCsumErrors), stat.F("OutRateLimitHost", &m.outRateLimited),
	}
	for _, n := range names {
		fs = append(fs, stat.F("In"+n.name, &m.in[n.typ]))
	}
	for _, n := range names {
		fs = append(fs, stat.F("Out"+n.name, &m.out[n.typ]))
	}
	return fs
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	sysctls, err := module.Import[*sysctl.Table](c, "sysctl")
	if err != nil {
		return err
	}
	m := &icmp6{net: n, paths: n.NewPathCache(), limit: newLimiter(n.Clock.Now())}
	m.sends.New = func() any { return new(network.Send) }
	m.queues.New = func() any { return new(packet.Queue) }
	if err := m.registerSettings(c, sysctls); err != nil {
		return err
	}
	if err := c.Register(n.Stats.Add("Icmp6", m.mib.fields()...)); err != nil {
		return err
	}
	if err := module.Export(c, msg6.CountSymbol, msg6.Count(m.count)); err != nil {
		return err
	}
	if err := c.Register(n.SetErrorSender(network.V6, m)); err != nil {
		return err
	}
	return c.Register(n.Handle(network.V6, wire.ProtoICMPv6, m))
}

func (m *icmp6) registerSettings(c *module.Context, t *sysctl.Table) error {
	m.ratelimit.Store(1000)
	for _, e := range []sysctl.Entry{
		sysctl.Int("net.ipv6.icmp.ratelimit", &m.ratelimit, 0, 1<<31-1),
		sysctl.Bool("net.ipv6.icmp.echo_ignore_all", &m.echoIgnoreAll),
		sysctl.Bool("net.ipv6.icmp.echo_ignore_multicast", &m.echoIgnoreGroup),
	} {
		if err := c.Register(t.Register(e)); err != nil {
			return err
		}
	}
	return nil
}
