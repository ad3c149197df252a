package ip6_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/knitnet/knit/network/internal/ip6test"
	"github.com/knitnet/knit/wire"
)

// options returns a hop-by-hop or destination options header with the given bytes,
// padded to 8.
func options(next uint8, o ...byte) []byte {
	b := append([]byte{next, 0}, o...)
	for len(b)%8 != 0 {
		b = append(b, wire.IPv6OptPad1)
	}
	b[1] = uint8(len(b)/8 - 1)
	return b
}

func routing(next, typ, left uint8) []byte { return []byte{next, 0, typ, left, 0, 0, 0, 0} }

func fragment(next uint8, offset int, more bool, id uint32) []byte {
	b := make([]byte, wire.IPv6FragmentLen)
	wire.PutIPv6Fragment(b, next, offset, more, id)
	return b
}

const (
	hop = wire.ProtoHopByHop
	dst = wire.ProtoDstOpts
	rt  = wire.ProtoRouting
	fr  = wire.ProtoFragment
	icm = wire.ProtoICMPv6
)

// TestExtensionHeaders: what a host does with each chain of headers in front of an
// echo request: answer it, be silent, or name the octet that is in the way.
func TestExtensionHeaders(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	allNodes := netip.MustParseAddr("ff02::1")
	const answered, silent = -1, -2
	for _, tt := range []struct {
		name  string
		to    netip.Addr
		next  uint8
		chain [][]byte
		code  uint8
		want  int // pointer of a Parameter Problem, or one of the above
	}{
		{"no header", ip6test.IP(1), icm, nil, 0, answered},
		{"an option with action 00 is skipped", ip6test.IP(1), hop, [][]byte{options(icm, 0x1e, 0)}, 0, answered},
		{"an option with action 01 discards", ip6test.IP(1), hop, [][]byte{options(icm, 0x5e, 0)}, 0, silent},
		{"an option with action 10 reports", ip6test.IP(1), hop, [][]byte{options(icm, 0x9e, 0)}, wire.ICMP6BadOption, 42},
		{"an option with action 10 reports, to groups too", allNodes, hop, [][]byte{options(icm, 0x9e, 0)}, wire.ICMP6BadOption, 42},
		{"an option with action 11 reports", ip6test.IP(1), dst, [][]byte{options(icm, 1, 0, 0xde, 0)}, wire.ICMP6BadOption, 44},
		{"an option with action 11 does not report to groups", allNodes, dst, [][]byte{options(icm, 0xde, 0)}, 0, silent},
		{"router alert is known in a hop-by-hop header", ip6test.IP(1), hop, [][]byte{options(icm, 5, 2, 0, 0)}, 0, answered},
		{"an option that goes beyond its header", ip6test.IP(1), hop, [][]byte{options(icm, 0x1e, 200)}, wire.ICMP6BadField, 43},
		{"the hop-by-hop header comes first only", ip6test.IP(1), dst, [][]byte{options(hop), options(icm)}, wire.ICMP6BadNextHeader, 40},
		{"two destination options headers are legal", ip6test.IP(1), dst, [][]byte{options(rt), routing(dst, 3, 0), options(icm)}, 0, answered},
		{"a routing header with no segments left is skipped", ip6test.IP(1), rt, [][]byte{routing(icm, 9, 0)}, 0, answered},
		{"a routing header of unknown type", ip6test.IP(1), rt, [][]byte{routing(icm, 9, 1)}, wire.ICMP6BadField, 42},
		{"RFC 5095: type 0 is not obeyed", ip6test.IP(1), rt, [][]byte{routing(icm, 0, 1)}, wire.ICMP6BadField, 42},
		{"an unknown next header", ip6test.IP(1), dst, [][]byte{options(253)}, wire.ICMP6BadNextHeader, 40},
		{"an unknown next header in the fixed header", ip6test.IP(1), 253, nil, wire.ICMP6BadNextHeader, 6},
		{"no next header", ip6test.IP(1), wire.ProtoNoNext, nil, 0, silent},
		{"AH without IPsec", ip6test.IP(1), wire.ProtoAH, [][]byte{{icm, 0, 0, 0, 0, 0, 0, 0}}, wire.ICMP6BadNextHeader, 6},
		{"RFC 6946: an atomic fragment is whole", ip6test.IP(1), fr, [][]byte{fragment(icm, 0, false, 1)}, 0, answered},
		{"fragments within fragments", ip6test.IP(1), fr, [][]byte{fragment(fr, 0, true, 1), fragment(icm, 0, false, 1)}, 0, silent},
		{"RFC 7112: a first fragment without the whole chain", ip6test.IP(1), fr, [][]byte{fragment(dst, 0, true, 2), {icm, 200, 0, 0, 0, 0, 0, 0}}, wire.ICMP6IncompleteChain, 0},
		{"a fragment whose length is no multiple of 8", ip6test.IP(1), fr, [][]byte{fragment(wire.ProtoUDP, 0, true, 3), {0}}, wire.ICMP6BadField, 4},
		{"a fragment beyond 65535", ip6test.IP(1), fr, [][]byte{fragment(wire.ProtoUDP, 65528, false, 4)}, wire.ICMP6BadField, 42},
		{"nine headers", ip6test.IP(1), dst, slices.Repeat([][]byte{options(dst)}, 9), 0, silent},
		{"nine options", ip6test.IP(1), dst, [][]byte{options(icm, bytes.Repeat([]byte{0x1e, 0}, 9)...)}, 0, silent},
		{"a header that goes beyond the packet", ip6test.IP(1), dst, [][]byte{{icm, 255, 0, 0, 0, 0, 0, 0}}, 0, silent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			echo := ip6test.Echo(16)
			wire.FinishICMP6(echo, ip6test.Stranger.As16(), tt.to.As16())
			payload := append(slices.Concat(tt.chain...), echo...)
			p := ip6test.Packet(ip6test.Stranger, tt.to, tt.next, 64, payload)
			frames := w.Inject(1, p)
			replies := ip6test.Messages(t, frames, wire.ICMP6EchoReply)
			problems := ip6test.Messages(t, frames, wire.ICMP6ParamProblem)
			switch {
			case tt.want == answered && len(replies) == 1 && len(problems) == 0:
			case tt.want == silent && len(frames) == 0:
			case tt.want >= 0 && len(problems) == 1 && len(replies) == 0:
				m := problems[0]
				if m.Code() != tt.code || int(m.Pointer()) != tt.want {
					t.Errorf("code %d, pointer %d, want %d, %d", m.Code(), m.Pointer(), tt.code, tt.want)
				}
				if !bytes.HasPrefix(m.Payload(), p[:min(len(p), 1232)]) {
					t.Errorf("quotes %x, want %x", m.Payload(), p)
				}
			default:
				t.Errorf("%d replies, %d problems in %x", len(replies), len(problems), frames)
			}
			w.Clock.Advance(20e9) // the rate limit is another test's
			w.Ether.Frames()
		})
	}
	w.Clock.Advance(100e9)
}

