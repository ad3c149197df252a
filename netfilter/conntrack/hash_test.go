package conntrack

import (
	"math/bits"
	"testing"

	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
)

// TestHashSpreads: tuples that differ in a few bits, as those of a scan do, fill the
// buckets at least as evenly as chance would, and each bit of a tuple changes about half of the
// hash.
func TestHashSpreads(t *testing.T) {
	table := newTable(stripes)
	for _, v := range []network.Version{network.V4, network.V6} {
		x := netfilter.Tuple{Version: v, Proto: 6, Src: [16]byte{10, 0, 0, 1}, Dst: [16]byte{10, 0, 0, 2}, SrcPort: 1024, DstPort: 80}
		const n = 64 * stripes
		var load [stripes]float64
		for i := range n {
			x.SrcPort, x.DstPort = uint16(i), uint16(80+i>>16)
			load[table.hash(&x)%stripes]++
		}
		chi := 0.0
		for _, l := range load {
			chi += (l - 64) * (l - 64) / 64
		}
		// Chi-squared with 1023 degrees of freedom: mean 1023, deviation 45.
		if chi > stripes+8*45 {
			t.Errorf("%v: chi-squared of %d buckets is %.0f", v, stripes, chi)
		}
		flipped := 0
		for bit := range 32 {
			y := x
			y.Src[bit/8%4] ^= 1 << (bit % 8)
			flipped += bits.OnesCount32(table.hash(&x) ^ table.hash(&y))
		}
		if mean := float64(flipped) / 32; mean < 12 || mean > 20 {
			t.Errorf("%v: a bit of the source changes %.1f bits of 32", v, mean)
		}
	}
}
