package conntrack

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/wire"
	"pgregory.net/rapid"
)

// A host is an honest TCP as far as windows go: it sends what the other allows,
// again when it likes, and acknowledges what has come.
type host struct {
	rnd            *rand.Rand
	una, next, max uint32 // of what it sends; max: of that which has come to tracking
	allowed        uint32 // right edge that the other has offered
	got            uint32 // next expected octet
	right          uint32 // right edge that it has offered
	room           uint32 // its receive buffer
	scale          uint8
	scaled, sack   bool
	islands        []wire.SACKBlock // received out of order
}

// window returns the window to write, never taking back what was offered.
func (h *host) window() int {
	w := h.room
	if h.rnd.IntN(10) == 0 {
		w = 0
	}
	if after(h.right, h.got+w) {
		w = h.right - h.got
	}
	v := min(w>>h.shift(), 65535)
	if e := h.got + v<<h.shift(); after(e, h.right) {
		h.right = e
	} else if v<<h.shift() < h.right-h.got && v < 65535 {
		v++ // round up: a window must not shrink
		h.right = h.got + v<<h.shift()
	}
	if v == 0 {
		return -1
	}
	return int(v)
}

func (h *host) shift() uint8 {
	if h.scaled {
		return h.scale
	}
	return 0
}

// segment returns something that h may send now.
func (h *host) segment() seg {
	s := seg{flags: tcpACK, ack: h.got, seq: h.next}
	switch h.rnd.IntN(4) {
	case 0: // again, some of what is not acknowledged
		if h.next != h.una {
			s.seq = h.una + h.rnd.Uint32N(h.next-h.una)
			s.n = int(min(h.next-s.seq, 1+h.rnd.Uint32N(1000)))
		}
	case 1, 2: // new
		if room := h.allowed - h.next; after(h.allowed, h.next) {
			s.n = int(min(room, 1+h.rnd.Uint32N(1000)))
			h.next += uint32(s.n)
		}
	}
	s.win = h.window()
	if h.sack && len(h.islands) > 0 {
		for _, b := range h.islands[:min(3, len(h.islands))] {
			s.opts.SACK[s.opts.NumSACK] = b
			s.opts.NumSACK++
		}
	}
	return s
}

// receive takes a segment in.
func (h *host) receive(s seg, shift uint8) {
	if after(s.ack, h.una) {
		h.una = s.ack
	}
	w := uint32(max(s.win, 0))
	if s.win == 0 {
		w = 1000
	}
	if e := s.ack + w<<shift; after(e, h.allowed) {
		h.allowed = e
	}
	if s.n == 0 || !after(s.seq+uint32(s.n), h.got) {
		return
	}
	if !after(s.seq, h.got) {
		h.got = s.seq + uint32(s.n)
	} else {
		h.islands = append([]wire.SACKBlock{{Left: s.seq, Right: s.seq + uint32(s.n)}}, h.islands...)
	}
	for again := true; again; {
		again = false
		left := h.islands[:0]
		for _, b := range h.islands {
			if !after(b.Left, h.got) {
				if after(b.Right, h.got) {
					h.got, again = b.Right, true
				}
				continue
			}
			left = append(left, b)
		}
		h.islands = left
	}
}

