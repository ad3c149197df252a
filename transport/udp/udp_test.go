package udp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// TestChecksumAndLength: what is damaged is counted and not delivered. IPv4 knows
// datagrams without a checksum (RFC 768), IPv6 does not (RFC 8200 §8.1).
func TestChecksumAndLength(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		s := h.open(t, transport.DatagramOptions{}, at(v.me, 53))
		for _, x := range []struct {
			what    string
			change  func(u []byte)
			good    bool
			badCsum bool
		}{
			{"as it was sent", func([]byte) {}, true, false},
			{"a wrong bit", func(u []byte) { u[len(u)-1] ^= 1 }, false, true},
			{"no checksum", func(u []byte) { u[6], u[7] = 0, 0 }, v.me.Is4(), v.me.Is6()},
			{"longer than its packet", func(u []byte) { u[5]++ }, false, false},
			{"shorter than a header", func(u []byte) { u[5] = 7 }, false, false},
			{"of length zero", func(u []byte) { u[5] = 0 }, false, false},
		} {
			before := h.counts(v)
			b := datagram(at(v.peer, 9), at(v.me, 53), "hello")
			x.change(b[v.header:])
			h.receive(b)
			got, want := read(s), nothing
			if x.good {
				want = "hello"
			}
			if got != want {
				t.Errorf("%s: read %q, want %q", x.what, got, want)
			}
			after := h.counts(v)
			for name, more := range map[string]bool{"InDatagrams": x.good, "InErrors": !x.good, "InCsumErrors": x.badCsum, "NoPorts": false} {
				if n := after[name] - before[name]; n != map[bool]uint64{true: 1}[more] {
					t.Errorf("%s: %s rose by %d, want a rise: %v", x.what, name, n, more)
				}
			}
		}
		// Bytes behind the datagram are the link's, and not delivered.
		b := datagram(at(v.peer, 9), at(v.me, 53), "hello")
		u := append(b[v.header:len(b):len(b)], "padding"...)
		h.receive(ip(v.peer, v.me, wire.ProtoUDP, u))
		if got := read(s); got != "hello" {
			t.Errorf("a packet that is longer than its datagram: read %q", got)
		}
	})
}

// TestSentChecksum: a sum that comes to zero is sent as all ones (RFC 768).
func TestSentChecksum(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		s := h.open(t, transport.DatagramOptions{}, at(v.me, 53))
		// The payload of two bytes takes the sum to zero for one of its values.
		for n := range 1 << 16 {
			b := []byte{byte(n >> 8), byte(n)}
			u := make([]byte, wire.UDPLen+2)
			wire.PutUDP(u, 53, 9, 2)
			copy(u[wire.UDPLen:], b)
			if wire.Sum(u, wire.Pseudo(v.me, v.peer, wire.ProtoUDP, len(u))).Finish() != 0 {
				continue
			}
			if _, err := s.SendTo(b, &transport.Message{Dst: at(v.peer, 9)}); err != nil {
				t.Fatal(err)
			}
			sent := h.out[len(h.out)-1][v.header:]
			if got := binary.BigEndian.Uint16(sent[6:]); got != 0xffff {
				t.Errorf("the checksum is %#04x, want 0xffff", got)
			}
			return
		}
		t.Fatal("no payload takes the sum to zero")
	})
}

// TestNobodyListens: the sender hears of it, but not who sent to a group.
func TestNobodyListens(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		h.receive(datagram(at(v.peer, 9), at(v.me, 53), "hello"))
		if n := len(h.out); n != 1 {
			t.Fatalf("%d packets were sent, want an error", n)
		}
		typ, code := h.out[0][v.header], h.out[0][v.header+1]
		want := [2]uint8{wire.ICMP4Unreachable, wire.ICMP4PortUnreachable}
		if v.me.Is6() {
			want = [2]uint8{wire.ICMP6Unreachable, wire.ICMP6PortUnreachable}
		}
		if got := [2]uint8{typ, code}; got != want {
			t.Errorf("the answer is %v, want %v", got, want)
		}
		member, err := h.k.Network.Join(h.dev, v.group, network.Filter{Exclude: true})
		if err != nil {
			t.Fatal(err)
		}
		defer member.Leave()
		h.out = nil
		h.receive(datagram(at(v.peer, 9), at(v.group, 53), "hello"))
		if len(h.out) != 0 {
			t.Errorf("a datagram to a group was answered: % x", h.out[0])
		}
		if c := h.counts(v); c["NoPorts"] != 1 || c["IgnoredMulti"] != 1 {
			t.Errorf("NoPorts %d, IgnoredMulti %d, want 1 and 1", c["NoPorts"], c["IgnoredMulti"])
		}
	})
}

