//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/internal/tunfd"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
)

// insideVar is set in the process that TestMain has started in a namespace.
const insideVar = "KNIT_E2E_INSIDE"

// TestMain enters a user namespace when it is not root, and says so when the
// machine forbids that.
func TestMain(m *testing.M) {
	if os.Getenv(insideVar) != "" {
		// What the tests call the host's loopback is this namespace's.
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "e2e: lo up: %v\n", err)
			os.Exit(1)
		}
	}
	if os.Geteuid() == 0 {
		os.Exit(m.Run())
	}
	os.Setenv(insideVar, "1")
	unshare := func(args ...string) *exec.Cmd {
		return exec.Command("unshare", append([]string{"--user", "--net", "--map-root-user"}, args...)...)
	}
	if out, err := unshare("true").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: run as root, or where unshare --user --net works: %v: %s\n", err, out)
		os.Exit(1)
	}
	cmd := unshare(os.Args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if cmd.Run() != nil {
		os.Exit(1) // the tests have said why
	}
}

// A host is a network namespace with one interface, whose other end is a device of
// a kernel.
type host struct {
	t      *testing.T
	ns     string // path of the namespace
	device *link.Device
	v4, v6 netip.Addr // of the host
	gw4    netip.Addr // of the kernel
	gw6    netip.Addr
}

// startKernel returns a kernel with modules, closed and checked for leaks at the end.
func startKernel(t *testing.T, modules ...string) *knit.Kernel {
	t.Helper()
	leak.Check(t)
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	leak.Zero(t, "buffers", k.Pool.LiveBufs)
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, m := range append([]string{"ip4", "ip6", "tap", "tun"}, modules...) {
		if err := k.Modprobe(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// newHost makes namespace number n: the kernel is 10.n.0.1 and fd00:n::1, the host
// .2 and ::2, over a tun, a tap, or a veth pair with a packet socket on its far end.
func newHost(t *testing.T, k *knit.Kernel, n int, kind string) *host {
	t.Helper()
	h := &host{
		t:   t,
		gw4: netip.AddrFrom4([4]byte{10, byte(n), 0, 1}), v4: netip.AddrFrom4([4]byte{10, byte(n), 0, 2}),
		gw6: netip.MustParseAddr(fmt.Sprintf("fd00:%d::1", n)), v6: netip.MustParseAddr(fmt.Sprintf("fd00:%d::2", n)),
	}
	fd := h.makeNamespace(kind)
	defer fd.Close()
	symbol, name := link.TAPAttachSymbol, "tap%d"
	if kind == "tun" {
		symbol, name = link.TUNAttachSymbol, "tun%d"
	}
	attach, ok := module.Find[link.AttachFunc](k.Modules, symbol)
	if !ok {
		t.Fatalf("no module exports %s", symbol)
	}
	dev, err := attach(link.AttachConfig{Name: name, Files: fd.Files, VNetHdrLen: fd.VnetHdrLen})
	if err != nil {
		t.Fatal(err)
	}
	h.device = dev
	for _, p := range []netip.Prefix{netip.PrefixFrom(h.gw4, 24), netip.PrefixFrom(h.gw6, 64)} {
		if err := k.Network.AddAddr(dev, network.Addr{Prefix: p, Flags: network.NoDAD}); err != nil {
			t.Fatal(err)
		}
	}
	if err := dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	return h
}

// makeNamespace makes the namespace and its interface.
func (h *host) makeNamespace(kind string) (dev *tunfd.Device) {
	h.t.Helper()
	if err := h.enter(func() (err error) { dev, err = h.configure(kind); return err }); err != nil {
		h.t.Fatal(err)
	}
	return dev
}

// enter makes the namespace on a thread of its own, which lives until the test ends,
// and runs f inside.
func (h *host) enter(f func() error) error {
	made, end := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the namespace goes with the thread
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- fmt.Errorf("this machine does not let the test make a network namespace: %w", err)
			return
		}
		h.ns = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		made <- f()
		<-end
	}()
	h.t.Cleanup(func() { close(end) })
	return <-made
}

// configure runs inside the namespace.
func (h *host) configure(kind string) (*tunfd.Device, error) {
	dev, err := openDevice(kind)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"lo", "eth0"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return nil, err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return nil, err
		}
		if name == "lo" {
			continue
		}
		for _, a := range []string{h.v4.String() + "/24", h.v6.String() + "/64"} {
			addr, err := netlink.ParseAddr(a)
			if err != nil {
				return nil, err
			}
			addr.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(l, addr); err != nil {
				return nil, err
			}
		}
		for _, gw := range []netip.Addr{h.gw4, h.gw6} {
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: gw.AsSlice()}); err != nil {
				return nil, err
			}
		}
	}
	return dev, nil
}

// openDevice makes the interface eth0.
func openDevice(kind string) (*tunfd.Device, error) {
	if kind != "veth" {
		return tunfd.Open(tunfd.Config{Name: "eth0", TAP: kind == "tap", VnetHdr: true})
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "far0"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0"}); err != nil {
		return nil, err
	}
	far, err := netlink.LinkByName("far0")
	if err != nil {
		return nil, err
	}
	// Else Linux itself would speak on the far end.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/far0/disable_ipv6", []byte("1"), 0); err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(far); err != nil {
		return nil, err
	}
	fd, err := packetSocket(far.Attrs().Index)
	if err != nil {
		return nil, err
	}
	return &tunfd.Device{Name: "far0", Files: []*os.File{os.NewFile(uintptr(fd), "packet")}, VnetHdrLen: tunfd.VnetHdrLen}, nil
}

// packetSocket returns a packet socket with virtio-net headers (packet(7)).
func packetSocket(index int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	promisc := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promisc),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}),
	)
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// command prepares a program inside the namespace. It is killed when ctx or the
// test ends.
func (h *host) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + h.ns, name}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// limit is how long one program may take; only a hang reaches it.
const limit = 2 * time.Minute

// run runs a program to its end and returns what it printed. It fails the test when
// the program does.
func (h *host) run(name string, args ...string) string {
	h.t.Helper()
	out, err := h.try(name, args...)
	if err != nil {
		h.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (h *host) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := h.command(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// start runs a server until the test ends, and waits until it prints ready.
func (h *host) start(ready, name string, args ...string) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := h.command(ctx, name, args...)
	w := &watcher{want: ready, seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		cancel()
		h.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	h.t.Cleanup(func() { cancel(); <-exited })
	select {
	case <-w.seen:
	case <-exited:
		h.t.Fatalf("%s ended: %s", name, w.out.String())
	case <-time.After(limit):
		h.t.Fatalf("%s never printed %q: %s", name, ready, w.out.String())
	}
}

// A watcher waits for a text in a program's output.
type watcher struct {
	want string
	out  bytes.Buffer
	seen chan struct{}
	done bool
}

func (w *watcher) Write(b []byte) (int, error) {
	w.out.Write(b)
	if !w.done && strings.Contains(w.out.String(), w.want) {
		w.done = true
		close(w.seen)
	}
	return len(b), nil
}
