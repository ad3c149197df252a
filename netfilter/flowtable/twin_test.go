package flowtable_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/wire"
)

// TestSameAsWithoutFlowtable: two routers get the same packets at the same times, and
// one of them has a flowtable. What they send is equal, packet by packet and byte by
// byte, whatever happens to routes, devices, settings and rules meanwhile.
func TestSameAsWithoutFlowtable(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 8
	}
	fast := 0
	for seed := range seeds {
		fast += twins(t, seed)
	}
	if fast < int(seeds)*100 {
		t.Errorf("only %d packets skipped the rules: nothing was compared", fast)
	}
}

// twins runs one history and returns how many packets skipped the rules.
func twins(t *testing.T, seed uint64) (fast int) {
	// Which packets of a batch go with a connection that masquerade gives up, because it
	// would leave by another device, is left to how the batch is cut.
	rules := strings.Replace(gateway, "oifname { \"wan\", \"wan2\" } masquerade", "oifname { \"wan\", \"wan2\" } snat ip to 192.0.2.1; oifname \"wan\" meta nfproto ipv6 masquerade", 1)
	x, y := newRig(t, rules), newRig(t, strings.Replace(rules, "ct state established flow add @f", "", 1))
	for _, r := range []*rig{x, y} {
		r.set("net.ipv4.icmp_ratelimit", "0")
		r.set("net.ipv4.icmp_msgs_burst", "1000000")
		r.set("net.ipv4.icmp_msgs_per_sec", "1000000")
		r.advance(2 * time.Second)
	}
	h := &history{rand: rand.New(rand.NewPCG(seed, 1)), rigs: [2]*rig{x, y}}
	for step := range 250 {
		if h.rand.IntN(12) == 0 {
			h.disturb()
			continue
		}
		dev, frames := h.batch()
		got, want := x.receive(dev, frames...), y.receive(dev, frames...)
		if slices.ContainsFunc(slices.Concat(got, want), h.chosen) {
			break
		}
		if d := differ(got, want); d != "" {
			t.Log(x.Pool.Drops.List(), y.Pool.Drops.List())
			for _, f := range frames {
				t.Logf("came %x", f.data[:min(60, len(f.data))])
			}
			for _, f := range got {
				t.Logf("got %s %x", f.dev, f.data[:min(60, len(f.data))])
			}
			for _, f := range want {
				t.Logf("want %s %x", f.dev, f.data[:min(60, len(f.data))])
			}
			t.Fatalf("seed %d, step %d, %d packets by %s: %s\ndone before: %v", seed, step, len(frames), dev, d, h.log)
		}
	}
	return count(t, y) - count(t, x)
}

