package udp_test

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// A verdict is what has to become of a datagram: the counter that rises, and the
// socket that gets it.
type verdict struct {
	counter   string
	badCsum   bool
	connected bool
}

// judge is input's slow twin, for the sockets of FuzzInput.
func judge(v family, u []byte, group, trusted bool) verdict {
	if len(u) < 8 {
		return verdict{counter: "InErrors"}
	}
	n := int(binary.BigEndian.Uint16(u[4:]))
	if n < 8 || n > len(u) {
		return verdict{counter: "InErrors"}
	}
	dst := v.me
	if group {
		dst = v.group
	}
	sum := binary.BigEndian.Uint16(u[6:])
	switch {
	case trusted, sum == 0 && v.me.Is4():
	case sum == 0, !wire.Sum(u[:n], wire.Pseudo(v.peer, dst, wire.ProtoUDP, n)).Valid():
		return verdict{counter: "InErrors", badCsum: true}
	}
	switch src, port := binary.BigEndian.Uint16(u), binary.BigEndian.Uint16(u[2:]); {
	case port == 53:
		return verdict{counter: "InDatagrams", connected: src == 9 && !group}
	case group:
		return verdict{counter: "IgnoredMulti"}
	}
	return verdict{counter: "NoPorts"}
}

// FuzzInput: whatever comes behind an IP header is counted once, and is delivered,
// whole and to the right socket, exactly if the rules say so. What is quoted in an
// ICMP error reaches the socket that sent it, and no other.
func FuzzInput(f *testing.F) {
	for sel := range uint8(16) {
		f.Add(sel, []byte{0, 9, 0, 53, 0, 13, 0, 0, 'h', 'e', 'l', 'l', 'o'})
	}
	f.Add(uint8(8), []byte{0, 53, 0, 9, 0, 8, 0, 0})
	f.Add(uint8(9), []byte{0, 53, 0, 9, 0, 8, 0, 0})
	f.Add(uint8(0), []byte{0, 9, 0, 53, 0, 7, 0, 0})
	h := newHost(f)
	type pair struct{ free, connected transport.Datagram }
	var sockets [2]pair
	for i, v := range families {
		any := netip.IPv4Unspecified()
		if v.me.Is6() {
			any = netip.IPv6Unspecified()
		}
		o := transport.DatagramOptions{ReuseAddr: true, V6Only: true}
		sockets[i] = pair{h.open(f, o, at(any, 53)), h.open(f, o, at(v.me, 53))}
		if err := sockets[i].connected.Connect(at(v.peer, 9)); err != nil {
			f.Fatal(err)
		}
		member, err := h.k.Network.Join(h.dev, v.group, network.Filter{Exclude: true})
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(member.Leave)
	}
	f.Fuzz(func(t *testing.T, sel uint8, u []byte) {
		if len(u) > 60000 {
			return
		}
		v, s := families[sel&1], sockets[sel&1]
		group, trusted, quoted := sel&2 != 0, sel&4 != 0, sel&8 != 0
		if quoted {
			checkQuoted(t, h, v, s.free, s.connected, u)
			return
		}
		dst := v.me
		if group {
			dst = v.group
		}
		before := h.counts(v)
		h.receiveMarked(ip(v.peer, dst, wire.ProtoUDP, u), trusted)
		want := judge(v, u, group, trusted)
		after := h.counts(v)
		for _, name := range []string{"InDatagrams", "InErrors", "NoPorts", "IgnoredMulti", "InCsumErrors"} {
			rise := name == want.counter || name == "InCsumErrors" && want.badCsum
			if n := after[name] - before[name]; n != map[bool]uint64{true: 1}[rise] {
				t.Errorf("%s rose by %d, want a rise: %v", name, n, rise)
			}
		}
		free, connected := nothing, nothing
		if want.counter == "InDatagrams" {
			payload := string(u[8:binary.BigEndian.Uint16(u[4:])])
			if want.connected {
				connected = payload
			} else {
				free = payload
			}
		}
		if got := read(s.free); got != free {
			t.Errorf("the free socket read %q, want %q", got, free)
		}
		if got := read(s.connected); got != connected {
			t.Errorf("the connected socket read %q, want %q", got, connected)
		}
	})
}

// checkQuoted quotes u as what this host has sent to the peer.
func checkQuoted(t *testing.T, h *host, v family, free, connected transport.Datagram, u []byte) {
	typ, code := uint8(wire.ICMP4Unreachable), uint8(wire.ICMP4PortUnreachable)
	if v.me.Is6() {
		typ, code = wire.ICMP6Unreachable, wire.ICMP6PortUnreachable
	}
	h.receive(complain(v, typ, code, 0, ip(v.me, v.peer, wire.ProtoUDP, u)))
	want := nothing
	if len(u) >= 8 && binary.BigEndian.Uint16(u) == 53 && binary.BigEndian.Uint16(u[2:]) == 9 && binary.BigEndian.Uint16(u[4:]) >= 8 {
		want = syscall.ECONNREFUSED.Error()
	}
	if got := read(connected); got != want {
		t.Errorf("the connected socket: %q, want %q", got, want)
	}
	if got := read(free); got != nothing {
		t.Errorf("the free socket: %q", got)
	}
}
