//go:build linux

package nft_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/wire"
)

// inNamespace is set in the copy of the test that has a network namespace of its own.
const inNamespace = "NFT_TEST_NAMESPACE"

// judged runs a test in a network namespace of its own, where Linux can be asked, or
// skips it with the reason.
func judged(t *testing.T, test func(t *testing.T, linux *judge)) {
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	for _, tool := range []string{"nft", "ip", "sysctl", "conntrack"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s, which the judge needs, is not installed", tool)
		}
	}
	if os.Getenv(inNamespace) != "" {
		test(t, newJudge(t))
		return
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("%s", out)
	}
}

// Both sides are a router with two devices that carry IP packets, and one that
// carries Ethernet frames.
var (
	ports     = []string{"tun0", "tun1", "tap0"}
	portAddrs = [][]string{{"10.0.0.1/24", "fd00::1/64"}, {"10.1.0.1/24", "fd01::1/64"}, {"10.2.0.1/24", "fd02::1/64"}}
	tapMAC    = wire.MAC{2, 0, 0, 0, 0, 1}
)

// A side is Linux or knit.
type side interface {
	// send lets a packet come in by a port.
	send(port int, b []byte)
	// sent returns the packets that went out since the last call, each as `PORT HEX`.
	sent() []string
	// nft runs commands.
	nft(text string) (string, error)
	// wait lets time pass.
	wait(d time.Duration)
}

// A judge is Linux in the test's namespace.
type judge struct {
	t     *testing.T
	files []int
}

func newJudge(t *testing.T) *judge {
	j := &judge{t: t}
	for _, name := range ports {
		j.open(name)
	}
	run := func(line string) {
		w := strings.Fields(line)
		if out, err := exec.Command(w[0], w[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", line, err, out)
		}
	}
	run("ip link set lo up")
	run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0" +
		" net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0" +
		" net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.default.accept_ra=0 net.netfilter.nf_conntrack_tcp_loose=1")
	_ = exec.Command("sysctl", "-qw", "net.ipv4.icmp_msgs_per_sec=1000000", "net.ipv4.icmp_msgs_burst=1000000").Run() // if it is the namespace's
	run("ip link set tap0 address " + tapMAC.String())
	for i, name := range ports {
		run("sysctl -qw net.ipv4.conf." + name + ".rp_filter=0 net.ipv4.conf." + name + ".send_redirects=0 net.ipv6.conf." + name + ".addr_gen_mode=1" +
			" net.ipv6.conf." + name + ".mldv2_unsolicited_report_interval=1 net.ipv6.conf." + name + ".accept_ra=0 net.ipv6.conf." + name + ".dad_transmits=0 net.ipv6.conf." + name + ".router_solicitations=0")
		run("ip link set " + name + " multicast off up")
		for _, a := range portAddrs[i] {
			if netip.MustParsePrefix(a).Addr().Is6() {
				run("ip addr add " + a + " dev " + name + " nodad")
			} else {
				run("ip addr add " + a + " dev " + name)
			}
		}
	}
	run("ip neigh add 10.2.0.2 lladdr 02:00:00:00:00:02 dev tap0 nud permanent")
	run("ip -6 neigh add fd02::2 lladdr 02:00:00:00:00:02 dev tap0 nud permanent")
	j.settle()
	return j
}

// settle waits until Linux has told the groups it is in, which it does with a delay and
// which would come between the packets.
func (j *judge) settle() {
	for {
		var fds []unix.PollFd
		for _, fd := range j.files {
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
		if n, err := unix.Poll(fds, 400); n == 0 && err == nil {
			return
		}
		j.sent()
	}
}

func (j *judge) open(name string) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		j.t.Skip("no /dev/net/tun: ", err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		j.t.Fatal(err)
	}
	kind := uint16(unix.IFF_TUN)
	if strings.HasPrefix(name, "tap") {
		kind = unix.IFF_TAP
	}
	req.SetUint16(kind | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		j.t.Skip("no tun device: ", err)
	}
	j.t.Cleanup(func() { unix.Close(fd) })
	j.files = append(j.files, fd)
}

func (j *judge) send(port int, b []byte) {
	if _, err := unix.Write(j.files[port], b); err != nil {
		j.t.Fatalf("%s: %v", ports[port], err)
	}
}

