package ndp_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/conf6"
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

var (
	routerIP  = netip.MustParseAddr("fe80::99")
	routerIP2 = netip.MustParseAddr("fe80::98")
	prefix    = netip.MustParsePrefix("2001:db8:1::/64")
)

// An ra is a Router Advertisement as tests write it.
type ra struct {
	wire.RouterAdvertFields
	options [][]byte
}

func (r ra) bytes() []byte {
	b := make([]byte, wire.RouterAdvertLen)
	wire.PutRouterAdvert(b, r.RouterAdvertFields)
	for _, o := range r.options {
		b = append(b, o...)
	}
	return b
}

func prefixOption(p netip.Prefix, onLink, auto bool, valid, preferred uint32) []byte {
	b := make([]byte, wire.NDPPrefixLen)
	wire.PutNDPPrefix(b, wire.NDPPrefix{
		Bits: uint8(p.Bits()), OnLink: onLink, Autonomous: auto, Valid: valid, Preferred: preferred, Prefix: p.Addr().As16(),
	})
	return b
}

// advertise sends an advertisement of router to the one host of w.
func advertise(w *ip6test.Net, router netip.Addr, r ra) [][]byte {
	return w.Inject(0, ip6test.ICMP(router, netip.MustParseAddr("ff02::1"), 255, r.bytes()))
}

func life(seconds uint16) ra {
	return ra{RouterAdvertFields: wire.RouterAdvertFields{Lifetime: seconds}}
}

// routes returns the routes that were learned, as text.
func routes(h *ip6test.Host) (list []string) {
	for _, r := range h.Net.Main.All() {
		if r.Proto == route.ProtoRA {
			via := ""
			if g := r.NextHops[0].Gateway; g.IsValid() {
				via = " via " + g.String()
			}
			list = append(list, fmt.Sprintf("%v%s metric %d", r.Dst, via, r.Metric))
		}
	}
	return list
}

func want(t *testing.T, h *ip6test.Host, when string, expected ...string) {
	t.Helper()
	if got := routes(h); fmt.Sprint(got) != fmt.Sprint(expected) {
		t.Errorf("%s: routes %q, want %q", when, got, expected)
	}
}

// TestDefaultRouters: RFC 4861 §6.3.4, with the preferences of RFC 4191.
func TestDefaultRouters(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	advertise(w, routerIP, life(1800))
	want(t, a, "one router", "::/0 via fe80::99 metric 1024")
	high := life(100)
	high.Preference = wire.PreferenceHigh
	advertise(w, routerIP2, high)
	want(t, a, "a preferred one", "::/0 via fe80::98 metric 1023", "::/0 via fe80::99 metric 1024")
	high.Preference = wire.PreferenceLow
	advertise(w, routerIP2, high)
	want(t, a, "preferred no more", "::/0 via fe80::99 metric 1024", "::/0 via fe80::98 metric 1025")
	w.Clock.Advance(101 * time.Second)
	want(t, a, "one lifetime has ended", "::/0 via fe80::99 metric 1024")
	advertise(w, routerIP, life(0))
	want(t, a, "the other one goes away")
	w.Settle()
}

// TestUnreachableRouter: "Routers that are reachable [...] SHOULD be preferred"
// (RFC 4861 §6.3.6).
func TestUnreachableRouter(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	advertise(w, routerIP, life(1800))
	advertise(w, routerIP2, life(1800))
	a.Send(network.Flow{Dst: netip.MustParseAddr("2001:db8::1")}, network.Send{Proto: wire.ProtoUDP}, nil)
	w.Clock.Advance(10 * time.Second)
	want(t, a, "the first one does not answer", "::/0 via fe80::98 metric 1024", "::/0 via fe80::99 metric 2048")
	advertise(w, routerIP, life(1800))
	want(t, a, "it is heard of again", "::/0 via fe80::98 metric 1024", "::/0 via fe80::99 metric 1024")
	w.Clock.Advance(2000 * time.Second)
}

// TestRouterThatBecomesHost: RFC 4861 §7.2.5.
func TestRouterThatBecomesHost(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	r := life(1800)
	r.options = [][]byte{linkOption(wire.NDPOptSourceLink, ip6test.StrangerMAC)}
	advertise(w, routerIP, r)
	if e := find(w.Hosts[0], routerIP); !e.Router || e.MAC != ip6test.StrangerMAC {
		t.Errorf("the router is noted as %+v", e)
	}
	w.Inject(1, ip6test.ICMP(routerIP, ip6test.IP(1), 255, advert(routerIP, wire.NeighborAdvertFields{Override: true}, ip6test.StrangerMAC)))
	want(t, w.Hosts[0], "it says it is no router")
	w.Settle()
}

