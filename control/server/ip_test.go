package server_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
)

type result struct {
	Stdout, Stderr string
	Status         int
}

// run runs one command on a server in this process.
func run(s *server.Server, words ...string) result {
	var out, errs strings.Builder
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	status := s.Run(ctx, &control.Console{Stdout: &out, Stderr: &errs, Open: control.OS().Open}, words...)
	return result{out.String(), errs.String(), status}
}

// newKernel returns a kernel with both IP versions, and its server.
func newKernel(t *testing.T, modules ...string) (*knit.Kernel, *server.Server) {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	for _, m := range append([]string{"loopback", "ip4", "arp", "ip6", "ndp"}, modules...) {
		if err := k.Modprobe(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	return k, server.New(k, server.Config{})
}

// newServer returns a kernel that has what a network namespace has: lo, both IP
// versions, and v0, which is joined to v1.
func newServer(t *testing.T, modules ...string) *server.Server {
	t.Helper()
	k, s := newKernel(t, modules...)
	for _, name := range []string{"all", "default"} {
		k.Sysctl.Set("net.ipv6.conf."+name+".accept_dad", "0")
	}
	if r := run(s, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	return s
}

// watched is what a monitor writes, with a wait for a text in it.
type watched struct {
	mu   sync.Mutex
	cond *sync.Cond
	b    strings.Builder
}

func newWatched() *watched {
	w := new(watched)
	w.cond = sync.NewCond(&w.mu)
	return w
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cond.Broadcast()
	return w.b.Write(p)
}

func (w *watched) has(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.b.String(), text)
}

func (w *watched) await(t *testing.T, text string) {
	t.Helper()
	late := time.AfterFunc(20*time.Second, w.cond.Broadcast)
	defer late.Stop()
	deadline := time.Now().Add(20 * time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	for !strings.Contains(w.b.String(), text) {
		if !time.Now().Before(deadline) {
			t.Fatalf("never saw %q in\n%s", text, w.b.String())
		}
		w.cond.Wait()
	}
}

// TestIPMonitor: events have Linux's lines, and the monitor ends with its context.
func TestIPMonitor(t *testing.T) {
	s := newServer(t)
	w := newWatched()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan int, 1)
	go func() {
		ended <- s.Run(ctx, &control.Console{Stdout: w, Stderr: w}, "ip", "monitor", "all")
	}()
	ip := func(line string) {
		t.Helper()
		if r := run(s, strings.Fields("ip "+line)...); r.Status != 0 {
			t.Fatalf("ip %s: %s", line, r.Stderr)
		}
	}
	for !w.has("[LINK]") { // until it watches
		ip("link set v1 mtu 1400")
	}
	ip("link set v0 up")
	ip("link set v1 up")
	ip("addr add 10.8.0.1/24 dev v0")
	ip("route add 10.44.0.0/16 via 10.8.0.2")
	ip("neigh add 10.8.0.5 lladdr 02:00:00:00:00:05 dev v0")
	ip("neigh del 10.8.0.5 dev v0")
	ip("rule add from 10.8.0.0/24 lookup 7")
	ip("route add 10.45.0.0/16 dev v0 table 7")
	ip("rule del lookup 7")
	ip("route del 10.44.0.0/16")
	ip("addr del 10.8.0.1/24 dev v0")
	ip("link del v0")
	for _, text := range []string{
		"[LINK]2: v0@v1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default \n    link/ether ",
		"[ADDR]2: v0    inet 10.8.0.1/24 scope global v0\n       valid_lft forever preferred_lft forever\n",
		"[ROUTE]10.8.0.0/24 dev v0 proto kernel scope link src 10.8.0.1 \n",
		"[ROUTE]10.44.0.0/16 via 10.8.0.2 dev v0 \n",
		"[NEIGH]10.8.0.5 dev v0 lladdr 02:00:00:00:00:05 PERMANENT \n",
		"[NEIGH]10.8.0.5 dev v0 FAILED \n", "[NEIGH]Deleted 10.8.0.5 dev v0 FAILED \n",
		"[RULE]32765:\tfrom 10.8.0.0/24 lookup 7\n", "[ROUTE]10.45.0.0/16 dev v0 table 7 scope link \n",
		"[RULE]Deleted 32765:\tfrom 10.8.0.0/24 lookup 7\n",
		"[ROUTE]Deleted 10.44.0.0/16 via 10.8.0.2 dev v0 \n",
		"[ADDR]Deleted 2: v0    inet 10.8.0.1/24 scope global v0\n",
		"[LINK]Deleted 2: v0",
	} {
		w.await(t, text)
	}
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("status %d after the end of the context", status)
	}
}

func TestIPMonitorMistakes(t *testing.T) {
	s := newServer(t)
	for line, want := range map[string]string{
		"monitor dev nope": "Error: argument \"nope\" is wrong: Device does not exist\n",
		"monitor frob":     "Argument \"frob\" is unknown, try \"ip monitor help\".\n",
	} {
		if r := run(s, strings.Fields("ip "+line)...); r.Status != 255 || r.Stderr != want {
			t.Errorf("ip %s: %+v", line, r)
		}
	}
}

// TestIPUnsupported: what is a later matter says so, with status 2.
func TestIPUnsupported(t *testing.T) {
	s := newServer(t)
	for _, line := range []string{
		"netns list", "tunnel show", "xfrm state", "vrf exec red true", "nexthop show", "rule save", "rule add throw table 5", "link set v0 txqueuelen 5",
		"route add 10.0.0.0/8 dev v0 mtu lock 1400", "maddr add 33:33:00:00:00:99 dev v0", "neigh add 10.0.0.1 dev v0 proxy",
		"-6 route add 2001:db8::/32 dev v0 pref high", "link set v0 master v1",
	} {
		r := run(s, strings.Fields("ip "+line)...)
		if r.Status != 2 || !strings.Contains(r.Stderr, "Operation not supported") {
			t.Errorf("ip %s: %+v", line, r)
		}
	}
}

// TestMaddr: a group that was joined by hand shows, and can be left once.
func TestMaddr(t *testing.T) {
	s := newServer(t)
	for _, c := range []struct {
		line   string
		status int
		out    string
	}{
		{"maddr add 224.0.0.99 dev v0", 0, ""},
		{"maddr add 224.0.0.99 dev v0", 1, ""},
		{"-4 maddr show dev v0", 0, "\tinet  224.0.0.99\n"},
		{"-0 maddr show dev v0", 0, "\tlink  01:00:5e:00:00:63\n"},
		{"maddr del 224.0.0.99 dev v0", 0, ""},
		{"maddr del 224.0.0.99 dev v0", 1, ""},
		{"maddr add 10.0.0.1 dev v0", 2, ""},
		{"maddr add 224.0.0.99 dev nope", 1, ""},
	} {
		r := run(s, strings.Fields("ip "+c.line)...)
		if r.Status != c.status || !strings.Contains(r.Stdout, c.out) {
			t.Errorf("ip %s: %+v, want status %d and %q", c.line, r, c.status, c.out)
		}
	}
	if r := run(s, "ip", "-4", "maddr", "show", "dev", "v0"); strings.Contains(r.Stdout, "224.0.0.99") {
		t.Errorf("still there:\n%s", r.Stdout)
	}
}

// TestLinkAddFails: a device that could not be set up as asked is not there.
func TestLinkAddFails(t *testing.T) {
	s := newServer(t)
	if r := run(s, strings.Fields("ip link add v5 mtu 100000 type veth peer name v6")...); r.Status != 2 {
		t.Errorf("%+v", r)
	}
	if r := run(s, "ip", "-br", "link"); strings.Contains(r.Stdout, "v5") || strings.Contains(r.Stdout, "v6") {
		t.Errorf("left:\n%s", r.Stdout)
	}
	r := run(s, strings.Fields("ip link add v5 type veth frob 1")...)
	if r.Status != 2 || !strings.HasPrefix(r.Stderr, "RTNETLINK answers: Invalid argument\n") || !strings.Contains(r.Stderr, "want peer") {
		t.Errorf("an option that veth does not have: %+v", r)
	}
}

// TestRouteFlush: what is flushed is what was listed, a route that no origin was given,
// too, and watchers hear of each.
func TestRouteFlush(t *testing.T) {
	k, s := newKernel(t)
	if r := run(s, "ip", "link", "set", "lo", "up"); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	for i, typ := range []route.Type{route.Unicast, route.Unicast, route.Blackhole} {
		r := route.Route{Dst: netip.MustParsePrefix("10.9.0.0/16"), Table: 9, Metric: uint32(i), Type: typ}
		if typ == route.Unicast {
			r.NextHops = []route.NextHop{{Index: k.Network.Loopback().Index()}}
		}
		if err := k.Network.AddRoute(r, route.Create); err != nil {
			t.Fatal(err)
		}
	}
	told := 0
	defer k.Network.Watch(func(e network.Event) {
		if e.Kind == network.RouteRemoved {
			told++
		}
	})()
	if r := run(s, "ip", "route", "flush", "table", "9", "type", "unicast"); r.Status != 0 || told != 2 {
		t.Errorf("status %d, %s; %d routes were told of, want 2", r.Status, r.Stderr, told)
	}
	if r := run(s, "ip", "route", "show", "table", "9"); !strings.HasPrefix(r.Stdout, "blackhole 10.9.0.0/16 ") || strings.Count(r.Stdout, "\n") != 1 {
		t.Errorf("left are %q", r.Stdout)
	}
}
