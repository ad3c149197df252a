package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/internal/tunfd"
)

const (
	// farEnd is the name of the veth end that the packet socket sits on.
	farEnd = "knit0"

	// packetBuffer is the size in bytes of the socket's buffers: some dozens
	// of unsegmented 64 KiB frames. Linux cuts it down to net.core.rmem_max.
	packetBuffer = 4 << 20
)

// openPacket makes a veth pair and a packet socket on its far end. The far
// end is in a second network namespace, out of the command's sight, which
// only the socket keeps alive: closing it removes the pair.
func (c Config) openPacket() (Device, error) {
	near := c.nameFor(Packet)
	file, err := inSecondNamespace(func(first int) (*os.File, error) {
		return makePair(near, c.MTU, first)
	})
	if err != nil {
		return Device{}, fmt.Errorf("no packet socket: %w", err)
	}
	offload := tunfd.OffloadAll
	if !packetCarriesUSO() {
		offload = tunfd.OffloadTSO
		if err := disableFeature(near, udpSegmentation); err != nil {
			file.Close()
			return Device{}, err
		}
	}
	return Device{
		Kind:       Packet,
		Name:       near,
		VnetHdrLen: tunfd.VnetHdrLen,
		Offload:    offload,
		Files:      []*os.File{file},
	}, nil
}

// inSecondNamespace runs f with the thread in a new network namespace. f gets
// a descriptor of the one it came from.
func inSecondNamespace(f func(first int) (*os.File, error)) (*os.File, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	first, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(first)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("second network namespace: %w", err)
	}
	file, err := f(first)
	if back := unix.Setns(first, unix.CLONE_NEWNET); back != nil {
		// The caller fails and the child ends: no thread stays astray.
		err = errors.Join(err, fmt.Errorf("return to the first network namespace: %w", back))
	}
	if err != nil && file != nil {
		file.Close()
		file = nil
	}
	return file, err
}

func makePair(near string, mtu, first int) (*os.File, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = farEnd, mtu
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     attrs,
		PeerName:      near,
		PeerNamespace: netlink.NsFd(first),
	})
	if err != nil {
		return nil, fmt.Errorf("make a veth pair (is the veth module there?): %w", err)
	}
	far, err := netlink.LinkByName(farEnd)
	if err != nil {
		return nil, err
	}
	// Else the host's own IPv6 would speak on the far end.
	_ = writeSysctl("net/ipv6/conf/"+farEnd+"/disable_ipv6", "1")
	if err := netlink.LinkSetUp(far); err != nil {
		return nil, fmt.Errorf("%s up: %w", farEnd, err)
	}
	fd, err := packetSocket(far.Attrs().Index)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packet"), nil
}

// packetSocket returns a packet socket bound to an interface (packet(7)).
func packetSocket(index int) (int, error) {
	// Protocol zero: nothing arrives before the options are set.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	if err := bindPacket(fd, index); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	return fd, nil
}

func bindPacket(fd, index int) error {
	// With the header, partial checksums and unsegmented frames cross as
	// they are.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return fmt.Errorf("virtio-net header: %w", err)
	}
	// These make it faster, and older kernels do without.
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, packetBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, packetBuffer)
	// Frames come for the hardware address of the caller's device, which is
	// not the veth's.
	promisc := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promisc); err != nil {
		return fmt.Errorf("promiscuous mode: %w", err)
	}
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
}

// networkOrder turns an EtherType into what sockaddr_ll holds.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