// TestBadAdvertisements holds RFC 4861 §6.1.2 against what is learned: nothing.
func TestBadAdvertisements(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	all := netip.MustParseAddr("ff02::1")
	good := life(1800).bytes()
	for name, p := range map[string][]byte{
		"hop limit 254":                ip6test.ICMP(routerIP, all, 254, append([]byte{}, good...)),
		"not from a link-local one":    ip6test.ICMP(ip6test.Stranger, all, 255, append([]byte{}, good...)),
		"15 octets":                    ip6test.ICMP(routerIP, all, 255, append([]byte{}, good[:15]...)),
		"an option of length 0":        ip6test.ICMP(routerIP, all, 255, append(append([]byte{}, good...), 1, 0, 0, 0, 0, 0, 0, 0)),
		"from ourselves":               ip6test.ICMP(a.LinkLocal(a.Dev), all, 255, append([]byte{}, good...)),
		"code 1":                       ip6test.ICMP(routerIP, all, 255, append([]byte{134, 1}, good[2:]...)),
		"from the unspecified address": ip6test.ICMP(netip.IPv6Unspecified(), all, 255, append([]byte{}, good...)),
	} {
		w.Inject(0, p)
		want(t, a, name)
	}
	for _, s := range []struct{ name, key, value string }{
		{"accept_ra=0", "accept_ra", "0"}, {"accept_ra=1 of a router", "forwarding", "1"}, {"accept_ra_defrtr=0", "accept_ra_defrtr", "0"},
	} {
		old, _ := a.Sysctl.Get("net.ipv6.conf.eth0." + s.key)
		a.Set("net.ipv6.conf.eth0."+s.key, s.value)
		advertise(w, routerIP, life(1800))
		want(t, a, s.name)
		a.Set("net.ipv6.conf.eth0."+s.key, old)
	}
	w.Settle()
}

// TestAutoconfiguration: RFC 4862 §5.5.3.
func TestAutoconfiguration(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	r := life(1800)
	r.options = [][]byte{prefixOption(prefix, true, true, 7200, 3600)}
	advertise(w, routerIP, r)
	want(t, a, "an on-link prefix", "::/0 via fe80::99 metric 1024", "2001:db8:1::/64 metric 256")
	ip := conf6.WithID(prefix.Addr(), conf6.EUI64(a.Dev.MAC()))
	x := a.Find(a.Dev, ip.String())
	if x == nil || x.Flags&network.Tentative == 0 || x.Proto != route.ProtoRA || x.ValidUntil.Sub(w.Clock.Now()) != 2*time.Hour ||
		x.PreferredUntil.Sub(w.Clock.Now()) != time.Hour || x.Flags&network.Permanent != 0 {
		t.Fatalf("address %+v", x)
	}
	w.Settle()
	if !a.Find(a.Dev, ip.String()).Usable() {
		t.Error("still tentative")
	}
	a.Dev.SetUp(false)
	if a.Find(a.Dev, ip.String()) != nil {
		t.Error("the address stays on a link that is down")
	}
	want(t, a, "the link is down")
	a.Dev.SetUp(true)
	w.Settle()
}

// TestOnLinkPrefixOfAnAddress: one route for a prefix that the host has an address
// in and hears of too; when the address goes the next advertisement brings it back.
func TestOnLinkPrefixOfAnAddress(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	r := life(0)
	r.options = [][]byte{prefixOption(netip.MustParsePrefix("fd00::/64"), true, false, 7200, 3600)}
	advertise(w, routerIP, r)
	n := 0
	for _, x := range a.Net.Main.All() {
		if x.Dst == netip.MustParsePrefix("fd00::/64") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d routes to fd00::/64, want 1", n)
	}
	if err := a.Net.DelAddr(a.Dev, netip.MustParsePrefix(ip6test.Prefix(1))); err != nil {
		t.Fatal(err)
	}
	advertise(w, routerIP, r)
	want(t, a, "the address is gone", "fd00::/64 metric 256")
	w.Clock.Advance(3 * time.Hour)
	want(t, a, "the lifetime has ended")
	w.Settle()
}

