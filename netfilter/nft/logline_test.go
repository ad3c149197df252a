package nft_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
)

// TestLogLines: what a line of the log says of headers, in the words of Linux's nf_log:
// fragments, options, what is cut off, ICMP messages by their type, and the packet that
// an error is about in brackets.
func TestLogLines(t *testing.T) {
	k, rules := newKernel(t)
	loadRules(t, rules, "table inet t {\n\tchain c { type filter hook prerouting priority 0; log flags all; }\n}\n")
	head := "SRC=10.0.0.2 DST=10.0.0.1 LEN=%d TOS=0x00 PREC=0x00 TTL=64 ID=4660 "
	head6 := "SRC=fd00:0000:0000:0000:0000:0000:0000:0002 DST=fd00:0000:0000:0000:0000:0000:0000:0001 LEN=%d TC=0 HOPLIMIT=64 FLOWLBL=0 "
	inner6 := "6000000000081140fd000000000000000000000000000001fd000000000000000000000000000002" + "0bbb003500080000"
	for _, c := range []struct {
		words string
		n     int
		want  string
	}{
		{"ip4 10.0.0.2 10.0.0.1 icmp 8 0 rest 00070009", 28, "PROTO=ICMP TYPE=8 CODE=0 ID=7 SEQ=9 "},
		{"ip4 10.0.0.2 10.0.0.1 icmp 13 0 rest 00070009", 28, "PROTO=ICMP TYPE=13 CODE=0 "},
		{"ip4 10.0.0.2 10.0.0.1 icmp 3 4 rest 000005784500001c12340000401165990a0000010a0000020bbb003500080000", 56,
			"PROTO=ICMP TYPE=3 CODE=4 [SRC=10.0.0.1 DST=10.0.0.2 LEN=28 TOS=0x00 PREC=0x00 TTL=64 ID=4660 PROTO=UDP SPT=3003 DPT=53 LEN=8 ] MTU=1400 "},
		{"ip4 10.0.0.2 10.0.0.1 icmp 5 1 rest 0a0000094500", 30, "PROTO=ICMP TYPE=5 CODE=1 GATEWAY=10.0.0.9 [TRUNCATED] "},
		{"ip4 10.0.0.2 10.0.0.1 icmp 12 0 rest 05000000", 28, "PROTO=ICMP TYPE=12 CODE=0 PARAMETER=5 "},
		{"ip4 10.0.0.2 10.0.0.1 mf off 24 proto 17 data 8", 28, "MF FRAG:3 PROTO=UDP "},
		{"ip4 10.0.0.2 10.0.0.1 proto 6 rest 03e80050", 24, "PROTO=TCP INCOMPLETE [4 bytes] "},
		{"ip4 10.0.0.2 10.0.0.1 tcp 5 6 SA seq 7 ack 9 topt 020405b4", 44,
			"PROTO=TCP SPT=5 DPT=6 SEQ=7 ACK=9 WINDOW=64000 RES=0x00 ACK SYN URGP=0 OPT (020405B4) "},
		{"ip4 10.0.0.2 10.0.0.1 opt 94040000 udp 5 6", 32, "OPT (94040000) PROTO=UDP SPT=5 DPT=6 LEN=8 "},
		{"ip4 10.0.0.2 10.0.0.1 proto 50 rest 0102030405060708", 28, "PROTO=ESP SPI=0x1020304 "},
		{"ip4 10.0.0.2 10.0.0.1 proto 47 data 4", 24, "PROTO=47 "},
		{"ip6 fd00::2 fd00::1 icmp 128 0 rest 00070009", 48, "PROTO=ICMPv6 TYPE=128 CODE=0 ID=7 SEQ=9 "},
		{"ip6 fd00::2 fd00::1 icmp 135 0 rest 00000000", 48, "PROTO=ICMPv6 TYPE=135 CODE=0 "},
		{"ip6 fd00::2 fd00::1 icmp 2 0 rest 00000500" + inner6, 96,
			"PROTO=ICMPv6 TYPE=2 CODE=0 [SRC=fd00:0000:0000:0000:0000:0000:0000:0001 DST=fd00:0000:0000:0000:0000:0000:0000:0002 LEN=48 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=UDP SPT=3003 DPT=53 LEN=8 ] MTU=1280 "},
		{"ip6 fd00::2 fd00::1 frag 24 1 17 proto 17 data 8", 56, "FRAG:24 INCOMPLETE ID:00000011 PROTO=UDP "},
		{"ip6 fd00::2 fd00::1 dst 0102 proto 17 rest 0005", 50, "PROTO=UDP INCOMPLETE [2 bytes] "},
	} {
		b, err := packetOf(strings.Fields(c.words))
		if err != nil {
			t.Fatal(err)
		}
		v, h := network.V4, head
		if b[0]>>4 == 6 {
			v, h = network.V6, head6
		}
		pkt := k.Pool.Get()
		pkt.Append(b)
		var q packet.Queue
		q.Push(pkt)
		k.Network.Hooks[v].Prerouting.RunBatch(&q)
		q.Consume()
		want := "IN= OUT= " + fmt.Sprintf(h, c.n) + c.want
		entries := k.Log.Entries()
		if got := entries[len(entries)-1].Text; got != want {
			t.Errorf("%s:\n%q, want\n%q", c.words, got, want)
		}
	}
}
