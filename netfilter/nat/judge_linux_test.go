package nat_test

import (
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A judge is Linux's NAT, in a network namespace of its own on a thread that ends
// with the test. Its devices are TUNs with the names and addresses of a box.
type judge struct {
	t    testing.TB
	jobs chan func()
	fds  map[string]int
}

func newJudge(t testing.TB) *judge {
	t.Helper()
	for _, tool := range []string{"ip", "nft", "sysctl", "conntrack"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on this machine: %v", tool, err)
		}
	}
	j := &judge{t: t, jobs: make(chan func()), fds: map[string]int{}}
	ready, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the namespace goes with the thread
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range j.jobs {
			f()
		}
	}()
	t.Cleanup(func() {
		for _, fd := range j.fds {
			unix.Close(fd)
		}
		close(j.jobs)
		<-done
	})
	if err := <-ready; err != nil {
		t.Skipf("cannot make a network namespace: %v (needs CAP_SYS_ADMIN)", err)
	}
	j.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 "+
		"net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 "+
		"net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0", "")
	j.run("ip link set lo up", "")
	for _, p := range ports {
		j.attach(p.name, p.addrs)
	}
	j.run("ip route add default via "+gateway4, "")
	j.run("ip -6 route add default via "+gateway6+" dev wan0", "")
	return j
}

func (j *judge) attach(name, addrs string) {
	j.t.Helper()
	j.do(func() { j.fds[name] = openTUN(name) })
	if j.fds[name] < 0 {
		j.t.Skip("cannot make a TUN (needs CAP_NET_ADMIN)")
	}
	j.run("ip link set "+name+" up", "")
	for _, a := range strings.Fields(addrs) {
		j.addr(name, a)
	}
}

func (j *judge) addr(port, prefix string) {
	cmd := "ip addr add " + prefix + " dev " + port
	if strings.Contains(prefix, ":") {
		cmd += " nodad"
	}
	j.run(cmd, "")
	// Linux makes an IPv6 address its own a while later.
	a := netip.MustParsePrefix(prefix).Addr().String()
	for range 200 {
		if strings.HasPrefix(j.run("ip route get "+a, ""), "local ") {
			return
		}
	}
	j.t.Fatalf("%s does not become local", prefix)
}

func (j *judge) delAddr(port, prefix string) { j.run("ip addr del "+prefix+" dev "+port, "") }

func (j *judge) delRoute(dst string) { j.run("ip route del "+dst, "") }

func (j *judge) up(port string, yes bool) {
	j.run("ip link set "+port+" "+map[bool]string{true: "up", false: "down"}[yes], "")
}

// left asks until the answer is the wanted one: Linux ends masqueraded connections
// a while after their address has gone.
func (j *judge) left(want int) (n int) {
	for range 200 {
		out := j.run("conntrack -C", "")
		if n, _ = strconv.Atoi(strings.TrimSpace(out)); n == want {
			return n
		}
	}
	return n
}

func (j *judge) route(dst, via, port string) {
	cmd := "ip route add " + dst
	if via != "" {
		cmd += " via " + via
	}
	j.run(cmd+" dev "+port, "")
}

func (j *judge) do(f func()) {
	done := make(chan struct{})
	j.jobs <- func() { defer close(done); f() }
	<-done
}

func openTUN(name string) int {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return -1
	}
	return fd
}

func (j *judge) run(cmd, stdin string) string {
	j.t.Helper()
	words := strings.Fields(cmd)
	var out []byte
	var err error
	j.do(func() {
		c := exec.Command(words[0], words[1:]...)
		c.Stdin = strings.NewReader(stdin)
		out, err = c.CombinedOutput()
	})
	if err != nil {
		j.t.Fatalf("%s: %v\n%s%s", cmd, err, out, stdin)
	}
	return string(out)
}

func (j *judge) load(rules string) {
	j.t.Helper()
	j.run("nft -f -", "flush ruleset\n"+rules)
	j.run("conntrack -F", "")
}

// receive writes a packet to a TUN. When write returns, Linux has handled it.
func (j *judge) receive(port string, raw []byte) []frame {
	j.t.Helper()
	if _, err := unix.Write(j.fds[port], raw); err != nil {
		j.t.Fatal(err)
	}
	return j.take()
}

func (j *judge) take() (out []frame) {
	var b [65536]byte
	for _, p := range ports {
		for {
			n, err := unix.Read(j.fds[p.name], b[:])
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				break
			}
			out = append(out, frame{p.name, slices.Clone(b[:n])})
		}
	}
	return slices.DeleteFunc(out, chatter)
}

// send sends a datagram from a socket of the namespace.
func (j *judge) send(src, dst, data string) []frame {
	j.t.Helper()
	j.do(func() {
		from, to := ap(src), ap(dst)
		fd, err := unix.Socket(family(from), unix.SOCK_DGRAM, 0)
		if err != nil {
			j.t.Error(err)
			return
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, sockaddr(from)); err != nil {
			j.t.Error(err)
		}
		if err := unix.Sendto(fd, []byte(data), 0, sockaddr(to)); err != nil {
			j.t.Logf("send %s > %s: %v", src, dst, err)
		}
	})
	return j.take()
}

func family(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}
