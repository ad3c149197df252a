package sandbox

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// resolving is a configuration with a resolver.
func resolving() Config {
	c := island()
	c.DNS = []netip.Addr{netip.MustParseAddr("10.0.2.3"), netip.MustParseAddr("fd00:2::3")}
	c.Search = []string{"knit.test", "test"}
	return c
}

const resolvText = "search knit.test test\nnameserver 10.0.2.3\nnameserver fd00:2::3\n"

func TestResolvConf(t *testing.T) {
	needNamespaces(t)
	before, _ := os.ReadFile(resolvPath)
	for _, u := range users() {
		for _, keep := range []bool{false, true} {
			c := resolving()
			c.KeepUID = keep
			if out, r := script(t, u, c, "cat /etc/resolv.conf"); out != resolvText || !onlyAboutTUN(r.Notes) {
				t.Errorf("%s: resolv.conf %q, notes %q", u.name, out, r.Notes)
			}
		}
	}
	if after, _ := os.ReadFile(resolvPath); string(after) != string(before) {
		t.Errorf("the host's resolv.conf became %q", after)
	}
}

func onlyAboutTUN(notes []string) bool {
	return !slices.ContainsFunc(notes, func(n string) bool { return !strings.Contains(n, "TUN") })
}

// TestResolvConfIsALink: systemd-resolved makes it one, and where its daemon
// is not installed the link leads nowhere.
func TestResolvConfIsALink(t *testing.T) {
	needNamespaces(t)
	if os.Getuid() != 0 {
		t.Skip("only root may give the test another /etc")
	}
	for _, etc := range []string{"link", "dangling"} {
		c := resolving()
		c.Command = []string{"sh", "-ec", "cat /etc/resolv.conf /etc/marker"}
		p, status, r := run(t, user{"root", 0}, task{Config: c, Etc: etc})
		if out := p.stdout.String(); status != 0 || out != resolvText+"marker\n" || !onlyAboutTUN(r.Notes) {
			t.Errorf("%s: status %d, output %q, notes %q\n%s", etc, status, out, r.Notes, &p.stderr)
		}
	}
}

func TestHostsAndHostname(t *testing.T) {
	needNamespaces(t)
	before, _ := os.Hostname()
	for _, u := range users() {
		c := island()
		c.Hostname = "inside"
		c.Hosts = []Host{{netip.MustParseAddr("10.0.2.2"), []string{"gateway", "gw"}}}
		out, _ := script(t, u, c, "uname -n; cat /etc/hosts")
		wantLines(t, out, "inside\n10.0.2.2 gateway gw\n10.0.2.15 inside\n", "localhost")
	}
	if after, _ := os.Hostname(); after != before {
		t.Errorf("the host's name became %s", after)
	}
}

// TestSysfs: tcpdump and others look for interfaces in /sys/class/net.
func TestSysfs(t *testing.T) {
	needNamespaces(t)
	for _, u := range users() {
		c := island()
		c.Require = Packet
		out, _ := script(t, u, c, "ls -x /sys/class/net; ls -d /sys/fs/cgroup")
		if strings.Join(strings.Fields(out), " ") != "eth0 lo /sys/fs/cgroup" {
			t.Errorf("%s: interfaces in sysfs: %q, want eth0 and lo", u.name, out)
		}
	}
}

func TestMountsBelow(t *testing.T) {
	const info = `22 1 0:21 / /sys rw - sysfs sysfs rw
23 22 0:7 / /sys/kernel/security rw - securityfs securityfs rw
24 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
25 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
26 1 0:28 / /system rw - tmpfs tmpfs rw
27 22 0:29 / /sys/a\040b rw - tmpfs tmpfs rw
short line
`
	got := mountsBelow(info, "/sys")
	if want := []string{"/sys/kernel/security", "/sys/fs/cgroup"}; !slices.Equal(got, want) {
		t.Errorf("mountsBelow = %q, want %q", got, want)
	}
}
