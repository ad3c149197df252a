//go:build e2e && linux

package e2e

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/wire"
)

// raw is a packet socket on a host's interface.
type raw struct {
	h  *host
	fd int
	to unix.SockaddrLinklayer
}

// rawSocket returns one that is closed at the end.
func (h *host) rawSocket() *raw {
	h.t.Helper()
	r := &raw{h: h}
	err := h.inside(func() error {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		r.to = unix.SockaddrLinklayer{Ifindex: i.Index, Halen: 6}
		r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { unix.Close(r.fd) })
	return r
}

// send sends packets to the kernel's device, whatever they are.
func (r *raw) send(etherType uint16, packets ...[]byte) {
	r.h.t.Helper()
	for _, b := range packets {
		f := make([]byte, wire.EthernetLen+len(b))
		wire.PutEthernet(f, r.h.device.MAC(), wire.MAC{2, 0, 0, 9, 9, 9}, etherType)
		copy(f[wire.EthernetLen:], b)
		if err := unix.Sendto(r.fd, f, 0, &r.to); err != nil && !errors.Is(err, unix.ENOBUFS) {
			r.h.t.Fatal(err)
		}
	}
}

// ip4 is a packet whose header is right, and then what change makes of it, with a right
// checksum again.
func ip4(src, dst [4]byte, proto uint8, payload []byte, change func(b []byte)) []byte {
	b := make([]byte, wire.IPv4Len+len(payload))
	wire.PutIPv4(b, &wire.IPv4Fields{TotalLen: uint16(len(b)), TTL: 64, ID: 7, Protocol: proto, Src: src, Dst: dst})
	copy(b[wire.IPv4Len:], payload)
	if change != nil {
		change(b)
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], wire.Checksum(b[:wire.IPv4Len]))
	}
	return b
}

// fragment makes b a piece at an offset in bytes.
func fragment(id uint16, at int, more bool) func(b []byte) {
	return func(b []byte) {
		v := uint16(at / 8)
		if more {
			v |= 0x2000
		}
		binary.BigEndian.PutUint16(b[4:], id)
		binary.BigEndian.PutUint16(b[6:], v)
	}
}

// syn is a TCP segment without a right checksum.
func syn(change func(b []byte)) []byte {
	b := make([]byte, wire.TCPLen)
	wire.PutTCP(b, &wire.TCPFields{SrcPort: 1, DstPort: 2, Flags: wire.TCPSyn, Window: 1}, 0)
	if change != nil {
		change(b)
	}
	return b
}

// summed completes a segment's checksum.
func summed(src, dst [4]byte, b []byte) []byte {
	v := wire.Sum(b, wire.PseudoIPv4(src, dst, wire.ProtoTCP, len(b))).Finish()
	binary.BigEndian.PutUint16(b[16:], v)
	return b
}

