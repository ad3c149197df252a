package server_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/control/server"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/std"
)

// TestSaveMakesTheKernelAgain: after any commands, a kernel that boots from what save
// writes saves the same, byte by byte, and shows the same. Hardly any time passes, so
// that lifetimes do not go on.
func TestSaveMakesTheKernelAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := newSaved(t)
		defer first.close(t)
		for range rapid.IntRange(5, 40).Draw(t, "commands") {
			first.change(t)
		}
		script := first.run(t, "save")

		second := newSaved(t)
		defer second.close(t)
		boot, err := control.NewScript(&control.Console{}, "saved", script)
		if err != nil {
			t.Fatal(err)
		}
		if err := boot.Run(context.Background(), second, &control.Console{}); err != nil {
			t.Fatalf("boot: %v\nof\n%s", err, script)
		}
		if again := second.run(t, "save"); again != script {
			t.Fatalf("save\n%s\nand again\n%s", script, difference(script, again))
		}
		for _, line := range []string{
			"lsmod", "sysctl -a", "ip -j addr", "ip -j -d link", "ip -j -4 route show table all", "ip -d -6 route show table all",
			"ip -d rule", "ip -d -6 rule", "ip neigh show nud permanent", "ip neigh show nud noarp", "ip maddr",
		} {
			if a, b := first.show(t, line), second.show(t, line); a != b {
				t.Fatalf("%s\n%s\nand after boot\n%s\nwith\n%s", line, a, difference(a, b), script)
			}
		}
	})
}

// difference returns what b has where it begins to differ from a.
func difference(a, b string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return "... " + b[max(i-200, 0):min(i+200, len(b))] + " ..."
}

// A saved is a kernel of the property.
type saved struct {
	kernel *knit.Kernel
	server *server.Server
}

func newSaved(t *rapid.T) saved {
	c := clock.NewVirtual()
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Modprobe(context.Background(), "loopback"); err != nil { // so that lo is the first of both
		t.Fatal(err)
	}
	return saved{k, server.New(k, server.Config{})}
}

func (s saved) close(t *rapid.T) {
	if err := s.kernel.Close(); err != nil {
		t.Error(err)
	}
	s.kernel.Clock.Close()
}

// Call implements control.Caller. A moment passes before each command, much less than
// what lifetimes are counted in.
func (s saved) Call(ctx context.Context, c control.Call) error {
	s.kernel.Clock.Advance(time.Millisecond)
	return s.server.Call(ctx, c)
}

// run runs a command that must go well and returns its output.
func (s saved) run(t *rapid.T, words ...string) string {
	r := run(s.server, words...)
	if r.Status != 0 {
		t.Fatalf("%q: %+v", words, r)
	}
	return r.Stdout
}

// show runs a command and takes out what two equal kernels may differ in.
func (s saved) show(t *rapid.T, line string) string {
	text := s.run(t, strings.Fields(line)...)
	for _, n := range differ {
		text = n.ReplaceAllString(text, "")
	}
	lines := strings.Split(text, "\n")
	if line == "ip maddr" { // those of the kernel itself may be gone after a device went down
		lines = slices.DeleteFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, "\t") && strings.Contains(l, " ") && !strings.Contains(l, "224.0.0.9") && !strings.Contains(l, "ff02::99")
		})
	}
	if strings.HasPrefix(line, "lsmod") || strings.Contains(line, "neigh") || strings.Contains(line, "-6 route") {
		slices.Sort(lines) // in which order they came, or devices went up, shows there alone
	}
	return strings.Join(lines, "\n")
}

var differ = []*regexp.Regexp{
	// Numbers are not given twice, so those of devices that were deleted are missing.
	regexp.MustCompile(`"ifindex":\d+,`),
	regexp.MustCompile(`(?m)^\d+:`),
	// Looking for duplicates takes its time.
	regexp.MustCompile(`"tentative":true,`),
}

