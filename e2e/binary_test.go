//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A router is a daemon, of the program that make build made, in a namespace of its
// own: nothing of it is in this process.
type router struct {
	*host
	program, socket, dir string
}

// newRouter starts a daemon with a boot script.
func newRouter(t *testing.T, boot string) *router {
	t.Helper()
	program, err := filepath.Abs("../bin/knit")
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		t.Fatalf("run make build first: %v", err)
	}
	r := &router{host: &host{t: t}, program: program, dir: t.TempDir()}
	r.socket = filepath.Join(r.dir, "ctl.sock")
	if err := r.enter(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	r.up(boot)
	t.Cleanup(func() { r.try(r.program, "--socket", r.socket, "down") })
	return r
}

// up starts the daemon.
func (r *router) up(boot string) {
	r.t.Helper()
	r.knit("up", "--boot", r.file("boot", boot))
}

// file writes a file and returns its path.
func (r *router) file(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// knit runs the tool.
func (r *router) knit(words ...string) string {
	r.t.Helper()
	return r.run(r.program, append([]string{"--socket", r.socket}, words...)...)
}

// refused runs the tool, which has to end with status 1 and say why.
func (r *router) refused(why string, words ...string) {
	r.t.Helper()
	out, err := r.try(r.program, append([]string{"--socket", r.socket}, words...)...)
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || !strings.Contains(out, why) {
		r.t.Errorf("knit %s: %v, want status 1 and %q\n%s", strings.Join(words, " "), err, why, out)
	}
}

// watch runs the tool until stop is called; wait waits until it has printed all of some
// texts.
func (r *router) watch(words ...string) (wait func(texts ...string), stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := r.command(ctx, r.program, append([]string{"--socket", r.socket}, words...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { cancel(); cmd.Wait() })
	r.t.Cleanup(stop)
	var seen bytes.Buffer
	wait = func(texts ...string) {
		r.t.Helper()
		b := make([]byte, 4096)
		for _, text := range texts {
			for !strings.Contains(seen.String(), text) {
				n, err := out.Read(b)
				if seen.Write(b[:n]); err != nil {
					r.t.Fatalf("knit %s: %v before %q:\n%s", strings.Join(words, " "), err, text, seen.String())
				}
			}
		}
	}
	return wait, stop
}

// lend gives the host's end of the router's tap name to a new namespace: 10.n.0.2
// there, and the router is the way to everywhere.
func (r *router) lend(n int, name string) *host {
	r.t.Helper()
	h := &host{
		t:   r.t,
		gw4: netip.AddrFrom4([4]byte{10, byte(n), 0, 1}), v4: netip.AddrFrom4([4]byte{10, byte(n), 0, 2}),
	}
	if err := h.enter(func() error { return nil }); err != nil {
		r.t.Fatal(err)
	}
	r.attach(h, name)
	return h
}

func (r *router) attach(h *host, name string) {
	r.t.Helper()
	r.run("ip", "link", "set", name, "netns", h.ns, "name", "eth0")
	for _, c := range []string{
		"link set lo up", "link set eth0 up", "addr add " + h.v4.String() + "/24 dev eth0", "route add default via " + h.gw4.String(),
	} {
		h.run("ip", strings.Fields(c)...)
	}
}

// bootRouter makes the devices of a router between two clients and a server.
const bootRouter = `modprobe tcp
modprobe icmp4
ip link add lan1 type tap
ip link add lan2 type tap
ip link add wan type tap
ip addr add 10.1.0.1/24 dev lan1
ip addr add 10.2.0.1/24 dev lan2
ip addr add 10.3.0.1/24 dev wan
ip link set lan1 up
ip link set lan2 up
ip link set wan up
sysctl -w net.ipv4.ip_forward=1
`

// rulesRouter forwards what those inside begin, and port 8080 to the second of them.
const rulesRouter = `table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname { "lan1", "lan2" } counter accept
		ct status dnat accept
	}
}
table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr 10.3.0.1 tcp dport 8080 dnat to 10.2.0.2:80
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" masquerade
	}
}
`

// TestGatewayDaemon: a gateway as a user makes it, by the commands of the tool alone:
// two clients and a server in namespaces of their own, rules from a file, connections
// that conntrack lists, watches and deletes, changes that nft monitor tells, mistakes
// that change nothing, and the same gateway again from what save has printed.
func TestGatewayDaemon(t *testing.T) {
	r := newRouter(t, bootRouter)
	a, b, z := r.lend(1, "lan1"), r.lend(2, "lan2"), r.lend(3, "wan")
	rules := r.file("gateway.nft", rulesRouter)
	r.knit("modprobe", "nf_tables")
	changes, _ := r.watch("nft", "monitor")
	events, end := r.watch("conntrack", "-E")
	r.watched()
	r.knit("nft", "-f", rules)
	changes("add table inet filter", "add chain ip nat postrouting", `add rule ip nat postrouting oifname "wan" masquerade`, "# new generation")

	file := bytes.Repeat([]byte("knit"), 1<<18)
	for _, h := range []*host{b, z} {
		h.web(file)
	}
	for _, x := range []struct {
		from     *host
		to, seen string
	}{
		{a, "10.3.0.2", "10.3.0.1"}, {b, "10.3.0.2", "10.3.0.1"}, {z, "10.3.0.1:8080", "10.3.0.2"}, {a, "10.2.0.2", "10.1.0.2"},
	} {
		if who := x.from.run("curl", "-sS", "-f", "-m", "30", "http://"+x.to+"/who"); who != x.seen {
			t.Errorf("%v to %s: the server sees %q, want %s", x.from.v4, x.to, who, x.seen)
		}
		if got := x.from.run("curl", "-sS", "-f", "-m", "30", "http://"+x.to+"/file"); got != string(file) {
			t.Errorf("%v to %s: %d bytes came, and not those of the file", x.from.v4, x.to, len(got))
		}
	}
	a.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "10", "10.3.0.2")
	if out, err := z.try("curl", "-sS", "-m", "1", "http://10.2.0.2/who"); err == nil {
		t.Errorf("the server came in: %s", out)
	}
	r.connections(a, z)
	events("[NEW] tcp      6 ", "src=10.1.0.2 dst=10.3.0.2", "[UPDATE] tcp      6 ", "SYN_RECV", "ESTABLISHED", "[ASSURED]", "[NEW] icmp     1 ", "[DESTROY] udp      17 ")
	r.mistakes()
	changes(`add rule inet filter forward tcp dport 7777 drop`)
	end()
	r.unloading(a)
	r.again(a, z)
}

// watched waits until both watchers have opened their streams: what they are told of
// is what happens afterwards.
func (r *router) watched() {
	r.t.Helper()
	for deadline := time.Now().Add(limit); ; <-time.After(time.Millisecond) {
		if n := strings.Count(r.run("cat", "/proc/net/unix"), r.socket); n >= 3 { // and one that listens
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatal("the watchers never reached the daemon")
		}
	}
}

// connections looks at a connection that lives, and ends it.
func (r *router) connections(a, z *host) {
	r.t.Helper()
	server, client := z.datagrams("10.3.0.2:5000"), a.datagrams("10.1.0.2:5000")
	for _, x := range [][2]net.PacketConn{{client, server}, {server, client}, {client, server}} {
		to := net.Addr(net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.3.0.2:5000")))
		if x[0] == server {
			to = net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.3.0.1:5000")) // as it knows the client
		}
		b := make([]byte, 9)
		if _, err := x[0].WriteTo([]byte("datagram"), to); err != nil {
			r.t.Fatal(err)
		}
		if n, _, err := x[1].ReadFrom(b); err != nil || string(b[:n]) != "datagram" {
			r.t.Fatalf("%q came, %v", b[:n], err)
		}
	}
	const entry = "src=10.1.0.2 dst=10.3.0.2 sport=5000 dport=5000 src=10.3.0.2 dst=10.3.0.1 sport=5000 dport=5000 "
	if out := r.knit("conntrack", "-L", "-p", "udp"); !strings.Contains(out, entry+"mark=0 use=1\n") || !strings.HasSuffix(out, ": 1 flow entries have been shown.\n") {
		r.t.Errorf("conntrack -L:\n%s", out)
	}
	if out := r.knit("conntrack", "-D", "-p", "udp", "-s", "10.1.0.2"); !strings.Contains(out, entry) || !strings.HasSuffix(out, ": 1 flow entries have been deleted.\n") {
		r.t.Errorf("conntrack -D:\n%s", out)
	}
	if out := r.knit("conntrack", "-L", "-p", "udp"); strings.Contains(out, "src=") {
		r.t.Errorf("after conntrack -D there is\n%s", out)
	}
	r.refused("0 flow entries have been deleted", "conntrack", "-D", "-p", "udp", "-s", "10.1.0.2")
}

// datagrams opens a UDP socket on a host that is closed at the end.
func (h *host) datagrams(at string) (c net.PacketConn) {
	h.t.Helper()
	if err := h.inside(func() (err error) { c, err = net.ListenPacket("udp", at); return err }); err != nil {
		h.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(limit))
	h.t.Cleanup(func() { c.Close() })
	return c
}

// mistakes: a file with a wrong rule, and one that is only checked, change nothing.
func (r *router) mistakes() {
	r.t.Helper()
	before := r.knit("nft", "-s", "list", "ruleset")
	wrong := r.file("wrong.nft", "flush ruleset\nadd table inet other\nadd rule inet filter forward tcp dpot 22 accept\n")
	r.refused("wrong.nft:3:34-37: Error: ", "nft", "-f", wrong)
	r.refused("No such file or directory", "nft", "add", "rule", "inet", "nosuch", "forward", "accept")
	r.knit("nft", "-c", "-f", r.file("checked.nft", "flush ruleset\nadd table inet other\n"))
	if after := r.knit("nft", "-s", "list", "ruleset"); after != before {
		r.t.Errorf("the rules were\n%s\nand are\n%s", before, after)
	}
	r.knit("nft", "add", "rule", "inet", "filter", "forward", "tcp", "dport", "7777", "drop")
}

// unloading: the modules stay while rules use them, whatever passes; without rules they
// go in the middle of a download, which goes on.
func (r *router) unloading(a *host) {
	r.t.Helper()
	slow := a.command(context.Background(), "curl", "-sS", "-f", "-m", "60", "-o", "/dev/null", "-w", "%{size_download}", "--limit-rate", "400k", "http://10.2.0.2/file")
	var out bytes.Buffer
	slow.Stdout, slow.Stderr = &out, &out
	if err := slow.Start(); err != nil {
		r.t.Fatal(err)
	}
	for !strings.Contains(r.knit("conntrack", "-L", "--state", "ESTABLISHED", "-p", "tcp"), "src=10.1.0.2 dst=10.2.0.2") {
		<-time.After(time.Millisecond)
	}
	for _, m := range []string{"nf_conntrack", "nf_nat"} {
		r.refused("is in use by", "rmmod", m)
		r.refused("is in use by", "modprobe", "-r", "--wait", "10", m)
	}
	for _, m := range []string{"nf_tables", "nf_nat", "nf_conntrack", "nf_defrag_ipv4", "nf_defrag_ipv6"} {
		r.knit("modprobe", "-r", "--wait", "20000", m)
	}
	if out := r.knit("lsmod"); strings.Contains(out, "nf_") {
		r.t.Errorf("modules are left:\n%s", out)
	}
	if err := slow.Wait(); err != nil || out.String() != "1048576" {
		r.t.Errorf("the download ends with %v, %q", err, out.String())
	}
	if out := r.knit("dmesg"); strings.Contains(out, "reclaimed") || strings.Contains(out, "Oops") {
		r.t.Errorf("dmesg:\n%s", out)
	}
}

// again: what save has printed makes the gateway again.
func (r *router) again(a, z *host) {
	r.t.Helper()
	r.knit("nft", "-f", filepath.Join(r.dir, "gateway.nft"))
	before := r.knit("nft", "-s", "list", "ruleset")
	boot := r.knit("save")
	r.knit("down")
	r.up(boot)
	r.attach(a, "lan1")
	r.attach(z, "wan")
	if after := r.knit("nft", "-s", "list", "ruleset"); after != before {
		r.t.Errorf("the rules were\n%s\nand are\n%s", before, after)
	}
	if who := a.run("curl", "-sS", "-f", "-m", "30", "http://10.3.0.2/who"); who != "10.3.0.1" {
		r.t.Errorf("the server sees %q", who)
	}
}
