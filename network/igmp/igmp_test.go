package igmp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/igmp"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/wire"
)

func host(t testing.TB) (h *hosttest.Host, eth *hosttest.Port) {
	h = hosttest.New(t, ip4.Module, igmp.Module)
	return h, h.Port(t, link.Info{Name: "eth"}, "10.0.0.1/24")
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(ss ...string) (out []netip.Addr) {
	for _, s := range ss {
		out = append(out, addr(s))
	}
	return out
}

var anySource = network.Filter{Exclude: true}

func join(t testing.TB, h *hosttest.Host, p *hosttest.Port, group string, f network.Filter) *network.Membership {
	t.Helper()
	m, err := h.Net.Join(p.Dev, addr(group), f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var recordNames = map[uint8]string{
	wire.GroupIsInclude: "IS_IN", wire.GroupIsExclude: "IS_EX", wire.GroupChangeToInclude: "TO_IN",
	wire.GroupChangeToExclude: "TO_EX", wire.GroupAllowNew: "ALLOW", wire.GroupBlockOld: "BLOCK",
}

// read turns what was sent into words, one for each message or record, and checks
// what all messages have in common.
func read(t *testing.T, p *hosttest.Port) (out []string) {
	t.Helper()
	for _, b := range p.Take() {
		h, ok := wire.ParseIPv4(b)
		if !ok || !h.ChecksumOK() || h.Protocol() != wire.ProtoIGMP {
			t.Fatalf("sent % x, want IGMP", b)
		}
		if h.TTL() != 1 || h.TOS() != 0xc0 || !slices.Equal(h.Options(), []byte{0x94, 4, 0, 0}) {
			t.Errorf("TTL %d, TOS %#x, options % x: want 1, 0xc0 and a router alert (RFC 3376 §4)", h.TTL(), h.TOS(), h.Options())
		}
		m, ok := wire.ParseIGMP(h.Payload())
		if !ok || !m.ChecksumOK() {
			t.Fatalf("sent % x: bad message", h.Payload())
		}
		if m.Type() == wire.IGMPv3Report {
			if h.Dst() != addr("224.0.0.22") {
				t.Errorf("report to %v", h.Dst())
			}
			w, ok := wire.ParseIGMPv3Report(h.Payload())
			if !ok {
				t.Fatalf("bad report % x", h.Payload())
			}
			for r, ok := w.Next(); ok; r, ok = w.Next() {
				s := fmt.Sprintf("%s %v", recordNames[r.Type()], r.Group())
				for i := range r.NumSources() {
					s += " " + r.Source(i).String()
				}
				out = append(out, s)
			}
			continue
		}
		name := map[uint8]string{wire.IGMPv1Report: "v1", wire.IGMPv2Report: "v2", wire.IGMPv2Leave: "leave"}[m.Type()]
		out = append(out, fmt.Sprintf("%s %v to %v", name, m.Group(), h.Dst()))
	}
	return out
}

func want(t *testing.T, p *hosttest.Port, what string, messages ...string) {
	t.Helper()
	if got := read(t, p); !slices.Equal(got, messages) {
		t.Errorf("%s: sent %q, want %q", what, got, messages)
	}
}

func queryTo(dst string, m []byte) []byte {
	return hosttest.IPv4(wire.IPv4Fields{
		Src: hosttest.A4("10.0.0.254"), Dst: hosttest.A4(dst), TTL: 1, Protocol: wire.ProtoIGMP, Options: []byte{0x94, 4, 0, 0},
	}, m)
}

// query3 lets a query of version 3 come in; group "" means a general one.
func query3(p *hosttest.Port, group string, tenths int, sources ...string) {
	f, dst := wire.IGMPQueryFields{MaxResponse: tenths, Robustness: 2, Interval: 125}, "224.0.0.1"
	if group != "" {
		f.Group, dst = hosttest.A4(group), group
	}
	var ss [][4]byte
	for _, s := range sources {
		ss = append(ss, hosttest.A4(s))
	}
	b := make([]byte, 100+4*len(ss))
	p.Receive(wire.EtherTypeIPv4, queryTo(dst, b[:wire.PutIGMPQuery(b, f, ss...)]))
}

// queryOld lets a query of version 2, or with tenths of 0 of version 1, come in.
func queryOld(p *hosttest.Port, group string, tenths uint8) {
	g, dst := [4]byte{}, "224.0.0.1"
	if group != "" {
		g, dst = hosttest.A4(group), group
	}
	b := make([]byte, wire.IGMPLen)
	wire.PutIGMP(b, wire.IGMPQuery, tenths, g)
	p.Receive(wire.EtherTypeIPv4, queryTo(dst, b))
}

// TestStateChanges holds the table of RFC 3376 §5.1, and "robustness" rounds of
// each report.
func TestStateChanges(t *testing.T) {
	in := func(ss ...string) network.Filter { return network.Filter{Sources: addrs(ss...)} }
	ex := func(ss ...string) network.Filter { return network.Filter{Exclude: true, Sources: addrs(ss...)} }
	for _, c := range []struct {
		name     string
		old, now network.Filter
		want     []string
	}{
		{"INCLUDE (A) to INCLUDE (B)", in("1.1.1.1", "2.2.2.2"), in("2.2.2.2", "3.3.3.3"), []string{"ALLOW 239.1.1.1 3.3.3.3", "BLOCK 239.1.1.1 1.1.1.1"}},
		{"EXCLUDE (A) to EXCLUDE (B)", ex("1.1.1.1", "2.2.2.2"), ex("2.2.2.2", "3.3.3.3"), []string{"ALLOW 239.1.1.1 1.1.1.1", "BLOCK 239.1.1.1 3.3.3.3"}},
		{"INCLUDE (A) to EXCLUDE (B)", in("1.1.1.1"), ex("2.2.2.2"), []string{"TO_EX 239.1.1.1 2.2.2.2"}},
		{"EXCLUDE (A) to INCLUDE (B)", ex("1.1.1.1"), in("2.2.2.2"), []string{"TO_IN 239.1.1.1 2.2.2.2"}},
		{"join", in(), ex(), []string{"TO_EX 239.1.1.1"}},
		{"leave", ex(), in(), []string{"TO_IN 239.1.1.1"}},
		{"leave one source", in("1.1.1.1"), in(), []string{"BLOCK 239.1.1.1 1.1.1.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, eth := host(t)
			m := join(t, h, eth, "239.1.1.1", c.old)
			h.Advance(time.Minute)
			eth.Take()
			if err := m.Set(c.now); err != nil {
				t.Fatal(err)
			}
			want(t, eth, "at once", c.want...)
			h.Advance(time.Second)
			want(t, eth, "again within the unsolicited report interval", c.want...)
			h.Advance(time.Hour)
			want(t, eth, "after robustness times", nil...)
		})
	}
}

// TestChangesMerge: a change before the last one was told often enough is told
// together with it (RFC 3376 §5.1).
func TestChangesMerge(t *testing.T) {
	h, eth := host(t)
	m := join(t, h, eth, "239.1.1.1", network.Filter{Sources: addrs("1.1.1.1")})
	want(t, eth, "join", "ALLOW 239.1.1.1 1.1.1.1")
	m.Set(network.Filter{Sources: addrs("1.1.1.1", "2.2.2.2")})
	want(t, eth, "another source", "ALLOW 239.1.1.1 1.1.1.1 2.2.2.2")
	m.Set(network.Filter{Sources: addrs("1.1.1.1")})
	want(t, eth, "and away", "BLOCK 239.1.1.1 2.2.2.2")
	m.Set(anySource)
	want(t, eth, "mode", "TO_EX 239.1.1.1")
	m.Leave()
	want(t, eth, "leave", "TO_IN 239.1.1.1")
	h.Advance(time.Second)
	want(t, eth, "leave again", "TO_IN 239.1.1.1")
}

// TestAllSystems: "224.0.0.1 ... the host never sends a report for it" (RFC 2236 §6).
func TestAllSystems(t *testing.T) {
	h, eth := host(t)
	join(t, h, eth, "224.0.0.1", anySource)
	query3(eth, "", 10)
	h.Advance(time.Minute)
	want(t, eth, "224.0.0.1", nil...)
	h.Set(t, "net.ipv4.igmp_link_local_mcast_reports", "0")
	join(t, h, eth, "224.0.0.251", anySource)
	want(t, eth, "224.0.0.251 without link-local reports", nil...)
}

// TestQueries holds the rules of RFC 3376 §5.2.
func TestQueries(t *testing.T) {
	h, eth := host(t)
	join(t, h, eth, "239.1.1.1", anySource)
	join(t, h, eth, "239.1.1.2", network.Filter{Sources: addrs("1.1.1.1", "2.2.2.2")})
	join(t, h, eth, "239.1.1.3", network.Filter{Exclude: true, Sources: addrs("3.3.3.3")})
	h.Advance(time.Minute)
	eth.Take()
	all := []string{"IS_EX 239.1.1.1", "IS_IN 239.1.1.2 1.1.1.1 2.2.2.2", "IS_EX 239.1.1.3 3.3.3.3"}

	query3(eth, "", 100)
	want(t, eth, "not at once", nil...)
	h.Advance(10 * time.Second)
	want(t, eth, "general query", all...)

	query3(eth, "239.1.1.2", 100)
	h.Advance(10 * time.Second)
	want(t, eth, "group query", all[1])

	query3(eth, "239.1.1.2", 100, "2.2.2.2", "9.9.9.9")
	h.Advance(10 * time.Second)
	want(t, eth, "sources of an included list: A*B", "IS_IN 239.1.1.2 2.2.2.2")

	query3(eth, "239.1.1.3", 100, "3.3.3.3", "4.4.4.4")
	h.Advance(10 * time.Second)
	want(t, eth, "sources and an excluded list: B-A", "IS_IN 239.1.1.3 4.4.4.4")

	query3(eth, "239.1.1.3", 100, "3.3.3.3")
	h.Advance(time.Minute)
	want(t, eth, "nothing to say", nil...)

	query3(eth, "239.1.1.2", 100, "1.1.1.1")
	query3(eth, "239.1.1.2", 100, "2.2.2.2")
	h.Advance(10 * time.Second)
	want(t, eth, "sources are put together", "IS_IN 239.1.1.2 1.1.1.1 2.2.2.2")

	query3(eth, "239.1.1.2", 100, "1.1.1.1")
	query3(eth, "239.1.1.2", 100)
	h.Advance(10 * time.Second)
	want(t, eth, "the whole group after a part of it", all[1])

	query3(eth, "239.9.9.9", 100)
	h.Advance(time.Minute)
	want(t, eth, "a group of others", nil...)
}

// TestSoonGeneral is rule 1: "If there is a pending response to a previous General
// Query scheduled sooner than the selected delay, no additional response needs to
// be scheduled".
func TestSoonGeneral(t *testing.T) {
	h, eth := host(t)
	join(t, h, eth, "239.1.1.1", anySource)
	h.Advance(time.Minute)
	eth.Take()
	query3(eth, "", 1)
	for range 5 {
		query3(eth, "", 30000)
	}
	h.Advance(100 * time.Millisecond)
	want(t, eth, "sooner", "IS_EX 239.1.1.1")
	h.Advance(time.Hour)
	want(t, eth, "once", nil...)
}

// TestVersion2: reports for single groups, leaves, suppression (RFC 2236 §3), and
// back to version 3 when the old querier is gone (RFC 3376 §7.2.1).
func TestVersion2(t *testing.T) {
	h, eth := host(t)
	join(t, h, eth, "239.1.1.1", anySource)
	h.Advance(time.Minute)
	eth.Take()
	queryOld(eth, "", 100)
	h.Advance(10 * time.Second)
	want(t, eth, "query of version 2", "v2 239.1.1.1 to 239.1.1.1")

	m := join(t, h, eth, "239.1.1.2", anySource)
	want(t, eth, "join", "v2 239.1.1.2 to 239.1.1.2")
	h.Advance(10 * time.Second)
	want(t, eth, "join again", "v2 239.1.1.2 to 239.1.1.2")
	m.Leave()
	want(t, eth, "leave", "leave 239.1.1.2 to 224.0.0.2")

	b := make([]byte, wire.IGMPLen)
	wire.PutIGMP(b, wire.IGMPv2Report, 0, hosttest.A4("239.1.1.1"))
	queryOld(eth, "239.1.1.1", 100)
	eth.Receive(wire.EtherTypeIPv4, queryTo("239.1.1.1", b))
	h.Advance(20 * time.Second)
	want(t, eth, "another host has reported", nil...)

	query3(eth, "", 10)
	h.Advance(time.Second)
	want(t, eth, "a query of version 3 while one of version 2 counts", "v2 239.1.1.1 to 239.1.1.1")
	h.Advance(260 * time.Second)
	query3(eth, "", 10)
	h.Advance(time.Second)
	want(t, eth, "after the older version querier present timeout", "IS_EX 239.1.1.1")
}

func TestVersion1(t *testing.T) {
	h, eth := host(t)
	m := join(t, h, eth, "239.1.1.1", anySource)
	h.Advance(time.Minute)
	eth.Take()
	queryOld(eth, "", 0)
	h.Advance(10 * time.Second)
	want(t, eth, "query of version 1", "v1 239.1.1.1 to 239.1.1.1")
	m.Leave()
	want(t, eth, "no leave in version 1", nil...)
}

func TestForcedVersion(t *testing.T) {
	h, eth := host(t)
	h.Set(t, "net.ipv4.conf.eth.force_igmp_version", "2")
	join(t, h, eth, "239.1.1.1", anySource)
	want(t, eth, "join", "v2 239.1.1.1 to 239.1.1.1")
}

// TestManyGroups: an answer that does not fit into one packet comes in several.
func TestManyGroups(t *testing.T) {
	h, eth := host(t)
	for i := range 300 {
		join(t, h, eth, netip.AddrFrom4([4]byte{239, 2, byte(i >> 8), byte(i)}).String(), anySource)
	}
	h.Advance(time.Minute)
	eth.Take()
	query3(eth, "", 1)
	h.Advance(time.Second)
	if got := read(t, eth); len(got) != 300 || !strings.HasPrefix(got[0], "IS_EX 239.2.0.0") {
		t.Errorf("%d records", len(got))
	}
}

// TestManySources: a list that does not fit is split, an excluding one truncated
// (RFC 3376 §4.2.16).
func TestManySources(t *testing.T) {
	h, eth := host(t)
	if err := eth.Dev.SetMTU(100); err != nil {
		t.Fatal(err)
	}
	var ss []netip.Addr
	for i := range 40 {
		ss = append(ss, netip.AddrFrom4([4]byte{1, 1, 1, byte(i)}))
	}
	count := func() (records, sources int) {
		for _, s := range read(t, eth) {
			records++
			sources += len(strings.Fields(s)) - 2
		}
		return records, sources
	}
	m := join(t, h, eth, "239.1.1.1", network.Filter{Sources: ss})
	if r, n := count(); r < 3 || n != 40 {
		t.Errorf("ALLOW: %d records with %d sources, want all 40", r, n)
	}
	m.Set(network.Filter{Exclude: true, Sources: ss})
	if r, n := count(); r != 1 || n == 0 || n == 40 {
		t.Errorf("TO_EX: %d records with %d sources, want one, truncated", r, n)
	}
}

// TestDeviceUp: groups are reported again when the device comes up, from 0.0.0.0 if
// it has no address (RFC 3376 §4.2.13).
func TestDeviceUp(t *testing.T) {
	h, eth := host(t)
	join(t, h, eth, "239.1.1.1", anySource)
	h.Advance(time.Minute)
	eth.Take()
	eth.Dev.SetUp(false)
	h.Net.DelAddr(eth.Dev, netip.MustParsePrefix("10.0.0.1/24"))
	join(t, h, eth, "239.1.1.2", anySource)
	h.Advance(time.Minute)
	want(t, eth, "while down", nil...)
	eth.Dev.SetUp(true)
	sent := eth.Take()
	if len(sent) != 1 {
		t.Fatalf("%d packets after going up", len(sent))
	}
	if h, _ := wire.ParseIPv4(sent[0]); !h.Src().IsUnspecified() {
		t.Errorf("from %v, want 0.0.0.0", h.Src())
	}
}

// TestBadMessages: damaged ones and queries of illegal lengths change nothing.
func TestBadMessages(t *testing.T) {
	h, eth := host(t)
	join(t, h, eth, "239.1.1.1", anySource)
	h.Advance(time.Minute)
	eth.Take()
	for _, b := range [][]byte{{0x11, 100}, {0x11, 1, 0, 0, 0, 0, 0, 0}, {0x11, 100, 0xee, 0x9b, 0, 0, 0, 0, 0, 0}} {
		eth.Receive(wire.EtherTypeIPv4, queryTo("224.0.0.1", b))
	}
	h.Advance(time.Minute)
	want(t, eth, "bad messages", nil...)
}

func TestProcFile(t *testing.T) {
	h, eth := host(t)
	join(t, h, eth, "239.1.2.3", anySource)
	b, err := h.Proc.Read("net/igmp")
	if err != nil {
		t.Fatal(err)
	}
	const text = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n" +
		"1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
		"2\teth       :     2      V3\n\t\t\t\t030201EF     1 0:00000000\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
	if string(b) != text {
		t.Errorf("got\n%q, want\n%q", b, text)
	}
}

// FuzzInput gives random messages to the module and lets time pass.
func FuzzInput(f *testing.F) {
	q := make([]byte, wire.IGMPv3QueryLen+4)
	wire.PutIGMPQuery(q, wire.IGMPQueryFields{MaxResponse: 10, Group: [4]byte{239, 1, 1, 1}}, [4]byte{1, 1, 1, 1})
	f.Add(q)
	f.Add([]byte{0x16, 0, 0, 0, 239, 1, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1400 {
			return
		}
		h, eth := host(t)
		join(t, h, eth, "239.1.1.1", network.Filter{Exclude: true, Sources: addrs("1.1.1.1")})
		if len(b) >= 4 {
			b[2], b[3] = 0, 0
			sum := wire.Checksum(b)
			b[2], b[3] = byte(sum>>8), byte(sum)
		}
		eth.Receive(wire.EtherTypeIPv4, queryTo("224.0.0.1", b))
		h.Advance(20 * time.Minute)
		read(t, eth)
	})
}