// change runs a command. Those that fail change nothing, and what the others do is in
// the name of the draw.
func (s saved) change(t *rapid.T) {
	one := func(words ...string) string { return rapid.SampledFrom(words).Draw(t, "word") }
	dev := func() string { return one("v0", "v1", "d0", "lo", "dummy0", "dummy1", "e0.5") }
	var line string
	switch one("module", "link", "link", "addr", "addr", "addr", "route", "route", "route", "rule", "rule", "neigh", "vrf", "sysctl", "sysctl") {
	case "module":
		line = one("modprobe dummy numdummies=2", "modprobe hello port=8001", "modprobe tcp", "modprobe -r hello", "modprobe icmp6",
			"ip maddr add 224.0.0.9 dev "+dev(), "ip maddr add ff02::99 dev "+dev())
		if rapid.Bool().Draw(t, "parameter") {
			s.kernel.Modules.SetParam("hello", "greeting", one("it's me", "a b", ""))
		}
	case "link":
		line = "ip link " + one("add v0 type veth peer name v1", "add d0 type dummy", "add e0.5 type dummy", "del "+dev(),
			"set "+dev()+" up", "set "+dev()+" up", "set "+dev()+" down", "set "+dev()+" name "+dev(), "set "+dev()+" mtu "+one("1000", "1300", "9000"),
			"set "+dev()+" address 02:00:00:00:00:0"+one("1", "2", "3"), "set "+dev()+" promisc "+one("on", "off"),
			"set "+dev()+" allmulticast "+one("on", "off"), "set "+dev()+" alias "+one("x", "$y", "'"))
	case "addr":
		line = "ip addr " + s.addr(one, dev)
	case "route":
		line = "ip route " + one("add ", "append ", "replace ", "del ") + s.route(one, dev)
	case "rule":
		line = one("ip rule ", "ip -6 rule ") + s.rule(one)
	case "vrf":
		line = "ip link " + one("add red type vrf table 9", "add blue type vrf table 300", "set red up", "set blue up",
			"set "+dev()+" master "+one("red", "blue"), "set "+dev()+" nomaster", "del "+one("red", "blue"))
	case "neigh":
		line = "ip neigh " + one("add ", "replace ", "del ") + one("10.0.0.7", "10.1.0.7", "fd00::7", "fd01::7") + " dev " + dev() +
			one("", " lladdr 02:00:00:00:00:77", " lladdr 02:00:00:00:00:77 nud noarp", " lladdr 02:00:00:00:00:77 nud stale")
	case "sysctl":
		s.setting(t, one)
		return
	}
	control.Run(context.Background(), s, &control.Console{}, strings.Fields(line)...)
}

// addr is a command about an address. Every device has its own: who has the routes of
// one that several have depends on the order of all that has happened to it.
func (s saved) addr(one func(...string) string, dev func() string) string {
	d := dev()
	n := map[string]string{"v0": "1", "v1": "2", "d0": "3", "lo": "4", "dummy0": "5", "dummy1": "6", "e0.5": "7"}[d]
	v4 := one("10.0.0."+n+"/24", "10.0.0.1"+n+"/24", "10.1.0."+n+"/16", "10.2.0."+n+"/32") + " dev " + d
	if d == "lo" && one("", "127") != "" {
		v4 = one("127.0.0.1/8", "127.0.0.5/8") + " dev lo"
	}
	v6 := one("fd00::"+n+"/64", "fd00::1"+n+"/64", "fd01::"+n+"/64", "fd02::"+n+"/128") + " dev " + d
	return one(
		"add "+v4, "add "+v4+one(" broadcast +", " scope link", " scope 50", " label v0:x", " metric 7", " noprefixroute"),
		"add "+v4+" valid_lft 100 preferred_lft "+one("50", "0"), "add 10.9.0."+n+" peer 10.9.1."+one("2", "8/30")+" dev "+d,
		"add "+v6, "add "+v6+one(" nodad", " noprefixroute", " metric 7", " optimistic", " preferred_lft 0", " valid_lft 60 preferred_lft 60"),
		"change "+v4+" valid_lft 500", "change "+v6+" noprefixroute", "del "+v4, "del "+v6,
		"flush dev "+dev()+" scope link", "flush dev "+dev(),
	)
}