// TestErrorsReachTheirSocket: the connected socket that sent the quoted packet, once,
// and no other.
func TestErrorsReachTheirSocket(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		connected, other, free := h.open(t, transport.DatagramOptions{}, at(v.me, 1)),
			h.open(t, transport.DatagramOptions{}, at(v.me, 2)), h.open(t, transport.DatagramOptions{}, at(v.me, 3))
		for i, s := range []transport.Datagram{connected, other} {
			if err := s.Connect(at(v.peer, uint16(53+i))); err != nil {
				t.Fatal(err)
			}
		}
		typ, code := uint8(wire.ICMP4Unreachable), uint8(wire.ICMP4PortUnreachable)
		exceeded := uint8(wire.ICMP4TimeExceeded)
		if v.me.Is6() {
			typ, code, exceeded = wire.ICMP6Unreachable, wire.ICMP6PortUnreachable, wire.ICMP6TimeExceeded
		}
		for _, quoted := range [][]byte{
			datagram(at(v.me, 1), at(v.peer, 54), ""),        // of the other's peer
			datagram(at(v.me, 1), at(v.peer.Next(), 53), ""), // to a stranger
			datagram(at(v.peer, 1), at(v.peer, 53), ""),      // not ours
			datagram(at(v.me, 3), at(v.peer, 53), ""),        // of a socket that is not connected
			datagram(at(v.me, 1), at(v.peer, 53), "")[:v.header+4],
		} {
			h.receive(complain(v, typ, code, 0, quoted))
		}
		h.receive(complain(v, exceeded, 0, 0, datagram(at(v.me, 1), at(v.peer, 53), ""))) // not a hard one
		for _, s := range []transport.Datagram{connected, other, free} {
			if got := read(s); got != nothing {
				t.Errorf("%v: an error that is not for it: %s", s.LocalAddr(), got)
			}
		}
		h.receive(complain(v, typ, code, 0, datagram(at(v.me, 1), at(v.peer, 53), "")))
		if _, err := connected.SendTo(nil, &transport.Message{}); err != syscall.ECONNREFUSED {
			t.Errorf("send after the error: %v, want ECONNREFUSED", err)
		}
		if got := read(connected); got != nothing {
			t.Errorf("the error came twice: %s", got)
		}
	})
}

// TestPacketTooBigIsExplained: only who has seen a large datagram of ours can make us
// send smaller ones (RFC 8201 §6), whether the socket is connected or not.
func TestPacketTooBigIsExplained(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		const mtu = 1300
		tooBig := func(quoted []byte) {
			if v.me.Is4() {
				h.receive(complain(v, wire.ICMP4Unreachable, wire.ICMP4FragNeeded, mtu, quoted))
			} else {
				h.receive(complain(v, wire.ICMP6PacketTooBig, 0, mtu, quoted))
			}
		}
		pmtu := func() (n int) {
			h.k.Network.PathMTUs(func(netip.Addr, int, time.Duration) { n++ })
			return n
		}
		big := strings.Repeat("x", 1400)
		s := h.open(t, transport.DatagramOptions{}, at(v.me, 7))
		h.open(t, transport.DatagramOptions{}, at(v.me, 8)) // it sends nothing
		send := func(n int, to netip.Addr) []byte {
			h.out = nil
			if _, err := s.SendTo([]byte(big[:n]), &transport.Message{Dst: at(to, 53)}); err != nil {
				t.Fatal(err)
			}
			return h.out[0]
		}
		tooBig(datagram(at(v.me, 7), at(v.peer, 53), big))
		send(100, v.peer)
		tooBig(datagram(at(v.me, 7), at(v.peer, 53), big))
		sent := send(1400, v.peer.Next().Next())
		tooBig(datagram(at(v.me, 7), at(v.peer, 53), big))
		tooBig(datagram(at(v.me, 8), at(v.peer.Next().Next(), 53), big))
		if n := pmtu(); n != 0 {
			t.Fatalf("%d errors about what was never sent were believed", n)
		}
		tooBig(sent)
		if n := pmtu(); n != 1 {
			t.Fatalf("an error about what was sent was not believed")
		}
		send(1400, v.peer.Next().Next())
		if n := len(h.out); n != 2 {
			t.Errorf("the next datagram went in %d packets, want 2", n)
		}
	})
}

