package ip4_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/tun"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/icmp4"
	"github.com/knitnet/knit/network/igmp"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/wire"
)

// A linux is the host's stack in a network namespace of its own, on a thread that
// ends with the test, and the namespace with it.
type linux struct {
	t    *testing.T
	jobs chan func()
}

func newLinux(t *testing.T) *linux {
	t.Helper()
	l := &linux{t: t, jobs: make(chan func())}
	ready, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range l.jobs {
			f()
		}
	}()
	t.Cleanup(func() { close(l.jobs); <-done })
	if err := <-ready; err != nil {
		t.Skipf("cannot make a network namespace: %v (needs CAP_SYS_ADMIN)", err)
	}
	l.run("ip link set lo up")
	return l
}

// do runs f on the namespace's thread.
func (l *linux) do(f func()) {
	done := make(chan struct{})
	l.jobs <- func() { defer close(done); f() }
	<-done
}

func (l *linux) output(format string, args ...any) (out string, err error) {
	words := strings.Fields(fmt.Sprintf(format, args...))
	l.do(func() {
		var b []byte
		b, err = exec.Command(words[0], words[1:]...).CombinedOutput()
		out = string(b)
	})
	return out, err
}

func (l *linux) run(format string, args ...any) string {
	l.t.Helper()
	out, err := l.output(format, args...)
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", fmt.Sprintf(format, args...), err, out)
	}
	return out
}

// connect makes a TUN between h and l with addresses and l's default route.
func (l *linux) connect(h *hosttest.Host, name, offload, ours, theirs string) *link.Device {
	l.t.Helper()
	var dev *link.Device
	var err error
	l.do(func() { dev, err = h.Link.Create("tun", name, map[string]string{"vnet_hdr": offload}) })
	if err != nil {
		l.t.Skipf("cannot make a TUN: %v", err)
	}
	l.t.Cleanup(func() { h.Link.Delete(dev) })
	l.run("ip addr add %s/24 dev %s", theirs, name)
	l.run("ip link set %s up", name)
	l.run("ip route add default via %s", ours)
	h.Addr(l.t, dev, ours+"/24")
	if err := dev.SetUp(true); err != nil {
		l.t.Fatal(err)
	}
	return dev
}

// twoLinuxes returns a router with a Linux at each side: 10.9.0.1 and 10.9.1.1.
func twoLinuxes(t *testing.T, offload string) (h *hosttest.Host, left, right *linux, in, out *link.Device) {
	t.Helper()
	for _, tool := range []string{"ip", "ping"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on this machine: %v", tool, err)
		}
	}
	leak.Check(t)
	left, right = newLinux(t), newLinux(t)
	c := clock.NewReal()
	t.Cleanup(c.Close)
	h = hosttest.NewAt(t, c, tun.Module, ip4.Module, icmp4.Module, igmp.Module)
	in = left.connect(h, "left", offload, "10.9.0.2", "10.9.0.1")
	out = right.connect(h, "right", offload, "10.9.1.2", "10.9.1.1")
	h.Set(t, "net.ipv4.ip_forward", "1")
	return h, left, right, in, out
}

// TestLinux: this host as peer and as router of Linux.
func TestLinux(t *testing.T) {
	for _, offload := range []string{"on", "off"} {
		t.Run("offload "+offload, func(t *testing.T) {
			h, left, _, in, out := twoLinuxes(t, offload)
			check := capture(left, "left")
			pings(h, left, "10.9.0.2") // this host
			pings(h, left, "10.9.1.1") // through it
			h.Net.Link.Device(out.Index()).SetMTU(1280)
			pings(h, left, "10.9.1.1") // fragmented on the way, and put together
			pathMTU(left)
			recorded(left)
			traceroute(h, left)
			unreachable(h, left)
			pingLinux(t, h, in)
			check()
		})
	}
}

// pings: in all sizes, and this host drops nothing. With a deadline ping waits for
// the last answer; without, it calls one lost that is later than twice the others.
func pings(h *hosttest.Host, l *linux, dst string) {
	l.t.Helper()
	defer func() {
		for _, d := range h.Pool.Drops.List() {
			if !strings.HasSuffix(d.Reason, "_UNHANDLED_PROTO") { // Linux asks for IPv6 routers
				l.t.Errorf("pings of %s: %d packets were dropped for %s", dst, d.Count, d.Reason)
			}
		}
	}()
	for _, size := range []int{0, 8, 56, 1252, 1472, 1473, 4000, 65507} {
		l.run("ping -n -M dont -c 5 -i 0.01 -w 20 -s %d %s", size, dst) // fails if fewer than 5 are answered
	}
}

// pathMTU: Linux learns the MTU behind this router (RFC 1191).
func pathMTU(l *linux) {
	l.t.Helper()
	out, _ := l.output("ping -n -M do -c 2 -i 0.01 -W 1 -s 1400 10.9.1.1")
	if !strings.Contains(out, "mtu = 1280") && !strings.Contains(out, "mtu=1280") {
		l.t.Errorf("ping -M do:\n%s", out)
	}
}

