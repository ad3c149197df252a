package hostfd

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
)

// tcp4 returns an IPv4 packet with n bytes of TCP payload.
func tcp4(n int) []byte {
	b := make([]byte, 40+n)
	b[0], b[8], b[9] = 0x45, 64, wire.ProtoTCP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[32] = 5 << 4
	return b
}

func tcp6(n int) []byte {
	b := make([]byte, 60+n)
	b[0], b[6], b[7] = 0x60, wire.ProtoTCP, 64
	binary.BigEndian.PutUint16(b[4:], uint16(20+n))
	b[52] = 5 << 4
	return b
}

// tcp6as returns tcp6(3000) that says to be of another protocol.
func tcp6as(proto byte) []byte {
	b := tcp6(3000)
	b[6] = proto
	return b
}

// tcp6behind returns tcp6(3000) with an empty extension header.
func tcp6behind(ext byte) []byte {
	b := tcp6(3000)
	b = append(b[:40:40], append([]byte{wire.ProtoTCP, 0, 0, 0, 1, 4, 0, 0}, b[40:]...)...)
	b[6] = ext
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

func udp4(n int) []byte {
	b := make([]byte, 28+n)
	b[0], b[8], b[9] = 0x45, 64, wire.ProtoUDP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func ether(etherType uint16, tags int, payload []byte) []byte {
	b := make([]byte, 12)
	for range tags {
		b = append(b, 0x81, 0, 0, 7)
	}
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

// land builds a packet as if it had been read.
func land(pool *packet.Pool, ethernet bool, h wire.VNet, data []byte) *packet.Packet {
	l := landing{pool: pool, ethernet: ethernet, vnetLen: wire.VNetLen}
	wire.PutVNet(l.vnet[:], h)
	return l.place(data)
}

// place copies data to where readv would put it, and builds.
func (l *landing) place(data []byte) *packet.Packet {
	l.fill()
	defer l.release()
	rest := data
	for _, b := range l.bufs {
		rest = rest[copy(b.Bytes(), rest):]
	}
	return l.build(l.vnetLen + len(data) - len(rest))
}

// TestReceivedHeader: what a virtio-net header says becomes what Meta says (VIRTIO
// 1.2 §5.1.6.4); what cannot be so drops the packet.
func TestReceivedHeader(t *testing.T) {
	const (
		none        = packet.CsumNone
		unnecessary = packet.CsumUnnecessary
		partial     = packet.CsumPartial
	)
	tso := wire.VNet{Flags: wire.VNetNeedsCsum, GSOType: wire.VNetGSOTCPv4, GSOSize: 1460, CsumStart: 20, CsumOffset: 16}
	with := func(h wire.VNet, f func(*wire.VNet)) wire.VNet { f(&h); return h }
	tso6, uso := tso, tso
	tso6.GSOType, tso6.CsumStart = wire.VNetGSOTCPv6, 40
	uso.GSOType, uso.CsumOffset = wire.VNetGSOUDPL4, wire.UDPChecksumOffset
	fragment := tcp4(3000)
	fragment[6] = 0x20
	short := tcp4(3000)
	short[32] = 4 << 4
	for _, c := range []struct {
		name     string
		ethernet bool
		header   wire.VNet
		data     []byte
		ok       bool
		csum     packet.CsumState
		gso      packet.GSOType
		segs     uint16
	}{
		{"nothing to say", false, wire.VNet{}, udp4(10), true, none, 0, 0},
		{"checksum good", false, wire.VNet{Flags: wire.VNetDataValid}, udp4(10), true, unnecessary, 0, 0},
		{"checksum to do", false, wire.VNet{Flags: wire.VNetNeedsCsum, CsumStart: 20, CsumOffset: 6}, udp4(10), true, partial, 0, 0},
		{"checksum at the very end", false, wire.VNet{Flags: wire.VNetNeedsCsum, CsumStart: 20, CsumOffset: 6}, udp4(0), true, partial, 0, 0},
		{"checksum past the end", false, wire.VNet{Flags: wire.VNetNeedsCsum, CsumStart: 21, CsumOffset: 6}, udp4(0), false, 0, 0, 0},
		{"checksum far away", false, wire.VNet{Flags: wire.VNetNeedsCsum, CsumStart: 65535, CsumOffset: 65535}, udp4(60000), false, 0, 0, 0},
		{"checksum where no head reaches", false, wire.VNet{Flags: wire.VNetNeedsCsum, CsumStart: 1000, CsumOffset: 6}, udp4(2000), false, 0, 0, 0},
		{"TSO", false, tso, tcp4(3000), true, partial, packet.GSOTCP4, 3},
		{"TSO, full segments", false, tso, tcp4(2920), true, partial, packet.GSOTCP4, 2},
		{"TSO of 64 KiB", false, tso, tcp4(65495), true, partial, packet.GSOTCP4, 45},
		{"TSO with the ECN bit", false, with(tso, func(h *wire.VNet) { h.GSOType |= wire.VNetGSOECN }), tcp4(3000), true, partial, packet.GSOTCP4, 3},
		{"TSO of one segment is none", false, tso, tcp4(1460), true, partial, 0, 0},
		{"TSO on Ethernet", true, with(tso, func(h *wire.VNet) { h.CsumStart = 34 }), ether(wire.EtherTypeIPv4, 0, tcp4(3000)), true, partial, packet.GSOTCP4, 3},
		{"TSO in two VLANs", true, with(tso, func(h *wire.VNet) { h.CsumStart = 42 }), ether(wire.EtherTypeIPv4, 2, tcp4(3000)), true, partial, packet.GSOTCP4, 3},
		{"TSO without a checksum to do", false, with(tso, func(h *wire.VNet) { h.Flags = 0 }), tcp4(3000), false, 0, 0, 0},
		{"TSO without a size", false, with(tso, func(h *wire.VNet) { h.GSOSize = 0 }), tcp4(3000), false, 0, 0, 0},
		{"TSO for the other family", false, with(tso, func(h *wire.VNet) { h.GSOType = wire.VNetGSOTCPv6 }), tcp4(3000), false, 0, 0, 0},
		{"TSO for UDP", false, tso, udp4(3000), false, 0, 0, 0},
		{"TSO, checksum start inside the IP header", false, with(tso, func(h *wire.VNet) { h.CsumStart = 12 }), tcp4(3000), false, 0, 0, 0},
		{"TSO, TCP header too short", false, tso, short, false, 0, 0, 0},
		{"TSO, TCP header cut off", false, tso, tcp4(0)[:38], false, 0, 0, 0},
		{"TSO, checksum not where TCP has it", false, with(tso, func(h *wire.VNet) { h.CsumOffset = 6 }), tcp4(3000), false, 0, 0, 0},
		{"TSO into the smallest segments", false, with(tso, func(h *wire.VNet) { h.GSOSize = 8 }), tcp4(3000), true, partial, packet.GSOTCP4, 375},
		{"TSO into crumbs", false, with(tso, func(h *wire.VNet) { h.GSOSize = 7 }), tcp4(3000), false, 0, 0, 0},
		{"TSO of a fragment", false, tso, fragment, false, 0, 0, 0},
		{"TSO of more than the IP header says", false, tso, append(tcp4(3000), 0), false, 0, 0, 0},
		{"TSO of less than the IP header says", false, tso, tcp4(3000)[:3039], false, 0, 0, 0},
		{"TSO6 of UDP", false, tso6, tcp6as(wire.ProtoUDP), false, 0, 0, 0},
		{"TSO6 behind an extension header", false, with(tso6, func(h *wire.VNet) { h.CsumStart = 48 }), tcp6behind(wire.ProtoDstOpts), true, partial, packet.GSOTCP6, 3},
		{"TSO6 of a fragment", false, with(tso6, func(h *wire.VNet) { h.CsumStart = 48 }), tcp6behind(wire.ProtoFragment), false, 0, 0, 0},
		{"TSO6, checksum start at an extension header", false, tso6, tcp6behind(wire.ProtoDstOpts), false, 0, 0, 0},
		{"USO with the ECN bit", false, with(uso, func(h *wire.VNet) { h.GSOType |= wire.VNetGSOECN }), udp4(2500), false, 0, 0, 0},
		{"USO of 128 datagrams", false, with(uso, func(h *wire.VNet) { h.GSOSize = 10 }), udp4(1280), true, partial, packet.GSOUDP, 128},
		{"USO of 129 datagrams", false, with(uso, func(h *wire.VNet) { h.GSOSize = 10 }), udp4(1281), false, 0, 0, 0},
		{"TSO6", false, with(tso, func(h *wire.VNet) { h.GSOType = wire.VNetGSOTCPv6; h.CsumStart = 40 }), tcp6(3000), true, partial, packet.GSOTCP6, 3},
		{"USO", false, wire.VNet{Flags: wire.VNetNeedsCsum, GSOType: wire.VNetGSOUDPL4, GSOSize: 1000, CsumStart: 20, CsumOffset: 6}, udp4(2500), true, partial, packet.GSOUDP, 3},
		{"fragmentation by IP was not offered", false, wire.VNet{Flags: wire.VNetNeedsCsum, GSOType: wire.VNetGSOUDP, GSOSize: 1000, CsumStart: 20, CsumOffset: 6}, udp4(2500), false, 0, 0, 0},
		{"a type that does not exist", false, with(tso, func(h *wire.VNet) { h.GSOType = 9 }), tcp4(3000), false, 0, 0, 0},
		{"neither IPv4 nor IPv6", false, wire.VNet{}, []byte{0x50, 1, 2}, false, 0, 0, 0},
		{"nothing", false, wire.VNet{}, nil, false, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := linktest.New(t)
			pkt := land(l.Pool, c.ethernet, c.header, c.data)
			if (pkt != nil) != c.ok {
				t.Fatalf("accepted: %t, want %t", pkt != nil, c.ok)
			}
			if pkt == nil {
				if drops := l.Pool.Drops.List(); len(drops) != 1 || drops[0].Count != 1 {
					t.Errorf("drops %v, want one", drops)
				}
				return
			}
			defer pkt.Consume()
			if pkt.Csum != c.csum || pkt.GSO != c.gso || pkt.GSOSegs != c.segs || string(linktest.Bytes(pkt)) != string(c.data) {
				t.Errorf("checksum %d, GSO %d in %d segments of %d; want %d, %d, %d", pkt.Csum, pkt.GSO, pkt.GSOSegs, pkt.GSOSize, c.csum, c.gso, c.segs)
			}
			if c.csum == partial && int(pkt.CsumStart)-pkt.Offset() != int(c.header.CsumStart) {
				t.Errorf("checksum starts at %d of head, data at %d", pkt.CsumStart, pkt.Offset())
			}
			if h := pack(pkt); c.csum == partial && (h.Flags != wire.VNetNeedsCsum || h.CsumStart != c.header.CsumStart || h.CsumOffset != c.header.CsumOffset) {
				t.Errorf("sent again its header is %+v, was %+v", h, c.header)
			}
		})
	}
}

// TestSentHeader: pack is the inverse of unpack, and its header length ends where
// the payload starts.
func TestSentHeader(t *testing.T) {
	l := linktest.New(t)
	for _, c := range []struct {
		data []byte
		h    wire.VNet
	}{
		{tcp4(3000), wire.VNet{Flags: wire.VNetNeedsCsum, GSOType: wire.VNetGSOTCPv4, HdrLen: 40, GSOSize: 1460, CsumStart: 20, CsumOffset: 16}},
		{tcp6(3000), wire.VNet{Flags: wire.VNetNeedsCsum, GSOType: wire.VNetGSOTCPv6, HdrLen: 60, GSOSize: 1440, CsumStart: 40, CsumOffset: 16}},
		{udp4(3000), wire.VNet{Flags: wire.VNetNeedsCsum, GSOType: wire.VNetGSOUDPL4, HdrLen: 28, GSOSize: 1400, CsumStart: 20, CsumOffset: 6}},
		{udp4(100), wire.VNet{Flags: wire.VNetNeedsCsum, CsumStart: 20, CsumOffset: 6}},
		{udp4(100), wire.VNet{}},
	} {
		pkt := land(l.Pool, false, c.h, c.data)
		if pkt == nil {
			t.Fatalf("%+v refused", c.h)
		}
		if got := pack(pkt); got != c.h {
			t.Errorf("%+v came back as %+v", c.h, got)
		}
		pkt.Consume()
	}
}

// TestPayloadStaysAside: a small packet is all head and leaves the buffers; of a
// large one exactly the headers are in the head.
func TestPayloadStaysAside(t *testing.T) {
	pool := new(packet.Pool)
	options := tcp4(1448)
	options[32] = 8 << 4
	fragment := udp4(1400)
	fragment[7] = 185
	for _, c := range []struct {
		name        string
		ethernet    bool
		data        []byte
		head, frags int
	}{
		{"small", false, udp4(272), 300, 0},
		{"UDP", false, udp4(1400), 28, 1},
		{"TCP with options", false, options, 52, 1},
		{"TCP on Ethernet", true, ether(wire.EtherTypeIPv4, 0, tcp4(1400)), 54, 1},
		{"TCP over IPv6 in a VLAN", true, ether(wire.EtherTypeIPv6, 1, tcp6(1400)), 14 + 4 + 60, 1},
		{"later fragment", false, fragment, 20, 1},
		{"jumbo", false, udp4(8972), 28, 2},
		{"64 KiB", false, udp4(65507), 28, 3},
	} {
		l := landing{pool: pool, ethernet: c.ethernet}
		pkt := l.place(c.data)
		if pkt.HeadLen() != c.head || pkt.Frags() != c.frags || string(linktest.Bytes(pkt)) != string(c.data) {
			t.Errorf("%s: %d bytes in the head, %d fragments, want %d and %d", c.name, pkt.HeadLen(), pkt.Frags(), c.head, c.frags)
		}
		pkt.Consume()
	}
	if pool.Live() != 0 || pool.LiveBufs() != 0 {
		t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
	}
}

// FuzzLanding: any header before any bytes, and what the kernel may do with the
// packet afterwards: cut it to any length, sum it, send it again.
func FuzzLanding(f *testing.F) {
	hdr := func(h wire.VNet) []byte { b := make([]byte, wire.VNetLen); wire.PutVNet(b, h); return b }
	f.Add(hdr(wire.VNet{Flags: 1, GSOType: 1, GSOSize: 1460, CsumStart: 20, CsumOffset: 16}), tcp4(3000), false, uint16(100))
	f.Add(hdr(wire.VNet{Flags: 1, GSOType: 4, GSOSize: 1, CsumStart: 54, CsumOffset: 16}), ether(wire.EtherTypeIPv6, 0, tcp6(500)), true, uint16(20))
	f.Add(hdr(wire.VNet{Flags: 1, CsumStart: 0xffff, CsumOffset: 0xffff}), udp4(400), false, uint16(0))
	f.Add(hdr(wire.VNet{Flags: 2}), []byte{0x45}, true, uint16(1))
	f.Fuzz(func(t *testing.T, h, data []byte, ethernet bool, cut uint16) {
		pool := new(packet.Pool)
		l := landing{pool: pool, ethernet: ethernet, vnetLen: wire.VNetLen}
		copy(l.vnet[:], h)
		if pkt := l.place(data); pkt != nil {
			if pkt.GSO != packet.GSONone && (pkt.GSOSize == 0 || pkt.GSOSegs < 2) {
				t.Errorf("segmentation into %d of %d bytes", pkt.GSOSegs, pkt.GSOSize)
			}
			pkt.TrimTo(int(cut))
			pack(pkt)
			link.CompleteChecksum(pkt)
			pkt.Drop(stat.NotSpecified)
		}
		if pool.Live() != 0 || pool.LiveBufs() != 0 {
			t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
		}
	})
}

// TestRandomBytes is the fuzz target's share of every run.
func TestRandomBytes(t *testing.T) {
	pool := new(packet.Pool)
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		l := landing{pool: pool, ethernet: r.IntN(2) == 0, vnetLen: wire.VNetLen}
		for i := range l.vnet {
			l.vnet[i] = byte(r.Uint32() >> (8 * r.IntN(4)))
		}
		l.vnet[0] &= 3
		data := make([]byte, r.IntN(600))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		if len(data) > 40 && r.IntN(2) == 0 {
			copy(data, tcp4(0))
		}
		if pkt := l.place(data); pkt != nil {
			pkt.TrimTo(r.IntN(700))
			pack(pkt)
			link.CompleteChecksum(pkt)
			pkt.Consume()
		}
	}
	if pool.Live() != 0 || pool.LiveBufs() != 0 {
		t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
	}
}
