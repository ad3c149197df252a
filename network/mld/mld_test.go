package mld_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/wire"
)

var (
	group  = netip.MustParseAddr("ff0e::7")
	router = netip.MustParseAddr("fe80::99")
)

// mldPacket returns an MLD message in a packet with a Router Alert.
func mldPacket(src, dst netip.Addr, hops uint8, message []byte) []byte {
	wire.FinishICMP6(message, src.As16(), dst.As16())
	alert := make([]byte, wire.IPv6RouterAlertLen)
	wire.PutIPv6RouterAlert(alert, wire.ProtoICMPv6, wire.IPv6RouterAlertMLD)
	return ip6test.Packet(src, dst, wire.ProtoHopByHop, hops, append(alert, message...))
}

func generalQuery() []byte {
	b := make([]byte, wire.MLDv2QueryLen)
	wire.PutMLDQuery(b, wire.MLDQueryFields{MaxResponse: 1000, Robustness: 2, Interval: 125})
	return b
}

// records returns the types of the records about a group in reports of version 2.
func records(t *testing.T, frames [][]byte, group netip.Addr) (types []uint8) {
	t.Helper()
	for _, m := range ip6test.Messages(t, frames, wire.ICMP6MLDv2Report) {
		w, ok := wire.ParseMLDv2Report(m.Bytes)
		if !ok {
			t.Errorf("not a report: %x", m.Bytes)
		}
		for r, ok := w.Next(); ok; r, ok = w.Next() {
			if r.Group() == group {
				types = append(types, r.Type())
			}
		}
	}
	return types
}

