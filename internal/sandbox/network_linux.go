package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE: make no link-local address.
const addrGenModeNone = 1

// localPatience is for a machine so busy that its work queues stand still.
const localPatience = 10 * time.Second

// configure gives the namespace its addresses and routes, and completes d.
func (c Config) configure(d *Device) (notes []string, err error) {
	if _, err := os.Stat("/proc/sys/net/ipv6"); errors.Is(err, os.ErrNotExist) && c.wantsIPv6() {
		notes = append(notes, "the kernel has no IPv6: IPv6 addresses and routes are left out")
		c = c.withoutIPv6()
	}
	link, err := netlink.LinkByName(d.Name)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", d.Name, err)
	}
	if err := c.setUp(link); err != nil {
		return nil, fmt.Errorf("device %s: %w", d.Name, err)
	}
	d.MTU, d.HardwareAddr = c.MTU, link.Attrs().HardwareAddr
	for _, gateway := range []netip.Addr{c.Gateway4, c.Gateway6} {
		if err := c.addDefault(link, gateway); err != nil {
			return nil, err
		}
	}
	if err := allowPing(); err != nil {
		notes = append(notes, "ping without privilege may not work: "+err.Error())
	}
	return notes, nil
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("lo up: %w", err)
	}
	return nil
}

func (c Config) wantsIPv6() bool {
	for _, a := range c.Addrs {
		if !a.Addr().Is4() {
			return true
		}
	}
	return c.Gateway6.IsValid()
}

func (c Config) withoutIPv6() Config {
	all := c.Addrs
	c.Addrs, c.Gateway6 = nil, netip.Addr{}
	for _, a := range all {
		if a.Addr().Is4() {
			c.Addrs = append(c.Addrs, a)
		}
	}
	return c
}

func (c Config) setUp(link netlink.Link) error {
	addrs := c.Addrs
	if own, ok := c.linkLocal(); ok {
		// The kernel's own address would be tentative for a moment, even
		// without duplicate address detection.
		if netlink.LinkSetIP6AddrGenMode(link, addrGenModeNone) == nil {
			addrs = append(addrs[:len(addrs):len(addrs)], own)
		}
	}
	_ = writeSysctl("net/ipv6/conf/"+link.Attrs().Name+"/disable_ipv6", "0")
	if err := netlink.LinkSetMTU(link, c.MTU); err != nil {
		return fmt.Errorf("MTU %d: %w", c.MTU, err)
	}
	if err := bringUp(link); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	return addAddresses(link, addrs)
}

// bringUp sets the link up and waits until Linux has noted its carrier, which for a
// veth pair happens later, in a work queue. Programs that look at the device before
// would take it for unplugged.
func bringUp(link netlink.Link) error {
	events, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	defer close(done)
	if err := netlink.LinkSubscribe(events, done); err != nil {
		return fmt.Errorf("watch links: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	now, err := netlink.LinkByIndex(link.Attrs().Index)
	if err != nil {
		return err
	}
	timeout := time.After(localPatience)
	for state := now.Attrs().OperState; state != netlink.OperUp && state != netlink.OperUnknown; {
		select {
		case e, ok := <-events:
			if !ok {
				return errors.New("watch links: the subscription ended")
			}
			if a := e.Attrs(); a.Index == link.Attrs().Index {
				state = a.OperState
			}
		case <-timeout:
			return fmt.Errorf("no carrier after %v", localPatience)
		}
	}
	return nil
}

// addAddresses adds the addresses and waits until packets for them are taken.
func addAddresses(link netlink.Link, addrs []netip.Prefix) error {
	events, done := make(chan netlink.RouteUpdate, 64), make(chan struct{})
	defer close(done)
	if err := netlink.RouteSubscribe(events, done); err != nil {
		return fmt.Errorf("watch routes: %w", err)
	}
	pending := make(map[netip.Addr]bool)
	for _, prefix := range addrs {
		if err := netlink.AddrAdd(link, address(prefix)); err != nil {
			return fmt.Errorf("address %v: %w", prefix, err)
		}
		if !prefix.Addr().Is4() {
			pending[prefix.Addr()] = true
		}
	}
	return awaitLocal(events, pending)
}

// awaitLocal waits for the local routes of IPv6 addresses. Linux sends from
// an address without duplicate address detection at once, but adds its local
// route later, in a work queue; an answer that comes before is dropped.
func awaitLocal(events <-chan netlink.RouteUpdate, pending map[netip.Addr]bool) error {
	timeout := time.After(localPatience)
	for len(pending) > 0 {
		select {
		case e, ok := <-events:
			if !ok {
				return errors.New("watch routes: the subscription ended")
			}
			if e.Type == unix.RTM_NEWROUTE && e.Route.Type == unix.RTN_LOCAL && e.Dst != nil {
				local, _ := netip.AddrFromSlice(e.Dst.IP)
				delete(pending, local)
			}
		case <-timeout:
			return fmt.Errorf("IPv6 addresses without a local route after %v: %v", localPatience, slices.Collect(maps.Keys(pending)))
		}
	}
	return nil
}

// linkLocal returns a link-local address with the interface identifier of the
// first IPv6 address. It is not ok if there is nothing to derive it from, or
// no need.
func (c Config) linkLocal() (own netip.Prefix, ok bool) {
	for _, p := range c.Addrs {
		a := p.Addr()
		if a.Is4() {
			continue
		}
		if a.IsLinkLocalUnicast() {
			return own, false
		}
		if !ok {
			b := a.As16()
			copy(b[:8], []byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0}) // RFC 4291 §2.5.6
			own, ok = netip.PrefixFrom(netip.AddrFrom16(b), 64), true
		}
	}
	return own, ok && own.Addr() != c.Gateway6.WithZone("")
}

// address makes an address that is usable at once: nobody else is on the
// link, so duplicate address detection (RFC 4862 §5.4) is left out.
func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
	if !p.Addr().Is4() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// addDefault adds a default route through gateway, if it is valid.
func (c Config) addDefault(link netlink.Link, gateway netip.Addr) error {
	if !gateway.IsValid() {
		return nil
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}
	if !c.onLink(gateway) {
		route.Flags = int(netlink.FLAG_ONLINK)
	}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("default route via %v: %w", gateway, err)
	}
	return nil
}

// onLink reports whether one of the prefixes covers the gateway.
func (c Config) onLink(gateway netip.Addr) bool {
	for _, p := range c.Addrs {
		if p.Contains(gateway) {
			return true
		}
	}
	return gateway.IsLinkLocalUnicast()
}

// allowPing lets programs without privilege open ping sockets (icmp(7)).
func allowPing() error {
	const name = "net/ipv4/ping_group_range"
	if writeSysctl(name, "0 2147483647") == nil {
		return nil
	}
	// The ids of the range must exist in the user namespace.
	gid := strconv.Itoa(os.Getegid())
	return writeSysctl(name, gid+" "+gid)
}

// writeSysctl sets a variable of the calling thread's network namespace.
func writeSysctl(name, value string) error {
	f, err := os.OpenFile("/proc/sys/"+name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
