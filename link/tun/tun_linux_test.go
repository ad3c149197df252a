package tun_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/internal/tunfd"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/hosttest"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/link/tun"
	"github.com/knitnet/knit/wire"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestAgainstTheHost exchanges packets with Linux's own stack.
func TestAgainstTheHost(t *testing.T) {
	for name, options := range map[string]map[string]string{
		"offload":    nil,
		"no offload": {"vnet_hdr": "off"},
		"queues":     {"queues": "3"},
	} {
		t.Run(name, func(t *testing.T) {
			hosttest.Namespace(t, func(t *testing.T) {
				l := linktest.New(t)
				linktest.Load(t, l, tun.Module)
				dev := hosttest.Create(t, l, "tun", "knit0", options)
				linktest.Up(t, dev)
				hosttest.Configure(t, "knit0", dev)
				hosttest.Exchange(t, hosttest.NewPeer(t, dev, nil))
			})
		})
	}
}

// TestIPv6: datagrams both ways, several in one packet where the host can.
func TestIPv6(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		linktest.Load(t, l, tun.Module)
		dev := hosttest.Create(t, l, "tun", "knit0", nil)
		linktest.Up(t, dev)
		iface := hosttest.Configure(t, "knit0", dev)
		host := net.ParseIP("fd09::1")
		hosttest.Must(t, netlink.AddrAdd(iface, &netlink.Addr{
			IPNet: &net.IPNet{IP: host, Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD,
		}))
		c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: host})
		hosttest.Must(t, err)
		defer c.Close()
		size := 2500 // in segments of 1000
		if dev.Features()&link.USO == 0 {
			size = 1000
		} else {
			raw, err := c.SyscallConn()
			hosttest.Must(t, err)
			hosttest.Must(t, raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 1000)
			}))
			hosttest.Must(t, err)
		}
		echoed := make(chan packet.Meta, 1)
		linktest.Handle(t, l, wire.EtherTypeIPv6, func(dev *link.Device, pkt *packet.Packet) {
			b := linktest.Bytes(pkt)
			if b[6] != wire.ProtoUDP { // the host's own neighbour discovery
				pkt.Consume()
				return
			}
			meta := pkt.Meta
			back := linktest.UDP6(l.Pool, [16]byte(b[24:40]), [16]byte(b[8:24]), 7, uint16(b[40])<<8|uint16(b[41]), b[48:])
			back.GSO, back.GSOSize, back.GSOSegs = pkt.GSO, pkt.GSOSize, pkt.GSOSegs
			pkt.Consume()
			linktest.Send(dev, back, wire.MAC{})
			echoed <- meta
		})
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i / 7)
		}
		got := make([]byte, 2000)
		n := 0
		// The host accepts packets to a new address only after some time of its own.
		for try := 0; n == 0 && try < 100; try++ {
			_, err = c.WriteTo(want, &net.UDPAddr{IP: net.ParseIP("fd09::2"), Port: 7})
			hosttest.Must(t, err)
			if m := <-echoed; size > 1000 && (m.GSO != packet.GSOUDP || m.GSOSize != 1000 || m.GSOSegs != 3) {
				t.Errorf("GSO %d, %d segments of %d, want UDP, 3 of 1000", m.GSO, m.GSOSegs, m.GSOSize)
			}
			c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			n, err = c.Read(got)
		}
		for off := 0; off < size; off += 1000 {
			if off > 0 {
				c.SetReadDeadline(time.Now().Add(10 * time.Second))
				n, err = c.Read(got)
			}
			hosttest.Must(t, err)
			if !bytes.Equal(got[:n], want[off:min(off+1000, size)]) {
				t.Errorf("datagram at %d came back changed, %d bytes", off, n)
			}
		}
	})
}

// TestAttach: descriptors that somebody else opened, and may close.
func TestAttach(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		r := linktest.Load(t, l, tun.Module)
		attach := linktest.SymbolOf[link.AttachFunc](t, r, "tun", link.TUNAttachSymbol)
		host, err := tunfd.Open(tunfd.Config{Name: "outer0", VnetHdr: true})
		hosttest.Must(t, err)
		dev, err := attach(link.AttachConfig{Name: "in0", Files: host.Files, VNetHdrLen: host.VnetHdrLen})
		hosttest.Must(t, err)
		hosttest.Must(t, host.Close())
		linktest.Up(t, dev)
		hosttest.Configure(t, "outer0", dev)
		hosttest.Exchange(t, hosttest.NewPeer(t, dev, nil))
		hosttest.Must(t, l.Delete(dev))
		if _, err := netlink.LinkByName("outer0"); err == nil {
			t.Error("the host's interface stays after Delete")
		}
	})
}