// TestReports: a join and a leave are told twice each, in packets as RFC 3810 §5
// wants them; gopacket reads them too.
func TestReports(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	m, err := a.Net.Join(a.Dev, group, network.Filter{Exclude: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(5 * time.Second)
	frames := w.Ether.Frames()
	if got := records(t, frames, group); len(got) != 2 || got[0] != wire.GroupChangeToExclude || got[1] != wire.GroupChangeToExclude {
		t.Errorf("join: records of types %v", got)
	}
	for _, x := range ip6test.Messages(t, frames, wire.ICMP6MLDv2Report) {
		_, off, _, _ := x.IP.Upper()
		if x.IP.Src() != a.LinkLocal(a.Dev) || x.IP.Dst() != netip.MustParseAddr("ff02::16") || x.IP.HopLimit() != 1 ||
			x.IP.NextHeader() != wire.ProtoHopByHop || off != 48 || x.Dst != (wire.MAC{0x33, 0x33, 0, 0, 0, 0x16}) {
			t.Errorf("report to %v from %v", x.IP.Dst(), x.IP.Src())
		}
	}
	p := gopacket.NewPacket(frames[0], layers.LayerTypeEthernet, gopacket.Default)
	r, ok := p.Layer(layers.LayerTypeMLDv2MulticastListenerReport).(*layers.MLDv2MulticastListenerReportMessage)
	if !ok || p.ErrorLayer() != nil || len(r.MulticastAddressRecords) != 1 || !r.MulticastAddressRecords[0].MulticastAddress.Equal(group.AsSlice()) {
		t.Errorf("gopacket reads %v", p)
	}
	m.Leave()
	w.Clock.Advance(5 * time.Second)
	if got := records(t, w.Ether.Frames(), group); len(got) != 2 || got[0] != wire.GroupChangeToInclude {
		t.Errorf("leave: records of types %v", got)
	}
}

// TestGroupsNobodyHearsOf: all nodes, and groups of node-local scope (RFC 3810 §6).
func TestGroupsNobodyHearsOf(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	w.Inject(1, mldPacket(router, netip.MustParseAddr("ff02::1"), 1, generalQuery()))
	w.Clock.Advance(5 * time.Second)
	frames := w.Ether.Frames()
	for _, g := range []string{"ff02::1", "ff01::1"} {
		if got := records(t, frames, netip.MustParseAddr(g)); len(got) != 0 {
			t.Errorf("%s was reported", g)
		}
	}
	if got := records(t, frames, wire.SolicitedNode(ip6test.IP(1))); len(got) != 1 || got[0] != wire.GroupIsExclude {
		t.Errorf("the solicited-node group: records of types %v", got)
	}
}

// TestQueriesThatAreIgnored: RFC 3810 §6.2.
func TestQueriesThatAreIgnored(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	all := netip.MustParseAddr("ff02::1")
	noAlert := ip6test.ICMP(router, all, 1, generalQuery())
	for name, p := range map[string][]byte{
		"hop limit 2":               mldPacket(router, all, 2, generalQuery()),
		"not from a link-local one": mldPacket(ip6test.Stranger, all, 1, generalQuery()),
		"without a Router Alert":    noAlert,
		"of a length between":       mldPacket(router, all, 1, generalQuery()[:26]),
	} {
		w.Inject(1, p)
		w.Clock.Advance(5 * time.Second)
		if m := ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6MLDv2Report); len(m) != 0 {
			t.Errorf("%s: answered by %x", name, m[0].Bytes)
		}
	}
}

// TestVersion1Router: a host speaks version 1 to a router that knows only that.
func TestVersion1Router(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	q := make([]byte, wire.MLDLen)
	wire.PutMLD(q, wire.ICMP6MLDQuery, 1000, [16]byte{})
	w.Inject(1, mldPacket(router, netip.MustParseAddr("ff02::1"), 1, q))
	w.Clock.Advance(5 * time.Second)
	w.Ether.Frames()
	m, err := a.Net.Join(a.Dev, group, network.Filter{Exclude: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(15 * time.Second)
	frames := w.Ether.Frames()
	v1 := ip6test.Messages(t, frames, wire.ICMP6MLDReport)
	if len(v1) != 2 || len(ip6test.Messages(t, frames, wire.ICMP6MLDv2Report)) != 0 || v1[0].IP.Dst() != group {
		t.Errorf("%d reports of version 1", len(v1))
	}
	m.Leave()
	w.Clock.Advance(time.Second)
	if done := ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6MLDDone); len(done) != 1 || done[0].IP.Dst() != netip.MustParseAddr("ff02::2") {
		t.Errorf("%d messages Done", len(done))
	}
}

// TestReportsBeforeAnAddress: they come from the unspecified address (RFC 3590 §4),
// and again from the link-local one when that is usable.
func TestReportsBeforeAnAddress(t *testing.T) {
	w := ip6test.NewNet(t, 0)
	a := w.Add(t, 1)
	w.Clock.Advance(20 * time.Second)
	node := wire.SolicitedNode(netip.MustParseAddr("fe80::ff:fe00:1"))
	from := map[netip.Addr]int{}
	for _, f := range w.Ether.Frames() {
		if n := len(records(t, [][]byte{f}, node)); n > 0 {
			ip, _ := wire.ParseIPv6(f[wire.EthernetLen:])
			from[ip.Src()] += n
		}
	}
	if from[netip.IPv6Unspecified()] == 0 || from[a.LinkLocal(a.Dev)] == 0 {
		t.Errorf("reports by source: %v", from)
	}
}

// TestDownAndUp: on a link that is new all is told again.
func TestDownAndUp(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	a := w.Hosts[0]
	if _, err := a.Net.Join(a.Dev, group, network.Filter{Exclude: true}); err != nil {
		t.Fatal(err)
	}
	a.Dev.SetUp(false)
	w.Settle()
	a.Dev.SetUp(true)
	w.Clock.Advance(20 * time.Second)
	if got := records(t, w.Ether.Frames(), group); len(got) < 2 || got[0] != wire.GroupChangeToExclude {
		t.Errorf("records of types %v", got)
	}
}

// FuzzMessage: any message of any router or listener.
func FuzzMessage(f *testing.F) {
	f.Add(generalQuery(), []byte{})
	v1 := make([]byte, wire.MLDLen)
	wire.PutMLD(v1, wire.ICMP6MLDQuery, 1000, group.As16())
	f.Add(v1, generalQuery())
	report := make([]byte, wire.MLDLen)
	wire.PutMLD(report, wire.ICMP6MLDReport, 0, group.As16())
	f.Add(v1, report)
	b := make([]byte, wire.MLDv2QueryLen+32)
	wire.PutMLDQuery(b, wire.MLDQueryFields{MaxResponse: 10, Group: group.As16()}, ip6test.Stranger.As16(), ip6test.IP(1).As16())
	f.Add(b, generalQuery())
	f.Fuzz(func(t *testing.T, first, second []byte) {
		w := ip6test.NewNet(t, 1)
		a := w.Hosts[0]
		m, err := a.Net.Join(a.Dev, group, network.Filter{Sources: []netip.Addr{ip6test.Stranger}})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{first, second} {
			if len(b) >= 4 && len(b) <= 1400 {
				w.Inject(1, mldPacket(router, netip.MustParseAddr("ff02::1"), 1, b))
				w.Clock.Advance(100 * time.Millisecond)
			}
		}
		m.Leave()
		w.Clock.Advance(time.Hour)
		ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6MLDv2Report, wire.ICMP6MLDReport, wire.ICMP6MLDDone)
	})
}
