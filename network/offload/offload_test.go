package offload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

var _ link.Offload = New()

func shapes() (list []shape) {
	for _, v6 := range []bool{false, true} {
		for _, ether := range []bool{false, true} {
			list = append(list,
				shape{v6: v6, ether: ether, flags: wire.TCPAck | wire.TCPPsh, port: 50000, seq: 0xffffff00, id: 0xfffe},
				shape{v6: v6, ether: ether, flags: wire.TCPAck, options: timestamps, port: 50000},
				shape{v6: v6, ether: ether, udp: true, port: 50000, id: 5})
		}
	}
	return list
}

// TestSegmentsAreRight lets gopacket read what Segment made, frame by frame: the
// checksums, lengths, flags, sequence numbers and the payload.
func TestSegmentsAreRight(t *testing.T) {
	var pool packet.Pool
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range shapes() {
		for _, total := range []int{1, 536, 1448, 1449, 2896, 20000, 65000} {
			s.ether, s.size = true, 1448
			if !s.udp {
				s.flags |= wire.TCPFin | wire.TCPPsh | wire.TCPCwr
			}
			want := randomBytes(r, total)
			var out packet.Queue
			New().Segment(build(&pool, s, want), &out)
			complete(&out)
			var got []byte
			n := out.Len()
			if n != (total+1447)/1448 {
				t.Fatalf("%+v: %d bytes gave %d segments", s, total, n)
			}
			for i := range n {
				p := out.Pop()
				if p.GSO != packet.GSONone || int(p.L3) != p.Offset()+wire.EthernetLen {
					t.Fatalf("segment has GSO %v, L3 at %d of %d", p.GSO, p.L3, p.Offset())
				}
				got = append(got, inspect(t, s, content(p), i, n, len(got))...)
				p.Consume()
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%+v: payload of %d bytes changed", s, total)
			}
		}
	}
	if pool.Live() != 0 || pool.LiveBufs() != 0 {
		t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
	}
}

// inspect checks segment i of n, whose payload starts at offset at, and returns it.
func inspect(t *testing.T, s shape, frame []byte, i, n, at int) []byte {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("segment %d: %v", i, e.Error())
	}
	switch l4 := p.TransportLayer().(type) {
	case *layers.TCP:
		_ = l4.SetNetworkLayerForChecksum(p.NetworkLayer())
	case *layers.UDP:
		_ = l4.SetNetworkLayerForChecksum(p.NetworkLayer())
	}
	errs, bad := p.VerifyChecksums()
	if errs != nil || len(bad) > 0 {
		t.Fatalf("%+v segment %d of %d: checksums %v %v", s, i, n, errs, bad)
	}
	if ip, ok := p.NetworkLayer().(*layers.IPv4); ok {
		want := s.id + uint16(i)
		if s.id == 0 && !s.noDF {
			want = 0 // RFC 6864 §4.1: it has no meaning
		}
		if ip.Id != want || int(ip.Length) != len(frame)-14 {
			t.Errorf("segment %d: id %d, length %d of %d", i, ip.Id, ip.Length, len(frame))
		}
	} else if ip := p.NetworkLayer().(*layers.IPv6); int(ip.Length) != len(frame)-54 {
		t.Errorf("segment %d: payload length %d of %d", i, ip.Length, len(frame))
	}
	switch l4 := p.TransportLayer().(type) {
	case *layers.TCP:
		if l4.Seq != s.seq+uint32(at) {
			t.Errorf("segment %d: seq %d, want %d", i, l4.Seq, s.seq+uint32(at))
		}
		if last := i == n-1; l4.FIN != last || l4.PSH != last || l4.CWR != (i == 0) || !l4.ACK {
			t.Errorf("segment %d of %d: flags FIN %v PSH %v CWR %v", i, n, l4.FIN, l4.PSH, l4.CWR)
		}
		return l4.Payload
	case *layers.UDP:
		if int(l4.Length) != 8+len(l4.Payload) {
			t.Errorf("datagram %d: length %d", i, l4.Length)
		}
		return l4.Payload
	}
	t.Fatalf("segment %d: no transport header", i)
	return nil
}

// TestMergeUndoesSegment: Merge(Segment(p)) is p, in bytes and in Meta.
func TestMergeUndoesSegment(t *testing.T) {
	var pool packet.Pool
	r := rand.New(rand.NewPCG(3, 4))
	o := &Offload{MergeUDP: true}
	for _, s := range shapes() {
		for range 30 {
			s.ether = false
			s.size = 1 + r.IntN(3000)
			pkt := build(&pool, s, randomBytes(r, s.size+1+r.IntN(min(60000-s.size, 62*s.size))))
			want, meta := content(pkt), pkt.Meta
			var q packet.Queue
			o.Segment(pkt, &q)
			if r.IntN(2) == 0 {
				complete(&q) // as if it came from a wire: all sums are checked
				for p := q.Front(); p != nil; p = p.Next() {
					p.Csum = packet.CsumNone
				}
			}
			o.Merge(&q)
			if q.Len() != 1 {
				t.Fatalf("%+v: %d bytes in pieces of %d merged into %d packets", s, len(want), s.size, q.Len())
			}
			got := q.Pop()
			if !bytes.Equal(content(got), want) {
				t.Fatalf("%+v: merged packet differs", s)
			}
			got.Meta.L2 = meta.L2
			if got.Meta != meta {
				t.Errorf("meta = %+v, want %+v", got.Meta, meta)
			}
			got.Consume()
		}
	}
	if pool.Live() != 0 || pool.LiveBufs() != 0 {
		t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
	}
}

