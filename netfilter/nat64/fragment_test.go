package nat64_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network/frag"
	"github.com/knitnet/knit/wire"
)

// fragments4 cuts an IPv4 packet, with DF or without.
func (r *rig) fragments4(b []byte, mtu int, df bool, id uint16) (out [][]byte) {
	b = slices.Clone(b)
	b[6] = 0
	if df {
		b[6] = 0x40
	}
	binary.BigEndian.PutUint16(b[4:], id)
	h, _ := wire.ParseIPv4(b)
	h.UpdateHeaderChecksum()
	return r.split(b, func(pkt *packet.Packet, q *packet.Queue) { frag.Split4(pkt, mtu, q) })
}

func (r *rig) fragments6(b []byte, mtu int, id uint32) [][]byte {
	return r.split(b, func(pkt *packet.Packet, q *packet.Queue) { frag.Split6(pkt, wire.IPv6Len, 6, mtu, id, q) })
}

func (r *rig) split(b []byte, f func(*packet.Packet, *packet.Queue)) (out [][]byte) {
	pkt := r.k.Pool.Get()
	pkt.Append(b)
	pkt.Ensure(min(len(b), wire.IPv6Len))
	var q packet.Queue
	f(pkt, &q)
	for p := q.Pop(); p != nil; p = q.Pop() {
		x := make([]byte, p.Len())
		p.CopyOut(0, x)
		out = append(out, x)
		p.Consume()
	}
	return out
}

// TestFragmentsOut: RFC 6146 §3.4, RFC 7915 §5.1.1: fragments in any order are
// translated, into fragments of the same payload without DF and with the low bits of
// the identification.
func TestFragmentsOut(t *testing.T) {
	r := newRig(t)
	whole := udp(client, 4000, embed(server), 53, strings.Repeat("x", 3000))
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		pieces := r.fragments6(whole, 1280, 0xdeadbeef)
		for _, i := range order {
			r.inside.put(pieces[i])
		}
		sent := r.outside.take()
		if len(sent) != 3 {
			t.Fatalf("%d fragments, want 3: %v", len(sent), r.k.Pool.Drops.List())
		}
		payload := 0
		for i, b := range sent {
			h, _ := wire.ParseIPv4(b)
			if h.ID() != 0xbeef || h.DF() || h.MF() != (i < 2) || h.FragOffset() != payload || len(b) != len(pieces[i])-28 {
				t.Errorf("fragment %d: %+v, %d bytes of %d", i, h.Fields(), len(b), len(pieces[i]))
			}
			payload += len(b) - wire.IPv4Len
		}
	}
}

// TestFragmentsIn: RFC 7915 §4.1: fragments keep their payload if that passes every
// link of IPv6, and their identification; those that routers may cut are cut to 1280
// bytes.
func TestFragmentsIn(t *testing.T) {
	r := newRig(t)
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	whole := udp(server, 53, pool, s.Port(), strings.Repeat("x", 3000))
	for _, x := range []struct {
		mtu   int
		df    bool
		sizes []int
	}{{1500, true, []int{1528, 1528, 96}}, {1252, false, []int{1280, 1280, 592}}, {1500, false, []int{1280, 1280, 592}}} {
		if x.mtu == 1500 && x.df {
			r.try(r.inside.dev.SetMTU(2000))
		}
		for _, p := range r.fragments4(whole, x.mtu, x.df, 0xbeef) {
			r.outside.put(p)
		}
		var sizes []int
		for _, b := range r.inside.take() {
			sizes = append(sizes, len(b))
			f, _ := wire.ParseIPv6Fragment(b[wire.IPv6Len:])
			if b[6] != wire.ProtoFragment || f.ID() != 0xbeef {
				t.Errorf("identification %x", f.ID())
			}
		}
		if !slices.Equal(sizes, x.sizes) {
			t.Errorf("MTU %d, DF %v: sizes %v, want %v", x.mtu, x.df, sizes, x.sizes)
		}
	}
}

// TestMayFragment: RFC 7915 §4: an IPv4 packet that routers may fragment becomes
// packets of at most 1280 bytes, or what lowest_ipv6_mtu says; one that fits has no
// fragment header.
func TestMayFragment(t *testing.T) {
	for _, x := range []struct {
		lowest, payload int
		sizes           []int
	}{{1280, 1232, []int{1280}}, {1280, 1233, []int{1280, 57}}, {1500, 1452, []int{1500}}, {1500, 1453, []int{1496, 61}}} {
		r := newRig(t, "pool4="+pool, fmt.Sprint("lowest_ipv6_mtu=", x.lowest))
		s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
		b := udp(server, 53, pool, s.Port(), strings.Repeat("x", x.payload))
		b[6] = 0
		h, _ := wire.ParseIPv4(b)
		h.UpdateHeaderChecksum()
		r.outside.put(b)
		var sizes []int
		for _, b := range r.inside.take() {
			sizes = append(sizes, len(b))
		}
		if len(sizes) == 2 && sizes[0] < x.lowest-8 || !slices.Equal(sizes, x.sizes) {
			t.Errorf("%d bytes of payload, lowest MTU %d: sizes %v, want %v", x.payload, x.lowest, sizes, x.sizes)
		}
	}
}

// TestHostileFragments: overlapping, endless and lonely fragments end, counted, and
// nothing is translated of them (RFC 5722, RFC 6146 §5.3).
func TestHostileFragments(t *testing.T) {
	r := newRig(t)
	whole := udp(client, 4000, embed(server), 53, strings.Repeat("x", 3000))
	pieces := r.fragments6(whole, 1280, 7)
	r.inside.put(pieces[0])
	overlap := slices.Clone(pieces[1])
	binary.BigEndian.PutUint16(overlap[42:], binary.BigEndian.Uint16(overlap[42:])-8)
	r.inside.put(overlap)
	r.inside.put(pieces[1])
	r.inside.put(pieces[2])
	for id := range uint32(20000) { // first fragments that nobody completes
		r.inside.put(r.fragments6(whole[:1400], 1280, 1000+id)[0])
	}
	if sent := r.outside.take(); len(sent) > 0 {
		t.Errorf("%d packets came out", len(sent))
	}
	if n := r.k.Pool.Live(); n > 8192 {
		t.Errorf("%d packets wait", n)
	}
	r.advance(2 * time.Minute)
	if n := r.k.Pool.Live(); n != 0 {
		t.Errorf("%d packets wait after their time", n)
	}
}

// TestUDPChecksumZero: RFC 7915 §4.5: a datagram without a checksum gets one, in
// fragments too.
func TestUDPChecksumZero(t *testing.T) {
	r := newRig(t)
	s, _ := ends(r.out(udp(client, 4000, embed(server), 53, "")))
	b := udp(server, 53, pool, s.Port(), strings.Repeat("x", 100))
	b[26], b[27] = 0, 0
	want := r.in(udp(server, 53, pool, s.Port(), strings.Repeat("x", 100)))
	if got := r.in(b); !bytes.Equal(got, want) {
		t.Errorf("\n% x, want\n% x", got, want)
	}
	for _, p := range r.fragments4(b, 100, false, 9) {
		r.outside.put(p)
	}
	if sent := r.inside.take(); len(sent) != 2 || !bytes.Equal(sent[0][48:56], want[40:48]) {
		t.Errorf("fragments: % x", sent)
	}
}