// recorded: this router is in the record route option both ways.
func recorded(l *linux) {
	l.t.Helper()
	out := l.run("ping -n -R -c 1 -w 20 10.9.1.1")
	var hops []string
	for _, w := range strings.Fields(out) {
		if a, err := netip.ParseAddr(w); err == nil {
			hops = append(hops, a.String())
		}
	}
	got := strings.Join(hops, " ")
	if !strings.Contains(got, "10.9.1.2 10.9.1.1") || !strings.Contains(got, "10.9.0.2") {
		l.t.Errorf("ping -R:\n%s", out)
	}
}

func traceroute(h *hosttest.Host, l *linux) {
	l.t.Helper()
	if _, err := exec.LookPath("traceroute"); err != nil {
		l.t.Logf("traceroute is not tested: %v", err)
		return
	}
	for _, how := range []string{"", "-I"} {
		out := l.run("traceroute -n %s -w 20 -q 1 -m 4 10.9.1.1", how)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 3 || !strings.Contains(lines[1], "10.9.0.2") || !strings.Contains(lines[2], "10.9.1.1") {
			l.t.Errorf("traceroute %s:\n%s\nwith drops %v", how, out, h.Pool.Drops.List())
		}
	}
}

// unreachable: what Linux shows of errors that this router sends.
func unreachable(h *hosttest.Host, l *linux) {
	l.t.Helper()
	out, err := l.output("ping -n -c 1 -W 2 192.0.2.1")
	if err == nil || !strings.Contains(out, "From 10.9.0.2") || !strings.Contains(out, "Destination Net Unreachable") {
		l.t.Errorf("ping without a route:\n%s", out)
	}
	if n := h.Stat(l.t, "IpExt", "InCsumErrors") + h.Stat(l.t, "Icmp", "InCsumErrors"); n != 0 {
		l.t.Errorf("%d checksums of Linux count as wrong", n)
	}
}

// pingLinux: Linux answers this host.
func pingLinux(t *testing.T, h *hosttest.Host, dev *link.Device) {
	t.Helper()
	var sizes [65536]atomic.Bool
	defer h.Net.SetRaw(network.V4, wire.ProtoICMP, replies(func(pkt *packet.Packet) { sizes[pkt.Len()].Store(true) }))()
	for _, n := range []int{0, 56, 1472, 1473, 65507} {
		m := make([]byte, wire.ICMPLen+n)
		wire.PutICMP4(m, wire.ICMP4Echo, 0, wire.ICMPEchoRest(1, uint16(n)))
		copy(m[wire.ICMPLen:], payload(n))
		wire.FinishICMP4(m)
		h.Send(t, network.Send{Proto: wire.ProtoICMP}, "10.9.0.1", m)
		tick := time.NewTicker(5 * time.Millisecond)
		for end := time.Now().Add(20 * time.Second); !sizes[len(m)].Load(); <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("Linux does not answer %d bytes; %d packets came in by %s", n, dev.Rx().Packets.Load(), dev.Name())
			}
		}
		tick.Stop()
	}
}

type replies func(*packet.Packet)

func (f replies) RawInput(_ network.Version, pkt *packet.Packet) bool {
	if pkt.Ensure(wire.ICMPLen) && pkt.Head()[0] == wire.ICMP4EchoReply {
		f(pkt)
	}
	return true
}
func (f replies) RawError(*network.Error) {}

// capture records what goes over a device; the function it returns fails the test
// if tshark finds something malformed in it, or a wrong checksum.
func capture(l *linux, dev string) (check func()) {
	l.t.Helper()
	for _, tool := range []string{"tcpdump", "tshark"} {
		if _, err := exec.LookPath(tool); err != nil {
			l.t.Logf("the packets are not checked: %v", err)
			return func() {}
		}
	}
	file := l.t.TempDir() + "/left.pcap"
	cmd := exec.Command("tcpdump", "-i", dev, "-U", "--immediate-mode", "-Q", "in", "-w", file)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		l.do(func() { err = cmd.Start() })
	}
	if err != nil {
		l.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for text := ""; !strings.Contains(text, "listening on"); { // tcpdump is ready
		n, err := stderr.Read(buf)
		if err != nil {
			l.t.Fatalf("tcpdump: %v: %s", err, text)
		}
		text += string(buf[:n])
	}
	return func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		const filter = `_ws.malformed || ip.checksum.status == "Bad" || icmp.checksum.status == "Bad" || udp.checksum.status == "Bad"`
		out, err := exec.Command("tshark", "-r", file, "-o", "ip.check_checksum:TRUE", "-Y", filter).Output()
		if err != nil {
			l.t.Errorf("tshark: %v", err)
		}
		if len(out) > 0 {
			l.t.Errorf("tshark complains of\n%s", out)
		}
		n, _ := exec.Command("tshark", "-r", file).Output()
		if strings.Count(string(n), "\n") < 100 {
			l.t.Errorf("tcpdump has only seen\n%s", n)
		}
	}
}