func TestAttachRefuses(t *testing.T) {
	l := linktest.New(t)
	r := linktest.Load(t, l, tun.Module)
	attach := linktest.SymbolOf[link.AttachFunc](t, r, "tun", link.TUNAttachSymbol)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		cfg  link.AttachConfig
		want string
	}{
		{link.AttachConfig{Name: "a"}, "want 1 to 128"},
		{link.AttachConfig{Name: "a", Files: []*os.File{null}, VNetHdrLen: 11}, "want 0, 10 or 12"},
		{link.AttachConfig{Name: "a", Files: []*os.File{null}, Features: link.TSO4}, "need the virtio-net header"},
	} {
		if _, err := attach(c.cfg); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
	if _, err := attach(link.AttachConfig{Name: "a b", Files: []*os.File{null}}); err == nil {
		t.Error("bad name accepted")
	}
}

// TestDownAndUp: a device that is down reads nothing and has no goroutine, and its
// host's interface has no carrier; up again it goes on.
func TestDownAndUp(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		linktest.Load(t, l, tun.Module)
		dev := hosttest.Create(t, l, "tun", "knit0", map[string]string{"queues": "2"})
		hosttest.Configure(t, "knit0", dev)
		p := hosttest.NewPeer(t, dev, nil)
		c := hosttest.Listen(t)
		for i := range 5 {
			linktest.Up(t, dev)
			payload := make([]byte, 10+i)
			send := func() { c.WriteTo(payload, &net.UDPAddr{IP: hosttest.Knit(), Port: 7}) }
			p.Request(send, wire.ProtoUDP, func(q hosttest.Packet) bool { return len(q.Bytes) == 28+len(payload) })
			hosttest.Must(t, dev.SetUp(false))
		}
		iface, err := netlink.LinkByName("knit0")
		hosttest.Must(t, err)
		if iface.Attrs().OperState == netlink.OperUp {
			t.Error("the host's interface has a carrier while the device is down")
		}
	})
}

// TestHostInterface: what happens to one side shows on the other.
func TestHostInterface(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		linktest.Load(t, l, tun.Module)
		dev := hosttest.Create(t, l, "tun", "in0", map[string]string{"host": "out0", "queues": "2"})
		if want := "tun type tun pi off vnet_hdr on multi_queue numqueues 2 numdisabled 0 persist off host out0"; dev.Detail() != want {
			t.Errorf("detail %q, want %q", dev.Detail(), want)
		}
		hosttest.Must(t, dev.SetMTU(1400))
		iface, err := netlink.LinkByName("out0")
		hosttest.Must(t, err)
		if mtu := iface.Attrs().MTU; mtu != 1400 {
			t.Errorf("host's MTU %d after SetMTU(1400)", mtu)
		}
		linktest.Up(t, dev)
		// Linux refuses what a TUN whose interface is down is given.
		linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{})
		if n := l.Pool.Drops.Load(stat.DevReady); n != 1 || dev.Tx().Dropped.Load() != 1 {
			t.Errorf("%d dropped for DEV_READY while the host's interface is down, want 1", n)
		}
		lost := make(chan struct{})
		undo := l.Watch(func(e link.Event) {
			if e.Kind == link.Changed && e.Device.Flags()&link.LowerUp == 0 {
				close(lost)
			}
		})
		defer undo()
		hosttest.Must(t, netlink.LinkDel(iface))
		select {
		case <-lost:
		case <-time.After(10 * time.Second):
			t.Error("the device keeps its carrier when the host's interface is deleted")
		}
	})
}

// TestDeletedWhileDown: an interface that was deleted while nobody was reading is
// missed as soon as somebody is.
func TestDeletedWhileDown(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		linktest.Load(t, l, tun.Module)
		dev := hosttest.Create(t, l, "tun", "in0", map[string]string{"host": "out0"})
		linktest.Up(t, dev)
		hosttest.Must(t, dev.SetUp(false))
		iface, err := netlink.LinkByName("out0")
		hosttest.Must(t, err)
		hosttest.Must(t, netlink.LinkDel(iface))
		lost := make(chan struct{})
		defer l.Watch(func(e link.Event) {
			if e.Kind == link.Changed {
				close(lost)
			}
		})()
		linktest.Up(t, dev)
		select {
		case <-lost:
		case <-time.After(10 * time.Second):
			t.Error("the device keeps its carrier though the host's interface is gone")
		}
	})
}

