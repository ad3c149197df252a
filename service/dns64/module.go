// Package dns64 is a nameserver inside the kernel that gives names which have IPv4
// addresses alone IPv6 addresses (RFC 6147): those under which NAT64 translates to
// them. It asks other nameservers for all that it answers.
package dns64

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/service/internal/nameserver"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/wire"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "dns64",
	Version:     "1.0",
	Description: "gives names of IPv4 servers IPv6 addresses (RFC 6147)",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Depends:     []string{"tcp", "udp"},
	Softdep:     module.Softdep{Pre: []string{"ip4", "ip6", "icmp4", "icmp6"}},
	Params: []module.Param{
		module.List("upstream", nil, "nameservers to ask: ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT"),
		module.List("listen", []string{"::"}, "addresses of the kernel at which names are answered"),
		module.Uint("port", 53, "port at which names are answered").Range(1, 65535),
		module.Prefix("prefix", wire.WellKnownPref64(), "IPv6 prefix that stands for IPv4 (RFC 6052)"),
		module.List("exclude", []string{"::ffff:0:0/96"}, "IPv6 prefixes of addresses that count as none (RFC 6147 §5.1.4)"),
		module.Bool("allow_private", false, "let 64:ff9b::/96 stand for addresses that are not global, which RFC 6052 forbids"),
		module.Duration("timeout", 2*time.Second, "how long one nameserver is waited for").Range(100*time.Millisecond, time.Minute),
	},
	Init: start,
}

func start(c *module.Context) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	sockets, err := module.Import[*socket.Sockets](c, socket.Symbol)
	if err != nil {
		return err
	}
	r, err := newResolver(c)
	if err != nil {
		return err
	}
	up := &upstream{dial: sockets.DialContext, wall: n.Clock.Wall, timeout: c.Duration("timeout")}
	if up.servers, err = parseServers(c.List("upstream")); err != nil {
		return err
	}
	r.ask = up.ask
	if err := c.Register(n.Stats.Add("Dns64", r.counters.fields()...)); err != nil {
		return err
	}
	s := &nameserver.Server{Context: c, Clock: n.Clock, Answer: r.answer}
	for _, text := range c.List("listen") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("parameter listen: %q: want IP addresses of this kernel", text)
		}
		at := net.JoinHostPort(a.String(), strconv.FormatUint(c.Uint("port"), 10))
		if err := s.Listen(sockets, at); err != nil {
			return err
		}
	}
	return nil
}

// newResolver reads the parameters that say what is answered.
func newResolver(c *module.Context) (*resolver, error) {
	prefix, err := wire.NewPref64(c.Prefix("prefix"))
	if err != nil {
		return nil, fmt.Errorf("parameter prefix: %w", err)
	}
	r := &resolver{prefix: prefix, private: c.Bool("allow_private")}
	for _, text := range c.List("exclude") {
		p, err := netip.ParsePrefix(text)
		if err != nil || !p.Addr().Is6() {
			return nil, fmt.Errorf("parameter exclude: %q: want IPv6 prefixes", text)
		}
		r.exclude = append(r.exclude, p)
	}
	return r, nil
}

// maxServers bounds the nameservers: a question that none answers waits for each.
const maxServers = 8

func parseServers(words []string) ([]netip.AddrPort, error) {
	if len(words) == 0 || len(words) > maxServers {
		return nil, fmt.Errorf("parameter upstream: want 1 to %d nameservers", maxServers)
	}
	var out []netip.AddrPort
	for _, w := range words {
		s, err := netip.ParseAddrPort(w)
		if a, aerr := netip.ParseAddr(w); aerr == nil {
			s, err = netip.AddrPortFrom(a, 53), nil
		}
		if err != nil || s.Port() == 0 || s.Addr().IsUnspecified() {
			return nil, fmt.Errorf("parameter upstream: %q: want ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT", w)
		}
		out = append(out, s)
	}
	return out, nil
}

// A dialer opens a connection of the kernel's.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)
