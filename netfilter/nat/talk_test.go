package nat_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/knitnet/knit/wire"
)

// A gateway is a kernel under test: one of knit's, or Linux.
type gateway interface {
	load(rules string)
	receive(port string, raw []byte) []frame
	send(src, dst, data string) []frame
	addr(port, prefix string)
	route(dst, via, port string)
	delAddr(port, prefix string)
	delRoute(dst string)
	up(port string, yes bool)
	// left returns how many connections there are, which are to be so many.
	left(want int) int
}

// A talk is what hosts around a gateway say, and a record of what it made of it.
type talk struct {
	t    testing.TB
	g    gateway
	log  []string
	last frame // the last packet that came out
	got  []frame
	// loose: ports are chosen at random and do not count.
	loose bool
}

// in lets a packet come in by a port.
func (x *talk) in(port string, m message) {
	x.t.Helper()
	x.raw(port, m.bytes())
}

func (x *talk) raw(port string, b []byte) {
	x.t.Helper()
	x.heard(fmt.Sprintf("> %s %s", port, x.describe(b)), x.g.receive(port, b))
}

// local lets a socket of the gateway send a datagram.
func (x *talk) local(src, dst, data string) {
	x.t.Helper()
	x.heard(fmt.Sprintf("> local %s %s", src, dst), x.g.send(src, dst, data))
}

func (x *talk) heard(what string, frames []frame) {
	x.log = append(x.log, what)
	x.got = frames
	x.last = frame{}
	for _, f := range frames {
		x.last = f
		x.log = append(x.log, fmt.Sprintf("< %s %s", f.port, x.describe(f.b)))
	}
}

// describe shows a packet, all of it unless ports are left out.
func (x *talk) describe(b []byte) string {
	m, sound := parse(b)
	if x.loose {
		m.src, m.dst = netip.AddrPortFrom(m.src.Addr(), 0), netip.AddrPortFrom(m.dst.Addr(), 0)
		if m.proto == wire.ProtoICMP || m.proto == wire.ProtoICMPv6 {
			m.rest &= 0xffff
		}
		return fmt.Sprintf("%v sound %v, %d octets", m, sound, len(b))
	}
	c := append([]byte(nil), b...)
	if m.ttl == 64 && c[0]>>4 == 4 { // the gateway's own: identifications are everybody's choice
		c[4], c[5], c[10], c[11] = 0, 0, 0, 0
	}
	if c[0]>>4 == 6 && m.ttl == 64 {
		c[1], c[2], c[3] = 0, 0, 0 // flow labels too
	}
	return fmt.Sprintf("%v sound %v\n\t% x", m, sound, c)
}

// out returns the last packet that came out.
func (x *talk) out() message {
	x.t.Helper()
	if x.last.b == nil {
		x.log = append(x.log, "nothing came out")
		return message{proto: wire.ProtoUDP, src: ap("0.0.0.0:0"), dst: ap("0.0.0.0:0")}
	}
	m, _ := parse(x.last.b)
	return m
}

// answer lets whoever got the last packet answer it.
func (x *talk) answer(data string) {
	x.t.Helper()
	if m := x.out(); x.last.b != nil {
		x.in(x.last.port, m.answer(data))
	}
}

// fail lets a host send an ICMP error about the last packet.
func (x *talk) fail(from string, typ, code uint8, rest uint32) {
	x.t.Helper()
	if m := x.out(); x.last.b != nil {
		x.in(x.last.port, failure(from, m.src.Addr().String(), typ, code, rest, x.last.b[:min(len(x.last.b), 100)]))
	}
}

// within records whether the last packet's source is in a range of ports.
func (x *talk) within(lo, hi uint16) {
	p := x.out().src.Port()
	x.log = append(x.log, fmt.Sprintf("port in %d-%d: %v", lo, hi, lo <= p && p <= hi))
}

// note records a value that has to be the same.
func (x *talk) note(what string, v any) { x.log = append(x.log, fmt.Sprintf("%s: %v", what, v)) }

func (x *talk) String() string { return strings.Join(x.log, "\n") }

func addrOf(a netip.AddrPort) net.Addr { return net.UDPAddrFromAddrPort(a) }
