package defrag_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/wire"
)

// A wall is a firewall in virtual time between two wires, on which the test puts and
// sees single packets.
type wall struct {
	t       *testing.T
	k       *knit.Kernel
	in, out *port
}

// A port is the far end of a device.
type port struct {
	dev  *link.Device
	sent [][]byte
}

func (p *port) Open(*link.Device) error { return nil }
func (p *port) Close(*link.Device)      {}

// Transmit implements link.Driver.
func (p *port) Transmit(_ *link.Device, q *packet.Queue) {
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		p.sent = append(p.sent, b)
		pkt.Consume()
	}
}

// newWall returns one whose rules keep Telnet's SYN away, and need to know connections.
func newWall(t *testing.T) *wall {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: clock.NewVirtual()})
	if err != nil {
		t.Fatal(err)
	}
	w := &wall{t: t, k: k}
	leak.Zero(t, "packets", k.Pool.Live)
	leak.Zero(t, "buffers", k.Pool.LiveBufs)
	leak.Zero(t, "oopses", k.Log.Oopses)
	t.Cleanup(func() {
		for _, p := range []*port{w.in, w.out} {
			p.dev.SetUp(false)
		}
		k.Close()
		if n := k.Clock.Pending(); n != 0 {
			t.Errorf("%d timers are left", n)
		}
	})
	for _, m := range []string{"icmp4", "icmp6", "nf_tables"} {
		w.try(k.Modprobe(ctx, m))
	}
	for _, s := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		w.try(k.Sysctl.Set(s, "1"))
	}
	w.in, w.out = w.attach("in0", "10.0.0.1/24", "fd00::1/64"), w.attach("out0", "10.0.1.1/24", "fd01::1/64")
	rules, _ := module.Find[netfilter.Ruleset](k.Modules, netfilter.RulesetSymbol)
	var said strings.Builder
	w.try(rules.Run(ctx, &netfilter.NFTRequest{Text: `table inet f { chain c {
		type filter hook forward priority filter;
		ct state invalid drop
		tcp dport 23 tcp flags & (syn | ack) == syn counter drop
	}; }`, Name: "rules"}, &said))
	w.passed()
	return w
}

func (w *wall) try(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *wall) attach(name string, addrs ...string) *port {
	w.t.Helper()
	p := &port{}
	dev, err := w.k.Link.Attach(link.Info{Name: name, Type: link.None, Without: link.MulticastDev}, p)
	w.try(err)
	p.dev = dev
	for _, a := range addrs {
		w.try(w.k.Network.AddAddr(dev, network.Addr{Prefix: netip.MustParsePrefix(a), Flags: network.NoDAD}))
	}
	w.try(dev.SetUp(true))
	return p
}

// put lets packets come in.
func (w *wall) put(packets ...[]byte) {
	for _, b := range packets {
		pkt := w.k.Pool.Get()
		pkt.Append(b)
		pkt.Proto = wire.EtherTypeIPv4
		if b[0]>>4 == 6 {
			pkt.Proto = wire.EtherTypeIPv6
		}
		var q packet.Queue
		q.Push(pkt)
		w.in.dev.Receive(&q)
	}
}

// passed returns what has come through since the last call.
func (w *wall) passed() [][]byte {
	sent := w.out.sent
	w.out.sent = nil
	return sent
}

// dropped is how many packets were dropped for a reason.
func (w *wall) dropped(reason string) uint64 {
	for _, d := range w.k.Pool.Drops.List() {
		if d.Reason == "SKB_DROP_REASON_"+reason {
			return d.Count
		}
	}
	return 0
}

// A pieceOf is a fragment's place.
type pieceOf struct {
	id   uint32
	at   int
	more bool
}

// fragment4 and fragment6 are fragments with a part of a datagram.
func fragment4(src string, proto uint8, p pieceOf, data []byte) []byte {
	b := make([]byte, wire.IPv4Len, wire.IPv4Len+len(data))
	wire.PutIPv4(b, &wire.IPv4Fields{
		TotalLen: uint16(cap(b)), TTL: 64, ID: uint16(p.id), FragOffset: uint16(p.at), MF: p.more, Protocol: proto,
		Src: netip.MustParseAddr(src).As4(), Dst: netip.MustParseAddr("10.0.1.2").As4(),
	})
	return append(b, data...)
}

