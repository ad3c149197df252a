package nat_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// TestOffloadMarks: a segment of 8000 octets that is to be cut, and whose checksum is
// to be completed, keeps both marks through NAT, and what is made of it in the end is
// right, if it has to be cut here, too.
func TestOffloadMarks(t *testing.T) {
	for _, f := range []link.Features{link.AllTx, link.TxCsum, 0} {
		b := newBoxWith(t, f)
		b.load(behave("", ""))
		testOffloadMarks(t, b, f)
	}
}

func testOffloadMarks(t *testing.T, b *box, f link.Features) {
	for _, p := range pairs {
		client, server := p.at(p.client, 5000), p.at(p.server, 80)
		b.sends("lan0", tcp(client, server, syn, 100, 0, ""), "wan0")
		b.sends("wan0", tcp(server, p.at(p.outer, 5000), syn|ack, 500, 101, ""), "lan0")
		data := strings.Repeat("0123456789abcdef", 500)
		var kept packet.Queue
		b.ports["wan0"].sink = func(q *packet.Queue) { kept.Append(q) }
		b.receiveGSO("lan0", tcp(client, server, ack, 101, 501, data), 1000)
		b.ports["wan0"].sink = nil
		whole, partial := f == link.AllTx, f != 0
		if pkt := kept.Front(); (kept.Len() == 1 && pkt.GSOSize == 1000) != whole || (pkt.Csum == packet.CsumPartial) != partial {
			t.Errorf("%s, features %v: %d packets, GSO %v of %d, checksum state %v", p.family, f, kept.Len(), pkt.GSO, pkt.GSOSize, pkt.Csum)
		}
		var got []byte
		for pkt := kept.Pop(); pkt != nil; pkt = kept.Pop() {
			got = append(got, check(t, pkt, p.at(p.outer, 5000), server)...)
		}
		if !bytes.Equal(got, []byte(data)) {
			t.Errorf("%s: %d octets arrived of %d", p.family, len(got), len(data))
		}
	}
}

// receiveGSO lets a segment come in that is larger than the MTU, with marks for its
// cutting and its checksum.
func (b *box) receiveGSO(port string, m message, size int) {
	raw := m.bytes()
	pkt := b.Pool.Get()
	pkt.Append(raw)
	v6 := raw[0]>>4 == 6
	l4 := wire.IPv4Len
	pkt.Proto, pkt.GSO = wire.EtherTypeIPv4, packet.GSOTCP4
	if v6 {
		l4 = wire.IPv6Len
		pkt.Proto, pkt.GSO = wire.EtherTypeIPv6, packet.GSOTCP6
	}
	pkt.GSOSize, pkt.GSOSegs = uint16(size), uint16((len(m.data)+size-1)/size)
	pkt.Ensure(l4 + wire.TCPLen)
	seg := pkt.Head()[l4:]
	sum := wire.Pseudo(m.src.Addr(), m.dst.Addr(), wire.ProtoTCP, len(raw)-l4).Fold()
	seg[16], seg[17] = byte(sum>>8), byte(sum)
	pkt.Csum, pkt.CsumStart, pkt.CsumOffset = packet.CsumPartial, uint16(pkt.Offset()+l4), 16
	var q packet.Queue
	q.Push(pkt)
	b.ports[port].dev.Receive(&q)
}

// check returns the data of a segment that has passed, with a checksum that is right
// or can be completed, and ends it.
func check(t *testing.T, pkt *packet.Packet, src, dst string) []byte {
	t.Helper()
	raw := make([]byte, pkt.Len())
	pkt.CopyOut(0, raw)
	partial := pkt.Csum == packet.CsumPartial
	pkt.Consume()
	m, sound := parse(raw)
	if partial {
		l4 := len(raw) - len(m.data) - wire.TCPLen
		want := wire.Pseudo(m.src.Addr(), m.dst.Addr(), wire.ProtoTCP, len(raw)-l4).Fold()
		sound = uint16(raw[l4+16])<<8|uint16(raw[l4+17]) == want
	}
	if m.src.String() != src || m.dst.String() != dst || !sound {
		t.Errorf("%v came out, sound %v, want %s > %s", m, sound, src, dst)
	}
	return m.data
}
