package conntrack

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
)

// judgeRules write what Linux takes a packet for into its DSCP.
const judgeRules = `table ip judge {
	chain forward {
		type filter hook forward priority 0
		ct state new ip dscp set 1
		ct state established ip dscp set 2
		ct state related ip dscp set 3
		ct state invalid ip dscp set 4
		ct state untracked ip dscp set 5
	}
}
table ip6 judge {
	chain forward {
		type filter hook forward priority 0
		ct state new ip6 dscp set 1
		ct state established ip6 dscp set 2
		ct state related ip6 dscp set 3
		ct state invalid ip6 dscp set 4
		ct state untracked ip6 dscp set 5
	}
}`

// A judge is Linux's connection tracking, in a network namespace of its own on a
// thread that ends with the test. What is written to its TUN comes back forwarded.
type judge struct {
	t    testing.TB
	jobs chan func()
	fd   int
}

func newJudge(t testing.TB) *judge {
	t.Helper()
	for _, tool := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on this machine: %v", tool, err)
		}
	}
	j := &judge{t: t, jobs: make(chan func()), fd: -1}
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
		if j.fd >= 0 {
			unix.Close(j.fd)
		}
		close(j.jobs)
		<-done
	})
	if err := <-ready; err != nil {
		t.Skipf("cannot make a network namespace: %v (needs CAP_SYS_ADMIN)", err)
	}
	j.do(j.openTUN)
	for _, cmd := range []string{
		"sysctl -qw net.ipv6.conf.judge.accept_dad=0 net.ipv6.conf.judge.router_solicitations=0 net.ipv6.conf.all.forwarding=1",
		"ip link set lo up", "ip link set judge up", "ip addr add 10.255.0.1/32 dev judge", "ip route add 10.0.0.0/8 dev judge",
		"ip route add fd00::/16 dev judge",
		"sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.judge.rp_filter=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.judge.send_redirects=0",
	} {
		j.run(cmd, "")
	}
	j.run("nft -f -", judgeRules)
	return j
}

func (j *judge) do(f func()) {
	done := make(chan struct{})
	j.jobs <- func() { defer close(done); f() }
	<-done
}

func (j *judge) openTUN() {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	ifr, err := unix.NewIfreq("judge")
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return
	}
	j.fd = fd
}