// TestReceiveBuffer: what does not fit is dropped and counted in both places, and
// room comes back by reading.
func TestReceiveBuffer(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		s := h.open(t, transport.DatagramOptions{RecvBuffer: 4000}, at(v.me, 53))
		b := datagram(at(v.peer, 9), at(v.me, 53), strings.Repeat("x", 488)) // 1000 bytes with what a packet counts for
		for range 10 {
			h.receive(b)
		}
		c := h.counts(v)
		if c["InDatagrams"] != 4 || c["RcvbufErrors"] != 6 || c["InErrors"] != 6 {
			t.Errorf("in %d, no room %d, errors %d; want 4, 6, 6", c["InDatagrams"], c["RcvbufErrors"], c["InErrors"])
		}
		if i := h.k.Transport.Sockets(transport.UDP)[0]; i.Drops != 6 || i.RecvQ != 4*488 {
			t.Errorf("%d drops and %d bytes waiting, want 6 and %d", i.Drops, i.RecvQ, 4*488)
		}
		if read(s) == nothing {
			t.Fatal("nothing to read")
		}
		h.receive(b)
		if n := h.counts(v)["InDatagrams"]; n != 5 {
			t.Errorf("after a read %d datagrams came in, want 5", n)
		}
	})
}

// TestGroupReachesAll: each socket of the port gets a copy, except those that are
// members for other sources only.
func TestGroupReachesAll(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		any := at(netip.IPv6Unspecified(), 53)
		o := transport.DatagramOptions{ReuseAddr: true}
		member, elsewhere, picky, plain := h.open(t, o, any), h.open(t, o, any), h.open(t, o, any), h.open(t, o, any)
		other := h.open(t, o, at(netip.IPv6Unspecified(), 54))
		for _, x := range []struct {
			s      transport.Datagram
			group  netip.Addr
			source netip.Addr
		}{{member, v.group, netip.Addr{}}, {elsewhere, v.group.Next(), netip.Addr{}}, {picky, v.group, v.peer.Next()}} {
			if err := x.s.Join(x.group, h.dev.Index(), x.source); err != nil {
				t.Fatal(err)
			}
		}
		h.receive(datagram(at(v.peer, 9), at(v.group, 53), "to all"))
		for _, x := range []struct {
			who  string
			s    transport.Datagram
			want string
		}{
			{"a member", member, "to all"}, {"a member of another group", elsewhere, "to all"},
			{"a member for another source", picky, nothing}, {"no member", plain, "to all"}, {"one of another port", other, nothing},
		} {
			if got := read(x.s); got != x.want {
				t.Errorf("%s read %q, want %q", x.who, got, x.want)
			}
		}
		if n := h.counts(v)["InDatagrams"]; n != 3 {
			t.Errorf("InDatagrams is %d, want 3", n)
		}
		if err := member.Leave(v.group, h.dev.Index(), netip.Addr{}); err != nil {
			t.Fatal(err)
		}
		if err := picky.Leave(v.group, h.dev.Index(), v.peer.Next()); err != nil {
			t.Fatal(err)
		}
		h.receive(datagram(at(v.peer, 9), at(v.group, 53), "nobody is a member"))
		if got := read(plain); got != nothing {
			t.Errorf("a group that nobody is a member of: read %q", got)
		}
	})
}

// TestMergedDatagrams: what came in as one (GRO) is read one by one, in order, and
// counts as many.
func TestMergedDatagrams(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		s := h.open(t, transport.DatagramOptions{}, at(v.me, 53))
		b := datagram(at(v.peer, 9), at(v.me, 53), "aaabbbc")
		pkt := h.k.Pool.Get()
		pkt.Append(b)
		pkt.Ensure(len(b))
		pkt.Proto, pkt.Csum = wire.EtherTypeIPv4, packet.CsumUnnecessary
		if v.me.Is6() {
			pkt.Proto = wire.EtherTypeIPv6
		}
		pkt.GSO, pkt.GSOSize, pkt.GSOSegs = packet.GSOUDP, 3, 3
		var q packet.Queue
		q.Push(pkt)
		h.dev.Receive(&q)
		for _, want := range []string{"aaa", "bbb", "c", nothing} {
			if got := read(s); got != want {
				t.Errorf("read %q, want %q", got, want)
			}
		}
		if n := h.counts(v)["InDatagrams"]; n != 3 {
			t.Errorf("InDatagrams is %d, want 3", n)
		}
	})
}