// dialogue runs a connection whose segments get lost before and behind tracking,
// overtake each other and come twice.
func dialogue(t *rapid.T, r *rig) {
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	k := &talk{rig: r, a: fmt.Sprintf("10.0.0.1:%d", 1+rnd.IntN(65000)), b: "10.0.0.2:80"}
	from := [2]string{k.a, k.b}
	pickup, scaled, sack := rnd.IntN(3) == 0, rnd.IntN(2) == 0, rnd.IntN(2) == 0
	var hosts [2]*host
	for i := range hosts {
		isn := rnd.Uint32()
		hosts[i] = &host{rnd: rnd, una: isn, next: isn, scaled: scaled, sack: sack, scale: uint8(rnd.IntN(15)), room: 1 << (10 + rnd.IntN(14))}
		if !scaled {
			hosts[i].room = min(hosts[i].room, 65535)
		}
	}
	shake(k, hosts, pickup)
	type flying struct {
		d int
		s seg
	}
	var before, behind []flying // on the way to tracking, and from it
	for range 300 {
		d := rnd.IntN(2)
		f := flying{d, hosts[d].segment()}
		before = append(before, f)
		if rnd.IntN(10) == 0 {
			before = append(before, f) // twice
		}
		for len(before) > 0 && rnd.IntN(3) > 0 {
			i := rnd.IntN(min(len(before), 3)) // overtaking
			f := before[i]
			before = append(before[:i], before[i+1:]...)
			if rnd.IntN(20) == 0 {
				continue // lost
			}
			me := hosts[f.d]
			if after(me.max-hosts[1-f.d].room, f.s.seq+uint32(f.s.n)) {
				continue // overtaken by more than a window: its receiver has no use for it either
			}
			if e := f.s.seq + uint32(f.s.n); after(e, me.max) {
				me.max = e
			}
			_, info, dropped := r.pass(tcp(from[f.d], from[1-f.d], f.s))
			if info == netfilter.Invalid || dropped {
				t.Fatalf("pickup %v, scaling %v, SACK %v: the honest segment %+v of side %d is invalid;\n%+v\n%+v\nentry %+v",
					pickup, scaled, sack, f.s, f.d, hosts[0], hosts[1], entryOfTalk(r))
			}
			if !pickup && info != netfilter.New {
				forge(t, r, hosts, from, d)
			}
			behind = append(behind, f)
		}
		for len(behind) > 0 && rnd.IntN(3) > 0 {
			f := behind[0]
			behind = behind[1:]
			if rnd.IntN(20) != 0 {
				hosts[1-f.d].receive(f.s, hosts[f.d].shift())
			}
		}
		if len(before) > 8 {
			before = before[len(before)-8:]
		}
	}
}

func entryOfTalk(r *rig) (s string) {
	r.Each(func(c *netfilter.Conn) bool { s += fmt.Sprintf("%+v ", entryOf(c).tcp.sides); return true })
	return s
}

// shake opens the connection of two hosts, unseen if it is to be picked up.
func shake(k *talk, hosts [2]*host, unseen bool) {
	a, b := hosts[0], hosts[1]
	opts := func(h *host) (o wire.TCPOptions) {
		if h.scaled {
			o.Present |= wire.TCPHasWindowScale
			o.WindowScale = h.scale
		}
		if h.sack {
			o.Present |= wire.TCPHasSACKPermitted
		}
		return o
	}
	first := [2]uint32{min(a.room, 65535), min(b.room, 65535)}
	syns := [2]seg{
		{flags: tcpSYN, seq: a.next, win: int(first[0]), opts: opts(a)},
		{flags: tcpSYN | tcpACK, seq: b.next, ack: a.next + 1, win: int(first[1]), opts: opts(b)},
	}
	for i, h := range hosts {
		o := hosts[1-i]
		h.next++
		h.una, h.max = h.next, h.next
		h.right = o.next + first[i]
		if i == 0 {
			h.right++
			h.got = o.next + 1
		} else {
			h.got = o.next
		}
		h.allowed = h.next + first[1-i]
	}
	b.right = b.got + first[1]
	a.right = a.got + first[0]
	if unseen {
		return
	}
	k.client(netfilter.New, syns[0])
	k.server(netfilter.EstablishedReply, syns[1])
	k.client(netfilter.Established, seg{flags: tcpACK, seq: a.next, ack: b.next, win: int(max(first[0]>>a.shift(), 1))})
}

// forge sends what nobody could have sent: what claims too much is invalid, what
// comes too late is ignored. Neither teaches anything.
func forge(t *rapid.T, r *rig, hosts [2]*host, from [2]string, d int) {
	me, peer := hosts[d], hosts[1-d]
	far := uint32(1 << 30)
	for _, x := range []struct {
		seg
		late bool
	}{
		{seg{flags: tcpACK, seq: peer.right + far, ack: me.got, n: 10}, false},
		{seg{flags: tcpACK, seq: me.next, ack: peer.next + 100000}, false},
		{seg{flags: tcpRST, seq: me.una - far}, false},
		{seg{flags: tcpACK, seq: me.next - far, ack: me.got, n: 10}, true},
		{seg{flags: tcpACK, seq: me.next, ack: peer.next - far}, true},
	} {
		before := entryOfTalk(r)
		c, info, _ := r.pass(tcp(from[d], from[1-d], x.seg))
		if (info == netfilter.Invalid) == x.late {
			t.Fatalf("the forged segment %+v of side %d is %d of %v", x, d, info, c)
		}
		if after := entryOfTalk(r); after != before {
			t.Fatalf("the forged segment %+v of side %d has changed\n%s to\n%s", x, d, before, after)
		}
	}
}

// TestHonestSegmentsAreNeverInvalid: and forged ones always are.
func TestHonestSegmentsAreNeverInvalid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		r.max.Store(0)
		dialogue(rt, r)
	})
}
