package ip4_test

import (
	"bytes"
	"testing"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/icmp4"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/network/ip4"
	"github.com/knitnet/knit/wire"
)

// host returns a host with IPv4 and ICMP, at 10.0.0.1/24 and fd 10.0.1.1/24.
func host(t testing.TB) (h *hosttest.Host, left, right *hosttest.Port) {
	h = hosttest.New(t, ip4.Module, icmp4.Module)
	left = h.Port(t, link.Info{Name: "left"}, "10.0.0.1/24")
	right = h.Port(t, link.Info{Name: "right"}, "10.0.1.1/24")
	return h, left, right
}

func router(t testing.TB) (h *hosttest.Host, left, right *hosttest.Port) {
	h, left, right = host(t)
	h.Set(t, "net.ipv4.ip_forward", "1")
	return h, left, right
}

// from returns the fields of a packet between two addresses.
func from(src, dst string) wire.IPv4Fields {
	return wire.IPv4Fields{Src: hosttest.A4(src), Dst: hosttest.A4(dst), Protocol: wire.ProtoUDP}
}

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func receive4(p *hosttest.Port, packets ...[]byte) { p.Receive(wire.EtherTypeIPv4, packets...) }

// icmpOf returns the one ICMP message that was sent, and checks it.
func icmpOf(t *testing.T, p *hosttest.Port) (wire.IPv4, wire.ICMP4) {
	t.Helper()
	sent := p.Take()
	if len(sent) != 1 {
		t.Fatalf("%d packets were sent, want 1", len(sent))
	}
	h, ok := wire.ParseIPv4(sent[0])
	if !ok || !h.ChecksumOK() || h.Protocol() != wire.ProtoICMP || h.TotalLen() != len(sent[0]) {
		t.Fatalf("sent % x, want an ICMP message", sent[0])
	}
	m, ok := wire.ParseICMP4(h.Payload())
	if !ok || !m.ChecksumOK() {
		t.Fatalf("sent % x, want an ICMP message with a right checksum", sent[0])
	}
	return h, m
}

func wantError(t *testing.T, p *hosttest.Port, typ, code uint8, about []byte) wire.ICMP4 {
	t.Helper()
	_, m := icmpOf(t, p)
	if m.Type() != typ || m.Code() != code {
		t.Errorf("ICMP type %d code %d, want %d and %d", m.Type(), m.Code(), typ, code)
	}
	n := min(len(about), wire.IPv4MinReasm-wire.IPv4Len-wire.ICMPLen)
	if !bytes.Equal(m.Payload(), about[:n]) {
		t.Errorf("it quotes\n% x, want\n% x", m.Payload(), about[:n])
	}
	return m
}

func wantNothing(t *testing.T, p *hosttest.Port) {
	t.Helper()
	if sent := p.Take(); len(sent) != 0 {
		t.Errorf("sent % x, want nothing", sent)
	}
}