// TestReassembly: an echo request in fragments of every order is answered once, and
// one whose fragments overlap never (RFC 5722 §4).
func TestReassembly(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	echo := ip6test.Echo(2992)
	wire.FinishICMP6(echo, ip6test.Stranger.As16(), ip6test.IP(1).As16())
	cut := func(id uint32, from, to int) []byte {
		f := fragment(icm, from, to < len(echo), id)
		return ip6test.Packet(ip6test.Stranger, ip6test.IP(1), fr, 64, append(f, echo[from:to]...))
	}
	for i, order := range [][3]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		id := uint32(i + 10)
		parts := [][]byte{cut(id, 0, 1000), cut(id, 1000, 2000), cut(id, 2000, 3000)}
		var frames [][]byte
		for _, n := range order {
			frames = append(frames, w.Inject(1, parts[n])...)
		}
		if len(frames) < 3 { // the reply is fragmented too
			t.Errorf("order %v: %d frames come back, want the fragments of a reply", order, len(frames))
		}
	}
	var frames [][]byte
	for _, p := range [][]byte{cut(20, 0, 1000), cut(20, 992, 2000), cut(20, 1000, 2000), cut(20, 2000, 3000)} {
		frames = append(frames, w.Inject(1, p)...)
	}
	if len(frames) != 0 {
		t.Errorf("overlapping fragments are answered: %x", frames)
	}
	w.Inject(1, cut(30, 0, 1000))
	w.Clock.Advance(61e9)
	late := ip6test.Messages(t, w.Ether.Frames(), wire.ICMP6TimeExceeded)
	if len(late) != 1 || late[0].Code() != wire.ICMP6ReassemblyExceeded {
		t.Errorf("%d messages when the time of a datagram is up, want one of code 1", len(late))
	}
}

// TestFragmentedNeighbourDiscovery is ignored (RFC 6980 §5).
func TestFragmentedNeighbourDiscovery(t *testing.T) {
	w := ip6test.NewNet(t, 1)
	ns := make([]byte, wire.NeighborSolicitLen)
	wire.PutNeighborSolicit(ns, ip6test.IP(1).As16())
	wire.FinishICMP6(ns, ip6test.Stranger.As16(), ip6test.IP(1).As16())
	whole := ip6test.Packet(ip6test.Stranger, ip6test.IP(1), icm, 255, ns)
	if n := len(ip6test.Messages(t, w.Inject(1, whole), wire.ICMP6NeighborAdvert)); n != 1 {
		t.Fatalf("%d advertisements for a whole solicitation, want 1", n)
	}
	atomic := ip6test.Packet(ip6test.Stranger, ip6test.IP(1), fr, 255, append(fragment(icm, 0, false, 7), ns...))
	if frames := w.Inject(1, atomic); len(frames) != 0 {
		t.Errorf("a fragment is answered: %x", frames)
	}
}
