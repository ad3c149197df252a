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

// bareResolv is what is left of the host's file, whatever that is, without its
// nameservers and search list.
func bareResolv() string {
	old, _ := os.ReadFile(resolvPath)
	return string(resolvConf(old, nil, []string{"knit.test", "test"}))
}

const resolvText = "search knit.test test\nnameserver 10.0.2.3\nnameserver fd00:2::3\n"

func TestResolvConf(t *testing.T) {
	needNamespaces(t)
	before, _ := os.ReadFile(resolvPath)
	want := bareResolv() + "nameserver 10.0.2.3\nnameserver fd00:2::3\n"
	for _, u := range users() {
		for _, keep := range []bool{false, true} {
			c := resolving()
			c.KeepUID = keep
			if out, r := script(t, u, c, "cat /etc/resolv.conf"); out != want || !onlyAboutTUN(r.Notes) || len(r.Warnings) > 0 {
				t.Errorf("%s: resolv.conf %q, notes %q, warnings %q", u.name, out, r.Notes, r.Warnings)
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
		if out := p.stdout.String(); status != 0 || out != resolvText+"marker\n" || len(r.Warnings) > 0 {
			t.Errorf("%s: status %d, output %q, warnings %q\n%s", etc, status, out, r.Warnings, &p.stderr)
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

// TestFilesAreForEveryUser: whoever starts the sandbox with a umask of 077 has
// programs inside that become other users, and they look names up too.
func TestFilesAreForEveryUser(t *testing.T) {
	needNamespaces(t)
	const look = "umask; stat -L -c %a /etc /etc/resolv.conf"
	p := newProgram(t, users()[0], task{Config: Config{DNS: resolving().DNS, Command: []string{"sh", "-ec", look}}})
	p.Path, p.Args = "/bin/sh", []string{"sh", "-c", "umask 077; exec " + executable(t)}
	p.start(t)
	status, r := p.end(t)
	if got := p.stdout.String(); status != 0 || got != "0077\n755\n644\n" {
		t.Errorf("status %d, error %q, umask and modes %q, want 0077, 755, 644", status, r.Err, got)
	}
}

// TestWithoutMounts: where a security module lets nobody mount anything the network
// is there all the same, and what is missing is said.
func TestWithoutMounts(t *testing.T) {
	needNamespaces(t)
	c := resolving()
	c.Command = []string{"sh", "-ec", "ls /proc/sys/net/ipv4/conf"}
	p, status, r := run(t, users()[0], task{Config: c, NoMounts: true})
	if r.Err == errNoLandlock {
		t.Skip(r.Err)
	}
	if status != 0 || len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "the resolver's files stay the host's: ") {
		t.Errorf("status %d, error %q, warnings %q", status, r.Err, r.Warnings)
	}
	wantLines(t, p.stdout.String(), r.Name+"\n")
}
