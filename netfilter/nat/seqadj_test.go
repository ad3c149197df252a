package nat

import (
	"testing"

	"github.com/knitnet/knit/netfilter"
	"pgregory.net/rapid"
)

// TestSentAndReceived: what the receiver acknowledges of a stream that has grown
// twice is what the sender has sent.
func TestSentAndReceived(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Uint32().Draw(t, "start")
		grown := int32(rapid.IntRange(1, 50).Draw(t, "grown"))
		at := start + uint32(rapid.IntRange(0, 1000).Draw(t, "at"))
		var c netfilter.Conn
		adjust(&c, netfilter.Original, at, grown)
		a := c.Extra().SeqAdjust[netfilter.Original].Load()
		seq := start + uint32(rapid.IntRange(0, 3000).Draw(t, "seq"))
		if got := a.Received(a.Sent(seq)); got != seq {
			t.Fatalf("octet %d is acknowledged as %d (grown by %d at %d)", seq, got, grown, at)
		}
		adjust(&c, netfilter.Original, at, grown) // a repetition changes nothing
		if b := c.Extra().SeqAdjust[netfilter.Original].Load(); *b != *a {
			t.Fatalf("%+v became %+v by a repetition", *a, *b)
		}
	})
}