// TestMergeLeavesAlone: what must not be merged, pair by pair.
func TestMergeLeavesAlone(t *testing.T) {
	a := shape{flags: wire.TCPAck, port: 1, seq: 100, id: 7}
	b := shape{flags: wire.TCPAck, port: 1, seq: 200, id: 8}
	with := func(s shape, f func(*shape)) shape { f(&s); return s }
	tests := []struct {
		name string
		a, b shape
		n    int // payload of b
		want int // packets left
	}{
		{"in order", a, b, 100, 1},
		{"a shorter last one", a, b, 10, 1},
		{"fixed identification", a, with(b, func(s *shape) { s.id = 7 }), 100, 2},
		{"no identification", with(a, func(s *shape) { s.id = 0 }), with(b, func(s *shape) { s.id = 0 }), 100, 1},
		{"one without an identification", with(a, func(s *shape) { s.id = 0 }), with(b, func(s *shape) { s.id = 1 }), 100, 2},
		{"identification 0 that may be fragmented", with(a, func(s *shape) { s.noDF, s.id = true, 0 }),
			with(b, func(s *shape) { s.noDF, s.id = true, 1 }), 100, 1},
		{"another TOS", a, with(b, func(s *shape) { s.tos = 3 }), 100, 2},
		{"another TOS of IPv6", with(a, func(s *shape) { s.v6 = true }), with(b, func(s *shape) { s.v6, s.tos = true, 3 }), 100, 2},
		{"another flow label", with(a, func(s *shape) { s.v6 = true }), with(b, func(s *shape) { s.v6, s.label = true, 3 }), 100, 2},
		{"the reserved bit on one", a, with(b, func(s *shape) { s.reserved = true }), 100, 2},
		{"another urgent pointer", a, with(b, func(s *shape) { s.urgent = 9 }), 100, 2},
		{"another window", a, with(b, func(s *shape) { s.window = 9 }), 100, 2},
		{"AE", a, with(b, func(s *shape) { s.flags |= wire.TCPAe }), 100, 2},
		{"fixed identification that may be fragmented", with(a, func(s *shape) { s.noDF = true }),
			with(b, func(s *shape) { s.noDF, s.id = true, 7 }), 100, 2},
		{"a longer second one", a, b, 101, 2},
		{"a pure ACK", a, b, 0, 2},
		{"a gap", a, with(b, func(s *shape) { s.seq++ }), 100, 2},
		{"a jump of the identification", a, with(b, func(s *shape) { s.id = 9 }), 100, 2},
		{"another port", a, with(b, func(s *shape) { s.port = 2 }), 100, 2},
		{"another acknowledgment", a, with(b, func(s *shape) { s.ack = 1 }), 100, 2},
		{"another TTL", a, with(b, func(s *shape) { s.ttl = 63 }), 100, 2},
		{"DF on one", a, with(b, func(s *shape) { s.noDF = true }), 100, 2},
		{"timestamps on one", a, with(b, func(s *shape) { s.options = timestamps }), 100, 2},
		{"PSH on the first", with(a, func(s *shape) { s.flags |= wire.TCPPsh }), b, 100, 2},
		{"PSH on the second", a, with(b, func(s *shape) { s.flags |= wire.TCPPsh }), 100, 1},
		{"FIN", a, with(b, func(s *shape) { s.flags |= wire.TCPFin }), 100, 2},
		{"RST", a, with(b, func(s *shape) { s.flags |= wire.TCPRst }), 100, 2},
		{"URG", a, with(b, func(s *shape) { s.flags |= wire.TCPUrg }), 100, 2},
		{"CWR", a, with(b, func(s *shape) { s.flags |= wire.TCPCwr }), 100, 2},
		{"ECE on one", a, with(b, func(s *shape) { s.flags |= wire.TCPEce }), 100, 2},
		{"UDP", with(a, func(s *shape) { s.udp = true }), with(b, func(s *shape) { s.udp = true }), 100, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var pool packet.Pool
			var q packet.Queue
			q.Push(build(&pool, tt.a, make([]byte, 100)))
			q.Push(build(&pool, tt.b, make([]byte, tt.n)))
			New().Merge(&q)
			if q.Len() != tt.want {
				t.Errorf("%d packets left, want %d", q.Len(), tt.want)
			}
			q.Consume()
			if pool.Live() != 0 || pool.LiveBufs() != 0 {
				t.Errorf("%d packets and %d buffers left", pool.Live(), pool.LiveBufs())
			}
		})
	}
}