// TestPrefixesThatAreIgnored: RFC 4862 §5.5.3 (a) to (d).
func TestPrefixesThatAreIgnored(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	for name, o := range map[string][]byte{
		"(a) not autonomous":       prefixOption(prefix, false, false, 7200, 3600),
		"(b) link-local":           prefixOption(netip.MustParsePrefix("fe80::/64"), false, true, 7200, 3600),
		"(c) preferred for longer": prefixOption(prefix, false, true, 3600, 3601),
		"(d) 65 bits":              prefixOption(netip.MustParsePrefix("2001:db8:1::/65"), false, true, 7200, 3600),
		"(d) valid for 0 s":        prefixOption(prefix, false, true, 0, 0),
		"a group":                  prefixOption(netip.MustParsePrefix("ff00::/64"), true, true, 7200, 3600),
	} {
		r := life(0)
		r.options = [][]byte{o}
		n := len(a.Net.Addrs(a.Dev.Index()))
		advertise(w, routerIP, r)
		if len(a.Net.Addrs(a.Dev.Index())) != n || len(routes(a)) != 0 {
			t.Errorf("%s: %v, %v", name, a.Net.Addrs(a.Dev.Index()), routes(a))
		}
	}
}

// TestTwoHours: RFC 4862 §5.5.3 (e): a forged advertisement cannot end an address at
// once.
func TestTwoHours(t *testing.T) {
	const hour = 3600
	for _, tt := range []struct {
		left, advertised, want uint32
	}{
		{24 * hour, 48 * hour, 48 * hour}, // longer than before
		{24 * hour, 3 * hour, 3 * hour},   // longer than two hours
		{24 * hour, 60, 2 * hour},         // shortened to two hours
		{24 * hour, 0, 2 * hour},
		{hour, 60, hour},           // ignored
		{hour, hour + 1, hour + 1}, // longer than is left
		{wire.NDPInfinite, 60, 2 * hour},
	} {
		w := ip6test.NewNet(t, 1)
		a := w.Hosts[0]
		ip := conf6.WithID(prefix.Addr(), conf6.EUI64(a.Dev.MAC())).String()
		r := life(0)
		r.options = [][]byte{prefixOption(prefix, false, true, tt.left, 0)}
		advertise(w, routerIP, r)
		r.options = [][]byte{prefixOption(prefix, false, true, tt.advertised, 0)}
		advertise(w, routerIP, r)
		x := a.Find(a.Dev, ip)
		if x == nil || x.ValidUntil.Sub(w.Clock.Now()) != time.Duration(tt.want)*time.Second || x.Flags&network.Deprecated == 0 {
			t.Errorf("%d s left, %d s advertised: %+v, want %d s", tt.left, tt.advertised, x, tt.want)
		}
	}
}

// TestTemporaryAddresses: RFC 8981: one beside the stable one, with another
// identifier, preferred as a source, and followed by another in time.
func TestTemporaryAddresses(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	a.Set("net.ipv6.conf.eth0.use_tempaddr", "2")
	r := life(9000)
	r.options = [][]byte{prefixOption(prefix, true, true, 30*86400, 7*86400)}
	temporaries := func() (list []*network.Addr) {
		for _, x := range a.Net.Addrs(a.Dev.Index()) {
			if x.IP().Is6() && x.Flags&network.Temporary != 0 && x.Proto == route.ProtoRA {
				list = append(list, x)
			}
		}
		return list
	}
	advertise(w, routerIP, r)
	w.Settle()
	first := temporaries()
	if len(first) != 1 {
		t.Fatalf("%d temporary addresses", len(first))
	}
	if left := first[0].PreferredUntil.Sub(w.Clock.Now()); left > 24*time.Hour || left < 23*time.Hour {
		t.Errorf("preferred for %v, want a day at most", left)
	}
	src, err := a.Net.SourceFor(netip.MustParseAddr("2001:db8:2::1"), 0)
	if err != nil || src != first[0].IP() {
		t.Errorf("source %v, %v, want %v", src, err, first[0].IP())
	}
	advertise(w, routerIP, r)
	if len(temporaries()) != 1 {
		t.Error("another one although the first is fresh")
	}
	w.Clock.Advance(24 * time.Hour)
	advertise(w, routerIP, r)
	w.Settle()
	if n := len(temporaries()); n != 2 {
		t.Errorf("%d temporary addresses after a day, want the old and a new one", n)
	}
	w.Clock.Advance(40 * 24 * time.Hour)
	if n := len(temporaries()); n != 0 {
		t.Errorf("%d temporary addresses after all lifetimes", n)
	}
	w.Settle()
}

