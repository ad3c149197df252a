// Package uplink carries what leaves the kernel for addresses elsewhere over the
// host's own sockets, so that a network without a way out has one, without
// privilege on the host. TCP and UDP go to where they are sent; names are answered
// by the host's resolver.
//
// It makes itself the default route (`ip route add local default dev lo`) with so
// large a metric that any other default route wins, and intercepts there what no
// socket of the kernel waits for.
package uplink

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/service/uplink/internal/resolve"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
)

// Module is the metadata.
var Module = module.Spec{
	Name:        "uplink",
	Version:     "1.0",
	Description: "carries traffic to the outside over the host's sockets",
	Author:      "the knit authors",
	License:     "Apache-2.0",
	Depends:     []string{"tcp", "udp"},
	Softdep:     module.Softdep{Pre: []string{"loopback", "ip4", "ip6", "icmp4", "icmp6"}},
	Params: []module.Param{
		module.List("dns", nil, "addresses of the kernel at which names are answered"),
		module.Bool("host_loopback", false, "addresses of the kernel lead to the host's loopback where nothing listens"),
		module.Uint("max_pending", 512, "connections that are being opened").Range(1, 65536),
		module.Uint("max_flows", 8192, "connections and UDP flows").Range(1, 1<<20).Writable(),
		module.Duration("connect_timeout", 130*time.Second, "how long the host tries to connect").Range(time.Second, time.Hour).Writable(),
		module.Duration("udp_timeout", 30*time.Second, "idle time of a UDP flow that got no answer").Range(time.Second, 24*time.Hour).Writable(),
		module.Duration("udp_timeout_stream", 180*time.Second, "idle time of a UDP flow that got answers").Range(time.Second, 24*time.Hour).Writable(),
		module.String("resolv_conf", "/etc/resolv.conf", "the host's resolver configuration"),
		module.String("hosts", "/etc/hosts", "the host's table of names"),
	},
	Init: func(c *module.Context) error { return start(c, dialHost) },
}

// A dialer opens connections outside: "tcp" or "udp", to an address of the host's
// world. It is the only door to the host, so that tests can put another world
// there.
type dialer func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)

// keepAlive is for connections of which the other half may have vanished: the
// times are Linux's, so that an idle connection costs what it does without us.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9}
}

// dialHost is the dialer of the real host.
func dialHost(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive()}
	return d.DialContext(ctx, network, to.String())
}

// An uplink is the module in one kernel.
type uplink struct {
	c     *module.Context
	net   *network.Layer
	clock *clock.Clock
	dial  dialer
	warn  *klog.Limiter

	hostLoopback bool
	flows        quota // of connections and UDP flows
	buffers      buffers
	busy         busyList // UDP flows with datagrams from inside

	udp struct {
		sync.Mutex
		flows  map[*flow]struct{}
		closed bool
	}
}

func start(c *module.Context, dial dialer) error {
	n, err := module.Import[*network.Layer](c, network.Symbol)
	if err != nil {
		return err
	}
	l, err := module.Import[*transport.Layer](c, transport.Symbol)
	if err != nil {
		return err
	}
	sockets, err := module.Import[*socket.Sockets](c, socket.Symbol)
	if err != nil {
		return err
	}
	u := &uplink{
		c: c, net: n, clock: n.Clock, dial: dial, warn: c.Log().Limit(0, 0), hostLoopback: c.Bool("host_loopback"),
	}
	u.flows.max = func() int64 { return int64(c.Uint("max_flows")) }
	u.udp.flows = map[*flow]struct{}{}
	u.busy.init()
	if err := u.intercept(l); err != nil {
		return err
	}
	if err := u.takeDefaultRoutes(); err != nil {
		return err
	}
	r := resolve.New(resolve.Config{
		Dial: resolve.Dialer(dial), ResolvConf: c.String("resolv_conf"), Hosts: c.String("hosts"),
	})
	return u.serveNames(sockets, r)
}

// intercept asks to be asked about TCP and UDP.
func (u *uplink) intercept(l *transport.Layer) error {
	t, err := l.Stream(transport.TCP)
	if err != nil {
		return err
	}
	d, err := l.Datagram(transport.UDP)
	if err != nil {
		return err
	}
	u.c.Cleanup(u.closeFlows)
	for range datagramWorkers {
		u.c.Go(u.carryDatagrams)
	}
	err = u.c.Register(t.(transport.StreamInterceptor).Intercept(int(u.c.Uint("max_pending")), u.streamRequest))
	if err != nil {
		return err
	}
	return u.c.Register(d.(transport.DatagramInterceptor).Intercept(u.datagramRequest))
}
