package main

import (
	"github.com/knitnet/knit/bench/metric"
	"github.com/knitnet/knit/bench/report"
	"github.com/knitnet/knit/bench/system"
	"github.com/knitnet/knit/bench/system/bare"
	"github.com/knitnet/knit/bench/system/gvisor"
	"github.com/knitnet/knit/bench/system/knit"
	"github.com/knitnet/knit/bench/system/linux"
)

// A contender is one line of a table: a stack, on a network of its kind.
type contender struct {
	label   string
	system  system.System
	options system.Options
}

// A contest is one table: a metric, measured on every contender. The first is the
// one that the others are compared with.
type contest struct {
	report.Heading
	metric     metric.Metric
	contenders []contender
}

// The networks of the contests.
var (
	link     = system.Options{}
	offload  = system.Options{Offload: true}
	large    = system.Options{MTU: 65535}
	loopback = system.Options{Topology: system.Loopback}
	routed   = system.Options{Topology: system.Routed}
)

// plan returns the contests in the order in which they are run and printed.
func plan() []contest {
	var (
		self    = knit.System{}
		ceiling = bare.Ceiling{}
		pipe    = gvisor.System{}
		veth    = gvisor.System{Driver: gvisor.Veth}
		vnet    = gvisor.System{VNet: true}
		kernel  = linux.System{}
		merging = linux.System{Software: true}
	)
	return []contest{
		enter(metric.Stream(), "Stream1500", "link of MTU 1500 without segmentation offload", 1000, []contender{
			{report.Subject, self, link}, {"gvisor-pipe", pipe, link}, {"gvisor-veth", veth, link},
			{"linux-veth", kernel, link}, {"linux-veth-gro", merging, link}, {"ceiling", ceiling, link},
		}),
		enter(metric.Stream(), "StreamOffload", "link of MTU 1500 with segmentation offload", 3000, []contender{
			{report.Subject, self, offload}, {"gvisor-pipe", pipe, offload},
			{"linux-veth", kernel, offload}, {"linux-veth-gro", merging, offload}, {"ceiling", ceiling, offload},
		}),
		enter(metric.Stream(), "StreamLoopback", "loopback device, and a link of MTU 65535", 0, []contender{
			{"knit-loopback", self, loopback}, {"knit-pipe-65535", self, large},
			{"gvisor-loopback", pipe, loopback}, {"gvisor-pipe-65535", pipe, large},
			{"linux-loopback", kernel, loopback}, {"linux-veth-65535", kernel, large},
		}),
		enter(metric.RoundTrip(), "RoundTrip", "", 6, []contender{
			{report.Subject, self, link}, {"knit-loopback", self, loopback},
			{"gvisor-pipe", pipe, link}, {"gvisor-veth", veth, link}, {"gvisor-loopback", pipe, loopback},
			{"linux-loopback", kernel, loopback}, {"linux-veth", kernel, link},
			{"net.Pipe", bare.Pipe{}, link}, {"ceiling", ceiling, link},
		}),
		enter(metric.Connect(), "Connect", "", 30, []contender{
			{report.Subject, self, link}, {"knit-loopback", self, loopback},
			{"gvisor-pipe", pipe, link}, {"gvisor-loopback", pipe, loopback},
			{"linux-loopback", kernel, loopback}, {"linux-veth", kernel, link},
		}),
		enter(metric.Datagram(), "Datagram", "", 2, []contender{
			{report.Subject, self, link}, {"knit-loopback", self, loopback},
			{"gvisor-pipe", pipe, link}, {"gvisor-loopback", pipe, loopback},
			{"linux-loopback", kernel, loopback}, {"linux-veth", kernel, link},
		}),
		enter(metric.Forward(), "Forward", "from device to device", 3000, []contender{
			{report.Subject, self, link}, {"gvisor", pipe, link}, {"linux-veth", kernel, link},
		}),
		enter(metric.Datagram(), "ForwardUDP", "through a router, from socket to socket", 0, []contender{
			{report.Subject, self, routed}, {"gvisor-pipe", pipe, routed}, {"linux-veth", kernel, routed},
		}),
		enter(metric.Forward(), "ForwardRules", "1,000 rules, connection tracking, a flowtable, NAT", 0, []contender{
			{report.Subject, self, link}, {"knit-rules", self, with(thousand)}, {"knit-ct", self, with(tracked)},
			{"knit-flow", self, with(offloaded)}, {"knit-nat", self, with(metric.Masquerade)},
			{"linux", kernel, link}, {"linux-rules", kernel, with(thousand)}, {"linux-ct", kernel, with(tracked)},
			{"linux-flow", kernel, with(offloaded)}, {"linux-nat", kernel, with(metric.Masquerade)},
			{"gvisor", pipe, link}, {"gvisor-rules", pipe, with(thousand)}, {"gvisor-nat", pipe, with(metric.Masquerade)},
		}),
		enter(metric.Share("1,000 rules and connection tracking through a flowtable, of the rate without rules", "", offloaded),
			"ShareFlow", "", 80, ruled(self, kernel)),
		enter(metric.Share("verdict map of 10,000 addresses, of the rate with one", metric.VerdictMap(1), metric.VerdictMap(10000)),
			"ShareMap", "", 90, ruled(self, kernel)),
		enter(metric.Share("translated flow, of the rate without rules", "", metric.Masquerade),
			"ShareNAT", "", 70, ruled(self, kernel)),
		enter(metric.Setup(), "SetupNAT", "masqueraded", 300, []contender{
			{report.Subject, self, with(metric.Masquerade)}, {"linux-veth", kernel, with(metric.Masquerade)},
		}),
		enter(metric.ConnMemory(), "ConnMemory", "", 320, []contender{
			{report.Subject, self, with(metric.Track)}, {"linux-veth", kernel, with(metric.Track)},
		}),
		enter(metric.Replace(10000), "Replace", "", 100, ruled(self, kernel)),
		enter(metric.Lookup(1000000), "Lookup", "", 60, []contender{{report.Subject, self, link}}),
		enter(metric.Idle(), "Idle", "", 3000, []contender{
			{report.Subject, self, link}, {"gvisor-pipe", pipe, link}, {"linux-loopback", kernel, loopback},
		}),
		enter(metric.IperfIn(), "IperfIn", "", 0, tapped(self, pipe, vnet, kernel)),
		enter(metric.IperfOut(), "IperfOut", "", 0, tapped(self, pipe, vnet, kernel)),
	}
}