// rule is a command about a rule.
func (s saved) rule(one func(...string) string) string {
	return one(
		"add pref "+one("0", "5", "6", "32766", "40000")+one("", " from 10.0.0.0/8", " from fd00::1/64", " to 10.1.0.0/16 not")+
			one("", " fwmark 0/0xff", " fwmark 0x10 tos 0x10", " iif v0 oif d9", " ipproto 17 sport 5 dport 1-7", " uidrange 0-5", " realms 2/3")+
			one(" table 9", " nop", " goto 40000", " prohibit", " table 9 blackhole", " table local suppress_prefixlength 3", " lookup main suppress_ifgroup default protocol 77"),
		"add l3mdev pref 7", "add table 77", "del pref "+one("0", "5", "6", "32766", "32767"), "flush", "flush table 9",
	)
}

func (s saved) route(one func(...string) string, dev func() string) string {
	dst := one("10.0.0.0/24", "10.40.0.0/16", "10.41.0.0/16", "default", "10.42.0.9")
	dst6 := one("fd00::/64", "fd40::/32", "fd41::/16", "-6 default", "fd42::9")
	extra := one("", "", " metric 9", " proto static", " table 9", " table 300 metric 2", " vrf red", " mtu 1290", " metric 3 mtu 1300 proto 77")
	v4 := one(
		dst+" dev "+dev(), dst+" via 10.0.0.99", dst+" via 10.0.0.98 dev "+dev(), dst+" dev "+dev()+" src "+one("10.0.0.1", "10.1.0.2"),
		dst+" via 10.99.0.1 dev "+dev()+" onlink", dst+" dev "+dev()+" scope "+one("host", "global"),
		one("blackhole ", "unreachable ", "prohibit ")+dst,
	)
	v6 := one(
		dst6+" dev "+dev(), dst6+" via fd00::99", dst6+" via fd99::1 dev "+dev()+" onlink", dst6+" dev "+dev()+" expires 900",
		one("blackhole ", "unreachable ", "prohibit ")+dst6, dst6+" dev "+dev()+" src fd00::1",
	)
	if rapid := one("4", "6", "many"); rapid == "4" {
		return v4 + extra
	} else if rapid == "6" {
		return strings.TrimPrefix(v6, "-6 ") + extra
	}
	return dst + extra + " nexthop via 10.0.0.99 dev " + dev() + " weight " + one("1", "3") + " nexthop " + one("dev "+dev(), "via 10.1.0.99")
}

// setting sets any setting to a small number, or fails to.
func (s saved) setting(t *rapid.T, one func(...string) string) {
	var names []string
	for _, x := range s.kernel.Sysctl.List("") {
		// The first makes adding an address take its time, the second says nothing of the
		// address that is there already, the others count the entries that are there.
		if x.Writable && !strings.HasSuffix(x.Name, ".arp_probes") && !strings.HasSuffix(x.Name, ".addr_gen_mode") && !strings.Contains(x.Name, ".gc_thresh") {
			names = append(names, x.Name)
		}
	}
	if len(names) > 0 {
		name := rapid.SampledFrom(names).Draw(t, "setting")
		if one("any", "conf", "conf") == "conf" {
			name = "net.ipv" + one("4", "6") + ".conf." + one("all", "default", "v0", "d0") + "." +
				one("forwarding", "disable_ipv6", "rp_filter", "accept_dad", "mtu")
		}
		run(s.server, "sysctl", "-q", "-w", name+"="+one("0", "1", "2", "3", "10", "1400", "5000"))
	}
}
