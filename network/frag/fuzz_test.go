package frag

import (
	"bytes"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// A slow is one datagram by the book: a byte array and who wrote each byte.
type slow struct {
	data      [70000]byte
	by        [70000]uint16 // 1 + number of the fragment; 0: nobody
	pieces    [][2]int
	total     int
	condemned bool
}

// add returns the datagram's payload when it is complete.
func (s *slow) add(off int, b []byte, more bool) []byte {
	end := off + len(b)
	if s.condemned {
		return nil
	}
	for _, p := range s.pieces {
		if p == [2]int{off, end} {
			return nil
		}
	}
	if len(s.pieces) == MaxFragments {
		s.condemned = true
	}
	for i := off; i < end; i++ {
		s.condemned = s.condemned || s.by[i] != 0
	}
	for i := end; i < len(s.by) && !more; i++ {
		s.condemned = s.condemned || s.by[i] != 0
	}
	if s.total >= 0 && (!more || end > s.total) {
		s.condemned = true
	}
	if s.condemned {
		return nil
	}
	s.pieces = append(s.pieces, [2]int{off, end})
	copy(s.data[off:], b)
	for i := off; i < end; i++ {
		s.by[i] = uint16(len(s.pieces))
	}
	if !more {
		s.total = end
	}
	for i := range max(s.total, 1) {
		if s.total < 0 || s.by[i] == 0 {
			return nil
		}
	}
	return s.data[:s.total]
}

// FuzzReassembly compares the table with the slow twin, for fragments described by
// bytes: offset, length, and whether more follow.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 1, 0})
	f.Add([]byte{1, 1, 0, 0, 1, 1})
	f.Add([]byte{0, 2, 1, 1, 1, 0, 0, 1, 1})
	f.Add([]byte{5, 1, 0, 0, 5, 1, 0, 5, 1})
	f.Fuzz(func(t *testing.T, plan []byte) {
		b := newBench(t, Params{})
		twin := &slow{total: -1}
		for i := 0; i+2 < len(plan) && i < 900; i += 3 {
			off, n, more := int(plan[i])*8, int(plan[i+1]), plan[i+2]&1 == 1
			if more {
				n = n % 32 * 8
			}
			if n == 0 {
				continue
			}
			payload := bytes.Repeat([]byte{byte(i + 1)}, n)
			whole := b.table.Input4(b.packet4(wire.IPv4Fields{ID: 5, FragOffset: uint16(off), MF: more}, payload))
			if off == 0 && !more { // not a fragment; the table takes it all the same
				if whole != nil {
					whole.Consume()
				}
				return
			}
			want := twin.add(off, payload, more)
			if (whole == nil) != (want == nil) {
				t.Fatalf("fragment %d: complete %v, want %v", i/3, whole != nil, want != nil)
			}
			if whole != nil {
				if got := content(whole)[wire.IPv4Len:]; !bytes.Equal(got, want) {
					t.Fatalf("payload of %d bytes differs from the twin's %d", len(got), len(want))
				}
				whole.Consume()
				return
			}
		}
	})
}

// FuzzInput: any bytes as IPv4 and IPv6 fragments, twice, end without panic or leak.
func FuzzInput(f *testing.F) {
	b := newBench(&testing.T{}, Params{})
	p4 := b.piece4(1, 0, 16, true)
	f.Add(content(p4), uint8(40), uint8(6))
	p6, unfrag, named := b.packet6(make([]byte, 3000))
	var q packet.Queue
	Split6(p6, unfrag, named, 1280, 1, &q)
	f.Add(content(q.Front()), uint8(unfrag), uint8(named))
	f.Fuzz(func(t *testing.T, raw []byte, at, named uint8) {
		b := newBench(t, Params{})
		for range 2 {
			pkt := b.pool.Get()
			pkt.Append(raw)
			pkt.Ensure(min(len(raw), 120))
			if h, ok := wire.ParseIPv4(pkt.Head()); ok && h.TotalLen() <= pkt.Len() {
				pkt.TrimTo(h.TotalLen())
				if whole := b.table.Input4(pkt); whole != nil {
					whole.Consume()
				}
				continue
			}
			h, ok := wire.ParseIPv6(pkt.Head())
			if !ok || h.TotalLen() > pkt.Len() || int(named) >= int(at) || int(at) < wire.IPv6Len || int(at)+8 > pkt.HeadLen() {
				pkt.Consume()
				continue
			}
			pkt.TrimTo(h.TotalLen())
			whole, pointer := b.table.Input6(pkt, int(at), int(named))
			if pointer != 0 {
				pkt.Consume()
			}
			if whole != nil {
				whole.Consume()
			}
		}
	})
}
