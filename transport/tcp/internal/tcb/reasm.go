package tcb

import (
	"slices"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// A reassembly keeps what arrived out of order until the gap before it is
// filled. It exists for connections that met disorder. A nil one is empty.
type reassembly struct {
	// runs are the islands of octets that arrived, in order and with gaps
	// between them.
	runs    []run
	bytes   uint32
	packets int

	// recent are the islands in the order in which they last grew, newest
	// first, for SACK: "the first SACK block MUST specify the contiguous block
	// of data containing the segment which triggered this ACK", the others
	// repeat "the most recently reported" (RFC 2018 §4).
	recent  [MaxSACK]Block
	nrecent int
	// dup is what arrived twice, when hasDup: the next acknowledgement reports
	// it, once (RFC 2883 §4).
	dup    Block
	hasDup bool
}

// maxIdle is how many entries a table of runs keeps room for when it is empty.
const maxIdle = 32

// A run is a contiguous range and the packets that hold it, in order.
type run struct {
	Block
	q packet.Queue
}

func (r *reassembly) pending() bool { return r != nil && len(r.runs) > 0 }

// insert takes the packet that holds the octets b. What is there already is cut
// from it; what it covers whole is replaced. It is dropped when limit packets
// are waiting, unless it is next in order.
func (r *reassembly) insert(b Block, pkt *packet.Packet, limit int, next bool) {
	if r.packets >= limit && !next {
		pkt.Drop(stat.TCPOfoQueuePrune)
		return
	}
	// first is the first run that ends at or behind b's start: all before it
	// lie before b, with a gap.
	first := r.search(b.Left)
	last := first
	if first < len(r.runs) && !r.runs[first].Left.After(b.Left) {
		on := &r.runs[first]
		if !b.Right.After(on.Right) {
			r.setDup(b)
			r.touch(on.Block)
			pkt.Drop(stat.TCPOfoMerge)
			return
		}
		if over := on.Right.Sub(b.Left); over > 0 {
			r.setDup(Block{b.Left, on.Right})
			pkt.TrimFront(over)
			b.Left = on.Right
		}
		last++
	}
	// Runs that b covers whole are replaced.
	gone := last
	for gone < len(r.runs) && !r.runs[gone].Right.After(b.Right) && r.runs[gone].Left.Before(b.Right) {
		r.setDup(r.runs[gone].Block)
		r.dropRun(&r.runs[gone])
		gone++
	}
	if gone < len(r.runs) {
		if over := b.Right.Sub(r.runs[gone].Left); over > 0 {
			r.setDup(Block{r.runs[gone].Left, b.Right})
			pkt.TrimBack(over)
			b.Right = r.runs[gone].Left
		}
	}
	r.bytes += uint32(b.Right.Sub(b.Left))
	r.packets++
	r.place(b, pkt, first, last, gone)
}

// place puts the packet between its neighbours: runs[first] if first < last
// ends where b begins; runs[last:gone] are replaced.
func (r *reassembly) place(b Block, pkt *packet.Packet, first, last, gone int) {
	var in run
	in.Block = b
	in.q.Push(pkt)
	if first < last {
		prev := &r.runs[first]
		in.Left = prev.Left
		prev.q.Append(&in.q)
		in.q = prev.q
	}
	if gone < len(r.runs) && r.runs[gone].Left == b.Right {
		in.Right = r.runs[gone].Right
		in.q.Append(&r.runs[gone].q)
		gone++
	}
	r.touch(in.Block)
	if gone > first {
		r.runs[first] = in
		r.runs = slices.Delete(r.runs, first+1, gone)
		return
	}
	r.runs = slices.Insert(r.runs, first, in)
}

// search returns the index of the first run that ends at or behind s. New data
// is mostly at the end, so it looks there first.
func (r *reassembly) search(s Seq) int {
	n := len(r.runs)
	if n == 0 || r.runs[n-1].Right.Before(s) {
		return n
	}
	if n == 1 || r.runs[n-2].Right.Before(s) {
		return n - 1
	}
	i, _ := slices.BinarySearchFunc(r.runs, s, func(x run, s Seq) int { return x.Right.Sub(s) })
	return i
}

// release moves the octets from next on to q and returns how many there were.
func (r *reassembly) release(next Seq, q *packet.Queue) int {
	if len(r.runs) == 0 || r.runs[0].Left != next {
		return 0
	}
	x := &r.runs[0]
	n := x.Right.Sub(x.Left)
	r.bytes -= uint32(n)
	r.packets -= x.q.Len()
	q.Append(&x.q)
	r.runs = slices.Delete(r.runs, 0, 1)
	if len(r.runs) == 0 && cap(r.runs) > maxIdle {
		r.runs = nil
	}
	r.forgetBefore(next.Add(n))
	return n
}

// dropRun ends the packets of a run that something else replaces.
func (r *reassembly) dropRun(x *run) {
	r.bytes -= uint32(x.Right.Sub(x.Left))
	r.packets -= x.q.Len()
	x.q.Drop(stat.TCPOfoMerge)
}

// drop ends all packets.
func (r *reassembly) drop(why stat.Reason) {
	for i := range r.runs {
		r.runs[i].q.Drop(why)
	}
	*r = reassembly{}
}

func (r *reassembly) setDup(b Block) {
	if !r.hasDup {
		r.dup, r.hasDup = b, true
	}
}

// touch makes b, a whole run, the most recent one.
func (r *reassembly) touch(b Block) {
	keep := [MaxSACK]Block{b}
	n := 1
	for _, o := range r.recent[:r.nrecent] {
		inside := !o.Left.Before(b.Left) && !o.Right.After(b.Right)
		if !inside && n < MaxSACK {
			keep[n] = o
			n++
		}
	}
	r.recent, r.nrecent = keep, n
}

// forgetBefore removes what is acknowledged from the recent runs.
func (r *reassembly) forgetBefore(next Seq) {
	n := 0
	for _, o := range r.recent[:r.nrecent] {
		if o.Left.After(next) {
			r.recent[n] = o
			n++
		}
	}
	r.nrecent = n
}

// blocks returns how many blocks an acknowledgement with room for them has.
func (r *reassembly) blocks(room int) int {
	n := r.nrecent
	if r.hasDup {
		n++
	}
	return min(n, room)
}

// reportBytes returns what report will take of a segment.
func (r *reassembly) reportBytes(room int) int { return sackBytes(r.blocks(room)) }

// report puts up to room blocks into seg, the duplicate first (RFC 2883 §4),
// and returns the bytes they take.
func (r *reassembly) report(seg *Segment, room int) int {
	n := 0
	if r.hasDup && room > 0 {
		seg.SACK[0] = r.dup
		r.hasDup = false
		n = 1
	}
	n += copy(seg.SACK[n:room], r.recent[:r.nrecent])
	seg.SACKs = uint8(n)
	return sackBytes(n)
}
