//go:build linux

package nat64_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/knitnet/knit/wire"
)

// TestAsTayga: packets and what they become are, octet for octet, those of another
// translator, tayga, but for what the cases say of it. It is older than RFC 7915, which
// lets short packets be fragmented (§5.1), where tayga sets DF always.
func TestAsTayga(t *testing.T) {
	y := newTayga(t)
	y.translate() // it is ready
	for _, x := range taygaCases(t) {
		r := newRig(t, "pool4="+pool, fmt.Sprintf("ports=%d", taygaPort))
		for _, name := range []string{"all", "out0"} { // or its router drops them
			r.try(r.k.Sysctl.Set("net.ipv4.conf."+name+".accept_source_route", "1"))
		}
		for _, b := range taygaFlows() { // or nothing comes in
			r.out(b)
		}
		from := r.inside
		if x.packets[0][0]>>4 == 4 {
			from = r.outside
		}
		for _, b := range x.packets {
			from.put(slices.Clone(b))
		}
		got := append(r.inside.take(), r.outside.take()...)
		want := y.translate(x.packets...)
		if from == r.inside {
			for _, b := range want {
				mayFragment(b)
			}
		}
		if same := plain(got) == plain(want); same != (x.tayga == "") || len(got) == 0 && x.tayga != "" {
			t.Errorf("%s: (tayga %s)\ntayga:\n%sknit:\n%s", x.name, x.tayga, plain(want), plain(got))
		}
	}
}

// mayFragment takes DF off IPv4 packets of up to 1260 bytes, and off those that they
// quote.
func mayFragment(b []byte) {
	h, ok := wire.ParseIPv4(b)
	if !ok || h.TotalLen() > wire.IPv6MinMTU-20 {
		return
	}
	b[6] &^= 0x40
	h.UpdateHeaderChecksum()
	if h.Protocol() == wire.ProtoICMP && wire.IsICMP4Error(h.Payload()[0]) {
		mayFragment(h.Payload()[wire.ICMPLen:])
	}
}

// plain is packets in a form to compare: of IPv4, what identifies fragments of a packet
// that is whole means nothing (RFC 6864 §4).
//
// A flow label of one's own is not translated.
func plain(packets [][]byte) string {
	var s strings.Builder
	for _, b := range packets {
		b = slices.Clone(b)
		if b[0]>>4 == 6 {
			b[1], b[2], b[3] = b[1]&0xf0, 0, 0
		}
		if h, ok := wire.ParseIPv4(b); ok {
			fmt.Fprintf(&s, "header sound %v ", h.ChecksumOK())
			if !h.IsFragment() {
				binary.BigEndian.PutUint16(b[4:], 0)
				h.UpdateHeaderChecksum()
			}
		}
		fmt.Fprintf(&s, "%d bytes % x\n", len(b), b[:min(len(b), 160)])
	}
	return s.String()
}

// taygaFlows open the way in.
func taygaFlows() [][]byte {
	return [][]byte{
		udp(client, taygaPort, embed(server), 53, ""), tcp(client, taygaPort, embed(server), 80, wire.TCPSyn), echo(client, embed(server), taygaPort, false),
	}
}

// A taygaCase is packets from one side; tayga says what that does otherwise.
type taygaCase struct {
	name, tayga string
	packets     [][]byte
}

func taygaCases(t *testing.T) (list []taygaCase) {
	add := func(name, tayga string, packets ...[]byte) { list = append(list, taygaCase{name, tayga, packets}) }
	out := func(n int) []byte { return udp(client, taygaPort, embed(server), 53, strings.Repeat("x", n)) }
	in := func(n int) []byte { return udp(server, 53, pool, taygaPort, strings.Repeat("y", n)) }
	for _, n := range []int{0, 1, 100, 1200, 1232, 1233, 1400} {
		add(fmt.Sprint("out, UDP of ", n), "", out(n))
		add(fmt.Sprint("in, UDP of ", n), "", in(n))
		add(fmt.Sprint("in, without DF, UDP of ", n), "", with4(in(n), func(b []byte) { b[6] = 0 }))
	}
	for _, flags := range []uint16{wire.TCPSyn, wire.TCPAck, wire.TCPRst, wire.TCPFin | wire.TCPAck} {
		add(fmt.Sprint("out, TCP with flags ", flags), "", tcp(client, taygaPort, embed(server), 80, flags))
		add(fmt.Sprint("in, TCP with flags ", flags), "", tcp(server, 80, pool, taygaPort, flags))
	}
	add("out, echo", "", echo(client, embed(server), taygaPort, false))
	add("in, echo reply", "", echo(server, pool, taygaPort, true))
	add("out, traffic class", "", with6(out(8), func(b []byte) { b[0], b[1] = 0x6b, 0x90 }))
	add("in, type of service", "", with4(in(8), func(b []byte) { b[1] = 0xb9 }))
	add("out, options for hops and destination", "", chain(out(9), wire.ProtoHopByHop, wire.ProtoDstOpts))
	add("out, no hop left", "", with6(out(9), func(b []byte) { b[7] = 1 }))
	add("in, no hop left", "says so without precedence (RFC 1812 §4.3.2.5)", with4(in(9), func(b []byte) { b[8] = 1 }))
	add("in, options", "", options4(in(9), wire.IPv4OptNop, wire.IPv4OptNop, wire.IPv4OptRouterAlert, 4, 0, 0, 0, 0))
	add("in, a source route that is done", "", options4(in(9), wire.IPv4OptLooseRoute, 7, 8, 1, 2, 3, 4, 0))
	add("in, UDP without a checksum", "drops it, which RFC 7915 §4.5 lets translators do that are set so", with4(in(9), func(b []byte) { b[26], b[27] = 0, 0 }))
	r := newRig(t, "pool4="+pool)
	add("out, an atomic fragment", "", r.fragments6(out(8), 1500, 7)...)
	add("out, fragments", "", r.fragments6(out(3000), 1280, 0xdeadbeef)...)
	add("in, fragments", "", r.fragments4(in(2000), 700, false, 0x1234)...)
	return append(list, taygaErrors()...)
}

