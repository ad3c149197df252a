package xlat

import (
	"slices"
	"testing"

	"github.com/knitnet/knit/wire"
)

// FuzzTo4 and FuzzTo6: whatever comes in, nothing panics or leaks, and what was sound
// stays so.
func FuzzTo4(f *testing.F) {
	for _, proto := range protos6 {
		f.Add(build6(proto, transport(proto, clientPort, serverPort, []byte("payload")), 64), uint8(50))
		f.Add(build6(wire.ProtoICMPv6, error6of(1, 4, 0, sent6(proto, 9)), 64), uint8(50))
	}
	p := newPool(f)
	f.Fuzz(func(t *testing.T, b []byte, head uint8) {
		if len(b) < wire.IPv6Len || b[0]>>4 != 6 || len(b) > 65535 {
			return
		}
		b = slices.Clone(b)
		be.PutUint16(b[4:], uint16(min(len(b)-wire.IPv6Len, wire.IPv6MaxPayload)))
		s, problem := Parse6(b)
		if problem == Fine && s.IsError6() {
			toError4(t, b[s.L4:], wide)
			return
		}
		if s.Fragment.Is() {
			return
		}
		sound := faults(b) == ""
		out, problem := to4(t, p, slices.Clone(b), int(head))
		if problem != Fine || !sound {
			return
		}
		if f := faults(out); f != "" {
			t.Errorf("%s\nbefore % x\nafter % x", f, b, out)
		}
	})
}

func FuzzTo6(f *testing.F) {
	for _, proto := range protos4 {
		f.Add(build4(wire.IPv4Fields{TTL: 64, Protocol: proto}, transport(proto, serverPort, outsidePort, []byte("payload"))), uint8(50))
		f.Add(build4(wire.IPv4Fields{TTL: 64, Protocol: wire.ProtoICMP}, error4of(3, 3, 0, sent4(proto, 9))), uint8(50))
	}
	p := newPool(f)
	f.Fuzz(func(t *testing.T, b []byte, head uint8) {
		b = slices.Clone(b)
		h, ok := wire.ParseIPv4(b)
		if !ok || len(b) > 65535 {
			return
		}
		h.SetTotalLen(len(b))
		h.UpdateHeaderChecksum()
		s, problem := Parse4(b)
		if problem == Fine && s.IsError4() {
			toError6(t, b[s.L4:], wide)
			return
		}
		if s.Fragment.Is() {
			return
		}
		sound := problem == Fine && faults(b) == ""
		out, problem := to6(t, p, slices.Clone(b), int(head))
		if problem != Fine || !sound {
			return
		}
		if f := faults(out); f != "" {
			t.Errorf("%s\nbefore % x\nafter % x", f, b, out)
		}
	})
}
