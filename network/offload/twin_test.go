package offload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// A plan is what the slow twin of Segment knows of a packet that begins with its IP
// header.
type plan struct {
	l4, payload int // offsets
	proto       byte
	v6, noSum   bool
	sumAt       int // offset of the transport checksum
}

// slowPlan reads the headers one byte after the other, and reports false for what
// cannot be cut.
func slowPlan(b []byte, gso packet.GSOType) (p plan, ok bool) {
	if len(b) < 40 {
		return p, false
	}
	switch p.v6 = b[0]>>4 == 6; {
	case p.v6:
		p.l4, p.proto = 40, b[6]
		for p.proto == 0 || p.proto == 43 || p.proto == 60 || p.proto == 51 {
			if p.l4+8 > len(b) {
				return p, false
			}
			n := 8 + 8*int(b[p.l4+1])
			if p.proto == 51 {
				n = 8 + 4*int(b[p.l4+1])
			}
			p.proto, p.l4 = b[p.l4], p.l4+n
		}
	default:
		p.l4, p.proto = int(b[0]&15)*4, b[9]
	}
	p.payload, p.sumAt = p.l4+8, p.l4+6
	if gso != packet.GSOUDP {
		if p.l4+20 > len(b) {
			return p, false
		}
		p.payload, p.sumAt = p.l4+int(b[p.l4+12]>>4)*4, p.l4+16
	}
	return p, p.payload <= len(b)
}

// slowSum is the Internet checksum, word by word.
func slowSum(parts ...[]byte) uint16 {
	sum := 0
	for _, b := range parts {
		for i, c := range b {
			sum += int(c) << (8 * (1 - i%2))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// pseudo is the pseudo header of n bytes behind the IP header.
func (p plan) pseudo(b []byte, n int) []byte {
	if p.v6 {
		return append(bytes.Clone(b[8:40]), byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 0, 0, 0, p.proto)
	}
	return append(bytes.Clone(b[12:20]), 0, p.proto, byte(n>>8), byte(n))
}

// finish makes the lengths and checksums of a packet right.
func (p plan) finish(b []byte) {
	be := binary.BigEndian
	if p.v6 {
		be.PutUint16(b[4:], uint16(len(b)-40))
	} else {
		n := int(b[0]&15) * 4
		be.PutUint16(b[2:], uint16(len(b)))
		be.PutUint16(b[10:], 0)
		be.PutUint16(b[10:], slowSum(b[:n]))
	}
	if p.proto == wire.ProtoUDP {
		be.PutUint16(b[p.l4+4:], uint16(len(b)-p.l4))
	}
	be.PutUint16(b[p.sumAt:], 0)
	if p.noSum {
		return
	}
	sum := slowSum(p.pseudo(b, len(b)-p.l4), b[p.l4:])
	if sum == 0 {
		sum = 0xffff
	}
	be.PutUint16(b[p.sumAt:], sum)
}

// slowSegments is the slow twin of Segment: every segment is written anew, and
// summed from its first byte to its last.
func slowSegments(b []byte, p plan, size int) (segments [][]byte) {
	be := binary.BigEndian
	total := len(b) - p.payload
	for at := 0; at < total; at += size {
		s := bytes.Clone(b[:p.payload])
		s = append(s, b[p.payload+at:][:min(size, total-at)]...)
		if p.proto == wire.ProtoTCP {
			be.PutUint32(s[p.l4+4:], be.Uint32(s[p.l4+4:])+uint32(at))
			if at > 0 {
				s[p.l4+13] &^= 0x80 // CWR
			}
			if at+size < total {
				s[p.l4+13] &^= 0x09 // FIN, PSH
			}
		}
		if id := be.Uint16(s[4:]); !p.v6 && !(id == 0 && s[6]&0x40 != 0) {
			be.PutUint16(s[4:], id+uint16(at/size))
		}
		p.finish(s)
		segments = append(segments, s)
	}
	return segments
}

// compare cuts a copy of pkt with Segment and with the slow twin.
func compare(t *testing.T, pkt *packet.Packet) {
	t.Helper()
	l2 := int(pkt.L3) - pkt.Offset()
	whole := content(pkt)
	p, ok := slowPlan(whole[l2:], pkt.GSO)
	if !ok {
		t.Fatalf("Segment takes what the slow twin cannot read: % x", whole)
	}
	p.noSum = p.proto == wire.ProtoUDP && pkt.Csum != packet.CsumPartial && whole[l2+p.sumAt]|whole[l2+p.sumAt+1] == 0
	want := slowSegments(whole[l2:], p, int(pkt.GSOSize))
	var out packet.Queue
	New().Segment(pkt.Clone(), &out)
	if out.Len() != len(want) {
		t.Fatalf("%d segments, the slow twin cuts %d", out.Len(), len(want))
	}
	complete(&out)
	for i, w := range want {
		s := out.Pop()
		if got := content(s); !bytes.Equal(got[:l2], whole[:l2]) || !bytes.Equal(got[l2:], w) {
			t.Errorf("segment %d of %d is\n% x, want\n% x", i, len(want), got[l2:], w)
		}
		s.Consume()
	}
}

// TestSegmentLikeTheTwin: packets of every kind, with odd lengths, options and
// extension headers, and all control bits.
func TestSegmentLikeTheTwin(t *testing.T) {
	var pool packet.Pool
	r := rand.New(rand.NewPCG(11, 12))
	for range 2000 {
		s := shape{
			v6: r.IntN(2) == 0, udp: r.IntN(3) == 0, ether: r.IntN(2) == 0, noDF: r.IntN(2) == 0, reserved: r.IntN(9) == 0,
			flags: uint16(r.IntN(512)), seq: r.Uint32(), ack: r.Uint32(), id: uint16(r.Uint32()) * uint16(r.IntN(2)),
			options: randomBytes(r, 4*r.IntN(11)), size: 1 + r.IntN(1500), tos: uint8(r.Uint32()), urgent: uint16(r.Uint32()),
		}
		pkt := build(&pool, s, randomBytes(r, 2+r.IntN(min(60000, 40*s.size))))
		if r.IntN(3) == 0 { // a finished checksum, which is believed
			pkt.Csum = packet.CsumUnnecessary
			if at := int(pkt.CsumStart) - pkt.Offset() + int(pkt.CsumOffset); s.udp && r.IntN(2) == 0 {
				clear(pkt.Head()[at : at+2]) // none
			}
		}
		compare(t, pkt)
		pkt.Consume()
	}
	if pool.Live() != 0 || pool.LiveBufs() != 0 {
		t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
	}
}
