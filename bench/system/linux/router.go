package linux

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/bench/netdev"
	"github.com/knitnet/knit/bench/netns"
	"github.com/knitnet/knit/bench/system"
)

// maxBatch is how many frames one system call may carry.
const maxBatch = 256

// Router implements system.Forwarder: frames enter through a packet socket on a
// veth whose other end is in the router's namespace, and are counted where they
// leave it.
func (s System) Router(o system.Options) (*system.Router, error) {
	c, err := s.newChain(o)
	if err != nil {
		return nil, err
	}
	from, err := newSender(c)
	if err == nil && o.Rules != "" {
		err = c.load(o.Rules)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return &system.Router{
		Inject:    from.send,
		Begin:     from.begin,
		Answer:    c.answer,
		Load:      c.load,
		Alone:     true,
		Held:      slab,
		Delivered: func() uint64 { return received(c.z) },
		Close:     func() { unix.Close(from.fd); c.close() },
	}, nil
}

// received returns how many packets bench1 has received in namespace z.
func received(z *netns.NS) (n uint64) {
	z.Do(func() error {
		if l, err := netlink.LinkByName("bench1"); err == nil {
			n = l.Attrs().Statistics.RxPackets
		}
		return nil
	})
	return n
}

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// A sender sends one frame again and again through a packet socket.
type sender struct {
	fd    int
	begun int
	frame []byte
	iov   unix.Iovec
	msgs  [maxBatch]mmsghdr
}

func newSender(c *chain) (*sender, error) {
	src, dst := system.FlowSource, system.FlowDestination
	mac, err := c.neighbours(dst)
	if err != nil {
		return nil, err
	}
	from, err := netlink.LinkByName("bench0")
	if err != nil {
		return nil, err
	}
	s := &sender{frame: frame(mac, from.Attrs().HardwareAddr, system.Datagram(src, dst))}
	s.iov = unix.Iovec{Base: &s.frame[0], Len: uint64(len(s.frame))}
	for i := range s.msgs {
		s.msgs[i].hdr.Iov, s.msgs[i].hdr.Iovlen = &s.iov, 1
	}
	s.fd, err = netdev.Socket("bench0", false)
	return s, err
}

// frame puts an Ethernet header in front of an IPv4 packet.
func frame(to, from net.HardwareAddr, p []byte) []byte {
	const ethIPv4 = "\x08\x00"
	return slices.Concat(to, from, []byte(ethIPv4), p)
}

// send implements Router.Inject.
func (s *sender) send(n int) error {
	if n > maxBatch {
		return errors.New("batch too large")
	}
	for n > 0 {
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msgs[0])), uintptr(n), 0, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("sendmmsg: %w", errno)
		}
		if errno == 0 {
			n -= int(sent)
		}
	}
	return nil
}

// neighbours tells the router that dst is behind bench1, an address that z does
// not have, so that z counts packets and answers none. It returns the hardware
// address of the router's first device.
func (c *chain) neighbours(dst netip.Addr) (net.HardwareAddr, error) {
	var mac net.HardwareAddr
	err := c.z.Do(func() error {
		l, err := netlink.LinkByName("bench1")
		if err == nil {
			mac = l.Attrs().HardwareAddr
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = c.r.Do(func() error {
		out, err := netlink.LinkByName("out")
		if err != nil {
			return err
		}
		err = netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: out.Attrs().Index, State: netlink.NUD_PERMANENT, IP: dst.AsSlice(), HardwareAddr: mac,
		})
		if err != nil {
			return fmt.Errorf("add a neighbour: %w", err)
		}
		in, err := netlink.LinkByName("in")
		if err == nil {
			mac = in.Attrs().HardwareAddr
		}
		return err
	})
	return mac, err
}