// TestFloods: whoever is on the link cannot fill tables: 16 routers, 64 routes,
// max_addresses addresses, 8 DNS servers.
func TestFloods(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	for i := range 200 {
		p := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 5: byte(i)}), 64)
		r := life(9000)
		info := make([]byte, 24)
		n := wire.PutNDPRoute(info, wire.NDPRoute{Bits: 48, Lifetime: 9000, Prefix: [16]byte{0x20, 2, byte(i)}})
		servers := make([]byte, wire.NDPRDNSSLen+16)
		wire.PutNDPRDNSS(servers, 9000, p.Addr().Next().As16())
		r.options = [][]byte{prefixOption(p, true, true, 9000, 9000), info[:n], servers}
		advertise(w, netip.AddrFrom16([16]byte{0xfe, 0x80, 14: 1, 15: byte(i)}), r)
	}
	defaults := 0
	for _, r := range a.Net.Main.All() {
		if r.Dst.Bits() == 0 {
			defaults++
		}
	}
	if n := len(routes(a)); defaults != 16 || n != 64 {
		t.Errorf("%d default routers, %d routes, want 16 and 64", defaults, n)
	}
	if n := len(a.Net.Addrs(a.Dev.Index())); n != 16 {
		t.Errorf("%d addresses, want 16", n)
	}
	if n := len(resolvers(t, a)); n != 8 {
		t.Errorf("%d servers, want 8", n)
	}
	w.Clock.Advance(10000 * time.Second)
	if n := len(routes(a)) + len(resolvers(t, a)); n != 0 {
		t.Errorf("%d routes and servers after their lifetimes", n)
	}
	w.Settle()
}

// TestLinkParameters: hop limit, MTU, timers, more specific routes and DNS servers.
func TestLinkParameters(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	mtu := make([]byte, wire.NDPMTULen)
	wire.PutNDPMTU(mtu, 1400)
	info := make([]byte, 24)
	n := wire.PutNDPRoute(info, wire.NDPRoute{Bits: 32, Preference: wire.PreferenceHigh, Lifetime: 600, Prefix: [16]byte{0x20, 2, 0, 1}})
	servers := make([]byte, wire.NDPRDNSSLen+32)
	wire.PutNDPRDNSS(servers, 600, netip.MustParseAddr("2001:db8::53").As16(), netip.MustParseAddr("fe80::53").As16())
	r := ra{wire.RouterAdvertFields{HopLimit: 33, Lifetime: 600, ReachableTime: 10000, RetransmitTime: 2000}, [][]byte{mtu, info[:n], servers}}
	advertise(w, routerIP, r)
	want(t, a, "a route information option", "::/0 via fe80::99 metric 1024", "2002:1::/32 via fe80::99 metric 1023")
	if v, _ := a.Sysctl.Get("net.ipv6.conf.eth0.hop_limit"); v != "33" {
		t.Errorf("hop limit %s, want 33", v)
	}
	if p, err := a.Net.Resolve(network.Flow{Dst: ip6test.Stranger}); err != nil || p.MTU() != 1400 {
		t.Errorf("MTU of %v, %v, want 1400", p, err)
	}
	if p := a.Net.Neighbours(network.V6).Params(a.Dev); p.BaseReachable != 10*time.Second || p.Retrans != 2*time.Second {
		t.Errorf("timers %v", p)
	}
	if rs := resolvers(t, a); len(rs) != 2 || rs[0].Addr != netip.MustParseAddr("2001:db8::53") || rs[1].Device != a.Dev {
		t.Errorf("servers %v", rs)
	}
	wire.PutNDPMTU(mtu, 1200)
	advertise(w, routerIP, r)
	if p, _ := a.Net.Resolve(network.Flow{Dst: ip6test.Stranger}); p.MTU() != 1400 {
		t.Error("an MTU of 1200 was believed")
	}
	w.Clock.Advance(700 * time.Second)
}

