package conntrack

import (
	"testing"
	"unsafe"
)

// TestEntrySize: a connection costs 320 bytes at most.
func TestEntrySize(t *testing.T) {
	if n := unsafe.Sizeof(entry{}); n > 320 {
		t.Errorf("an entry has %d bytes, want 320 at most", n)
	} else {
		t.Logf("%d bytes", n)
	}
}
