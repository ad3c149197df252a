package tap_test

import (
	"os"
	"testing"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/hosttest"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/link/tap"
	"github.com/knitnet/knit/wire"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestAgainstTheHost exchanges frames with Linux's own stack.
func TestAgainstTheHost(t *testing.T) {
	for name, options := range map[string]map[string]string{
		"offload":    nil,
		"no offload": {"vnet_hdr": "off"},
		"queues":     {"queues": "2"},
	} {
		t.Run(name, func(t *testing.T) {
			hosttest.Namespace(t, func(t *testing.T) {
				l := linktest.New(t)
				linktest.Load(t, l, tap.Module)
				dev := hosttest.Create(t, l, "tap", "knit0", options)
				if lo, hi := dev.MTURange(); lo != 68 || hi != 65521 {
					t.Errorf("MTU %d to %d, want 68 to 65521", lo, hi)
				}
				linktest.Up(t, dev)
				iface := hosttest.Configure(t, "knit0", dev)
				hosttest.Exchange(t, hosttest.NewPeer(t, dev, iface.Attrs().HardwareAddr))
			})
		})
	}
}

// TestPacketSocket: a packet socket at the far end of a veth pair does what a TAP
// does, offload included.
func TestPacketSocket(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		r := linktest.Load(t, l, tap.Module)
		attach := linktest.SymbolOf[link.AttachFunc](t, r, "tap", link.TAPAttachSymbol)
		hosttest.Must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near0"}, PeerName: "far0"}))
		far, err := netlink.LinkByName("far0")
		hosttest.Must(t, err)
		hosttest.Must(t, netlink.LinkSetUp(far))
		f := packetSocket(t, far.Attrs().Index)
		defer f.Close()
		dev, err := attach(link.AttachConfig{
			Name: "eth0", Files: []*os.File{f}, VNetHdrLen: wire.VNetLen, Hardware: wire.MAC(far.Attrs().HardwareAddr),
		})
		hosttest.Must(t, err)
		linktest.Up(t, dev)
		near := hosttest.Configure(t, "near0", dev)
		hosttest.Exchange(t, hosttest.NewPeer(t, dev, near.Attrs().HardwareAddr))
	})
}

func packetSocket(t *testing.T, index int) *os.File {
	t.Helper()
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00 // network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	hosttest.Must(t, err)
	hosttest.Must(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	hosttest.Must(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	// The queueing discipline of an interface that has just come up drops.
	hosttest.Must(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1))
	hosttest.Must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
	return os.NewFile(uintptr(fd), "packet socket")
}
