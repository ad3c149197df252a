package ip4

import "testing"

// TestFateHalves: the words of two entries in one slot never pass for a third.
func TestFateHalves(t *testing.T) {
	fates := []fate{host, transitory}
	k1 := addrs{[4]byte{10, 9, 0, 1}, [4]byte{10, 9, 1, 1}}.key()
	for _, f1 := range fates {
		for _, f2 := range fates {
			for index := range int32(64) {
				v1, v2 := fateValue(7, 1, f1), fateValue(7, index, f2)
				if v1 == v2 {
					continue
				}
				// The key that a reader with v2 would take the first word for.
				k := mix(k1, v1) ^ mix(0, v2)
				if d := k ^ k1; d>>32 == 0 || d<<32 == 0 {
					t.Errorf("interface %d: a packet of %#x could get the fate of %#x", index, k, k1)
				}
			}
		}
	}
}

// TestFateFollowsChanges: what was found out counts until addresses change.
func TestFateFollowsChanges(t *testing.T) {
	b := newBed(t)
	pkt := b.packet(b.template("10.0.7.1"))
	defer pkt.Consume()
	a := addrsOf(pkt.Head())
	cf := b.p.conf.Of(b.in.Index())
	if f := b.p.fate(b.in, cf, a, pkt); f != transitory {
		t.Fatalf("fate %d", f)
	}
	b.h.Addr(t, b.out, "10.0.7.1/24")
	if f := b.p.fate(b.in, cf, a, pkt); f != host {
		t.Errorf("fate %d after the address was added", f)
	}
	if f := b.p.fate(b.in, cf, a, pkt); f != host {
		t.Errorf("fate %d from the cache", f)
	}
}