// TestMergeKeepsNotes: packets that an ingress hook has marked differently, or that
// came in frames of another kind, stay apart: what is known of one is not true of
// the other.
func TestMergeKeepsNotes(t *testing.T) {
	slot, undo, err := packet.NewSlot[*int](new(packet.Slots), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	for name, note := range map[string]func(*packet.Packet){
		"slot":     func(p *packet.Packet) { slot.Set(p, new(int)) },
		"mark":     func(p *packet.Packet) { p.Mark = 1 },
		"priority": func(p *packet.Packet) { p.Priority = 1 },
		"kind":     func(p *packet.Packet) { p.Kind = packet.OtherHost },
	} {
		t.Run(name, func(t *testing.T) {
			var pool packet.Pool
			var q packet.Queue
			q.Push(build(&pool, shape{flags: wire.TCPAck, seq: 100, id: 7}, make([]byte, 100)))
			second := build(&pool, shape{flags: wire.TCPAck, seq: 200, id: 8}, make([]byte, 100))
			note(second)
			q.Push(second)
			New().Merge(&q)
			if q.Len() != 2 {
				t.Errorf("%d packets left, want 2", q.Len())
			}
			q.Consume()
		})
	}
}

// TestMergeChecksSums: a damaged segment stays by itself for the transport to
// count, and nothing overtakes it.
func TestMergeChecksSums(t *testing.T) {
	var pool packet.Pool
	var q packet.Queue
	for i := range 5 {
		pkt := build(&pool, shape{flags: wire.TCPAck, seq: uint32(100 * i), id: uint16(1 + i)}, make([]byte, 100))
		link.CompleteChecksum(pkt)
		pkt.Csum = packet.CsumNone
		if i == 2 {
			pkt.Head()[wire.IPv4Len+wire.TCPChecksumOffset]++
		}
		q.Push(pkt)
	}
	New().Merge(&q)
	var got string
	for p := q.Pop(); p != nil; p = q.Pop() {
		got += fmt.Sprint(p.Len()-40, ":", p.Csum, " ")
		p.Consume()
	}
	want := fmt.Sprintf("200:%d 100:%d 200:%d ", packet.CsumPartial, packet.CsumNone, packet.CsumPartial)
	if got != want {
		t.Errorf("merged into %q, want %q", got, want)
	}
}

func TestMergeTrimsPadding(t *testing.T) {
	var pool packet.Pool
	var q packet.Queue
	for i := range 2 {
		pkt := build(&pool, shape{flags: wire.TCPAck, seq: uint32(i), id: uint16(1 + i)}, []byte{byte(i)})
		pkt.Append(make([]byte, 5)) // Ethernet's minimum
		q.Push(pkt)
	}
	New().Merge(&q)
	if q.Len() != 1 || q.Front().Len() != 42 {
		t.Errorf("%d packets of %d bytes, want 1 of 42", q.Len(), q.Front().Len())
	}
	q.Consume()
}

// TestSegmentRefuses: Meta comes from guests and must not be believed.
func TestSegmentRefuses(t *testing.T) {
	base := shape{flags: wire.TCPAck, size: 100}
	for name, spoil := range map[string]func(*packet.Packet){
		"no size":          func(p *packet.Packet) { p.GSOSize = 0 },
		"wrong type":       func(p *packet.Packet) { p.GSO = packet.GSOUDP },
		"wrong version":    func(p *packet.Packet) { p.GSO = packet.GSOTCP6 },
		"checksum outside": func(p *packet.Packet) { p.CsumStart = 440 },
		"wrong offset":     func(p *packet.Packet) { p.CsumOffset = 6 },
		"no network":       func(p *packet.Packet) { p.L3 = 0 },
		"header cut":       func(p *packet.Packet) { p.TrimTo(30) },
		"length":           func(p *packet.Packet) { p.TrimBack(1) },
		"data offset":      func(p *packet.Packet) { p.Head()[32] = 0x10 },
		"fragment":         func(p *packet.Packet) { p.Head()[6] |= 0x20 },
	} {
		t.Run(name, func(t *testing.T) {
			var pool packet.Pool
			var out packet.Queue
			pkt := build(&pool, base, make([]byte, 500))
			spoil(pkt)
			New().Segment(pkt, &out)
			if out.Len() != 0 || pool.Live() != 0 || pool.Drops.Load(stat.SkbGSOSeg) != 1 {
				t.Errorf("%d segments, %d packets live, %d drops", out.Len(), pool.Live(), pool.Drops.Load(stat.SkbGSOSeg))
			}
		})
	}
}