// TestRouterSolicitations: RFC 7559: again and again, less and less often, until a
// router answers.
func TestRouterSolicitations(t *testing.T) {
	w := ip6test.NewNet(t, 0)
	a := w.Add(t, 1)
	w.Clock.Advance(4 * time.Minute)
	m := ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6RouterSolicit)
	if len(m) < 5 || len(m) > 7 { // about 4, 8, 16, 32, 64, 128 s apart
		t.Errorf("%d solicitations in four minutes", len(m))
	}
	if m[0].IP.Src() != a.LinkLocal(a.Dev) || m[0].IP.Dst() != netip.MustParseAddr("ff02::2") || m[0].IP.HopLimit() != 255 {
		t.Errorf("solicitation %x", m[0].Bytes)
	}
	advertise(w, routerIP, life(1800))
	w.Clock.Advance(time.Hour)
	if n := len(ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6RouterSolicit)); n != 0 {
		t.Errorf("%d solicitations after a router was heard of", n)
	}
}

func resolvers(t *testing.T, h *ip6test.Host) []network.Resolver {
	t.Helper()
	return ip6test.Symbol[network.ResolversFunc](t, h.Kernel, network.ResolversSymbol)()
}

// TestAdvertiser: a host configures itself by what another kernel advertises, which
// stops with a lifetime of zero.
func TestAdvertiser(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	r := w.Hosts[0]
	r.Addr(r.Dev, "2001:db8:1::1/64")
	r.Set("net.ipv6.conf.eth0.ra_rdnss", "2001:db8:1::53")
	w.Settle()
	r.Set("net.ipv6.conf.eth0.send_ra", "1")
	w.Settle()
	b := w.Add(t, 2)
	w.Settle()
	ip := conf6.WithID(prefix.Addr(), conf6.EUI64(b.Dev.MAC()))
	if x := b.Find(b.Dev, ip.String()); x == nil || !x.Usable() {
		t.Errorf("no address in the advertised prefix: %v", b.Net.Addrs(b.Dev.Index()))
	}
	want(t, b, "advertised", "::/0 via "+r.LinkLocal(r.Dev).String()+" metric 1024", "2001:db8:1::/64 metric 256")
	// The answer to its solicitation must not say that it is no router.
	b.Send(network.Flow{Dst: netip.MustParseAddr("2001:db8:ffff::1")}, network.Send{Proto: wire.ProtoUDP}, nil)
	want(t, b, "the router was asked for its address", "::/0 via "+r.LinkLocal(r.Dev).String()+" metric 1024", "2001:db8:1::/64 metric 256")
	if rs := resolvers(t, b); len(rs) != 1 || rs[0].Addr != netip.MustParseAddr("2001:db8:1::53") {
		t.Errorf("servers %v", rs)
	}
	w.Clock.Advance(2 * time.Hour) // longer than the router's lifetime: it goes on
	if n := len(ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6RouterAdvert)); n < 12 || n > 40 {
		t.Errorf("%d advertisements in two hours, want one in 200 to 600 s", n)
	}
	want(t, b, "two hours later", "::/0 via "+r.LinkLocal(r.Dev).String()+" metric 1024", "2001:db8:1::/64 metric 256")
	r.Set("net.ipv6.conf.eth0.send_ra", "0")
	want(t, b, "the router stops", "2001:db8:1::/64 metric 256")
}

// TestRedirect: RFC 4861 §8.1 and §8.3.
func TestRedirect(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	advertise(w, routerIP, life(9000))
	dst := netip.MustParseAddr("2001:db8:9::1")
	redirect := func(src, target, dst netip.Addr, hops uint8) netip.Addr {
		b := make([]byte, wire.NDPRedirectLen)
		wire.PutNDPRedirect(b, target.As16(), dst.As16())
		b = append(b, linkOption(wire.NDPOptTargetLink, wire.MAC{2, 0, 0, 0, 0, 0x98})...)
		w.Inject(1, ip6test.ICMP(src, ip6test.IP(1), hops, b))
		p, err := a.Net.Resolve(network.Flow{Dst: dst})
		if err != nil {
			t.Fatal(err)
		}
		return p.NextHop
	}
	for name, hop := range map[string]netip.Addr{
		"from who is not the first hop": redirect(routerIP2, routerIP2, dst, 255),
		"hop limit 254":                 redirect(routerIP, routerIP2, dst, 254),
		"to a target that is no router": redirect(routerIP, ip6test.Stranger, dst, 255),
	} {
		if hop != routerIP {
			t.Errorf("%s: followed to %v", name, hop)
		}
	}
	a.Set("net.ipv6.conf.eth0.accept_redirects", "0")
	if hop := redirect(routerIP, routerIP2, dst, 255); hop != routerIP {
		t.Errorf("accept_redirects=0: followed to %v", hop)
	}
	a.Set("net.ipv6.conf.eth0.accept_redirects", "1")
	if hop := redirect(routerIP, routerIP2, dst, 255); hop != routerIP2 {
		t.Errorf("to a better router: %v", hop)
	}
	onLink := netip.MustParseAddr("2001:db8:9::2")
	if hop := redirect(routerIP, onLink, onLink, 255); hop != onLink {
		t.Errorf("to the destination itself: %v", hop)
	}
	w.Clock.Advance(10000 * time.Second)
}

