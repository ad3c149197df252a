package network

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// chiSquare is by how much counts differ from what weights promise: with two degrees
// of freedom it is above 13.8 once in a thousand times.
func chiSquare(counts [3]int, weights [3]int) (x float64) {
	n, sum := 0, 0
	for i := range counts {
		n, sum = n+counts[i], sum+weights[i]
	}
	for i := range counts {
		want := float64(n) * float64(weights[i]) / float64(sum)
		d := float64(counts[i]) - want
		x += d * d / want
	}
	return x
}

// TestFlowsAreSpread: by each policy flows are spread in proportion to the weights, of
// neighbouring addresses and of one pair of addresses with neighbouring ports.
func TestFlowsAreSpread(t *testing.T) {
	weights := [3]int{1, 2, 4}
	var table route.Table
	r := route.Route{Dst: netip.MustParsePrefix("::/0")}
	for i, w := range weights {
		r.NextHops = append(r.NextHops, route.NextHop{Index: int32(i), Weight: w})
	}
	if err := table.Add(r, route.Create); err != nil {
		t.Fatal(err)
	}
	way := table.Lookup(netip.IPv6Loopback())
	addr := func(v6 bool, n int) netip.Addr {
		b := [16]byte{0: 0xfd}
		binary.BigEndian.PutUint32(b[12:], 10<<24|uint32(n))
		if v6 {
			return netip.AddrFrom16(b)
		}
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, c := range []struct {
		name   string
		v6     bool
		policy int64
		flow   func(f *Flow, n int)
	}{
		{"destinations", false, policyL3, func(f *Flow, n int) { f.Dst = addr(false, n) }},
		{"sources", false, policyL3, func(f *Flow, n int) { f.Src = addr(false, n) }},
		{"IPv6 sources", true, policyL3, func(f *Flow, n int) { f.Src = addr(true, n) }},
		{"flow labels", true, policyL3, func(f *Flow, n int) { f.Label = uint32(n) }},
		{"ports", false, policyL4, func(f *Flow, n int) { f.SrcPort = uint16(n) }},
		{"IPv6 ports", true, policyL4, func(f *Flow, n int) { f.DstPort = uint16(n) }},
	} {
		for seed := range int64(3) {
			l := new(Layer)
			m := &l.Multipath[map[bool]Version{false: V4, true: V6}[c.v6]]
			m.Seed.Store(seed + 1)
			m.Policy.Store(c.policy)
			var counts [3]int
			for n := range 14000 {
				f := Flow{Src: addr(c.v6, 1), Dst: addr(c.v6, 2), Proto: 6, SrcPort: 5000, DstPort: 80}
				c.flow(&f, n)
				counts[way.Hop(l.hash(&f)).Index]++
			}
			if x := chiSquare(counts, weights); x > 13.8 {
				t.Errorf("%s, seed %d: %v of weights %v, chi-square %.1f", c.name, seed, counts, weights, x)
			}
		}
	}
}

// TestPolicySaysWhatAFlowIs: by policy 0 all packets of two hosts go the same way, by 1
// those of one pair of ports; another seed makes other choices.
func TestPolicySaysWhatAFlowIs(t *testing.T) {
	l := new(Layer)
	m := &l.Multipath[V4]
	m.Seed.Store(1)
	flow := func(port uint16) uint32 {
		return l.hash(&Flow{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), Proto: 6, SrcPort: port, DstPort: 80})
	}
	first := flow(1)
	if flow(2) != first {
		t.Error("by the addresses alone ports make a difference")
	}
	m.Policy.Store(policyL4)
	if again := flow(1); again != flow(1) || again == flow(2) {
		t.Error("by ports a flow is not what its ports say")
	}
	m.Policy.Store(policyL3)
	m.Seed.Store(2)
	if flow(1) == first {
		t.Error("another seed makes the same choice")
	}
}

// TestErrorsFollowTheirFlow: an ICMP error about a packet goes the way of those that
// packet's sender gets, by each policy, so that it comes to the same of several hosts
// with one address.
func TestErrorsFollowTheirFlow(t *testing.T) {
	client, server := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("192.0.2.1")
	pool := new(packet.Pool)
	leak.Zero(t, "packets", pool.Live)
	for _, policy := range []int64{policyL3, policyL4} {
		for port := range uint16(50) {
			l := new(Layer)
			m := &l.Multipath[V4]
			m.Seed.Store(7)
			m.Policy.Store(policy)
			flow := Flow{Src: client, Dst: server, Proto: wire.ProtoTCP, SrcPort: 5000 + port, DstPort: 80}
			pkt := pool.Get()
			b := make([]byte, wire.ICMPLen+wire.IPv4Len+8)
			b[0] = wire.ICMP4TimeExceeded
			wire.PutIPv4(b[wire.ICMPLen:], &wire.IPv4Fields{TotalLen: 40, TTL: 1, Protocol: flow.Proto, Src: server.As4(), Dst: client.As4()})
			binary.BigEndian.PutUint16(b[wire.ICMPLen+wire.IPv4Len:], flow.DstPort)
			binary.BigEndian.PutUint16(b[wire.ICMPLen+wire.IPv4Len+2:], flow.SrcPort)
			pkt.Append(b)
			if got, want := l.aboutHash4(pkt, 0), l.hash(&flow); got != want {
				t.Fatalf("policy %d, port %d: the hash of the error is %#x, that of its flow %#x", policy, port, got, want)
			}
			pkt.Consume()
		}
	}
}
