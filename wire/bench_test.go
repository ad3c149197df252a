package wire

import (
	"fmt"
	"testing"
)

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 64, 1460, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := make([]byte, n)
			b.SetBytes(int64(n))
			var s PartialSum
			for b.Loop() {
				s = Sum(p, s)
			}
		})
	}
}

func BenchmarkPutParseTCPIPv4(b *testing.B) {
	p := make([]byte, 52)
	ip := IPv4Fields{TTL: 64, Protocol: ProtoTCP, DF: true, TotalLen: 52, Src: [4]byte{10, 0, 0, 1}, Dst: [4]byte{10, 0, 0, 2}}
	o := TCPOptions{Present: TCPHasTimestamps}
	for b.Loop() {
		PutIPv4(p, &ip)
		PutTCP(p[20:], &TCPFields{SrcPort: 1, DstPort: 2, Flags: TCPAck}, o.Put(p[40:]))
		h, _ := ParseIPv4(p)
		t, _ := ParseTCP(h.Payload())
		if !h.ChecksumOK() || !o.Parse(t.Options()) {
			b.Fatal("bad")
		}
	}
}
