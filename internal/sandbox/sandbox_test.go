package sandbox

import (
	"net/netip"
	"strings"
	"testing"
)

func TestConfigSaysWhatIsWrong(t *testing.T) {
	ip := netip.MustParseAddr
	for _, c := range []struct {
		config Config
		want   string // "" means valid
	}{
		{Config{}, ""},
		{Config{MTU: 65520, Queues: 4, Name: "eth1", Require: TAP, Gateway4: ip("10.0.0.1"), Gateway6: ip("fe80::1")}, ""},
		{Config{MTU: 67}, "want 68 to 65535"},
		{Config{MTU: 65536}, "want 68 to 65535"},
		{Config{Queues: -1}, "want 1 to"},
		{Config{Name: "eth 0"}, "interface name"},
		{Config{Name: "../../x"}, "interface name"},
		{Config{Gateway4: ip("::1")}, "want an IPv4 address"},
		{Config{Gateway6: ip("10.0.0.1")}, "want an IPv6 address"},
		{Config{Gateway6: ip("::ffff:10.0.0.1")}, "want an IPv6 address"},
		{Config{Addrs: []netip.Prefix{{}}}, "want an IPv4 or IPv6 address"},
		{Config{Require: "tube"}, "want tun, tap or packet"},
		{Config{Hostname: strings.Repeat("x", 65)}, "longer than 64"},
		{Config{Hostname: "two words"}, "want one word"},
		{Config{Search: []string{"a\nnameserver 192.0.2.1"}}, "want one word"},
		{Config{Hosts: []Host{{Names: []string{"x"}}}}, "no address"},
		{Config{Hosts: []Host{{Addr: ip("10.0.0.1"), Names: []string{"x#"}}}}, "want one word"},
		{Config{DNS: []netip.Addr{{}}}, "invalid DNS"},
	} {
		_, err := c.config.withDefaults()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
}

func TestDefaultMTU(t *testing.T) {
	if c, err := (Config{}).withDefaults(); err != nil || c.MTU != DefaultMTU {
		t.Errorf("MTU %d, %v, want %d", c.MTU, err, DefaultMTU)
	}
}

func TestHostsFile(t *testing.T) {
	c := Config{Hostname: "inside", Hosts: []Host{{netip.MustParseAddr("fd00::2"), []string{"gw"}}}}
	if got, want := string(c.hostsFile([]byte("127.0.0.1 localhost\n"))), "fd00::2 gw\n127.0.1.1 inside\n127.0.0.1 localhost\n"; got != want {
		t.Errorf("hosts %q, want %q", got, want)
	}
	if got := string(c.hostsFile(nil)); !strings.Contains(got, "::1 localhost\n") {
		t.Errorf("hosts %q, want localhost in it", got)
	}
}

func TestResolvConfText(t *testing.T) {
	const old = "# a comment\nnameserver 192.0.2.1\nsearch corp.example  example\noptions edns0 trust-ad\ndomain\n"
	dns := []netip.Addr{netip.MustParseAddr("10.0.2.3")}
	for _, x := range []struct {
		old    string
		search []string
		want   string
	}{
		{"", nil, "nameserver 10.0.2.3\n"},
		{old, nil, "search corp.example example\noptions edns0 trust-ad\nnameserver 10.0.2.3\n"},
		{old, []string{"test"}, "options edns0 trust-ad\nsearch test\nnameserver 10.0.2.3\n"},
	} {
		if got := string(resolvConf([]byte(x.old), dns, x.search)); got != x.want {
			t.Errorf("%q, %q: %q, want %q", x.old, x.search, got, x.want)
		}
	}
}
