package netdev

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// TAP makes a TAP device in the process's namespace and brings it up. The file
// gives and takes Ethernet frames without a header before them; the device ends
// with it.
func TAP(d Device) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(d.Name)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make the TAP device %s: %w", d.Name, err)
	}
	if err := d.SetUp(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set up %s: %w", d.Name, err)
	}
	return os.NewFile(uintptr(fd), d.Name), nil
}

// Socket opens a packet socket on a device of the process's namespace. With vnet
// every frame has a virtio-net header before it and may be a large segment with
// its checksum left out; without, the socket only sends.
func Socket(device string, vnet bool) (int, error) {
	const protocolAll = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network byte order
	protocol := 0
	if vnet {
		protocol = protocolAll
	}
	l, err := net.InterfaceByName(device)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a packet socket: %w", err)
	}
	option, value := unix.PACKET_QDISC_BYPASS, 1
	if vnet {
		option = unix.PACKET_VNET_HDR
		growBuffers(fd)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, value); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("set option %d of the packet socket: %w", option, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(protocol), Ifindex: l.Index}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind the packet socket: %w", err)
	}
	return fd, nil
}

// growBuffers asks for room for a whole window; less works too, so that a kernel
// that refuses is no error.
func growBuffers(fd int) {
	const size = 4 << 20
	for _, option := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size)
	}
}
