package ip4

import (
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
)

// identBuckets is the number of counters, a power of two.
const identBuckets = 2048

// idents chooses identifications for datagrams that may be fragmented; atomic ones
// need none (RFC 6864 §4.1). Those of one source, destination and protocol count
// up, so that none comes back for as long as possible (RFC 6864 §4.2), from a
// place, and with gaps while the counter rests, that others cannot guess: a
// predictable one serves idle scans and forged fragments (RFC 6274 §3.5.2).
type idents struct {
	clock  *clock.Clock
	seed   maphash.Seed
	bucket [identBuckets]struct {
		next atomic.Uint32
		used atomic.Uint32 // when, in milliseconds
	}
}

func (t *idents) init(c *clock.Clock) {
	t.clock, t.seed = c, maphash.MakeSeed()
	for i := range t.bucket {
		t.bucket[i].next.Store(rand.Uint32())
	}
}

// take returns the first of n consecutive identifications.
func (t *idents) take(src, dst [4]byte, proto uint8, n uint32) uint16 {
	var k [9]byte
	copy(k[0:4], src[:])
	copy(k[4:8], dst[:])
	k[8] = proto
	h := maphash.Bytes(t.seed, k[:])
	b := &t.bucket[h&(identBuckets-1)]
	now := uint32(t.clock.Now() / clock.Time(time.Millisecond))
	gap := uint32(0)
	if was := b.used.Swap(now); now-was > 1 && int32(now-was) > 0 {
		gap = rand.Uint32N(min(now-was, 1<<12))
	}
	id := b.next.Add(gap+n) - n
	return uint16(id) + uint16(h>>48) // one counter looks different to each who share it
}