// TestHostilePackets: what breaks the rules of the Internet's protocols, written raw
// onto the wire, ends at the gateway as counted drops. Nothing of it comes to another
// host, nothing is left of it, and the next ping is answered.
func TestHostilePackets(t *testing.T) {
	n := newHomeNet(t)
	me, gw, to := n.b.v4.As4(), n.b.gw4.As4(), n.a.v4.As4()
	data := make([]byte, 64)
	raw := n.b.rawSocket()
	var leaked atomic.Int64
	for _, h := range []*host{n.a, n.z} {
		defer h.device.Tap(func(pkt *packet.Packet, outgoing bool) {
			if outgoing && pkt.Proto == wire.EtherTypeIPv4 {
				leaked.Add(1)
			}
		})()
	}
	for _, x := range []struct {
		name    string
		packets [][]byte
		reason  string // for which they are dropped
		drops   uint64
	}{
		{"half a header", [][]byte{ip4(me, to, 17, nil, nil)[:10]}, "PKT_TOO_SMALL", 1},
		{"another version", [][]byte{ip4(me, to, 17, data, func(b []byte) { b[0] = 0x55 })}, "IP_INHDR", 1},
		{"a header of 16 bytes", [][]byte{ip4(me, to, 17, data, func(b []byte) { b[0] = 0x44 })}, "IP_INHDR", 1},
		{"a header longer than the packet", [][]byte{ip4(me, to, 17, nil, func(b []byte) { b[0] = 0x4f })}, "IP_INHDR", 1},
		{"longer than the frame", [][]byte{ip4(me, to, 17, data, func(b []byte) { binary.BigEndian.PutUint16(b[2:], 2000) })}, "PKT_TOO_SMALL", 1},
		{"shorter than its header", [][]byte{ip4(me, to, 17, data, func(b []byte) { binary.BigEndian.PutUint16(b[2:], 10) })}, "IP_INHDR", 1},
		{"a wrong header checksum", [][]byte{func() []byte { b := ip4(me, to, 17, data, nil); b[10] ^= 1; return b }()}, "IP_CSUM", 1},
		{"from the gateway itself", [][]byte{ip4(gw, to, 17, data, nil)}, "IP_INADDRERRORS", 1},
		{"from a loopback", [][]byte{ip4([4]byte{127, 0, 0, 1}, to, 17, data, nil)}, "IP_INADDRERRORS", 1},
		{"to a loopback", [][]byte{ip4(me, [4]byte{127, 0, 0, 1}, 17, data, nil)}, "IP_INADDRERRORS", 1},
		{"from everybody", [][]byte{ip4([4]byte{255, 255, 255, 255}, to, 17, data, nil)}, "IP_INADDRERRORS", 1},
		{"from a group", [][]byte{ip4([4]byte{224, 0, 0, 5}, to, 17, data, nil)}, "IP_INADDRERRORS", 1},
		{"without hops", [][]byte{ip4(me, to, 17, data, func(b []byte) { b[8] = 0 })}, "TTL_EXCEEDED", 1},
		{"half a TCP header", [][]byte{ip4(me, to, 6, syn(nil)[:12], nil)}, "NETFILTER_DROP", 1},
		{"a TCP header of 8 bytes", [][]byte{ip4(me, to, 6, summed(me, to, syn(func(b []byte) { b[12] = 0x20 })), nil)}, "NETFILTER_DROP", 1},
		{"a TCP header longer than the segment", [][]byte{ip4(me, to, 6, summed(me, to, syn(func(b []byte) { b[12] = 0xf0 })), nil)}, "NETFILTER_DROP", 1},
		{"SYN and FIN", [][]byte{ip4(me, to, 6, summed(me, to, syn(func(b []byte) { b[13] = 3 })), nil)}, "NETFILTER_DROP", 1},
		{"no flag", [][]byte{ip4(me, to, 6, summed(me, to, syn(func(b []byte) { b[13] = 0 })), nil)}, "NETFILTER_DROP", 1},
		{"all flags", [][]byte{ip4(me, to, 6, summed(me, to, syn(func(b []byte) { b[13] = 0x3f })), nil)}, "NETFILTER_DROP", 1},
		{"a wrong TCP checksum", [][]byte{ip4(me, to, 6, syn(func(b []byte) { b[16] = 9 }), nil)}, "NETFILTER_DROP", 1},
		{"a datagram longer than its packet", [][]byte{ip4(me, to, 17, []byte{0, 1, 0, 2, 1, 0, 0, 0}, nil)}, "NETFILTER_DROP", 1},
		{"half a UDP header", [][]byte{ip4(me, to, 17, []byte{0, 1, 0, 2}, nil)}, "NETFILTER_DROP", 1},
		{"an error about nothing", [][]byte{ip4(me, to, 1, icmpErrorAbout(ip4(to, me, 17, []byte{0, 9, 0, 9, 0, 8, 0, 0}, nil)), nil)}, "NETFILTER_DROP", 1},
		{"an error about half a packet", [][]byte{ip4(me, to, 1, icmpErrorAbout(data[:6]), nil)}, "NETFILTER_DROP", 1},
		{"overlapping fragments", [][]byte{ip4(me, to, 17, data[:32], fragment(1, 0, true)), ip4(me, to, 17, data[:40], fragment(1, 16, false))}, "DUP_FRAG", 2},
		{"a fragment inside another", [][]byte{ip4(me, to, 17, data[:48], fragment(2, 0, true)), ip4(me, to, 17, data[:16], fragment(2, 16, false))}, "DUP_FRAG", 2},
		{"a fragment of odd length", [][]byte{ip4(me, to, 17, data[:30], fragment(3, 0, true))}, "IP_INHDR", 1},
		{"a fragment beyond 65,535", [][]byte{ip4(me, to, 17, data, fragment(4, 65528, false))}, "IP_INHDR", 1},
		{"two ends", [][]byte{ip4(me, to, 17, data[:16], fragment(5, 16, false)), ip4(me, to, 17, data[:16], fragment(5, 48, false))}, "DUP_FRAG", 2},
		{"fragments without end", func() (out [][]byte) {
			for i := range 3000 { // more than may wait
				out = append(out, ip4(me, to, 17, data, fragment(uint16(100+i), 8, true)))
			}
			return out
		}(), "", 0},
	} {
		before := n.dropped(x.reason)
		raw.send(wire.EtherTypeIPv4, x.packets...)
		for deadline := time.Now().Add(20 * time.Second); n.dropped(x.reason) < before+x.drops; {
			if time.Now().After(deadline) {
				t.Errorf("%s: %d packets dropped for %s, want %d; %v", x.name, n.dropped(x.reason)-before, x.reason, x.drops, n.k.Pool.Drops.List())
				break
			}
			<-time.After(time.Millisecond)
		}
		if c := leaked.Swap(0); c != 0 {
			t.Errorf("%s: %d packets came to another host", x.name, c)
		}
	}
	n.noise(raw)
	n.b.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", n.z.v4.String())
	if c := n.k.Log.Oopses(); c != 0 {
		t.Errorf("%d oopses:\n%s", c, n.knit("dmesg"))
	}
}

