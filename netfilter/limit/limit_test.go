package limit

import (
	"testing"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
)

// TestTake: a bucket lasts for its burst, fills with the time and no further than it is
// deep, and time that goes back gives nothing.
func TestTake(t *testing.T) {
	b := &netfilter.Bucket{Tokens: 30}
	for i, c := range []struct {
		now  clock.Time
		want bool
	}{{0, true}, {0, true}, {0, true}, {0, false}, {9, false}, {10, true}, {10, false}, {5, false}, {1000, true}, {1000, true}, {1000, true}, {1000, false}} {
		if got := (limiter{}).Take(b, c.now, 10, 30); got != c.want {
			t.Fatalf("step %d: %v, want %v", i, got, c.want)
		}
	}
}
