package nft

import (
	"strings"
	"testing"
)

// TestTrace: who monitors traces sees the rules that hold for a traced packet.
func TestTrace(t *testing.T) {
	m := newTest(t)
	load(t, m, "table ip t {\n\tchain in {\n\t\ttype filter hook input priority 0;\n\t\ttcp dport 80 meta nftrace set 1\n\t\ttcp dport 81 accept\n\t\ttcp dport 80 drop\n\t}\n}\n")
	s := m.hub.join(true)
	defer m.hub.leave(s)
	for _, port := range []uint16{81, 80} {
		passes(m, tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, port))
	}
	if len(s.lines) != 1 {
		t.Fatalf("%d lines, want 1", len(s.lines))
	}
	if line := <-s.lines; !strings.HasSuffix(line, "ip t in rule tcp dport 80 drop (verdict drop)\n") {
		t.Errorf("the trace says %q", line)
	}
}