// dropped is how many packets the kernel has dropped for a reason.
func (n *homeNet) dropped(reason string) uint64 {
	for _, d := range n.k.Pool.Drops.List() {
		if d.Reason == "SKB_DROP_REASON_"+reason {
			return d.Count
		}
	}
	return 0
}

// icmpErrorAbout is "host unreachable" with a quotation.
func icmpErrorAbout(quote []byte) []byte {
	b := make([]byte, 8+len(quote))
	copy(b[8:], quote)
	wire.PutICMP4(b, 3, 1, 0)
	wire.FinishICMP4(b)
	return b
}

// noise sends packets of both versions with some bytes of them changed at random.
func (n *homeNet) noise(raw *raw) {
	r := rand.New(rand.NewPCG(1, 2))
	src, dst := n.b.v6.As16(), n.a.v6.As16()
	for i := range 4000 {
		proto := [...]uint8{wire.ProtoTCP, wire.ProtoUDP, wire.ProtoICMP, 0, 43, 44, 50, 51, 60, 132}[r.IntN(10)]
		body := make([]byte, r.IntN(120))
		for j := range body {
			body[j] = byte(r.IntN(256))
		}
		etherType, b := uint16(wire.EtherTypeIPv4), []byte(nil)
		if i%2 == 0 {
			b = ip4(n.b.v4.As4(), [...][4]byte{n.a.v4.As4(), n.z.v4.As4(), n.b.gw4.As4(), n.z.gw4.As4()}[r.IntN(4)], proto, body, func([]byte) {})
		} else {
			etherType, b = wire.EtherTypeIPv6, make([]byte, wire.IPv6Len+len(body))
			wire.PutIPv6(b, &wire.IPv6Fields{PayloadLen: uint16(len(body)), NextHeader: proto, HopLimit: 9, Src: src, Dst: dst})
			copy(b[wire.IPv6Len:], body)
		}
		for range r.IntN(4) {
			b[r.IntN(len(b))] = byte(r.IntN(256))
		}
		if etherType == wire.EtherTypeIPv4 && r.IntN(2) == 0 {
			b[10], b[11] = 0, 0
			binary.BigEndian.PutUint16(b[10:], wire.Checksum(b[:wire.IPv4Len]))
		}
		raw.send(etherType, b[:1+r.IntN(len(b))])
	}
}
