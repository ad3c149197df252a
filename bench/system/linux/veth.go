package linux

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/knitnet/knit/bench/netdev"
	"github.com/knitnet/knit/bench/netns"
	"github.com/knitnet/knit/bench/system"
)

// link joins the process's namespace with a new one by a veth pair.
func (s System) link(o system.Options) (*system.Net, error) {
	z, err := newNS()
	if err != nil {
		return nil, err
	}
	a := netdev.Device{Name: "bench0", Addr: netip.MustParsePrefix("10.77.0.1/24")}
	b := netdev.Device{Name: "bench1", Addr: netip.MustParsePrefix("10.77.0.2/24"), NS: z}
	remove, err := s.pair(a, b, o)
	if err != nil {
		z.Close()
		return nil, err
	}
	return &system.Net{
		A:     host{addr: a.Addr.Addr()},
		Z:     host{addr: b.Addr.Addr(), ns: z},
		Close: func() { remove(); z.Close() },
	}, nil
}

// routed puts a forwarding namespace between that of the process and a new one.
func (s System) routed(o system.Options) (*system.Net, error) {
	c, err := s.newChain(o)
	if err != nil {
		return nil, err
	}
	return &system.Net{
		A:     host{addr: netip.MustParseAddr("10.77.1.1")},
		Z:     host{addr: netip.MustParseAddr("10.77.2.1"), ns: c.z},
		Close: c.close,
	}, nil
}

// A chain is the process's namespace, a router r and a namespace z in a row. The
// devices are bench0 here, in and out on the router, and bench1 in z.
type chain struct {
	r, z   *netns.NS
	remove []func()
}

func (s System) newChain(o system.Options) (*chain, error) {
	r, err := newNS()
	if err != nil {
		return nil, err
	}
	z, err := newNS()
	if err != nil {
		r.Close()
		return nil, err
	}
	c := &chain{r: r, z: z}
	if err := c.join(s, o); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *chain) close() {
	for _, remove := range c.remove {
		remove()
	}
	c.r.Close()
	c.z.Close()
}

// join makes the two links and the routes. After an error close undoes it.
func (c *chain) join(s System, o system.Options) error {
	left := netdev.Device{Name: "bench0", Addr: netip.MustParsePrefix("10.77.1.1/24")}
	in := netdev.Device{Name: "in", Addr: netip.MustParsePrefix("10.77.1.2/24"), NS: c.r}
	out := netdev.Device{Name: "out", Addr: netip.MustParsePrefix("10.77.2.2/24"), NS: c.r}
	right := netdev.Device{Name: "bench1", Addr: netip.MustParsePrefix("10.77.2.1/24"), NS: c.z}
	for _, ends := range [][2]netdev.Device{{left, in}, {out, right}} {
		remove, err := s.pair(ends[0], ends[1], o)
		if err != nil {
			return err
		}
		c.remove = append(c.remove, remove)
	}
	err := c.r.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	})
	if err != nil {
		return fmt.Errorf("turn forwarding on: %w", err)
	}
	if err := defaultRoute(in.Addr.Addr()); err != nil {
		return err
	}
	return c.z.Do(func() error { return defaultRoute(out.Addr.Addr()) })
}

// pair makes a veth pair with the options of the network.
func (s System) pair(a, z netdev.Device, o system.Options) (remove func(), err error) {
	for _, d := range []*netdev.Device{&a, &z} {
		d.MTU, d.Offload, d.Software = o.LinkMTU(), o.Offload, s.Software
	}
	return netdev.Pair(a, z)
}

func defaultRoute(via netip.Addr) error {
	_, all, _ := net.ParseCIDR("0.0.0.0/0")
	return netlink.RouteAdd(&netlink.Route{Dst: all, Gw: via.AsSlice()})
}

func newNS() (*netns.NS, error) {
	n, err := netns.New()
	if err != nil {
		return nil, system.Unsupportedf("%v", err)
	}
	return n, nil
}