func fragment6(src string, proto uint8, p pieceOf, data []byte) []byte {
	const head = wire.IPv6Len + wire.IPv6FragmentLen
	b := make([]byte, head, head+len(data))
	wire.PutIPv6(b, &wire.IPv6Fields{
		PayloadLen: uint16(wire.IPv6FragmentLen + len(data)), NextHeader: wire.ProtoFragment, HopLimit: 64,
		Src: netip.MustParseAddr(src).As16(), Dst: netip.MustParseAddr("fd01::2").As16(),
	})
	wire.PutIPv6Fragment(b[wire.IPv6Len:], proto, p.at, p.more, p.id)
	return append(b, data...)
}

// versions are what both IP versions have of everything.
var versions = []struct {
	name, source, dst string
	fragment          func(src string, proto uint8, p pieceOf, data []byte) []byte
}{{"IPv4", "10.0.0.2", "10.0.1.2", fragment4}, {"IPv6", "fd00::2", "fd01::2", fragment6}}

// segment is a TCP segment with a right checksum.
func segment(src, dst string, port, flags uint16) []byte {
	b := make([]byte, wire.TCPLen, wire.TCPLen+12)
	f := wire.TCPFields{SrcPort: 1000, DstPort: port, Seq: 1, Flags: flags, Window: 100}
	if flags != wire.TCPSyn {
		f.Ack = 1
	}
	wire.PutTCP(b, &f, 0)
	b = append(b, "twelve bytes"...)
	pseudo := wire.Pseudo(netip.MustParseAddr(src), netip.MustParseAddr(dst), wire.ProtoTCP, len(b))
	binary.BigEndian.PutUint16(b[wire.TCPChecksumOffset:], wire.Sum(b, pseudo).Finish())
	return b
}

// TestTinyFragments: RFC 1858 §3: a first fragment that is too short for the flags
// hides nothing from the rules, in whatever order the pieces come; a segment that may
// pass does.
func TestTinyFragments(t *testing.T) {
	for _, v := range versions {
		w := newWall(t)
		for port, want := range map[uint16]bool{23: false, 80: true} {
			s := segment(v.source, v.dst, port, wire.TCPSyn)
			for i, order := range [][]int{{0, 1, 2}, {2, 1, 0}} {
				id := uint32(port)*10 + uint32(i)
				pieces := [][]byte{
					v.fragment(v.source, wire.ProtoTCP, pieceOf{id, 0, true}, s[:8]), v.fragment(v.source, wire.ProtoTCP, pieceOf{id, 8, true}, s[8:16]),
					v.fragment(v.source, wire.ProtoTCP, pieceOf{id, 16, false}, s[16:]),
				}
				for _, j := range order {
					w.put(pieces[j])
				}
				if got := len(w.passed()) > 0; got != want {
					t.Errorf("%s, port %d, order %v: it passes: %v, want %v", v.name, port, order, got, want)
				}
			}
		}
	}
}

// TestOverlaps: RFC 1858 §4, RFC 3128, RFC 5722 §4: fragments that overlap are the end
// of their datagram, the earlier and the later ones too; none of them comes through.
func TestOverlaps(t *testing.T) {
	for _, v := range versions {
		harmless, evil := segment(v.source, v.dst, 80, wire.TCPAck), segment(v.source, v.dst, 23, wire.TCPSyn)
		for what, pieces := range map[string][]struct {
			pieceOf
			data []byte
		}{
			"flags rewritten (RFC 1858 §4)":          {{pieceOf{0, 0, true}, harmless[:24]}, {pieceOf{0, 8, false}, evil[8:]}},
			"the header rewritten (RFC 3128 §2)":     {{pieceOf{0, 8, true}, harmless[8:24]}, {pieceOf{0, 0, true}, evil[:24]}, {pieceOf{0, 24, false}, evil[24:]}},
			"one inside another":                     {{pieceOf{0, 0, true}, harmless[:24]}, {pieceOf{0, 8, true}, evil[8:16]}, {pieceOf{0, 24, false}, harmless[24:]}},
			"two ends":                               {{pieceOf{0, 8, false}, harmless[8:16]}, {pieceOf{0, 16, false}, harmless[16:]}, {pieceOf{0, 0, true}, harmless[:8]}},
			"the rest of it after that (RFC 5722)":   {{pieceOf{0, 0, true}, harmless[:16]}, {pieceOf{0, 8, true}, evil[8:24]}, {pieceOf{0, 16, false}, harmless[16:]}},
			"the same place, other bytes and longer": {{pieceOf{0, 0, true}, harmless[:8]}, {pieceOf{0, 0, true}, evil[:16]}, {pieceOf{0, 8, false}, harmless[8:]}},
		} {
			w := newWall(t)
			for _, p := range pieces {
				w.put(v.fragment(v.source, wire.ProtoTCP, p.pieceOf, p.data))
			}
			if sent := w.passed(); len(sent) > 0 {
				t.Errorf("%s, %s: % x passes", v.name, what, sent)
			}
			if n := w.dropped("DUP_FRAG"); n < 2 {
				t.Errorf("%s, %s: %d fragments are dropped", v.name, what, n)
			}
		}
	}
}

