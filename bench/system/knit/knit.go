// Package knit measures knit itself.
package knit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/bench/system"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
)

// System is knit with its default settings. The zero value is ready to use.
type System struct{}

// Net implements system.System.
func (System) Net(o system.Options) (*system.Net, error) {
	switch o.Topology {
	case system.Loopback:
		return loopback()
	case system.Link:
		return linkNet(o)
	default:
		return routed(o)
	}
}

func loopback() (*system.Net, error) {
	k, err := newKernel()
	if err != nil {
		return nil, err
	}
	self := netip.MustParsePrefix("127.0.0.1/8")
	err = modprobe(k, "loopback")
	if err == nil && !k.Network.IsLocal(self.Addr()) {
		err = k.AddAddr("lo", self)
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	h := host{kernel: k, addr: self.Addr()}
	return &system.Net{A: h, Z: h, Close: func() { k.Close() }}, nil
}

func linkNet(o system.Options) (*system.Net, error) {
	ks, err := newKernels(2)
	if err != nil {
		return nil, err
	}
	a, z := netip.MustParsePrefix("10.77.0.1/24"), netip.MustParsePrefix("10.77.0.2/24")
	if _, err := join(ks[0], ks[1], a, z, o); err != nil {
		ks.close()
		return nil, err
	}
	return &system.Net{A: host{ks[0], a.Addr()}, Z: host{ks[1], z.Addr()}, Close: ks.close}, nil
}

func routed(o system.Options) (*system.Net, error) {
	ks, err := newKernels(3)
	if err != nil {
		return nil, err
	}
	if err := chain(ks, o); err != nil {
		ks.close()
		return nil, err
	}
	return &system.Net{
		A: host{ks[0], netip.MustParseAddr("10.77.1.1")}, Z: host{ks[2], netip.MustParseAddr("10.77.2.1")},
		Close: ks.close,
	}, nil
}

// chain joins three kernels in a row; the one in the middle forwards.
func chain(ks kernels, o system.Options) error {
	left, in := netip.MustParsePrefix("10.77.1.1/24"), netip.MustParsePrefix("10.77.1.2/24")
	right, out := netip.MustParsePrefix("10.77.2.1/24"), netip.MustParsePrefix("10.77.2.2/24")
	a, err := join(ks[0], ks[1], left, in, o)
	if err != nil {
		return err
	}
	z, err := join(ks[2], ks[1], right, out, o)
	if err != nil {
		return err
	}
	if err := forward(ks[1]); err != nil {
		return err
	}
	if err := defaultRoute(ks[0], a, in.Addr()); err != nil {
		return err
	}
	return defaultRoute(ks[2], z, out.Addr())
}

// join joins two kernels by a pipe, gives its ends addresses and takes them up. It
// returns the end of the first.
func join(x, y *knit.Kernel, ax, ay netip.Prefix, o system.Options) (*link.Device, error) {
	cfg := link.PipeConfig{MTU: o.LinkMTU()}
	if !o.Offload {
		cfg.Features = link.TxCsum | link.GRO
	}
	dx, dy, err := x.Join(y, cfg)
	if err != nil {
		return nil, fmt.Errorf("join two kernels: %w", err)
	}
	if err := x.AddAddr(dx.Name(), ax); err != nil {
		return nil, err
	}
	return dx, y.AddAddr(dy.Name(), ay)
}

func forward(k *knit.Kernel) error {
	err := k.Sysctl.Set("net.ipv4.ip_forward", "1")
	var missing *sysctl.NotFoundError
	if errors.As(err, &missing) {
		return system.Unsupportedf("knit does not forward: %v", err)
	}
	return err
}

func defaultRoute(k *knit.Kernel, dev *link.Device, via netip.Addr) error {
	r := route.Route{
		Dst: netip.MustParsePrefix("0.0.0.0/0"), Type: route.Unicast,
		NextHops: []route.NextHop{{Gateway: via, Index: dev.Index()}},
	}
	return k.Network.AddRoute(r, route.Create)
}

// kernels are taken down together.
type kernels []*knit.Kernel

func newKernels(n int) (kernels, error) {
	var ks kernels
	for range n {
		k, err := newKernel()
		if err != nil {
			ks.close()
			return nil, err
		}
		ks = append(ks, k)
	}
	return ks, nil
}

func (ks kernels) close() {
	for _, k := range ks {
		k.Close()
	}
}

// newKernel returns a kernel with what every benchmark needs.
func newKernel() (*knit.Kernel, error) {
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"ip4", "tcp", "udp"} {
		if err := modprobe(k, name); err != nil {
			k.Close()
			return nil, err
		}
	}
	return k, nil
}

func modprobe(k *knit.Kernel, name string) error {
	err := k.Modprobe(context.Background(), name)
	if errors.Is(err, module.ErrNotFound) {
		return system.Unsupportedf("%v", err)
	}
	return err
}

// A host is a kernel with one address.
type host struct {
	kernel *knit.Kernel
	addr   netip.Addr
}

func (h host) Addr() netip.Addr { return h.addr }

func (h host) Dial(network string, to netip.AddrPort) (net.Conn, error) {
	return h.kernel.Dial(network, to.String())
}

func (h host) Listen(port uint16) (net.Listener, error) {
	return h.kernel.Listen("tcp", netip.AddrPortFrom(h.addr, port).String())
}

func (h host) ListenPacket(port uint16) (net.PacketConn, error) {
	return h.kernel.ListenPacket("udp", netip.AddrPortFrom(h.addr, port).String())
}
