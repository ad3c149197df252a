// Package hosttest is the Linux side of tests of drivers that end there: a network
// namespace of the test's own, its interfaces, and a peer that speaks just enough
// TCP.
package hosttest

import (
	"errors"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/knitnet/knit/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Linux returns the address of the host's interface.
func Linux() net.IP { return net.IP{10, 9, 0, 1} }

// Knit returns the address that a Peer answers for.
func Knit() net.IP { return net.IP{10, 9, 0, 2} }

// Namespace runs f on a thread in a network namespace of its own, which vanishes
// with the thread. f must create its sockets in its own goroutine. Where the machine
// forbids that, the test is skipped and says so.
func Namespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	result := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the runtime ends the thread with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		result <- err
		if err == nil {
			f(t)
		}
	}()
	if err := <-result; err != nil {
		t.Skipf("this machine does not let the test make a network namespace: %v", err)
	}
	<-done
}

// Must ends the goroutine of the test on an error, which in Namespace t.Fatal may
// not do.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
}

// Create makes a device of the kernel under test and its interface on the host.
func Create(t *testing.T, l *link.Layer, kind, name string, options map[string]string) *link.Device {
	t.Helper()
	dev, err := l.Create(kind, name, options)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Skipf("this machine does not let the test open a TUN: %v", err)
	}
	Must(t, err)
	return dev
}

// Configure takes the host's interface up, with the address Linux, and lets it know
// the hardware address of Knit if dev has one.
func Configure(t *testing.T, name string, dev *link.Device) netlink.Link {
	t.Helper()
	iface, err := netlink.LinkByName(name)
	Must(t, err)
	Must(t, netlink.AddrAdd(iface, &netlink.Addr{IPNet: &net.IPNet{IP: Linux(), Mask: net.CIDRMask(24, 32)}}))
	Must(t, netlink.LinkSetUp(iface))
	if dev.Type() == link.Ether {
		mac := dev.MAC()
		Must(t, netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: iface.Attrs().Index, IP: Knit(), HardwareAddr: mac[:], State: netlink.NUD_PERMANENT,
		}))
	}
	return iface
}

// Listen returns a datagram socket of the host.
func Listen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: Linux()})
	Must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}
