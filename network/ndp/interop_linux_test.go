package ndp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	"github.com/knitnet/knit/link/loopback"
	"github.com/knitnet/knit/link/tap"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/icmp6"
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/network/ip6"
	"github.com/knitnet/knit/network/mld"
	"github.com/knitnet/knit/network/ndp"
	"github.com/knitnet/knit/wire"
)

// A linux is the host's stack in a network namespace of its own, which ends with
// the test's thread.
type linux struct{ t *testing.T }

func newLinux(t *testing.T) linux {
	t.Helper()
	for _, tool := range []string{"ip", "ping"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on this machine: %v", tool, err)
		}
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine, and its namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make a network namespace: %v (needs CAP_SYS_ADMIN)", err)
	}
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	h := linux{t}
	h.run("ip link set lo up")
	return h
}

// output runs a command and returns what it prints; it may fail.
func (h linux) output(format string, args ...any) (string, error) {
	words := strings.Fields(fmt.Sprintf(format, args...))
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	return string(out), err
}

func (h linux) run(format string, args ...any) string {
	h.t.Helper()
	out, err := h.output(format, args...)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", fmt.Sprintf(format, args...), err, out)
	}
	return out
}

// patience bounds a wait of a test that fails.
const patience = 20 * time.Second

// eventually waits until ok is true.
func (h linux) eventually(what string, ok func() bool) {
	h.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			addrs, _ := h.output("ip -6 addr")
			h.t.Fatalf("%s: not within %v; the host has\n%s", what, patience, addrs)
		}
	}
}

// shows waits until the output of a command matches.
func (h linux) shows(command, pattern string) string {
	h.t.Helper()
	re := regexp.MustCompile(pattern)
	var out string
	h.eventually(command+" shows "+pattern, func() bool {
		out, _ = h.output("%s", command)
		return re.MatchString(out)
	})
	return out
}

// replies counts echo replies, as a ping socket does.
type replies struct{ n atomic.Int64 }

func (r *replies) RawInput(_ network.Version, pkt *packet.Packet) bool {
	if pkt.Ensure(wire.ICMPLen) && pkt.Head()[0] == wire.ICMP6EchoReply {
		r.n.Add(1)
	}
	return true
}

func (r *replies) RawError(*network.Error) {}

// TestLinux: this host and Linux find each other, ping each other in all sizes, see
// each other's addresses as duplicates, and Linux configures itself by what this
// host advertises. tshark, if it is there, finds nothing malformed in all of it.
func TestLinux(t *testing.T) {
	t.Run("offload", func(t *testing.T) {
		h, k, dev := meetLinux(t, "on")
		linuxPings(h, k, dev)
		pingLinux(h, k)
	})
	t.Run("finished frames", func(t *testing.T) {
		h, k, dev := meetLinux(t, "off")
		check := capture(h)
		linuxPings(h, k, dev)
		pingLinux(h, k)
		duplicates(h, k, dev)
		linuxConfiguresItself(h, k, dev)
		check()
	})
}

// meetLinux joins a kernel and Linux by a TAP and waits until both have link-local
// addresses.
func meetLinux(t *testing.T, offload string) (linux, *ip6test.Kernel, *link.Device) {
	t.Helper()
	leak.Check(t)
	h := newLinux(t)
	c := clock.NewReal()
	t.Cleanup(c.Close)
	k := ip6test.New(t, c, loopback.Module, tap.Module, ip6.Module, icmp6.Module, ndp.Module, mld.Module)
	dev, err := k.Link.Create("tap", "knit0", map[string]string{"vnet_hdr": offload})
	if err != nil {
		t.Skipf("cannot make a TAP: %v", err)
	}
	t.Cleanup(func() { k.Link.Delete(dev) })
	k.Set("net.ipv6.conf.knit0.router_solicitation_delay", "0")
	h.run("ip link set knit0 up")
	if err := dev.SetUp(true); err != nil {
		t.Fatal(err)
	}
	h.eventually("our link-local address is usable", func() bool {
		as := k.Net.Addrs(dev.Index())
		return len(as) > 0 && as[0].Usable()
	})
	h.shows("ip -6 addr show dev knit0", `inet6 fe80::.* scope link\s*\n\s+valid`)
	return h, k, dev
}

// linuxPings: Linux pings us: unicast, link-local and multicast, small, fragmented
// and the largest there is.
func linuxPings(h linux, k *ip6test.Kernel, dev *link.Device) {
	h.run("ip -6 addr add fd00::2/64 dev knit0 nodad")
	k.Addr(dev, "fd00::1/64")
	h.eventually("fd00::1 is usable", func() bool { return k.Find(dev, "fd00::1").Usable() })
	for _, size := range []int{0, 8, 56, 1452, 1453, 4000, 65000, 65507} {
		// Without -w ping waits for the last answers two round trips only, which a busy
		// machine can take longer for.
		out := h.run("ping -6 -n -c 5 -i 0.01 -w 20 -s %d fd00::1", size)
		if !strings.Contains(out, "5 received") {
			h.t.Errorf("ping -s %d:\n%s", size, out)
		}
	}
	h.run("ping -6 -n -c 2 -i 0.01 -W 5 %v%%knit0", k.LinkLocal(dev))
	out := h.run("ping -6 -n -c 2 -i 0.2 -W 5 ff02::1%%knit0")
	if !strings.Contains(out, "from "+k.LinkLocal(dev).String()) {
		h.t.Errorf("ping ff02::1 is not answered by %v:\n%s", k.LinkLocal(dev), out)
	}
	if out, err := h.output("ping -6 -n -c 1 -W 5 -t 1 fd00:1::1"); err == nil {
		h.t.Errorf("a network without a route answers:\n%s", out)
	}
}

