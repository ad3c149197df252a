package icmp4

import (
	"math"
	"sync/atomic"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// settings are the sysctls net.ipv4.icmp_*.
type settings struct {
	ignoreAll, ignoreBroadcasts, inboundAddr atomic.Bool
	rateLimit                                atomic.Int64 // milliseconds between errors to one host; 0: no limit
	rateMask                                 atomic.Int64 // bit i: type i is limited
	perSecond, burst                         atomic.Int64 // of all limited types together
}

// defaultRateMask limits unreachables, source quenches, time exceeded and
// parameter problems, as Linux does.
const defaultRateMask = 1<<wire.ICMP4Unreachable | 1<<wire.ICMP4SourceQuench | 1<<wire.ICMP4TimeExceeded | 1<<wire.ICMP4ParamProblem

func (s *settings) init() {
	s.ignoreBroadcasts.Store(true)
	s.rateLimit.Store(1000)
	s.rateMask.Store(defaultRateMask)
	s.perSecond.Store(1000)
	s.burst.Store(50)
}

func (s *settings) entries() []sysctl.Entry {
	return []sysctl.Entry{
		sysctl.Bool("net.ipv4.icmp_echo_ignore_all", &s.ignoreAll),
		sysctl.Bool("net.ipv4.icmp_echo_ignore_broadcasts", &s.ignoreBroadcasts),
		sysctl.Bool("net.ipv4.icmp_errors_use_inbound_ifaddr", &s.inboundAddr),
		sysctl.Int("net.ipv4.icmp_ratelimit", &s.rateLimit, 0, math.MaxInt32),
		sysctl.Int("net.ipv4.icmp_ratemask", &s.rateMask, 0, math.MaxUint32),
		sysctl.Int("net.ipv4.icmp_msgs_per_sec", &s.perSecond, 0, math.MaxInt32),
		sysctl.Int("net.ipv4.icmp_msgs_burst", &s.burst, 0, math.MaxInt32),
	}
}

// conf are the settings of one device that decide which redirects are followed.
type conf struct{ acceptRedirects atomic.Bool }

func newConf(accept bool) *conf {
	c := new(conf)
	c.acceptRedirects.Store(accept)
	return c
}

// acceptsRedirects reports whether redirects that come in by an interface are
// followed: by a host if the device or "all" says so, by a router, which should
// know better (RFC 1812 §5.2.7.2), only if both do.
func (i *icmp) acceptsRedirects(index int32) bool {
	all, dev := i.conf.All.acceptRedirects.Load(), i.conf.Of(index).acceptRedirects.Load()
	if i.net.Forwarding(network.V4, index) {
		return all && dev
	}
	return all || dev
}

// mib holds the counters of the groups Icmp and IcmpMsg (RFC 4293).
type mib struct {
	inMsgs, inErrors, inCsumErrors, outMsgs, outErrors, outRateLimitGlobal, outRateLimitHost stat.Counter
	in, out                                                                                  [256]stat.Counter // by type
}

// published are the types that Linux names, in the order of /proc/net/snmp.
var published = [...]struct {
	typ  uint8
	name string
}{
	{wire.ICMP4Unreachable, "DestUnreachs"}, {wire.ICMP4TimeExceeded, "TimeExcds"}, {wire.ICMP4ParamProblem, "ParmProbs"},
	{wire.ICMP4SourceQuench, "SrcQuenchs"}, {wire.ICMP4Redirect, "Redirects"}, {wire.ICMP4Echo, "Echos"},
	{wire.ICMP4EchoReply, "EchoReps"}, {wire.ICMP4Timestamp, "Timestamps"}, {wire.ICMP4TimestampReply, "TimestampReps"},
	{addressMask, "AddrMasks"}, {addressMaskReply, "AddrMaskReps"},
}

// Address mask messages (RFC 950); never sent, ignored (RFC 6918 §2.5).
const (
	addressMask      = 17
	addressMaskReply = 18
)

// publish registers the settings and the statistics.
func (i *icmp) publish(c *module.Context, t *sysctl.Table) error {
	var undo func()
	var err error
	i.conf, undo, err = network.NewDeviceConf(i.net.Link, t, network.DeviceConfSpec[conf]{
		Prefix: "net.ipv4.conf", All: newConf(true), Default: newConf(true),
		Clone: func(v *conf) *conf { return newConf(v.acceptRedirects.Load()) },
		Entries: func(prefix string, v *conf) []sysctl.Entry {
			return []sysctl.Entry{sysctl.Bool(prefix+".accept_redirects", &v.acceptRedirects)}
		},
	})
	if err != nil {
		return err
	}
	c.Cleanup(undo)
	for _, e := range i.settings.entries() {
		if err := c.Register(t.Register(e)); err != nil {
			return err
		}
	}
	return i.publishStats(c)
}

func (i *icmp) publishStats(c *module.Context) error {
	m := &i.mib
	group := []stat.Field{stat.F("InMsgs", &m.inMsgs), stat.F("InErrors", &m.inErrors), stat.F("InCsumErrors", &m.inCsumErrors)}
	for _, x := range published {
		group = append(group, stat.F("In"+x.name, &m.in[x.typ]))
	}
	group = append(group, stat.F("OutMsgs", &m.outMsgs), stat.F("OutErrors", &m.outErrors),
		stat.F("OutRateLimitGlobal", &m.outRateLimitGlobal), stat.F("OutRateLimitHost", &m.outRateLimitHost))
	for _, x := range published {
		group = append(group, stat.F("Out"+x.name, &m.out[x.typ]))
	}
	if err := c.Register(i.net.Stats.Add("Icmp", group...)); err != nil {
		return err
	}
	return c.Register(i.net.Stats.Add("IcmpMsg", m.byType()...))
}