// FuzzMessage: any Neighbour Discovery message, to a host in the middle of things.
func FuzzMessage(f *testing.F) {
	r := life(1800)
	mtu := make([]byte, wire.NDPMTULen)
	wire.PutNDPMTU(mtu, 1400)
	r.options = [][]byte{prefixOption(prefix, true, true, 7200, 3600), mtu, linkOption(1, ip6test.StrangerMAC)}
	f.Add(r.bytes(), true, false)
	f.Add(solicit(ip6test.IP(1), linkOption(1, ip6test.StrangerMAC)...), true, true)
	f.Add(advert(ip6test.IP(1), wire.NeighborAdvertFields{Override: true}, ip6test.StrangerMAC), false, false)
	b := make([]byte, wire.NDPRedirectLen)
	wire.PutNDPRedirect(b, routerIP2.As16(), ip6test.Stranger.As16())
	f.Add(b, true, false)
	f.Add([]byte{133, 0, 0, 0, 0, 0, 0, 0}, true, true)
	f.Fuzz(func(t *testing.T, b []byte, linkLocal, router bool) {
		if len(b) < 4 || len(b) > 1400 {
			return
		}
		w := ip6test.NewNet(t, 1)
		a := w.Hosts[0]
		if router {
			a.Set("net.ipv6.conf.eth0.send_ra", "1")
		}
		a.Addr(a.Dev, "fd00::77/64") // tentative
		src := ip6test.Stranger
		if linkLocal {
			src = routerIP
		}
		w.Inject(1, ip6test.ICMP(src, ip6test.IP(1), 255, b))
		w.Clock.Advance(time.Hour)
	})
}

// TestHostThatBecomesRouter: a router has no default routers by advertisements, not
// even those it knew as a host, unless it is told to (accept_ra=2).
func TestHostThatBecomesRouter(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	onLink := ra{RouterAdvertFields: wire.RouterAdvertFields{Lifetime: 1800}, options: [][]byte{prefixOption(prefix, true, false, 3600, 3600)}}
	advertise(w, routerIP, onLink)
	a.Set("net.ipv6.conf.eth0.accept_ra", "2")
	a.Set("net.ipv6.conf.eth0.forwarding", "1")
	want(t, a, "accept_ra=2", "::/0 via fe80::99 metric 1024", "2001:db8:1::/64 metric 256")
	a.Set("net.ipv6.conf.eth0.forwarding", "0")
	a.Set("net.ipv6.conf.eth0.accept_ra", "1")
	a.Set("net.ipv6.conf.eth0.forwarding", "1")
	want(t, a, "accept_ra=1", "2001:db8:1::/64 metric 256")
	w.Clock.Advance(4000 * time.Second)
}

// TestPreferenceChangesWithoutAGap: while a router's preference changes there is a
// default route at every moment.
func TestPreferenceChangesWithoutAGap(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	advertise(w, routerIP, life(1800))
	events := 0
	undo := a.Net.Watch(func(e network.Event) {
		if e.Route == nil {
			return
		}
		events++
		if a.Net.Main.Lookup(netip.MustParseAddr("2001:db8::1")) == nil {
			t.Error("no default route")
		}
	})
	high := life(1800)
	high.Preference = wire.PreferenceHigh
	advertise(w, routerIP, high)
	undo()
	if events != 2 {
		t.Errorf("%d changes of routes, want one added and one removed", events)
	}
	want(t, a, "the new preference", "::/0 via fe80::99 metric 1023")
	w.Clock.Advance(2000 * time.Second)
}