// count returns how many packets the rules have seen.
func count(t *testing.T, r *rig) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(r.slow(), "packets %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A history is what happens to both routers.
type history struct {
	rand  *rand.Rand
	rigs  [2]*rig
	peers []*peer
	ports int
	slept time.Duration
	log   []string
}

// A peer is a conversation. Side 0 has begun it.
type peer struct {
	tcp, six  bool
	forwarded bool // it comes in from outside
	port      int
	said, fin [2]bool
	opened    int // segments of the handshake that were sent
	seq       [2]uint32
	done      bool
}

// ends returns the device where side 0's or side 1's packets come in, and their
// addresses there.
func (p *peer) ends(side int) (dev, src, dst string) {
	in, out, peer := fmt.Sprintf("10.0.0.2:%d", p.port), fmt.Sprintf("192.0.2.1:%d", p.port), "192.0.2.9:80"
	if p.six {
		in, out, peer = fmt.Sprintf("[fd00::2]:%d", p.port), fmt.Sprintf("[2001:db8::1]:%d", p.port), "[2001:db8::9]:80"
	}
	if p.forwarded {
		in, out, peer = "10.0.0.2:80", "192.0.2.1:8080", fmt.Sprintf("192.0.2.9:%d", p.port)
		side = 1 - side
	}
	if side == 0 {
		return "lan", in, peer
	}
	return "wan", peer, out
}

// batch makes packets of a few conversations that come in by one device.
func (h *history) batch() (dev string, frames []frame) {
	dev = []string{"lan", "wan"}[h.rand.IntN(2)]
	for range 1 + h.rand.IntN(8) {
		if len(h.peers) < 4 || h.rand.IntN(15) == 0 {
			p := &peer{tcp: h.rand.IntN(3) > 0, six: h.rand.IntN(3) == 0, port: 5000 + h.ports, seq: [2]uint32{h.rand.Uint32(), h.rand.Uint32()}}
			p.forwarded = p.tcp && !p.six && h.rand.IntN(3) == 0
			h.ports++
			h.peers = append(h.peers, p)
		}
		p := h.peers[h.rand.IntN(len(h.peers))]
		for side := range 2 {
			if d, _, _ := p.ends(side); d == dev {
				for range 1 + h.rand.IntN(3) {
					if f, ok := h.speak(p, side); ok {
						frames = append(frames, f)
					}
				}
			}
		}
		h.peers = slices.DeleteFunc(h.peers, func(p *peer) bool { return p.done })
	}
	return dev, frames
}

// speak makes the next packet of a side, if it is its turn.
func (h *history) speak(p *peer, side int) (frame, bool) {
	if p.done {
		return frame{}, false
	}
	_, src, dst := p.ends(side)
	s := seg{src: src, dst: dst, tcp: p.tcp, ttl: 64, tos: uint8(h.rand.IntN(3) << 2), df: h.rand.IntN(2) == 0, data: h.rand.IntN(100)}
	if p.tcp && p.opened < 3 {
		if side != p.opened%2 {
			return frame{}, false
		}
		s.flags, s.data = []uint16{syn, syn | ack, ack}[p.opened], 0
		s.seq, s.ack = p.seq[side], p.seq[1-side]
		if p.opened == 0 {
			s.ack = 0
		}
		if p.opened < 2 {
			p.seq[side]++
		}
		p.opened++
		return frame{data: s.bytes()}, true
	}
	if !p.tcp && side == 1 && !p.said[0] {
		return frame{}, false
	}
	if !p.said[side] {
		p.said[side] = true
		return frame{data: s.bytes()}, !p.tcp
	}
	s.flags, s.seq, s.ack = ack, p.seq[side], p.seq[1-side]
	if p.fin[side] { // it has nothing more to say
		s.data = 0
		p.done = p.fin[1-side]
		return frame{data: s.bytes()}, true
	}
	f := h.dress(p, &s)
	if p.tcp {
		p.seq[side] += uint32(s.data)
		if p.fin[side] = s.flags&fin != 0; p.fin[side] {
			p.seq[side]++
		}
	}
	return f, true
}

// dress makes a packet one that is not like the others, now and then.
func (h *history) dress(p *peer, s *seg) frame {
	switch h.rand.IntN(24) {
	case 0:
		s.ttl = 1
	case 1:
		if !p.six {
			s.options = 4
		}
	case 2: // larger than some links take
		s.data = 1350
	case 3:
		s.noSum = true
	case 4:
		s.partial = p.tcp
	case 5:
		if p.tcp {
			s.flags, p.done = rst, h.rand.IntN(2) == 0
			if !p.done {
				s.flags = fin | ack
			}
		}
	case 6:
		return frame{data: append(s.bytes(), make([]byte, 6)...)} // padding of the link
	case 7: // damaged
		b := s.bytes()
		if !p.six {
			b[10] ^= 0x55
			s.data = 0 // nobody gets it, so that nobody acknowledges it
		}
		return frame{data: b}
	case 8: // a large segment, of which the device knows how to cut it
		s.partial, s.data = p.tcp, 300
		f := frame{data: s.bytes(), csum: packet.CsumPartial, gso: packet.GSOTCP4, size: 100}
		if p.six {
			f.gso = packet.GSOTCP6
		}
		if p.tcp {
			return f
		}
		return frame{data: s.bytes()}
	case 9:
		if !p.six && !p.tcp {
			s.frag = 0x2000 // a first fragment: the rest never comes
		}
	}
	f := frame{data: s.bytes()}
	if s.partial {
		f.csum = packet.CsumPartial
	}
	return f
}

// disturb changes something about both routers.
func (h *history) disturb() {
	n := h.rand.IntN(12)
	h.log = append(h.log, fmt.Sprint(n))
	for _, r := range h.rigs {
		switch n {
		case 0, 1:
			r.advance(7 * time.Second)
		case 2:
			if h.slept < 100*time.Second {
				r.advance(35 * time.Second)
			}
		case 3, 4:
			dev, _ := r.Link.Lookup("wan")
			mtu := 1300
			if n == 4 {
				mtu = 1500
			}
			if err := dev.SetMTU(mtu); err != nil {
				r.t.Fatal(err)
			}
		case 5, 6:
			r.reroute(n == 5)
		case 7, 8:
			r.set("net.ipv4.conf.all.rp_filter", fmt.Sprint(n-7))
		case 9, 10:
			r.set("net.ipv4.ip_forward", fmt.Sprint(n-9))
		case 11:
			r.nft("add rule inet gw forward udp dport 9 accept")
		}
	}
	switch n {
	case 2:
		h.slept += 35 * time.Second
	case 9: // not for long
		for _, r := range h.rigs {
			r.set("net.ipv4.ip_forward", "1")
		}
	}
}

// reroute sends what goes to the server by the other device, or back again.
func (r *rig) reroute(away bool) {
	dev, _ := r.Link.Lookup("wan2")
	e := route.Route{Dst: netip.MustParsePrefix("192.0.2.9/32"), NextHops: []route.NextHop{{Index: dev.Index()}}}
	if away {
		r.Network.AddRoute(e, route.Create)
	} else {
		r.Network.DelRoute(e)
	}
}

// differ says in what two lists of packets differ, of which only the order within each
// conversation counts.
func differ(got, want []sent) string {
	arrange := func(list []sent) []sent {
		// Which of many ICMPv6 errors are sent is left to chance (RFC 4443 §2.4).
		list = slices.DeleteFunc(slices.Clone(list), func(s sent) bool { return s.data[0]>>4 == 6 && s.data[6] == wire.ProtoICMPv6 })
		for i := range list {
			list[i].data = comparable(list[i].data)
		}
		slices.SortStableFunc(list, func(a, b sent) int { return bytes.Compare(conversation(a), conversation(b)) })
		return list
	}
	got, want = arrange(got), arrange(want)
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("not sent by %s: %x", want[i].dev, want[i].data)
		case i >= len(want):
			return fmt.Sprintf("sent by %s: %x", got[i].dev, got[i].data)
		case got[i].dev != want[i].dev || !bytes.Equal(got[i].data, want[i].data):
			return fmt.Sprintf("sent by %s\n%x, want by %s\n%x", got[i].dev, got[i].data, want[i].dev, want[i].data)
		case got[i].meta.GSO != want[i].meta.GSO || got[i].meta.GSOSize != want[i].meta.GSOSize || got[i].meta.Csum != want[i].meta.Csum:
			return fmt.Sprintf("sent as %+v, want %+v", got[i].meta, want[i].meta)
		}
	}
	return ""
}

