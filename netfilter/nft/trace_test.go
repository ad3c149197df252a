package nft

import (
	"strings"
	"testing"
)

// TestTrace: who monitors traces sees the rules that hold for a traced packet.
func TestTrace(t *testing.T) {
	m := newTest(t)
	load(t, m, "table ip t {\n\tchain in {\n\t\ttype filter hook input priority 0;\n\t\ttcp dport 80 meta nftrace set 1\n\t\ttcp dport 81 accept\n\t\ttcp dport 80 drop\n\t}\n}\n")
	s := m.hub.join(&sub{trace: true})
	defer m.hub.leave(s)
	for _, port := range []uint16{81, 80} {
		passes(m, tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, port))
	}
	var lines []string
	for len(s.lines) > 0 {
		lines = append(lines, <-s.lines)
	}
	if len(lines) != 3 || !strings.HasSuffix(lines[2], "ip t in rule tcp dport 80 drop (verdict drop)\n") {
		t.Errorf("the trace says %q", lines)
	}
}

// TestTraceWords: a trace in the words of `nft monitor trace`, as nft 1.0.6 writes them
// about such packets.
func TestTraceWords(t *testing.T) {
	m := newTest(t)
	load(t, m, `table inet t {
	chain sub { counter return
	}
	chain c { type filter hook prerouting priority 0; policy accept
		meta nftrace set 1
		tcp dport 5 jump sub
		meta mark set 5
	}
}
table ip x {
	chain f { type filter hook input priority 0; policy accept
		counter
	}
}
`)
	s := m.hub.join(&sub{trace: true})
	defer m.hub.leave(s)
	pkt := tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 54490, 5)
	b := make([]byte, pkt.Len())
	pkt.CopyOut(0, b)
	pkt.Consume()
	pass(m, b)
	want := []string{
		"inet t c packet: ip saddr 10.0.0.1 ip daddr 10.0.0.2 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 0 ip protocol tcp ip length 40 tcp sport 54490 tcp dport 5 tcp flags == syn tcp window 0 \n",
		"inet t c rule meta nftrace set 1 (verdict continue)\n",
		"inet t c rule tcp dport 5 jump sub (verdict jump sub)\n",
		"inet t sub rule counter packets 0 bytes 0 return (verdict return)\n",
		"inet t c rule meta mark set 0x00000005 (verdict continue)\n",
		"inet t c policy accept meta mark 0x00000005 \n",
		"ip x f packet: ip saddr 10.0.0.1 ip daddr 10.0.0.2 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 0 ip length 40 tcp sport 54490 tcp dport 5 tcp flags == syn tcp window 0 \n",
		"ip x f rule counter packets 0 bytes 0 (verdict continue)\n",
		"ip x f policy accept meta mark 0x00000005 \n",
	}
	for i, w := range want {
		if len(s.lines) == 0 {
			t.Fatalf("%d lines, want %d", i, len(want))
		}
		if line := <-s.lines; !strings.HasPrefix(line, "trace id ") || line[len("trace id 00000000 "):] != w {
			t.Errorf("line %d is\n%q, want\n%q", i, line, w)
		}
	}
}