// taygaErrors are ICMP errors about what the flows have sent, from both sides.
func taygaErrors() (list []taygaCase) {
	sent4 := udp(pool, taygaPort, server, 53, "what was sent to it")
	sent6 := udp(embed(server), 53, client, taygaPort, "what was sent to it")
	for _, from := range []string{server, peer} {
		for _, x := range []struct {
			typ, code uint8
			rest      uint32
		}{
			{3, 0, 0}, {3, 1, 0}, {3, 2, 0}, {3, 3, 0}, {3, 4, 1400}, {3, 5, 0}, {3, 9, 0}, {3, 10, 0}, {3, 13, 0}, {3, 14, 0}, {3, 15, 0}, {11, 0, 0}, {11, 1, 0},
			{12, 0, 0}, {12, 0, 8 << 24}, {12, 0, 16 << 24}, {12, 1, 0}, {4, 0, 0}, {5, 1, 0},
		} {
			b := make([]byte, wire.ICMPLen)
			wire.PutICMP4(b, x.typ, x.code, x.rest)
			tayga := ""
			if x.typ == wire.ICMP4ParamProblem && x.code == 0 {
				tayga = "translates no Parameter Problem"
			}
			list = append(list, taygaCase{tayga: tayga, name: fmt.Sprintf("in, error %d/%d %#x from %s", x.typ, x.code, x.rest, from),
				packets: [][]byte{ip(from, pool, wire.ProtoICMP, 2, append(b, sent4...))}})
		}
	}
	for _, x := range []struct {
		typ, code uint8
		rest      uint32
	}{{1, 0, 0}, {1, 1, 0}, {1, 2, 0}, {1, 3, 0}, {1, 4, 0}, {1, 5, 0}, {2, 0, 1400}, {2, 0, 1280}, {3, 0, 0}, {3, 1, 0}, {4, 0, 4}, {4, 0, 8}, {4, 0, 24}, {4, 0, 40}, {4, 1, 6}, {4, 2, 0}} {
		b := make([]byte, wire.ICMPLen)
		wire.PutICMP6(b, x.typ, x.code, x.rest)
		tayga := ""
		if x.typ == wire.ICMP6Unreachable && x.code == wire.ICMP6AddrUnreachable || x.typ == wire.ICMP6ParamProblem && x.code == 0 && x.rest < wire.IPv6Len {
			tayga = "translates neither Address Unreachable nor Parameter Problem"
		}
		list = append(list, taygaCase{tayga: tayga, name: fmt.Sprintf("out, error %d/%d %#x", x.typ, x.code, x.rest),
			packets: [][]byte{ip(client, embed(server), wire.ProtoICMPv6, 2, append(b, sent6...))}})
	}
	return list
}

// with4 changes an IPv4 header and its checksum.
func with4(b []byte, change func(b []byte)) []byte {
	change(b)
	h, _ := wire.ParseIPv4(b)
	h.UpdateHeaderChecksum()
	return b
}

func with6(b []byte, change func(b []byte)) []byte { change(b); return b }

// chain puts extension headers of padding in front of what an IPv6 packet carries.
func chain(b []byte, types ...uint8) []byte {
	next := b[6]
	var ext []byte
	for _, typ := range slices.Backward(types) {
		ext = append([]byte{next, 0, 1, 4, 0, 0, 0, 0}, ext...)
		next = typ
	}
	b = slices.Concat(b[:wire.IPv6Len], ext, b[wire.IPv6Len:])
	b[6] = next
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-wire.IPv6Len))
	return b
}

// options4 puts options, whose length is a multiple of four, into an IPv4 header.
func options4(b []byte, options ...byte) []byte {
	h, _ := wire.ParseIPv4(b)
	f := h.Fields()
	f.Options, f.TotalLen = options, f.TotalLen+uint16(len(options))
	o := make([]byte, f.HeaderLen())
	wire.PutIPv4(o, &f)
	return append(o, h.Payload()...)
}