// chosen reports whether a packet has a port that the router has drawn, because the
// one it came with was taken: from then on the routers are no twins any more.
func (h *history) chosen(s sent) bool {
	b, proto, l4 := s.data, s.data[9], int(s.data[0]&15)*4
	if b[0]>>4 == 6 {
		proto, l4 = b[6], 40
	}
	if proto != wire.ProtoTCP && proto != wire.ProtoUDP {
		return false
	}
	port := binary.BigEndian.Uint16(b[l4:])
	return port != 80 && port != 8080 && (port < 5000 || port > 5000+uint16(h.ports))
}

// comparable leaves out what the router itself numbers: the identification of its
// errors.
func comparable(b []byte) []byte {
	if b[0]>>4 == 4 && b[9] == 1 {
		b = bytes.Clone(b)
		clear(b[4:6])
		clear(b[10:12])
	}
	return b
}

// conversation is what packets of one conversation have in common.
func conversation(s sent) []byte {
	b := s.data
	if b[0]>>4 == 6 {
		return slices.Concat(b[6:7], b[8:44])
	}
	key := slices.Concat(b[9:10], b[12:20])
	if b[9] == wire.ProtoICMP { // of an error it is that of the packet it quotes
		return append(key, conversation(sent{data: b[28:]})...)
	}
	if n := int(b[0]&15) * 4; binary.BigEndian.Uint16(b[6:])&0x3fff == 0 {
		key = append(key, b[n:n+4]...)
	}
	return key
}
