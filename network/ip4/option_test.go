package ip4_test

import (
	"bytes"
	"testing"

	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network/internal/hosttest"
	"github.com/knitnet/knit/wire"
)

func withOptions(src, dst string, opts ...byte) wire.IPv4Fields {
	f := from(src, dst)
	f.Options = opts
	return f
}

// optionsAfter forwards a packet and returns its options.
func optionsAfter(t *testing.T, p *hosttest.Port) []byte {
	t.Helper()
	sent := p.Take()
	if len(sent) != 1 {
		t.Fatalf("%d packets were sent", len(sent))
	}
	v, ok := wire.ParseIPv4(sent[0])
	if !ok || !v.ChecksumOK() {
		t.Fatalf("sent % x", sent[0])
	}
	return v.Options()
}

// TestForwardedOptions: a router records the address of the interface by which the
// packet leaves, and its time (RFC 791 §3.1), in the kernel's virtual midnight.
func TestForwardedOptions(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []byte
	}{
		{"record route", []byte{7, 7, 4, 0, 0, 0, 0}, []byte{7, 7, 8, 10, 0, 1, 1, 0}},
		{"a full route stays", []byte{7, 7, 8, 1, 2, 3, 4}, []byte{7, 7, 8, 1, 2, 3, 4, 0}},
		{"timestamp", []byte{68, 8, 5, 0, 9, 9, 9, 9}, []byte{68, 8, 9, 0, 0, 0, 0, 0}},
		{"timestamp with address", []byte{68, 12, 5, 1, 0, 0, 0, 0, 9, 9, 9, 9}, []byte{68, 12, 13, 1, 10, 0, 1, 1, 0, 0, 0, 0}},
		{"timestamp of others", []byte{68, 12, 5, 3, 1, 1, 1, 1, 9, 9, 9, 9}, []byte{68, 12, 5, 3, 1, 1, 1, 1, 9, 9, 9, 9}},
		{"overflow is counted", []byte{68, 8, 9, 0, 9, 9, 9, 9}, []byte{68, 8, 9, 0x10, 9, 9, 9, 9}},
		{"router alert", []byte{148, 4, 0, 0}, []byte{148, 4, 0, 0}},
		{"unknown", []byte{0x5e, 4, 1, 2}, []byte{0x5e, 4, 1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, left, right := router(t)
			receive4(left, hosttest.IPv4(withOptions("10.0.0.2", "10.0.1.2", c.in...), payload(8)))
			if got := optionsAfter(t, right); !bytes.Equal(got, c.want) {
				t.Errorf("options % x, want % x", got, c.want)
			}
		})
	}
}

// TestBadOptions: RFC 1122 §3.2.1.8, RFC 1812 §4.3.3.5: a Parameter Problem whose
// pointer names the octet.
func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		name    string
		opts    []byte
		pointer uint8
	}{
		{"length 1", []byte{7, 1, 4, 0}, 21},
		{"length beyond the header", []byte{1, 1, 7, 11}, 23},
		{"record route pointer too small", []byte{7, 7, 3, 0, 0, 0, 0}, 22},
		{"router alert of the wrong length", []byte{148, 3, 0}, 21},
		{"timestamp flag", []byte{68, 8, 5, 2, 0, 0, 0, 0}, 23},
		{"timestamp overflow is full", []byte{68, 8, 9, 0xf0, 0, 0, 0, 0}, 23},
	} {
		for _, dst := range []string{"10.0.0.1", "10.0.1.2"} {
			t.Run(c.name+" to "+dst, func(t *testing.T) {
				h, left, right := router(t)
				b := hosttest.IPv4(withOptions("10.0.0.2", dst, c.opts...), payload(8))
				receive4(left, b)
				m := wantError(t, left, wire.ICMP4ParamProblem, wire.ICMP4BadOctet, b)
				if m.Pointer() != c.pointer {
					t.Errorf("pointer %d, want %d", m.Pointer(), c.pointer)
				}
				wantNothing(t, right)
				if h.Pool.Drops.Load(stat.IPOptions) != 1 {
					t.Errorf("drops %v", h.Pool.Drops.List())
				}
			})
		}
	}
}

// TestLocalOptions: the destination records itself, and delivers.
func TestLocalOptions(t *testing.T) {
	h, left, _ := host(t)
	sink := h.Sink(t, wire.ProtoUDP)
	receive4(left, hosttest.IPv4(withOptions("10.0.0.2", "10.0.0.1", 7, 7, 4, 0, 0, 0, 0), payload(8)))
	if len(sink.Packets) != 1 || !bytes.Equal(sink.Packets[0][20:28], []byte{7, 7, 8, 10, 0, 0, 1, 0}) {
		t.Errorf("delivered % x", sink.Packets)
	}
}

// TestSourceRoute: refused unless all and the device accept them; then this host is
// a waypoint that records itself.
func TestSourceRoute(t *testing.T) {
	loose := []byte{131, 7, 4, 10, 0, 1, 2}
	strict := []byte{137, 7, 4, 10, 0, 1, 2}
	far := []byte{137, 7, 4, 192, 0, 2, 1}
	for _, c := range []struct {
		name      string
		opts      []byte
		all, left string
		want      []byte // options sent on; nil: refused
		code      uint8
	}{
		{"default", loose, "0", "0", nil, 0},
		{"only the device", loose, "0", "1", nil, 0},
		{"loose", loose, "1", "1", []byte{131, 7, 8, 10, 0, 1, 1, 0}, 0},
		{"strict to a neighbour", strict, "1", "1", []byte{137, 7, 8, 10, 0, 1, 1, 0}, 0},
		{"strict to nowhere", far, "1", "1", nil, wire.ICMP4NetUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, left, right := router(t)
			h.Set(t, "net.ipv4.conf.all.accept_source_route", c.all)
			h.Set(t, "net.ipv4.conf.left.accept_source_route", c.left)
			receive4(left, hosttest.IPv4(withOptions("10.0.0.2", "10.0.0.1", c.opts...), payload(8)))
			sent := right.Take()
			if c.want == nil {
				if len(sent) != 0 {
					t.Errorf("sent % x", sent)
				}
				return
			}
			if len(sent) != 1 {
				t.Fatalf("%d packets were sent", len(sent))
			}
			v, _ := wire.ParseIPv4(sent[0])
			if !v.ChecksumOK() || v.Dst4() != [4]byte{10, 0, 1, 2} || !bytes.Equal(v.Options(), c.want) {
				t.Errorf("sent % x, options want % x", sent[0][:28], c.want)
			}
		})
	}
}