// TestAtomicFragments: RFC 6946 §4: a packet whose fragment header says that it is whole
// has nothing to do with fragments of the same identification, waiting or overlapping.
func TestAtomicFragments(t *testing.T) {
	w := newWall(t)
	s := segment("fd00::2", "fd01::2", 80, wire.TCPSyn)
	w.put(fragment6("fd00::2", wire.ProtoTCP, pieceOf{7, 0, true}, s[:16]))
	w.put(fragment6("fd00::2", wire.ProtoTCP, pieceOf{7, 0, false}, s))
	if sent := w.passed(); len(sent) != 1 || !slices.Equal(sent[0][wire.IPv6Len:], s) {
		t.Errorf("an atomic fragment became % x", sent)
	}
	w.put(fragment6("fd00::2", wire.ProtoTCP, pieceOf{7, 16, false}, s[16:]))
	if sent := w.passed(); len(sent) != 2 {
		t.Errorf("the fragments beside it became % x", sent)
	}
	w.put(fragment6("fd00::2", wire.ProtoTCP, pieceOf{7, 0, false}, segment("fd00::2", "fd01::2", 23, wire.TCPSyn)))
	if sent := w.passed(); len(sent) != 0 {
		t.Errorf("an atomic fragment passes the rules: % x", sent)
	}
}

// TestFragmentErrors: RFC 8200 §4.5: who sends a fragment that cannot be one is told
// where it is wrong, and it goes nowhere.
func TestFragmentErrors(t *testing.T) {
	for name, x := range map[string]struct {
		p       pieceOf
		n       int
		pointer uint32
	}{"of odd length": {pieceOf{1, 0, true}, 15, 4}, "beyond 65,535": {pieceOf{2, 65528, false}, 64, 42}} {
		w := newWall(t)
		w.put(fragment6("fd00::2", wire.ProtoUDP, x.p, make([]byte, x.n)))
		if sent := w.passed(); len(sent) != 0 {
			t.Errorf("a fragment %s passes", name)
		}
		if len(w.in.sent) != 1 || len(w.in.sent[0]) < 48 || w.in.sent[0][40] != wire.ICMP6ParamProblem || binary.BigEndian.Uint32(w.in.sent[0][44:]) != x.pointer {
			t.Errorf("a fragment %s is answered by % x", name, w.in.sent)
		}
	}
}

// TestFragmentFlood: first fragments that nobody completes take a bounded memory, at
// the cost of who sends them: another's datagram is put together meanwhile. After their
// time nothing is left, and the table can go in the middle of it.
func TestFragmentFlood(t *testing.T) {
	for _, v := range versions {
		w := newWall(t)
		good := "10.0.0.3"
		if v.name == "IPv6" {
			good = "fd00:1::3" // of another network than the flood
		}
		s := segment(good, v.dst, 80, wire.TCPSyn)
		flood := func(from, to int) {
			for id := from; id < to; id++ {
				w.put(v.fragment(v.source, wire.ProtoUDP, pieceOf{uint32(id), 0, true}, make([]byte, 1024)))
			}
		}
		flood(0, 5000)
		w.put(v.fragment(good, wire.ProtoTCP, pieceOf{9, 0, true}, s[:16]))
		flood(5000, 10000)
		w.put(v.fragment(good, wire.ProtoTCP, pieceOf{9, 16, false}, s[16:]))
		if sent := w.passed(); len(sent) != 2 {
			t.Errorf("%s: another's datagram came in %d pieces, want 2", v.name, len(sent))
		}
		if n := w.k.Pool.Live(); n > 4096 {
			t.Errorf("%s: %d fragments wait", v.name, n)
		}
		w.k.Clock.Advance(2 * time.Minute)
		if n := w.k.Pool.Live(); n != 0 {
			t.Errorf("%s: %d fragments wait after their time", v.name, n)
		}
		flood(10000, 10100)
		for _, m := range []string{"nf_tables", "nf_conntrack", "nf_defrag_ipv4", "nf_defrag_ipv6"} { // some go with others
			if err := w.k.Modules.Remove(ctx, m, module.RemoveOptions{Wait: 10 * time.Second}); err != nil && !errors.As(err, new(*module.NotLoadedError)) {
				t.Fatalf("%s: %v", m, err)
			}
		}
		if n := w.k.Pool.Live(); n != 0 {
			t.Errorf("%s: %d fragments wait without the module", v.name, n)
		}
	}
}
