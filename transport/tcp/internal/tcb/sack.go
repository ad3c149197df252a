package tcb

import (
	"slices"

	"github.com/knitnet/knit/core/clock"
)

// dupThresh is how much must have arrived behind a segment until it counts as
// lost (RFC 6675 §2).
const dupThresh = 3

// maxRuns bounds the scoreboard, and with it the work that a peer can cause by
// reporting single octets. What it reports beyond is not remembered, and at
// worst sent again.
const maxRuns = 1024

// A scoreboard remembers which octets after SND.UNA the peer has (RFC 6675
// §3): sorted ranges with gaps between them. It exists for connections that met
// loss. A nil one is empty.
type scoreboard struct{ runs []Block }

// add notes that b arrived and returns how many octets of it are news.
func (s *scoreboard) add(b Block) (news uint32) {
	i, _ := slices.BinarySearchFunc(s.runs, b.Left, func(r Block, x Seq) int { return r.Right.Sub(x) })
	j := i
	news = uint32(b.Right.Sub(b.Left))
	for j < len(s.runs) && !s.runs[j].Left.After(b.Right) {
		r := s.runs[j]
		news -= uint32(minSeq(r.Right, b.Right).Sub(maxSeq(r.Left, b.Left)))
		b.Left = minSeq(b.Left, r.Left)
		// Keep the right end for the join, but count no further than b.
		if r.Right.After(b.Right) {
			b.Right = r.Right
			j++
			break
		}
		j++
	}
	switch {
	case j > i:
		s.runs[i] = b
		s.runs = slices.Delete(s.runs, i+1, j)
	case len(s.runs) < maxRuns:
		s.runs = slices.Insert(s.runs, i, b)
	default:
		return 0
	}
	return news
}

// trim removes what is before una and returns how many octets that were.
func (s *scoreboard) trim(una Seq) (gone uint32) {
	if s == nil {
		return 0
	}
	i := 0
	for i < len(s.runs) && !s.runs[i].Right.After(una) {
		gone += uint32(s.runs[i].Right.Sub(s.runs[i].Left))
		i++
	}
	s.runs = slices.Delete(s.runs, 0, i)
	if len(s.runs) == 0 && cap(s.runs) > maxIdle {
		s.runs = nil
	}
	if len(s.runs) > 0 && s.runs[0].Left.Before(una) {
		gone += uint32(una.Sub(s.runs[0].Left))
		s.runs[0].Left = una
	}
	return gone
}

// below returns how many octets before x are in the scoreboard.
func (s *scoreboard) below(x Seq) (n uint32) {
	if s == nil {
		return 0
	}
	for _, r := range s.runs {
		if !r.Left.Before(x) {
			break
		}
		n += uint32(minSeq(r.Right, x).Sub(r.Left))
	}
	return n
}

// hole returns the first gap at or after x: it begins at left, and ends at
// right if there is a run behind it, which bounded tells.
func (s *scoreboard) hole(x Seq) (left, right Seq, bounded bool) {
	if s == nil {
		return x, 0, false
	}
	i, _ := slices.BinarySearchFunc(s.runs, x, func(r Block, x Seq) int {
		if r.Right.After(x) {
			return 1
		}
		return -1
	})
	if i < len(s.runs) && !s.runs[i].Left.After(x) {
		x = s.runs[i].Right
		i++
	}
	if i < len(s.runs) {
		return x, s.runs[i].Left, true
	}
	return x, 0, false
}

// highest returns the end of the last run; ok is false when there is none.
func (s *scoreboard) highest() (x Seq, ok bool) {
	if s == nil || len(s.runs) == 0 {
		return 0, false
	}
	return s.runs[len(s.runs)-1].Right, true
}

// lostTo returns the point before which whatever is not SACKed is lost, or una.
// It is IsLost of RFC 6675 §4: "either DupThresh discontiguous SACKed sequences
// have arrived above SeqNum or more than (DupThresh - 1) * SMSS bytes".
func (s *scoreboard) lostTo(una Seq, mss uint32) Seq {
	if s == nil {
		return una
	}
	var n uint32
	for i := len(s.runs) - 1; i >= 0; i-- {
		r := s.runs[i]
		n += uint32(r.Right.Sub(r.Left))
		if n > (dupThresh-1)*mss || len(s.runs)-i >= dupThresh {
			return r.Left
		}
	}
	return una
}

// takeSACK notes the SACK blocks of a segment and returns how many octets they
// newly report.
func (t *TCB) takeSACK(now clock.Time, seg *Segment) (news uint32) {
	if seg.SACKs == 0 || !t.has(flagSACK) {
		return 0
	}
	for i, b := range seg.SACK[:min(seg.SACKs, MaxSACK)] {
		if !b.Left.Before(b.Right) || b.Right.After(t.nxt) || b.Left.Before(seg.Ack) {
			// Nonsense, or the report of a duplicate (RFC 2883 §4).
			if i == 0 && b.Left.Before(b.Right) && !b.Right.After(seg.Ack) {
				t.stat.dsacks++
			}
			continue
		}
		if t.sb == nil {
			t.sb = new(scoreboard)
		}
		news += t.sb.add(b)
		if t.has(flagTiming) && b.Left.Before(t.rttSeq) && !b.Right.Before(t.rttSeq) {
			t.timed(now) // it has arrived, whatever is missing before it
		}
	}
	t.sacked += news
	t.stat.delivered += uint64(news)
	return news
}