// TestUnderLoadAndDelete: the device goes while many send and the host floods it.
func TestUnderLoadAndDelete(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		linktest.Load(t, l, tun.Module)
		linktest.Handle(t, l, wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) { pkt.Consume() })
		c := []*net.UDPConn(nil)
		for range 5 {
			dev := hosttest.Create(t, l, "tun", "knit0", map[string]string{"queues": "2"})
			linktest.Up(t, dev)
			hosttest.Configure(t, "knit0", dev)
			if c == nil {
				c = append(c, hosttest.Listen(t))
			}
			var wg sync.WaitGroup
			stop := make(chan struct{})
			for port := range uint16(3) {
				wg.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
							linktest.Send(dev, linktest.UDP4(l.Pool, port, 2, make([]byte, i%1400)), wire.MAC{})
						}
					}
				})
			}
			wg.Go(func() {
				for range 500 {
					c[0].WriteTo(make([]byte, 1000), &net.UDPAddr{IP: hosttest.Knit(), Port: 7})
				}
				close(stop)
			})
			hosttest.Must(t, l.Delete(dev))
			wg.Wait()
		}
	})
}

func TestUnload(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		r := linktest.Load(t, l, tun.Module, "queues=2")
		dev := hosttest.Create(t, l, "tun", "", nil)
		linktest.Up(t, dev)
		if err := r.Unload(context.Background(), "tun"); !errors.Is(err, module.ErrInUse) {
			t.Errorf("unload with a device up: %v", err)
		}
		dev.SetUp(false)
		hosttest.Must(t, r.Unload(context.Background(), "tun"))
		if _, err := netlink.LinkByName("tun0"); err == nil || len(l.Devices()) != 0 {
			t.Error("a device stays after unload")
		}
	})
}

// TestFailureLeavesTheHostAlone: a device whose name is taken here leaves no persistent
// interface on the host.
func TestFailureLeavesTheHostAlone(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		linktest.Load(t, l, tun.Module)
		hosttest.Create(t, l, "tun", "knit0", nil)
		_, err := l.Create("tun", "knit0", map[string]string{"host": "out0", "persist": "on", "queues": "2"})
		if !errors.Is(err, link.ErrExists) {
			t.Errorf("a name that is taken: %v", err)
		}
		if _, err := netlink.LinkByName("out0"); err == nil {
			t.Error("an interface of the host stays")
		}
	})
}

// TestClear: a TUN that cannot be opened says why in one line, and nothing stays.
func TestClear(t *testing.T) {
	l := linktest.New(t)
	linktest.Load(t, l, tun.Module, "path=/nonexistent/tun")
	_, err := l.Create("tun", "tun0", nil)
	if !errors.Is(err, unix.ENOENT) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "modprobe tun") {
		t.Errorf("no clone device: %v", err)
	}
	if _, err := l.Create("tun", "tun0", map[string]string{"queues": "0"}); err == nil || !strings.Contains(err.Error(), "want 1 to 128") {
		t.Errorf("no queues: %v", err)
	}
	if _, err := l.Create("tun", "tun0", map[string]string{"peer": "x"}); err == nil || !strings.Contains(err.Error(), "want host, vnet_hdr, queues, persist") {
		t.Errorf("unknown option: %v", err)
	}
	if len(l.Devices()) != 0 {
		t.Errorf("left over: %v", l.Devices())
	}
}

func TestSendDoesNotAllocate(t *testing.T) {
	hosttest.Namespace(t, func(t *testing.T) {
		l := linktest.New(t)
		linktest.Load(t, l, tun.Module)
		dev := hosttest.Create(t, l, "tun", "knit0", nil)
		linktest.Up(t, dev)
		hosttest.Configure(t, "knit0", dev)
		var q packet.Queue
		payload := make([]byte, 1000)
		linktest.Allocs(t, func() {
			q.Push(linktest.UDP4(l.Pool, 1, 2, payload))
			dev.Transmit(&q)
		})
	})
}
