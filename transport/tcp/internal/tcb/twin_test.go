package tcb

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/knitnet/knit/core/packet"
)

// slowBoard is the scoreboard as a set of octets.
type slowBoard map[Seq]bool

func (s slowBoard) add(b Block) (news uint32) {
	for x := b.Left; x != b.Right; x++ {
		if !s[x] {
			s[x] = true
			news++
		}
	}
	return news
}

func (s slowBoard) below(x Seq) (n uint32) {
	for y := range s {
		if y.Before(x) {
			n++
		}
	}
	return n
}

func (s slowBoard) hole(x, end Seq) (left, right Seq, bounded bool) {
	for s[x] {
		x++
	}
	for y := x; y.Before(end); y++ {
		if s[y] {
			return x, y, true
		}
	}
	return x, 0, false
}

// lostTo is IsLost of RFC 6675 §4, octet by octet.
func (s slowBoard) lostTo(una, end Seq, mss uint32) Seq {
	for x := end - 1; !x.Before(una); x-- {
		if s[x] {
			continue
		}
		var n uint32
		runs := 0
		for y := x; y.Before(end); y++ {
			if s[y] {
				n++
				if !s[y-1] {
					runs++
				}
			}
		}
		if runs >= dupThresh || n > (dupThresh-1)*mss {
			for !s[x] {
				x++
			}
			return x
		}
	}
	return una
}

// The scoreboard does what a set of octets does.
func TestScoreboardTwin(t *testing.T) {
	for s := range uint64(200) {
		r := rand.New(rand.NewPCG(s, 3))
		una := ^Seq(99) // numbers wrap in the middle
		end := una + 400
		fast, slow := new(scoreboard), slowBoard{}
		for step := range 60 {
			left := una.Add(1 + r.IntN(end.Sub(una)-1))
			b := Block{left, left.Add(1 + r.IntN(min(40, end.Sub(left))))}
			if got, want := fast.add(b), slow.add(b); got != want {
				t.Fatalf("seed %d step %d: add(%v) = %d, want %d", s, step, b, got, want)
			}
			if r.IntN(10) == 0 {
				una = una.Add(r.IntN(20))
				want := slow.below(una)
				for x := range slow {
					if x.Before(una) {
						delete(slow, x)
					}
				}
				if got := fast.trim(una); got != want {
					t.Fatalf("seed %d step %d: trim = %d, want %d", s, step, got, want)
				}
			}
			if err := same(fast, slow, una, end, r); err != nil {
				t.Fatalf("seed %d step %d: %v", s, step, err)
			}
		}
	}
}

func same(fast *scoreboard, slow slowBoard, una, end Seq, r *rand.Rand) error {
	x := una.Add(r.IntN(end.Sub(una)))
	if got, want := fast.below(x), slow.below(x); got != want {
		return fmt.Errorf("below(%d) = %d, want %d", x, got, want)
	}
	gl, gr, gb := fast.hole(x)
	wl, wr, wb := slow.hole(x, end)
	if gl != wl || gb != wb || gb && gr != wr {
		return fmt.Errorf("hole(%d) = %d, %d, %v, want %d, %d, %v", x, gl, gr, gb, wl, wr, wb)
	}
	if slow[una] {
		return nil // lostTo is asked only while the octet at SND.UNA is missing
	}
	if got, want := fast.lostTo(una, 10), slow.lostTo(una, end, 10); got != want {
		return fmt.Errorf("lostTo = %d, want %d of %v", got, want, fast.runs)
	}
	return nil
}

// Whatever the order, the overlaps and the copies in which octets arrive, they
// leave the reassembly queue in order, each once, and SACK blocks tell of runs
// that are there.
func TestReassemblyTwin(t *testing.T) {
	for s := range uint64(300) {
		r := rand.New(rand.NewPCG(s, 4))
		var pool packet.Pool
		begin := ^Seq(299)
		all := text(1000, byte(s))
		rx := new(reassembly)
		var ready packet.Queue
		have := make([]bool, len(all))
		next := begin
		for step := 0; next != begin.Add(len(all)); step++ {
			left := next.Add(r.IntN(min(200, begin.Add(len(all)).Sub(next))))
			n := 1 + r.IntN(min(60, begin.Add(len(all)).Sub(left)))
			off := left.Sub(begin)
			pkt := pool.Get()
			pkt.Append(all[off : off+n])
			for i := range n {
				have[off+i] = true
			}
			rx.insert(Block{left, left.Add(n)}, pkt, 1000, left == next)
			got := rx.release(next, &ready)
			want := 0
			for o := next.Sub(begin); o < len(all) && have[o]; o++ {
				want++
			}
			if got != want {
				t.Fatalf("seed %d step %d: %d octets released, want %d", s, step, got, want)
			}
			next = next.Add(got)
			if err := rx.check(next, 1000); err != nil {
				t.Fatalf("seed %d step %d: %v", s, step, err)
			}
			if err := checkBlocks(rx, have, begin, next); err != nil {
				t.Fatalf("seed %d step %d: %v", s, step, err)
			}
		}
		var out []byte
		for pkt := ready.Pop(); pkt != nil; pkt = ready.Pop() {
			b := make([]byte, pkt.Len())
			pkt.CopyOut(0, b)
			out = append(out, b...)
			pkt.Consume()
		}
		if string(out) != string(all) || pool.Live() != 0 {
			t.Fatalf("seed %d: %d octets, or wrong ones; %d packets live", s, len(out), pool.Live())
		}
	}
}

// checkBlocks fails when a SACK block is not exactly a run of what arrived (RFC
// 2018 §4: "the SACK block ... represents received bytes of data that are
// contiguous and isolated").
func checkBlocks(rx *reassembly, have []bool, begin, next Seq) error {
	var seg Segment
	rx.hasDup = false
	rx.report(&seg, MaxSACK)
	if len(rx.runs) > 0 && seg.SACKs == 0 {
		return fmt.Errorf("no block for %d runs", len(rx.runs))
	}
	at := func(x Seq) bool { o := x.Sub(begin); return o >= 0 && o < len(have) && have[o] }
	for _, b := range seg.SACK[:seg.SACKs] {
		if !b.Left.After(next) || at(b.Left-1) || at(b.Right) {
			return fmt.Errorf("block %v is not a run", b)
		}
		for x := b.Left; x != b.Right; x++ {
			if !at(x) {
				return fmt.Errorf("block %v without %d", b, x)
			}
		}
	}
	return nil
}