// TestKill: the owner is told, and the socket is not connected any more.
func TestKill(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		s := h.open(t, transport.DatagramOptions{}, at(v.me, 7))
		if err := s.Connect(at(v.peer, 53)); err != nil {
			t.Fatal(err)
		}
		id := h.k.Transport.Sockets(transport.UDP)[0].ID
		if h.k.Transport.Kill(transport.UDP, id+1) || !h.k.Transport.Kill(transport.UDP, id) {
			t.Fatal("the wrong socket was killed")
		}
		if got := read(s); got != syscall.ECONNABORTED.Error() {
			t.Errorf("read: %s, want ECONNABORTED", got)
		}
		if s.RemoteAddr().IsValid() {
			t.Error("it is still connected")
		}
	})
}

// TestUnloadWithSockets: refused while a socket is open, with packets in its queue or
// not; afterwards nothing is left.
func TestUnloadWithSockets(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		s := h.open(t, transport.DatagramOptions{}, at(v.me, 53))
		h.receive(datagram(at(v.peer, 9), at(v.me, 53), "hello"))
		ctx := context.Background()
		if err := h.k.Rmmod(ctx, "udp"); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Fatalf("rmmod with a socket open: %v, want in use", err)
		}
		if got := read(s); got != "hello" {
			t.Errorf("after a refused rmmod: read %q", got)
		}
		h.receive(datagram(at(v.peer, 9), at(v.me, 53), "unread"))
		s.Close()
		if got := read(s); got != net.ErrClosed.Error() {
			t.Errorf("read after Close: %s, want net.ErrClosed", got)
		}
		if err := h.k.Rmmod(ctx, "udp"); err != nil {
			t.Fatalf("rmmod: %v", err)
		}
		if n := h.k.Pool.Live(); n != 0 {
			t.Errorf("%d packets are left", n)
		}
		h.out = nil
		h.receive(datagram(at(v.peer, 9), at(v.me, 53), "to a protocol that is gone"))
		if len(h.out) != 1 {
			t.Errorf("%d answers to a protocol that is gone, want an error", len(h.out))
		}
	})
}

// TestSendErrors: errno as Linux has them, and nothing sent.
func TestSendErrors(t *testing.T) {
	each(t, func(t *testing.T, h *host, v family) {
		s := h.open(t, transport.DatagramOptions{}, at(v.me, 7))
		most := wire.IPv4MaxTotal - v.header - wire.UDPLen
		if v.me.Is6() {
			most = wire.IPv6MaxPayload - wire.UDPLen
		}
		other := families[0].peer
		if v.me.Is4() {
			other = families[1].peer
		}
		for _, x := range []struct {
			what string
			n    int
			m    transport.Message
			want error
		}{
			{"no destination", 1, transport.Message{}, syscall.EDESTADDRREQ},
			{"port 0", 1, transport.Message{Dst: at(v.peer, 0)}, syscall.EINVAL},
			{"the other version", 1, transport.Message{Dst: at(other, 1)}, syscall.EAFNOSUPPORT},
			{"too long for IP", most + 1, transport.Message{Dst: at(v.peer, 1)}, syscall.EMSGSIZE},
			{"segments longer than the path", 3000, transport.Message{Dst: at(v.peer, 1), Segment: 1500}, syscall.EINVAL},
			{"too many segments", 129, transport.Message{Dst: at(v.peer, 1), Segment: 1}, syscall.EINVAL},
			{"a negative segment", 10, transport.Message{Dst: at(v.peer, 1), Segment: -1}, syscall.EINVAL},
		} {
			h.out = nil
			if _, err := s.SendTo(make([]byte, x.n), &x.m); !errors.Is(err, x.want) || len(h.out) != 0 {
				t.Errorf("%s: %v and %d packets, want %v", x.what, err, len(h.out), x.want)
			}
		}
		if _, err := s.SendTo(make([]byte, most), &transport.Message{Dst: at(v.peer, 1)}); err != nil {
			t.Errorf("the longest datagram: %v", err)
		}
	})
}

// TestBroadcastReachesAll: also by a device that has no link-layer broadcasts, where
// the address alone tells.
func TestBroadcastReachesAll(t *testing.T) {
	h := newHost(t)
	v := families[0]
	o := transport.DatagramOptions{ReuseAddr: true}
	one, two := h.open(t, o, at(netip.IPv6Unspecified(), 53)), h.open(t, o, at(netip.IPv4Unspecified(), 53))
	for _, to := range []string{"10.0.0.255", "255.255.255.255"} {
		h.receive(datagram(at(v.peer, 9), at(netip.MustParseAddr(to), 53), to))
		for _, s := range []transport.Datagram{one, two} {
			if got := read(s); got != to {
				t.Errorf("%v: read %q, want %q", s.LocalAddr(), got, to)
			}
		}
	}
}
