package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/network"
)

// lookup finds the first address of a host in an IP version (0: any), as
// getaddrinfo does: what it fails with are the words of gai_strerror.
func lookup(ctx context.Context, k *knit.Kernel, host string, version int) (netip.Addr, error) {
	addrs, err := lookupAll(ctx, k, host)
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) && (dns.IsTemporary || dns.IsTimeout) {
			return netip.Addr{}, errors.New("Temporary failure in name resolution")
		}
		return netip.Addr{}, errors.New("Name or service not known")
	}
	for _, a := range addrs {
		if a = a.Unmap(); version == 0 || a.Is4() == (version == 4) {
			return a, nil
		}
	}
	return netip.Addr{}, errors.New("Address family for hostname not supported")
}

func lookupAll(ctx context.Context, k *knit.Kernel, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	switch {
	case host == "localhost":
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	case k.Sockets.LookupHost == nil:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return k.Sockets.LookupHost(ctx, host)
}

// strerror is what the C library says of an error.
func strerror(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// A target is where a tool sends its packets, and the way there.
type target struct {
	dst, src netip.Addr
	index    int32
	device   string // if it was asked for by name
	path     *network.Path
	layer    *network.Layer
}

// routeTo finds the way to dst; source is the name of an interface or an address,
// or empty. Errors name the system call that would have failed.
func routeTo(k *knit.Kernel, dst netip.Addr, source string) (r target, err error) {
	r.dst, r.layer = dst, k.Network
	f := network.Flow{Dst: dst.WithZone("")}
	zone := dst.Zone()
	if source != "" {
		if a, err := netip.ParseAddr(source); err == nil {
			f.Src = a.Unmap()
			if !k.Network.IsLocal(f.Src) {
				return r, fmt.Errorf("bind: %s", strerror(syscall.EADDRNOTAVAIL))
			}
		} else {
			zone = source
		}
	}
	if zone != "" {
		dev, err := k.Link.Lookup(zone)
		if err != nil {
			return r, fmt.Errorf("SO_BINDTODEVICE %s: %s", zone, strerror(syscall.ENODEV))
		}
		f.Index, r.device = dev.Index(), zone
	}
	if r.path, err = k.Network.Resolve(f); err != nil {
		return r, fmt.Errorf("connect: %s", strerror(err))
	}
	r.src, r.index = r.path.Src, f.Index
	return r, nil
}
