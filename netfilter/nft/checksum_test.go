package nft_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// TestSetKeepsChecksums: a checksum that was right is right after a rule has changed what
// it covers (RFC 9293 §3.1, RFC 3828 §3.1, RFC 4340 §9.1), also where Linux's is not: TCP
// options at odd offsets, fields called by `th`, UDP-Lite and DCCP. A datagram without a
// checksum has none afterwards (RFC 768).
func TestSetKeepsChecksums(t *testing.T) {
	k, rules := newKernel(t)
	loadRules(t, rules, `table ip t {
	chain c { type filter hook prerouting priority 0
		tcp dport 80 tcp option maxseg size set 1000
		udplite dport 80 udplite dport set 81
		dccp dport 80 dccp dport set 81
		th dport 82 th dport set 83
		udp dport 84 ip daddr set 10.1.0.9
		udp dport 85 udp dport set 86
	}
}
`)
	for _, words := range []string{
		"tcp 5 80 S topt 01020405b4010101",
		"tcp 5 80 S topt 020405b4",
		"proto 136 rest 0005005000000000 data 9",
		"proto 33 rest 000500500400000000000000 data 9",
		"tcp 5 82 S", "udp 5 82 data 9", "udp 5 84 data 3", "udp 5 85 data 3",
	} {
		b, err := packetOf(strings.Fields("ip4 10.0.0.2 10.1.0.2 " + words))
		if err != nil {
			t.Fatal(err)
		}
		if l4 := b[20:]; l4[6]|l4[7] == 0 && (b[9] == 136 || b[9] == 33) { // packetOf does not sum these
			sum := wire.Sum(l4, pseudo(b)).Finish()
			l4[6], l4[7] = byte(sum>>8), byte(sum)
		}
		got := throughPrerouting(k.Pool.Get(), b, &k.Network.Hooks[network.V4])
		if string(got) == string(b) {
			t.Errorf("%s: nothing has changed", words)
		}
		if !wire.Sum(got[:20], 0).Valid() || !wire.Sum(got[20:], pseudo(got)).Valid() {
			t.Errorf("%s: a wrong checksum in %x", words, got)
		}
	}
	b, err := packetOf(strings.Fields("ip4 10.0.0.2 10.1.0.2 udp 5 85 nosum data 3"))
	if err != nil {
		t.Fatal(err)
	}
	if got := throughPrerouting(k.Pool.Get(), b, &k.Network.Hooks[network.V4]); got[23] != 86 || got[26]|got[27] != 0 {
		t.Errorf("a datagram without a checksum becomes %x", got)
	}
}

func pseudo(b []byte) wire.PartialSum {
	src, _ := netip.AddrFromSlice(b[12:16])
	dst, _ := netip.AddrFromSlice(b[16:20])
	return wire.Pseudo(src, dst, b[9], len(b)-20)
}

// throughPrerouting returns a packet as the rules leave it.
func throughPrerouting(pkt *packet.Packet, b []byte, hooks *network.Hooks) []byte {
	pkt.Append(b)
	var q packet.Queue
	q.Push(pkt)
	hooks.Prerouting.RunBatch(&q)
	out := make([]byte, pkt.Len())
	pkt.CopyOut(0, out)
	q.Consume()
	return out
}