func (j *judge) run(cmd, stdin string) {
	j.t.Helper()
	if j.fd < 0 {
		j.t.Skip("cannot make a TUN (needs CAP_NET_ADMIN)")
	}
	words := strings.Fields(cmd)
	var out []byte
	var err error
	j.do(func() {
		c := exec.Command(words[0], words[1:]...)
		c.Stdin = strings.NewReader(stdin)
		out, err = c.CombinedOutput()
	})
	if err != nil {
		j.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// state returns what Linux takes a packet for, as the rules number it; 0: it has
// not forwarded the packet.
func (j *judge) state(b []byte) uint8 {
	j.t.Helper()
	if _, err := unix.Write(j.fd, b); err != nil {
		j.t.Fatal(err)
	}
	var back [2048]byte
	for {
		fds := []unix.PollFd{{Fd: int32(j.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 1000)
		if err == unix.EINTR {
			continue
		}
		if n == 0 {
			return 0
		}
		n, err = unix.Read(j.fd, back[:])
		if err != nil {
			j.t.Fatal(err)
		}
		// The namespace sends things of its own, as router solicitations.
		switch {
		case n != len(b) || back[0]>>4 != b[0]>>4:
		case b[0]>>4 == 4 && string(back[12:n]) == string(b[12:]):
			return back[1] >> 2
		case b[0]>>4 == 6 && string(back[8:n]) == string(b[8:]):
			return back[0]&0xf<<2 | back[1]>>6
		}
	}
}

// ours is the same for the rig.
func (r *rig) state(b []byte) uint8 {
	_, info, dropped := r.pass(b)
	if dropped {
		return 0
	}
	return map[uint32]uint8{8: 1, 2: 2, 4: 3, 1: 4, 64: 5}[info.StateBit()]
}

// A trial sends the same packets to both.
type trial struct {
	t    *testing.T
	r    *rig
	j    *judge
	log  []string
	a, b string
	name string
	late bool // without a handshake
}

var stateWords = [...]string{"nothing", "new", "established", "related", "invalid", "untracked"}

// send returns false when they disagree.
func (x *trial) send(b []byte, what string) bool {
	ours, want := x.r.state(b), x.j.state(b)
	x.log = append(x.log, fmt.Sprintf("%s: %s", what, stateWords[want]))
	if ours == want {
		return true
	}
	x.t.Errorf("%s: the last packet is %s here\n%s", x.name, stateWords[ours], strings.Join(x.log, "\n"))
	return false
}

func flagNames(f uint16) (s string) {
	for i, c := range "FSRPAUEC" {
		if f&(1<<i) != 0 {
			s += string(c)
		}
	}
	return s + "."
}

// TestAgainstLinuxTCP: six thousand conversations of segments that fit together, or
// nearly, are judged as Linux judges them. Each begins with a SYN: of connections
// that are picked up Linux compares one side with sequence number 0, which is luck.
func TestAgainstLinuxTCP(t *testing.T) {
	j, r := newJudge(t), newRig(t)
	r.max.Store(0)
	failed := 0
	for seed := range uint64(6000) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		x := &trial{t: t, r: r, j: j, name: fmt.Sprintf("conversation %d", seed), a: fmt.Sprintf("10.1.%d.%d:%d", seed>>8, seed&255, 1024+seed), b: "10.2.0.1:80"}
		if !x.converse(rnd) {
			if failed++; failed == 5 {
				t.Fatal("that is enough")
			}
		}
	}
}

// TestAgainstLinuxSettings: the same under settings that are not the usual ones, and for
// connections whose beginning nobody has seen.
func TestAgainstLinuxSettings(t *testing.T) {
	j, r := newJudge(t), newRig(t)
	r.max.Store(0)
	for i, setting := range []struct {
		name string
		ours *atomic.Bool
		to   bool
	}{
		{"tcp_be_liberal", &r.liberal, true}, {"tcp_ignore_invalid_rst", &r.ignoreBadReset, true}, {"tcp_loose", &r.loose, false},
		{"checksum", &r.checksum, false}, {"checksum", &r.checksum, true},
	} {
		set := func(on bool) {
			setting.ours.Store(on)
			j.run("sysctl -qw net.netfilter.nf_conntrack_"+setting.name+"="+map[bool]string{false: "0", true: "1"}[on], "")
		}
		usual := setting.ours.Load()
		set(setting.to)
		for seed := range uint64(400) {
			rnd := rand.New(rand.NewPCG(seed, uint64(10+i)))
			x := &trial{t: t, r: r, j: j, name: fmt.Sprintf("%s %v, conversation %d", setting.name, setting.to, seed), a: fmt.Sprintf("10.1.%d.%d:%d", seed>>8, seed&255, 1024+seed), b: fmt.Sprint("10.2.0.1:", 100+i)}
			x.late = seed%2 == 1
			if !x.converse(rnd) && t.Failed() {
				break
			}
		}
		set(usual)
	}
}

// converse sends a handshake, or not, and then whatever comes to mind.
func (x *trial) converse(rnd *rand.Rand) bool {
	next := [2]uint32{rnd.Uint32(), rnd.Uint32()}
	ends, near := [2]string{x.a, x.b}, near
	say := func(d int, g seg) bool {
		if g.n > 0 && g.win == 0 {
			g.win = 1000
		}
		if g.flags&tcpRST != 0 && x.bothOpen() {
			return true // Linux takes any reset that acknowledges nothing
		}
		what := fmt.Sprintf("%d %-4s seq %d ack %d len %d win %d ws %d", d, flagNames(g.flags), int32(g.seq-next[d]), int32(g.ack-next[1-d]), g.n, g.win, g.opts.WindowScale)
		ok := x.send(tcp(ends[d], ends[1-d], g), what)
		if end := g.seq + uint32(g.n) + uint32(g.flags&3+1)/2; after(end, next[d]) && end-next[d] < 5000 {
			next[d] = end
		}
		return ok
	}
	opts := func() (o wire.TCPOptions) {
		if rnd.IntN(2) == 0 {
			o.Present, o.WindowScale = wire.TCPHasWindowScale, uint8(rnd.IntN(9))
		}
		if rnd.IntN(2) == 0 {
			o.Present |= wire.TCPHasSACKPermitted
		}
		return o
	}
	if x.late {
		// Linux compares what is acknowledged of a side that it has not seen with 0. Where
		// that is not near the truth its judgement is luck.
		next = [2]uint32{-uint32(20000 + rnd.IntN(10000)), -uint32(20000 + rnd.IntN(10000))}
		near = func(_ *rand.Rand, n uint32) uint32 { return n }
	} else if !say(0, seg{flags: tcpSYN, seq: next[0], opts: opts()}) || !say(1, seg{flags: tcpSYN | tcpACK, seq: next[1], ack: next[0], opts: opts()}) ||
		rnd.IntN(3) > 0 && !say(0, seg{flags: tcpACK, seq: next[0], ack: next[1]}) {
		return false
	}
	for range 3 + rnd.IntN(14) {
		d := rnd.IntN(2)
		g := seg{flags: flagChoices[rnd.IntN(len(flagChoices))], seq: near(rnd, next[d]), ack: near(rnd, next[1-d]), win: []int{-1, 0, 1, 50, 65535}[rnd.IntN(5)]}
		if g.flags&(tcpSYN|tcpRST) == 0 && rnd.IntN(2) == 0 {
			g.n = rnd.IntN(300)
		}
		if x.late {
			g.flags &^= tcpSYN
		}
		if g.flags&tcpACK == 0 {
			g.ack = 0
		}
		if g.flags&tcpSYN != 0 {
			g.opts = opts()
		}
		if !say(d, g) {
			return false
		}
	}
	return true
}

// bothOpen reports whether both ends have sent a SYN and nothing else. A reset is held
// against the window there (RFC 9293 §3.10.7.4), as anybody can send one.
func (x *trial) bothOpen() bool {
	a, b := ap(x.a), ap(x.b)
	t := netfilter.Tuple{Proto: wire.ProtoTCP, SrcPort: a.Port(), DstPort: b.Port()}
	t.SetSrc(a.Addr())
	t.SetDst(b.Addr())
	c, _ := x.r.Lookup(&t)
	return c != nil && x.r.Snapshot(c).State == synSent2.String()
}

// near returns a number that is right, or off by little or by much.
func near(rnd *rand.Rand, n uint32) uint32 {
	switch rnd.IntN(10) {
	case 0:
		return n + 1
	case 1:
		return n - 1
	case 2:
		return n + uint32(rnd.IntN(70000)) - 35000
	case 3:
		return n + uint32(rnd.IntN(200000)) - 100000
	case 4:
		return rnd.Uint32()
	}
	return n
}

// TestAgainstLinuxDatagrams: UDP, ICMP queries and errors, other protocols.
func TestAgainstLinuxDatagrams(t *testing.T) {
	j, r := newJudge(t), newRig(t)
	r.max.Store(0)
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		x := &trial{t: t, r: r, j: j, name: fmt.Sprintf("exchange %d", seed)}
		hosts := [2]string{fmt.Sprintf("10.3.%d.%d", seed>>8, seed&255), "10.4.0.1"}
		var sent [][]byte
		for range 8 {
			d := rnd.IntN(2)
			src, dst := hosts[d], hosts[1-d]
			var b []byte
			what := ""
			switch k := rnd.IntN(8); {
			case k < 3:
				ports := [2]int{1000 + rnd.IntN(2), 53}
				b = udp(fmt.Sprint(src, ":", ports[d]), fmt.Sprint(dst, ":", ports[1-d]), rnd.IntN(20))
				what = fmt.Sprint("udp ", d, " ", ports)
			case k < 6:
				typ, code, id := []uint8{0, 8, 8, 13, 14, 17, 18, 15, 16, 9, 10, 5, 42}[rnd.IntN(13)], uint8(rnd.IntN(8)/7), uint16(rnd.IntN(2))
				b, what = icmp(src, dst, typ, code, id), fmt.Sprintf("icmp %d type %d code %d id %d", d, typ, code, id)
			case k < 7 && len(sent) > 0:
				q := sent[rnd.IntN(len(sent))]
				typ := []uint8{3, 11, 12, 4, 5}[rnd.IntN(5)]
				b, what = icmp([]string{src, "10.5.0.1"}[rnd.IntN(2)], dst, typ, 1, 0, q[:min(len(q), 20+rnd.IntN(20))]...), fmt.Sprintf("error %d type %d about % x", d, typ, q[:28])
			default:
				proto := []uint8{47, 50, 4, 255, 89, 58, 136}[rnd.IntN(7)]
				b, what = ip(proto, ap(src+":0").Addr(), ap(dst+":0").Addr(), make([]byte, 20), -1), fmt.Sprint("protocol ", d, " ", proto)
			}
			sent = append(sent, b)
			if !x.send(b, what) {
				break
			}
		}
	}
}

// TestAgainstLinuxIPv6: UDP, ICMPv6 queries and errors, extension headers.
func TestAgainstLinuxIPv6(t *testing.T) {
	j, r := newJudge(t), newRig(t)
	r.max.Store(0)
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		x := &trial{t: t, r: r, j: j, name: fmt.Sprintf("exchange %d", seed)}
		hosts := [2]string{fmt.Sprintf("fd00::3:%x", seed), "fd00::4:1"}
		var sent [][]byte
		for range 8 {
			d := rnd.IntN(2)
			src, dst := hosts[d], hosts[1-d]
			var b []byte
			what := ""
			switch k := rnd.IntN(10); {
			case k < 3:
				ports := [2]int{1000 + rnd.IntN(2), 53}
				b = udp(fmt.Sprint("[", src, "]:", ports[d]), fmt.Sprint("[", dst, "]:", ports[1-d]), rnd.IntN(20))
				what = fmt.Sprint("udp ", d, " ", ports)
			case k < 6:
				types := []uint8{128, 128, 129, 139, 140, 130, 133, 135, 137, 138, 143, 144, 150, 200, 255, 0, 100, 127}
				typ, code, id := types[rnd.IntN(len(types))], uint8(rnd.IntN(8)/7), uint16(rnd.IntN(2))
				b, what = icmp(src, dst, typ, code, id), fmt.Sprintf("icmpv6 %d type %d code %d id %d", d, typ, code, id)
			case k < 8 && len(sent) > 0:
				q := sent[rnd.IntN(len(sent))]
				typ := []uint8{1, 2, 3, 4, 5, 101}[rnd.IntN(6)]
				if !wire.IsIPv6Ext(q[6]) { // Linux believes a chain of headers that is cut
					q = q[:min(len(q), 40+rnd.IntN(40))]
				}
				b, what = icmp([]string{src, "fd00::5:1"}[rnd.IntN(2)], dst, typ, 1, 0, q...), fmt.Sprintf("error %d type %d about % x", d, typ, q)
			default:
				proto := []uint8{47, 50, 4, 255, 89, 59, 1, 51, 135, 136, 139, 140}[rnd.IntN(12)]
				b, what = ip(proto, ap("["+src+"]:0").Addr(), ap("["+dst+"]:0").Addr(), make([]byte, 20), -1), fmt.Sprint("protocol ", d, " ", proto)
			}
			if rnd.IntN(4) == 0 {
				b = behindHeaders(rnd, b)
				what += fmt.Sprintf(" behind extension headers % x", b[6:])
			}
			if rnd.IntN(8) == 0 && len(b) > 44 {
				b[len(b)-1] ^= 1
				what += " damaged"
			}
			sent = append(sent, b)
			if !x.send(b, what) {
				break
			}
		}
	}
}

// behindHeaders puts extension headers between the IPv6 header and what follows it.
func behindHeaders(rnd *rand.Rand, b []byte) []byte {
	out := append([]byte(nil), b[:40]...)
	next := out[6]
	var exts []byte
	for range 1 + rnd.IntN(3) {
		typ := []byte{60, 60, 43, 51}[rnd.IntN(4)]
		n := rnd.IntN(3)
		h := make([]byte, 8+8*n)
		h[0], h[1] = next, byte(n)
		switch typ {
		case 51: // authentication (RFC 4302): counted in words of four bytes, less two
			h[1] = byte(2 * n)
		case 43:
			h[2] = 4 // no segments are left
		case 60:
			h[2], h[3] = 1, byte(len(h)-4) // PadN
		}
		exts, next = append(h, exts...), typ
	}
	out[6] = next
	out = append(append(out, exts...), b[40:]...)
	out[4], out[5] = byte((len(out)-40)>>8), byte(len(out)-40)
	return out
}
