package nft

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/netfilter/rule"
)

// slowFind is find without any arrangement: the element whose parts all cover those of
// the key, else the catch-all.
func slowFind(elems []*elem, key []byte, parts []int) (any *elem) {
	for _, e := range elems {
		if e.lo == nil {
			any = e
			continue
		}
		at, in := 0, true
		for _, n := range parts {
			in = in && bytes.Compare(key[at:at+n], e.lo[at:at+n]) >= 0 && bytes.Compare(key[at:at+n], e.hi[at:at+n]) <= 0
			at += n
		}
		if in {
			return e
		}
	}
	return any
}

// TestIndexAsOneByOne: hashes, intervals and bitmaps find what a look at every element
// finds.
func TestIndexAsOneByOne(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		parts := [][]int{{1}, {2}, {4}, {16}, {4, 4}, {4, 4, 16}}[r.IntN(6)]
		n := 0
		for _, p := range parts {
			n += p
		}
		var elems []*elem
		for range r.IntN(40) {
			e := randomElem(r, parts, n)
			if !overlaps(elems, e, parts) {
				elems = append(elems, e)
			}
		}
		if r.IntN(2) == 0 {
			elems = append(elems, &elem{verdict: verdict{next: next(90)}})
		}
		x := newIndex(elems, n, parts)
		ev := new(eval)
		for range 200 {
			key := make([]byte, n)
			for i := range key {
				key[i] = byte(r.IntN(6))
			}
			got, want := x.find(ev, key), slowFind(elems, key, parts)
			if (got == nil) != (want == nil) || got != nil && got.verdict != want.verdict {
				t.Fatalf("seed %d, %d elements: find(%x) = %v, one by one %v", seed, len(elems), key, got, want)
			}
		}
	}
}

func randomElem(r *rand.Rand, parts []int, n int) *elem {
	e := &elem{lo: make([]byte, n), hi: make([]byte, n), verdict: verdict{next: next(r.IntN(3))}}
	at := 0
	for _, p := range parts {
		for i := range p {
			e.lo[at+i] = byte(r.IntN(6))
		}
		copy(e.hi[at:], e.lo[at:at+p])
		if r.IntN(3) == 0 {
			e.hi[at+p-1] += byte(r.IntN(4))
		}
		at += p
	}
	return e
}

// overlaps reports whether some key is of e and of another element: such sets are
// refused.
func overlaps(elems []*elem, e *elem, parts []int) bool {
	for _, o := range elems {
		at, common := 0, true
		for _, n := range parts {
			common = common && bytes.Compare(e.lo[at:at+n], o.hi[at:at+n]) <= 0 && bytes.Compare(o.lo[at:at+n], e.hi[at:at+n]) <= 0
			at += n
		}
		if common {
			return true
		}
	}
	return false
}

// TestThousandRulesBecomeLookups: a chain of rules over one field is one part with a
// map, whatever the field; a rule in the middle that may change it, or is about
// something else, cuts the chain there and nowhere else.
func TestThousandRulesBecomeLookups(t *testing.T) {
	port := func(n int) *rule.Match { return &rule.Match{Left: fieldOf("tcp", "dport"), Right: u16(uint16(n))} }
	var rules []*rule.Rule
	for i := range 1000 {
		rules = append(rules, &rule.Rule{Stmts: []rule.Stmt{port(i), &rule.Counter{}, &rule.Verdict{Kind: rule.Accept}}})
		if i == 499 {
			rules = append(rules, &rule.Rule{Stmts: []rule.Stmt{&rule.Counter{}}})
		}
	}
	m := newTest(t)
	if err := m.commit([]*rule.Table{inputTable(rules...)}, nil); err != nil {
		t.Fatal(err)
	}
	for _, ch := range m.current.Load().bases {
		if len(ch.parts) != 3 || ch.parts[0].small == nil || ch.parts[1].load != nil || ch.parts[2].small == nil {
			t.Fatalf("%d parts, want a map, a rule and a map", len(ch.parts))
		}
	}
	for _, n := range []int{0, 499, 500, 999} {
		passes(m, tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1, uint16(n)))
	}
	states := m.statesOf(rule.IP, "t")
	for i, r := range rules {
		want := uint64(0)
		switch i {
		case 0, 499, 501, 1000:
			want = 1
		case 500:
			want = 2
		}
		for _, s := range r.Stmts {
			if c, ok := s.(*rule.Counter); ok && states[c].(*counterState).packets.Load() != want {
				t.Errorf("rule %d has counted %d packets, want %d", i, states[c].(*counterState).packets.Load(), want)
			}
		}
	}
}