// The rulesets of the contests.
var (
	thousand  = metric.Rules(1000, "", "")
	tracked   = metric.Rules(1000, "", metric.Established)
	offloaded = metric.Rules(1000, metric.Flowtable, metric.FlowAdd)
)

// with are the options of a router with rules.
func with(rules string) system.Options { return system.Options{Rules: rules} }

// ruled returns the contenders of a contest between rulesets.
func ruled(self, kernel system.System) []contender {
	return []contender{{report.Subject, self, link}, {"linux-veth", kernel, link}}
}

// tapped returns the contenders behind a TAP. gVisor's driver for one has no
// offload; a packet socket, for which it has, stands beside it, and knit without
// offload.
func tapped(self, tap, vnet, kernel system.System) []contender {
	return []contender{
		{report.Subject, self, offload}, {"knit-plain", self, link},
		{"gvisor-tap", tap, link}, {"gvisor-vnet", vnet, offload}, {"linux-veth", kernel, offload},
	}
}

// enter makes a contest. A goal of zero means that none is set.
func enter(m metric.Metric, name, where string, goal float64, c []contender) contest {
	title := m.Title
	if where != "" {
		title += "; " + where
	}
	return contest{
		Heading:    report.Heading{Name: name, Title: title, Unit: m.Unit, Higher: m.Higher, Goal: goal},
		metric:     m,
		contenders: c,
	}
}
