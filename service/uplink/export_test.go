package uplink

import (
	"context"
	"net"
	"net/netip"

	"github.com/knitnet/knit/core/module"
)

// WithDialer returns the module with another world outside.
func WithDialer(dial func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)) module.Spec {
	m := Module
	m.Init = func(c *module.Context) error { return start(c, dial) }
	return m
}

// DialHost is the dialer of the real host.
func DialHost(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	return dialHost(ctx, network, to)
}