// sent reads what Linux sent, which it does before the write of what it answers
// returns; only deferred work comes later.
func (j *judge) sent() (out []string) {
	buf := make([]byte, 2048)
	for i, fd := range j.files {
		for {
			n, err := unix.Read(fd, buf)
			if err != nil {
				break
			}
			out = append(out, outLine(i, buf[:n]))
		}
	}
	return out
}

func (j *judge) nft(text string) (string, error) {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s", out)
	}
	return string(out), nil
}

func (j *judge) wait(d time.Duration) { time.Sleep(d) } // Linux's time is the real one

// forget brings Linux back to its beginning.
func (j *judge) forget() {
	for _, words := range [][]string{{"nft", "flush", "ruleset"}, {"conntrack", "-F"}, {"conntrack", "-F", "expect"}} {
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			j.t.Fatalf("%v: %v %s", words, err, out)
		}
	}
	j.sent()
}

// A knitSide is a kernel with the same devices, in virtual time.
type knitSide struct {
	t     *testing.T
	k     *knit.Kernel
	rules netfilter.Ruleset
	ports []*port
}

// A port is the driver of a knitSide's device: it keeps what is sent.
type port struct {
	dev *link.Device
	out [][]byte
}

func (p *port) Transmit(_ *link.Device, q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		p.out = append(p.out, b)
		pkt.Consume()
	}
}

func (p *port) Open(*link.Device) error { return nil }
func (p *port) Close(*link.Device)      {}

func newKnitSide(t *testing.T) *knitSide {
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: clock.NewVirtual()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	for _, m := range []string{"tcp", "udp", "icmp4", "icmp6", "arp announce=0", "nf_tables"} {
		w := strings.Fields(m)
		if err := k.Modprobe(context.Background(), w[0], w[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	s := &knitSide{t: t, k: k}
	s.rules, _ = module.Find[netfilter.Ruleset](k.Modules, netfilter.RulesetSymbol)
	for name, v := range map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", "net.ipv4.icmp_ratelimit": "0", "net.ipv6.icmp.ratelimit": "0",
		"net.ipv4.conf.all.send_redirects": "0", "net.ipv4.conf.default.send_redirects": "0", "net.ipv4.conf.all.rp_filter": "0",
		"net.ipv6.conf.default.dad_transmits": "0",
	} {
		if err := k.Sysctl.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range ports {
		s.attach(i, name)
	}
	s.neighbours()
	s.sent()
	return s
}

func (s *knitSide) attach(i int, name string) {
	p := new(port)
	info := link.Info{Name: name, Kind: "tun", Type: link.None, Without: link.MulticastDev}
	if strings.HasPrefix(name, "tap") {
		info.Kind, info.Type, info.Hardware = "tap", link.Ether, tapMAC
	}
	var err error
	if p.dev, err = s.k.Link.Attach(info, p); err != nil {
		s.t.Fatal(err)
	}
	s.ports = append(s.ports, p)
	for _, a := range portAddrs[i] {
		if err := s.k.AddAddr(name, netip.MustParsePrefix(a)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *knitSide) send(i int, b []byte) {
	pkt := s.k.Pool.Get()
	pkt.Append(b)
	if s.ports[i].dev.Type() == link.None {
		pkt.Proto = wire.EtherTypeIPv4
		if b[0]>>4 == 6 {
			pkt.Proto = wire.EtherTypeIPv6
		}
	}
	var q packet.Queue
	q.Push(pkt)
	s.ports[i].dev.Receive(&q)
}

func (s *knitSide) sent() (out []string) {
	for i, p := range s.ports {
		for _, b := range p.out {
			out = append(out, outLine(i, b))
		}
		p.out = nil
	}
	return out
}

func (s *knitSide) nft(text string) (string, error) {
	var out strings.Builder
	err := s.rules.Run(context.Background(), &netfilter.NFTRequest{Text: text, Name: "/dev/stdin"}, &out)
	return out.String(), err
}

func (s *knitSide) wait(d time.Duration) { s.k.Clock.Advance(d) }

// neighbours makes the tap's other side known, as it is on Linux.
func (s *knitSide) neighbours() {
	for v, a := range []string{"10.2.0.2", "fd02::2"} {
		t := s.k.Network.Neighbours(network.Version(v))
		if err := t.Set(s.ports[2].dev, netip.MustParseAddr(a), wire.MAC{2, 0, 0, 0, 0, 2}, neigh.Permanent, neigh.Add); err != nil {
			s.t.Fatal(err)
		}
	}
}
