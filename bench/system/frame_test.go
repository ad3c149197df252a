package system

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

// TestDatagramIsWhatAWireWouldCarry defends the bytes against a packet worked out
// by hand (RFC 791, RFC 768, RFC 1071).
func TestDatagramIsWhatAWireWouldCarry(t *testing.T) {
	got := hex.EncodeToString(Datagram(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))[:28])
	const want = "45000040" + "00000000" + "401166ab" + "0a000001" + "0a000002" + "0fa00fa1" + "002c0000"
	if got != want {
		t.Errorf("packet begins\n%s, want\n%s", got, want)
	}
}
