package nat_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/knitnet/knit/wire"
)

// TestSCTPIsTranslated: the checksum is a CRC over the whole packet (RFC 9260 §6.8), ports
// included, and right when they have been changed.
func TestSCTPIsTranslated(t *testing.T) {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	initial := make([]byte, 12+20)
	binary.BigEndian.PutUint16(initial, 5000)
	binary.BigEndian.PutUint16(initial[2:], 38412)
	copy(initial[12:], []byte{1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0, 1})
	binary.LittleEndian.PutUint32(initial[8:], crc32.Checksum(initial, castagnoli))

	b := newBox(t)
	b.load(natRules("ip", "", "meta l4proto sctp oifname wan0 masquerade to :20000-20010"))
	out := b.receive("lan0", message{proto: wire.ProtoSCTP, src: ap("10.0.0.2"), dst: ap("192.0.2.2"), data: initial}.bytes())
	if len(out) != 1 || out[0].port != "wan0" {
		t.Fatalf("%d packets went out, want 1 by wan0", len(out))
	}
	l4 := out[0].b[wire.IPv4Len:]
	if port := binary.BigEndian.Uint16(l4); port < 20000 || port > 20010 {
		t.Errorf("it has port %d", port)
	}
	sum := binary.LittleEndian.Uint32(l4[8:])
	clear(l4[8:12])
	if want := crc32.Checksum(l4, castagnoli); sum != want {
		t.Errorf("checksum %#x, want %#x", sum, want)
	}
}
