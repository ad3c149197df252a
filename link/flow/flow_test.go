package flow_test

import (
	"encoding/binary"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link/flow"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
)

func udp6(p *packet.Pool, src, dst byte, sport, dport uint16) *packet.Packet {
	pkt := p.Get()
	h := pkt.Extend(wire.IPv6Len + wire.UDPLen)
	clear(h)
	h[0], h[6], h[23], h[39] = 0x60, wire.ProtoUDP, src, dst
	binary.BigEndian.PutUint16(h[40:], sport)
	binary.BigEndian.PutUint16(h[42:], dport)
	return pkt
}

func hash(pkt *packet.Packet, l3 int) uint32 {
	defer pkt.Consume()
	return flow.Hash(pkt, l3)
}

// TestBothDirectionsHashAlike: an answer takes the lane of what it answers.
func TestBothDirectionsHashAlike(t *testing.T) {
	l := linktest.New(t)
	a, b := [4]byte{10, 0, 0, 1}, [4]byte{192, 168, 7, 9}
	if x, y := hash(linktest.UDP4Between(l.Pool, a, b, 1234, 80, nil), 0), hash(linktest.UDP4Between(l.Pool, b, a, 80, 1234, nil), 0); x != y || x == 0 {
		t.Errorf("IPv4: %#x there, %#x back", x, y)
	}
	if x, y := hash(udp6(l.Pool, 1, 2, 1234, 80), 0), hash(udp6(l.Pool, 2, 1, 80, 1234), 0); x != y || x == 0 {
		t.Errorf("IPv6: %#x there, %#x back", x, y)
	}
}

// TestFragmentsStayTogether: only the first fragment has ports, so none is hashed
// by them.
func TestFragmentsStayTogether(t *testing.T) {
	l := linktest.New(t)
	fragment := func(sport uint16, field uint16) uint32 {
		pkt := linktest.UDP4(l.Pool, sport, 2, nil)
		binary.BigEndian.PutUint16(pkt.Head()[6:], field)
		return hash(pkt, 0)
	}
	if first, last := fragment(1, 0x2000), fragment(9, 185); first != last {
		t.Errorf("first fragment %#x, last %#x", first, last)
	}
	if fragment(1, 0x4000) == fragment(9, 0x4000) {
		t.Error("DF counts as a fragment")
	}
}

// TestSpread: connections of one client to one server spread over 16 lanes.
func TestSpread(t *testing.T) {
	l := linktest.New(t)
	for name, hash := range map[string]func(port uint16) uint32{
		"IPv4": func(p uint16) uint32 { return hash(linktest.UDP4(l.Pool, p, 80, nil), 0) },
		"IPv6": func(p uint16) uint32 { return hash(udp6(l.Pool, 1, 1, p, 80), 0) },
		"loopback": func(p uint16) uint32 {
			return hash(linktest.UDP4Between(l.Pool, [4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 1}, p, 80, nil), 0)
		},
	} {
		var lanes [16]int
		const n = 1600
		for i := range n {
			lanes[hash(uint16(32768+i))>>28]++
		}
		for i, k := range lanes {
			if k < n/16/2 || k > n/16*2 {
				t.Errorf("%s: lane %d has %d of %d flows", name, i, k, n)
			}
		}
	}
}

// FuzzHash: any bytes at all.
func FuzzHash(f *testing.F) {
	var pool packet.Pool
	v4 := linktest.UDP4(&pool, 1, 2, []byte("x"))
	f.Add(linktest.Bytes(v4), 0)
	f.Add(append(make([]byte, 14), linktest.Bytes(v4)...), 14)
	f.Fuzz(func(t *testing.T, b []byte, l3 int) {
		if l3 < 0 || l3 > 64 {
			return
		}
		pkt := pool.Get()
		pkt.Append(b)
		if x, y := flow.Hash(pkt, l3), flow.Hash(pkt, l3); x != y {
			t.Errorf("%#x and then %#x", x, y)
		}
		pkt.Consume()
	})
}
