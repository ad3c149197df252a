package tftp

import (
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/helper"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A count is a tracker that counts what it is asked to expect.
type count struct {
	netfilter.Tracker
	n int
}

func (c *count) Expect(*netfilter.Expectation) error { c.n++; return nil }

// FuzzRequest: of all datagrams only requests (RFC 1350 §5) of the client make the
// helper expect something, and none is dropped.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("\x00\x01file\x00octet\x00"), false)
	f.Add([]byte("\x00\x02file\x00octet\x00"), true)
	f.Add([]byte("\x00"), false)
	var pool packet.Pool
	f.Fuzz(func(t *testing.T, payload []byte, reply bool) {
		if len(payload) > 1400 {
			return
		}
		b := make([]byte, wire.IPv4Len+wire.UDPLen)
		wire.PutIPv4(b, &wire.IPv4Fields{TotalLen: uint16(len(b) + len(payload)), TTL: 64, Protocol: wire.ProtoUDP})
		wire.PutUDP(b[wire.IPv4Len:], 5000, 69, len(payload))
		pkt := pool.Get()
		defer pkt.Consume()
		pkt.Append(append(b, payload...))
		pkt.Ensure(wire.IPv4Len) // as the network layer has it
		_, data, ok := helper.Payload(network.V4, pkt, wire.ProtoUDP)
		if !ok || data != len(b) {
			t.Fatalf("the payload is at %d, %v", data, ok)
		}
		var track count
		h, info := tftp{track: &track}, netfilter.New
		if reply {
			info = netfilter.EstablishedReply
		}
		request := len(payload) > 1 && payload[0] == 0 && (payload[1] == 1 || payload[1] == 2)
		if !h.help(pkt, new(netfilter.Conn), info) || track.n == 1 != (request && !reply) {
			t.Fatalf("% x, reply %v: %d expectations", payload, reply, track.n)
		}
	})
}
