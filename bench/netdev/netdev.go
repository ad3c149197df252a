// Package netdev makes the devices of the Linux kernel that the benchmarks need.
package netdev

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/knitnet/knit/bench/netns"
)

// A Device is a device to be made.
type Device struct {
	Name string
	// Addr is its address; the zero value gives it none.
	Addr netip.Prefix
	// NS is the namespace that it belongs to; nil is that of the process.
	NS *netns.NS
	// MTU is in bytes.
	MTU int
	// Offload lets it carry segments larger than its MTU.
	Offload bool
	// Software lets the kernel cut large segments just before the device, and
	// merge small ones behind it.
	Software bool
}

// Do runs f where the device is, and returns what f returned.
func (d Device) Do(f func() error) error {
	if d.NS == nil {
		return f()
	}
	return d.NS.Do(f)
}

// Pair makes a veth pair and brings both ends up where they belong. Remove takes
// it away.
func Pair(a, z Device) (remove func(), err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = a.Name, a.MTU
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: z.Name, PeerMTU: uint32(z.MTU)}); err != nil {
		return nil, fmt.Errorf("add a veth pair: %w", err)
	}
	for _, d := range []Device{a, z} {
		if err := d.move(); err != nil {
			return nil, err
		}
	}
	for _, d := range []Device{a, z} {
		if err := d.Do(d.setUpVeth); err != nil {
			return nil, fmt.Errorf("set up %s: %w", d.Name, err)
		}
	}
	return func() { a.Do(a.remove) }, nil
}

// move takes the device from the process's namespace to its own.
func (d Device) move() error {
	if d.NS == nil {
		return nil
	}
	l, err := netlink.LinkByName(d.Name)
	if err != nil {
		return fmt.Errorf("find %s: %w", d.Name, err)
	}
	return netlink.LinkSetNsFd(l, d.NS.FD())
}

func (d Device) setUpVeth() error {
	if err := d.segmentation(); err != nil {
		return err
	}
	return d.SetUp()
}

// SetUp gives a device that exists its MTU and address and takes it up.
func (d Device) SetUp() error {
	l, err := netlink.LinkByName(d.Name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMTU(l, d.MTU); err != nil {
		return err
	}
	if d.Addr.IsValid() {
		ip := &net.IPNet{IP: d.Addr.Addr().AsSlice(), Mask: net.CIDRMask(d.Addr.Bits(), d.Addr.Addr().BitLen())}
		if err := netlink.AddrAdd(l, &netlink.Addr{IPNet: ip}); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}

func (d Device) remove() error {
	l, err := netlink.LinkByName(d.Name)
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}