// pingLinux: we ping Linux.
func pingLinux(h linux, k *ip6test.Kernel) {
	var r replies
	defer k.Net.SetRaw(network.V6, wire.ProtoICMPv6, &r)()
	const n = 100
	for i := range n {
		b := make([]byte, wire.ICMPLen+30*i)
		wire.PutICMP6(b, wire.ICMP6Echo, 0, wire.ICMPEchoRest(7, uint16(i)))
		wire.FinishICMP6(b, netip.MustParseAddr("fd00::1").As16(), netip.MustParseAddr("fd00::2").As16())
		k.Send(network.Flow{Dst: netip.MustParseAddr("fd00::2")}, network.Send{Proto: wire.ProtoICMPv6}, b)
	}
	h.eventually("100 replies", func() bool { return r.n.Load() == n })
}

// duplicates: each side finds out that the other one has an address already.
func duplicates(h linux, k *ip6test.Kernel, dev *link.Device) {
	k.Addr(dev, "fd00::2/64")
	h.eventually("we see that fd00::2 is taken", func() bool {
		return k.Find(dev, "fd00::2").Flags&network.DADFailed != 0
	})
	found := false
	for _, e := range k.Log.Since(0) {
		found = found || strings.Contains(e.Text, "knit0: IPv6 duplicate address fd00::2 detected!")
	}
	if !found {
		h.t.Error("dmesg does not tell of it")
	}
	if err := k.Net.DelAddr(dev, netip.MustParsePrefix("fd00::2/64")); err != nil {
		h.t.Error(err)
	}
	h.run("ip -6 addr add fd00::1/64 dev knit0")
	h.shows("ip -6 addr show dev knit0", `fd00::1/64 scope global (tentative dadfailed|dadfailed tentative)`)
	h.run("ip -6 addr del fd00::1/64 dev knit0")
}

// linuxConfiguresItself by what we advertise.
func linuxConfiguresItself(h linux, k *ip6test.Kernel, dev *link.Device) {
	k.Addr(dev, "2001:db8:7::1/64")
	k.Set("net.ipv6.conf.knit0.ra_rdnss", "2001:db8:7::1")
	k.Set("net.ipv6.conf.knit0.send_ra", "1")
	out := h.shows("ip -6 addr show dev knit0 dynamic", `inet6 2001:db8:7:0?:.*/64 scope global .*dynamic[^\n]*\n\s+valid_lft 259\d{4}sec preferred_lft 60\d{4}sec`)
	addr := regexp.MustCompile(`2001:db8:7:[0-9a-f:]+`).FindString(out)
	h.shows("ip -6 addr show dev knit0", regexp.QuoteMeta(addr)+`/64 scope global (dynamic|mngtmpaddr|noprefixroute| )*\n`)
	h.shows("ip -6 route", `default via `+k.LinkLocal(dev).String()+` dev knit0 proto ra`)
	var r replies
	defer k.Net.SetRaw(network.V6, wire.ProtoICMPv6, &r)()
	dst := netip.MustParseAddr(addr)
	b := make([]byte, wire.ICMPLen)
	wire.PutICMP6(b, wire.ICMP6Echo, 0, wire.ICMPEchoRest(8, 1))
	wire.FinishICMP6(b, netip.MustParseAddr("2001:db8:7::1").As16(), dst.As16())
	h.eventually("the new address answers", func() bool {
		k.Send(network.Flow{Dst: dst, Src: netip.MustParseAddr("2001:db8:7::1")}, network.Send{Proto: wire.ProtoICMPv6}, b)
		return r.n.Load() > 0
	})
	k.Set("net.ipv6.conf.knit0.send_ra", "0")
	h.eventually("the default route goes with its router", func() bool {
		out, _ := h.output("ip -6 route")
		return !strings.Contains(out, "default")
	})
}

// capture records what passes and returns a function that lets tshark judge it.
func capture(h linux) (check func()) {
	tshark, err1 := exec.LookPath("tshark")
	tcpdump, err2 := exec.LookPath("tcpdump")
	if err1 != nil || err2 != nil {
		h.t.Logf("no tshark or tcpdump here: what passes is not judged (%v, %v)", err1, err2)
		return func() {}
	}
	file := filepath.Join(h.t.TempDir(), "knit.pcap")
	cmd := exec.Command(tcpdump, "-i", "knit0", "-U", "-w", file, "-Z", "root")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	buf := make([]byte, 1024)
	for said := ""; !strings.Contains(said, "listening on"); {
		n, err := stderr.Read(buf)
		if said += string(buf[:n]); err != nil {
			h.t.Fatalf("tcpdump: %s", said)
		}
	}
	return func() {
		cmd.Process.Signal(os.Interrupt)
		for n, err := 1, error(nil); n > 0 && err == nil; {
			n, err = stderr.Read(buf)
		}
		cmd.Wait()
		out, err := exec.Command(tshark, "-r", file, "-o", "ipv6.defragment:TRUE",
			"-Y", `_ws.malformed || _ws.expert.severity == "Error" || icmpv6.checksum.status == "Bad"`, "-V").Output()
		if err != nil {
			h.t.Errorf("tshark: %v", err)
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				h.t.Logf("%s", exit.Stderr)
			}
		}
		if len(out) > 0 {
			h.t.Errorf("tshark complains about\n%.4000s", out)
		}
	}
}
