package wire_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/knitnet/knit/wire"
)

func pref64(t testing.TB, s string) wire.Pref64 {
	t.Helper()
	p, err := wire.NewPref64(netip.MustParsePrefix(s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPref64Examples: the worked examples of RFC 6052 §2.4.
func TestPref64Examples(t *testing.T) {
	v4 := netip.MustParseAddr("192.0.2.33").As4()
	for _, x := range []struct{ prefix, want string }{
		{"2001:db8::/32", "2001:db8:c000:221::"},
		{"2001:db8:100::/40", "2001:db8:1c0:2:21::"},
		{"2001:db8:122::/48", "2001:db8:122:c000:2:2100::"},
		{"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"},
		{"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"},
		{"2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"},
		{"64:ff9b::/96", "64:ff9b::192.0.2.33"},
	} {
		p := pref64(t, x.prefix)
		a := p.Embed(v4)
		if got, want := netip.AddrFrom16(a), netip.MustParseAddr(x.want); got != want {
			t.Errorf("%s: 192.0.2.33 is %v, want %v", x.prefix, got, want)
		}
		if back, ok := p.Extract(&a); !ok || back != v4 {
			t.Errorf("%s: back to %v, %v", x.prefix, back, ok)
		}
		if p.Prefix().String() != x.prefix {
			t.Errorf("Prefix() = %v, want %s", p.Prefix(), x.prefix)
		}
	}
}

// TestPref64Extract: what lies elsewhere or has the reserved octet set stands for
// nothing; a suffix is ignored (RFC 6052 §2.2).
func TestPref64Extract(t *testing.T) {
	p := pref64(t, "2001:db8:122:344::/64")
	for _, x := range []struct {
		addr string
		ok   bool
	}{
		{"2001:db8:122:344:c0:2:2100::", true},
		{"2001:db8:122:344:c0:2:21ff:1", true},
		{"2001:db8:122:344:1c0:2:2100::", false},
		{"2001:db8:122:345:c0:2:2100::", false},
	} {
		a := netip.MustParseAddr(x.addr).As16()
		if v4, ok := p.Extract(&a); ok != x.ok || ok && v4 != [4]byte{192, 0, 2, 33} {
			t.Errorf("%s: %v, %v", x.addr, v4, ok)
		}
	}
	if a := ([16]byte{}); (wire.Pref64{}).Contains(&a) {
		t.Error("the zero Pref64 contains ::")
	}
}

// TestPref64Refused: RFC 6052 §2.2 knows six lengths, and bits 64 to 71 are zero.
func TestPref64Refused(t *testing.T) {
	for prefix, want := range map[string]string{
		"2001:db8::/33":         "32, 40, 48",
		"2001:db8::/128":        "32, 40, 48",
		"192.0.2.0/24":          "IPv6",
		"::ffff:0.0.0.0/96":     "IPv6",
		"2001:db8:0:0:100::/96": "64 to 71",
		"2001:db8::1/96":        "behind",
	} {
		if _, err := wire.NewPref64(netip.MustParsePrefix(prefix)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", prefix, err, want)
		}
	}
}

// TestWellKnownPrefixIsForGlobalAddresses: RFC 6052 §3.1.
func TestWellKnownPrefixIsForGlobalAddresses(t *testing.T) {
	known, own := pref64(t, "64:ff9b::/96"), pref64(t, "2001:db8::/96")
	for addr, global := range map[string]bool{
		"8.8.8.8": true, "100.63.255.255": true, "100.64.0.0": false, "100.128.0.0": true, "10.0.0.1": false,
		"172.15.0.1": true, "172.16.0.1": false, "172.31.255.255": false, "172.32.0.0": true, "192.168.1.1": false,
		"192.167.0.1": true, "192.0.0.8": false, "192.0.2.1": false, "192.0.3.1": true, "198.18.0.1": false,
		"198.19.1.1": false, "198.20.0.1": true, "198.51.100.7": false, "203.0.113.1": false, "203.0.114.1": true,
		"127.0.0.1": false, "0.0.0.0": false, "169.254.1.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
	} {
		a := netip.MustParseAddr(addr).As4()
		if got := known.MayEmbed(a); got != global {
			t.Errorf("64:ff9b::%s may be: %v", addr, got)
		}
		if !own.MayEmbed(a) {
			t.Errorf("a prefix of one's own may not stand for %s", addr)
		}
	}
}

// FuzzPref64: for every prefix and address, what is embedded is extracted.
func FuzzPref64(f *testing.F) {
	f.Add(uint8(5), []byte{0: 0x20, 15: 1}, []byte{192, 0, 2, 33})
	f.Fuzz(func(t *testing.T, length uint8, prefix, addr []byte) {
		if len(prefix) < 16 || len(addr) < 4 {
			return
		}
		b := [16]byte(prefix)
		b[8] = 0
		bits := []int{32, 40, 48, 56, 64, 96}[length%6]
		p, err := wire.NewPref64(netip.PrefixFrom(netip.AddrFrom16(b), bits).Masked())
		if err != nil {
			return // ::ffff:0:0/96
		}
		a := p.Embed([4]byte(addr))
		if got, ok := p.Extract(&a); !ok || got != [4]byte(addr) || a[8] != 0 || !p.Contains(&a) {
			t.Errorf("%v: %v becomes %v becomes %v, %v", p.Prefix(), addr[:4], a, got, ok)
		}
	})
}
