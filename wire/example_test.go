package wire_test

import (
	"fmt"

	"github.com/knitnet/knit/wire"
)

// A view is parsed once; what it says can be relied on from then on.
func ExampleParseIPv4() {
	b := make([]byte, 20)
	wire.PutIPv4(b, &wire.IPv4Fields{
		TTL: 64, Protocol: wire.ProtoUDP, TotalLen: 20, Src: [4]byte{192, 0, 2, 1}, Dst: [4]byte{192, 0, 2, 2},
	})
	h, ok := wire.ParseIPv4(b)
	fmt.Println(ok, h.Src(), h.Dst(), h.Protocol(), h.ChecksumOK())
	h.DecrementTTL() // keeps the checksum right
	fmt.Println(h.TTL(), h.ChecksumOK())
	_, ok = wire.ParseIPv4(b[:19])
	fmt.Println(ok)
	// Output:
	// true 192.0.2.1 192.0.2.2 17 true
	// 63 true
	// false
}
