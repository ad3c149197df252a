package transport

import (
	"net/netip"
	"slices"
	"syscall"

	"github.com/knitnet/knit/network"
)

// Scope returns the interface that an address is on: the one its zone names
// (RFC 4007 §11), else index, which is 0 for any. ENODEV when there is no such
// interface, EINVAL when the two differ.
func Scope(n *network.Layer, a netip.Addr, index int32) (int32, error) {
	if a.Zone() == "" {
		return index, nil
	}
	dev, err := n.Link.Lookup(a.Zone())
	switch {
	case err != nil:
		return 0, syscall.ENODEV
	case index != 0 && index != dev.Index():
		return 0, syscall.EINVAL
	}
	return dev.Index(), nil
}

// LocalScope is Scope for the address that a socket is to be bound to:
// EADDRNOTAVAIL when it is link-local and not one of that interface.
func LocalScope(n *network.Layer, a netip.Addr, index int32) (int32, error) {
	index, err := Scope(n, a, index)
	if err != nil || index == 0 || !a.Is6() || !a.IsLinkLocalUnicast() {
		return index, err
	}
	a = a.WithZone("")
	if !slices.ContainsFunc(n.Addrs(index), func(x *network.Addr) bool { return x.IP() == a }) {
		return 0, syscall.EADDRNOTAVAIL
	}
	return index, nil
}

// Zoned returns a with the name of an interface as its zone if it is link-local,
// so that it means something beyond the link.
func Zoned(n *network.Layer, a netip.Addr, index int32) netip.Addr {
	if index == 0 || !a.Is6() || !a.IsLinkLocalUnicast() {
		return a
	}
	if dev := n.Link.Device(index); dev != nil {
		return a.WithZone(dev.Name())
	}
	return a
}
