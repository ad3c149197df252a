package tcp

import (
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
)

// TestISS: RFC 6528 §3: ISN = M + F(tuple, secret): one tuple's numbers follow a clock
// of 4.096 us, so that a later connection is ahead of an earlier one; what they are for
// one tuple says nothing of another one, nor of another host.
func TestISS(t *testing.T) {
	s := newSecret()
	k := tuple{localPort: 80, remotePort: 40000}
	first := s.iss(&k, 0)
	for _, d := range []time.Duration{4096, time.Second, time.Hour} {
		if got, want := s.iss(&k, clock.Time(d)), first+tcb.Seq(d/4096); got != want {
			t.Errorf("%v later the number is %d ahead, want %d", d, got-first, want-first)
		}
	}
	seen := map[tcb.Seq]bool{first: true}
	for name, other := range map[string]tuple{
		"local port": {localPort: 81, remotePort: 40000}, "remote port": {localPort: 80, remotePort: 40001},
		"local address": {local: [16]byte{1}, localPort: 80, remotePort: 40000}, "remote address": {remote: [16]byte{1}, localPort: 80, remotePort: 40000},
	} {
		iss := s.iss(&other, 0)
		if seen[iss] {
			t.Errorf("another %s leads to a number that was there", name)
		}
		seen[iss] = true
	}
	if other := newSecret(); other.iss(&k, 0) == first {
		t.Error("another secret leads to the same number")
	}
}

// TestTimestampOffset: RFC 7323 §7.1: the offset is the same for all connections between
// two addresses, so that PAWS and RFC 6191 hold from one to the next, and no other's.
func TestTimestampOffset(t *testing.T) {
	s := newSecret()
	k, next := tuple{localPort: 80, remotePort: 40000}, tuple{localPort: 80, remotePort: 40001}
	far := tuple{remote: [16]byte{1}}
	if s.timestampOffset(&k) != s.timestampOffset(&next) {
		t.Error("ports change the offset")
	}
	if s.timestampOffset(&k) == s.timestampOffset(&far) {
		t.Error("another address has the same offset")
	}
}
