package tcb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
)

// check fails when t breaks what always holds.
func check(t *TCB) error {
	switch {
	case t.una.After(t.nxt):
		return fmt.Errorf("SND.UNA %d after SND.NXT %d", t.una, t.nxt)
	case t.nxt.After(t.end + 1), t.nxt.After(t.end) && !t.has(flagFin):
		return fmt.Errorf("SND.NXT %d after the end %d", t.nxt, t.end)
	case t.state != Closed && int(t.sacked) > t.nxt.Sub(t.una):
		return fmt.Errorf("%d octets SACKed of %d in flight", t.sacked, t.nxt.Sub(t.una))
	case t.state != Closed && (t.lost > 1<<30 || t.rtxOut > 1<<30):
		return fmt.Errorf("lost %d, retransmitted %d", int32(t.lost), int32(t.rtxOut))
	case t.win.Cwnd < uint32(t.mss) && t.state.synchronized():
		return fmt.Errorf("cwnd %d below the MSS %d", t.win.Cwnd, t.mss)
	case int32(t.unread) < 0:
		return fmt.Errorf("unread %d", int32(t.unread))
	}
	if t.rx != nil {
		return t.rx.check(t.rcvNxt, t.maxPending())
	}
	return nil
}

// check fails when the runs are not sorted, touch each other, or do not add up.
func (r *reassembly) check(next Seq, limit int) error {
	var n uint32
	packets := 0
	for i := range r.runs {
		x := &r.runs[i]
		if !x.Left.Before(x.Right) || !x.Left.After(next) {
			return fmt.Errorf("run %v with RCV.NXT %d", x.Block, next)
		}
		next = x.Right
		size := 0
		for p := x.q.Front(); p != nil; p = p.Next() {
			size += p.Len()
		}
		if size != x.Right.Sub(x.Left) {
			return fmt.Errorf("run %v holds %d bytes", x.Block, size)
		}
		n += uint32(size)
		packets += x.q.Len()
	}
	if n != r.bytes || packets != r.packets {
		return fmt.Errorf("%d bytes in %d packets, counted %d in %d", n, packets, r.bytes, r.packets)
	}
	if packets > limit+1 {
		return fmt.Errorf("%d packets out of order, limit %d", packets, limit)
	}
	return nil
}

// A host is one end: a TCB and an application that writes a text, reads what
// comes and closes.
type host struct {
	*TCB
	name     string
	text     []byte // to send
	queued   int    // octets of text given to the TCB
	freed    int
	sndBuf   int
	got      []byte // received
	readMax  int    // octets the application reads at once
	readEach time.Duration
	readAt   clock.Time
	eof      bool
	shut     bool
	reset    bool // its last segments met an end that was gone already
	peer     *host
	drop     func(seg *Segment) bool // scripted loss; nil for none
	log      []Segment               // what went out
	wait     *TimeWaitBlock          // in TIME-WAIT
}

// ends is when TIME-WAIT is over.
func (h *host) ends() clock.Time {
	if h.wait == nil {
		return clock.Never
	}
	return h.wait.Ends()
}

// A wire joins two hosts in virtual time.
type wire struct {
	t         testing.TB
	pool      packet.Pool
	rnd       *rand.Rand
	now       clock.Time
	delay     time.Duration
	jitter    time.Duration
	loss, dup float64
	split     bool // cut what the sender left to the device
	a, b      *host
	flight    []frame
	order     int
	steps     int
	lost      int // frames
	trace     bool
}

type frame struct {
	at    clock.Time
	order int
	seg   Segment
	data  []byte
	to    *host
}

// pump runs a host's side of the contract with the shell.
func (w *wire) pump(h *host) {
	for {
		w.app(h)
		seg, ok := h.Output(w.now)
		if !ok {
			break
		}
		w.send(h, seg)
	}
	if err := check(h.TCB); err != nil {
		w.t.Fatalf("%s at %v: %v", h.name, time.Duration(w.now), err)
	}
	w.app(h)
	if h.state == TimeWait && h.wait == nil {
		wait := h.TimeWait(w.now)
		h.wait = &wait
	}
}

// app lets the application do what it can.
func (w *wire) app(h *host) {
	h.freed += h.TakeAcked()
	if n := min(len(h.text)-h.queued, h.sndBuf-(h.queued-h.freed)); n > 0 && h.WriteErr() == nil {
		h.queued += n
		h.Queue(n)
	}
	if h.queued == len(h.text) && !h.shut && h.state != Closed {
		h.shut = true
		h.Shutdown()
	}
	if w.now < h.readAt {
		return
	}
	n := 0
	for n < h.readMax {
		p := h.Ready.Front()
		if p == nil {
			break
		}
		c := min(p.Len(), h.readMax-n)
		b := make([]byte, c)
		p.CopyOut(0, b)
		h.got = append(h.got, b...)
		p.TrimFront(c)
		n += c
		if p.Len() == 0 {
			h.Ready.Pop().Consume()
		}
	}
	if n > 0 {
		h.Consumed(w.now, n)
		h.readAt = w.now.Add(h.readEach)
	}
	if h.Events()&EventPeerClosed != 0 {
		h.eof = true
	}
}

// send puts a segment on the wire.
func (w *wire) send(h *host, seg Segment) {
	h.log = append(h.log, seg)
	if w.trace {
		w.t.Logf("%12v %s %v %v ack %d len %d win %d sack %v", time.Duration(w.now), h.name, seg.Flags,
			seg.Seq-h.iss, seg.Ack-h.irs, seg.Len, seg.Window, seg.SACK[:seg.SACKs])
	}
	var data []byte
	if seg.Len > 0 {
		off := seg.Seq.Sub(h.FirstSeq())
		if off < h.freed || off+seg.Len > h.queued {
			w.t.Fatalf("%s sends [%d, +%d) of a buffer that holds [%d, %d)", h.name, off, seg.Len, h.freed, h.queued)
		}
		data = h.text[off : off+seg.Len]
	}
	if seg.Len > int(h.mss) && seg.Cut == 0 {
		w.t.Fatalf("%s sends %d octets in one, MSS %d", h.name, seg.Len, h.mss)
	}
	for w.split && seg.Cut != 0 && seg.Len > int(seg.Cut) {
		first := seg
		first.Len, first.Cut = int(seg.Cut), 0
		first.Flags &^= FIN | PSH
		w.transmit(h.peer, first, data[:first.Len])
		data = data[first.Len:]
		seg.Seq, seg.Len = seg.Seq.Add(first.Len), seg.Len-first.Len
	}
	if w.split {
		seg.Cut = 0
	}
	w.transmit(h.peer, seg, data)
}

func (w *wire) transmit(to *host, seg Segment, data []byte) {
	if to.peer.drop != nil && to.peer.drop(&seg) {
		return
	}
	copies := 1
	if w.rnd.Float64() < w.loss {
		copies = 0
		w.lost++
	} else if w.rnd.Float64() < w.dup {
		copies = 2
	}
	for range copies {
		d := w.delay
		if w.jitter > 0 {
			d += time.Duration(w.rnd.Int64N(int64(w.jitter)))
		}
		w.order++
		w.flight = append(w.flight, frame{w.now.Add(d), w.order, seg, data, to})
	}
}

// step moves to the next event and reports whether there was one.
func (w *wire) step() bool {
	w.steps++
	next := min(w.a.Deadline(), w.b.Deadline(), w.a.ends(), w.b.ends())
	for _, h := range []*host{w.a, w.b} {
		if h.Ready.Front() != nil {
			next = min(next, max(h.readAt, w.now))
		}
	}
	i := -1
	for j, f := range w.flight {
		if f.at <= next && (i < 0 || f.at < w.flight[i].at || f.at == w.flight[i].at && f.order < w.flight[i].order) {
			i = j
		}
	}
	if i >= 0 {
		f := w.flight[i]
		w.flight = slices.Delete(w.flight, i, i+1)
		w.now = max(w.now, f.at)
		w.arrive(&f)
		return true
	}
	if next == clock.Never {
		return false
	}
	w.now = max(w.now, next)
	for _, h := range []*host{w.a, w.b} {
		if h.ends() <= w.now {
			h.wait = nil
			h.Discard()
		}
		h.Timer(w.now)
		w.pump(h)
	}
	return true
}

func (w *wire) arrive(f *frame) {
	if f.to.state == Closed {
		if f.to.shut || f.to.errno != 0 {
			if r, ok := ResetFor(&f.seg); ok {
				f.to.peer.reset = true
				w.transmit(f.to.peer, r, nil)
			}
			return
		}
		f.to.Accept(w.now, f.to.cfg, Start{ISS: Seq(w.rnd.Uint32()), MTU: int(f.to.mtu), MaxSegment: int(f.to.MaxSegment), CC: f.to.alg}, &f.seg)
		w.pump(f.to)
		return
	}
	if f.to.wait != nil {
		if answer, ok := f.to.wait.Input(w.now, &f.seg); ok {
			w.send(f.to, answer)
		}
		return
	}
	var pkt *packet.Packet
	if f.seg.Len > 0 {
		pkt = w.pool.Get()
		pkt.Append(f.data)
	}
	f.to.Input(w.now, &f.seg, pkt)
	w.pump(f.to)
}

// run goes on until nothing happens any more.
func (w *wire) run() {
	w.pump(w.a)
	for w.step() {
		if w.steps > 3_000_000 || w.now > clock.Time(6*time.Hour) {
			w.t.Fatalf("no end: %v after %d steps\na %+v\nb %+v", time.Duration(w.now), w.steps, w.a.Info(), w.b.Info())
		}
	}
}

// text returns n octets of which no two neighbourhoods are alike.
func text(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)*7 ^ byte(i>>16)*13 ^ seed
	}
	return b
}

func newHost(name string, c *Config, text []byte) *host {
	return &host{TCB: &TCB{cfg: c, mtu: 1500}, name: name, text: text, sndBuf: 1 << 20, readMax: 1 << 20}
}

// join connects a to b.
func join(w *wire, a, b *host) {
	a.peer, b.peer = b, a
	w.a, w.b = a, b
	if w.rnd == nil {
		w.rnd = rand.New(rand.NewPCG(1, 2))
	}
	w.now = clock.Time(time.Second)
	c, mtu, most := a.cfg, a.mtu, a.MaxSegment
	a.Connect(w.now, c, Start{ISS: Seq(w.rnd.Uint32()), MTU: int(mtu), MaxSegment: int(most), CC: a.alg, TSOffset: w.rnd.Uint32()})
}

// verify checks that both ends got all and closed in order.
func (w *wire) verify() {
	w.t.Helper()
	for _, h := range []*host{w.a, w.b} {
		if !bytes.Equal(h.got, h.peer.text) {
			w.t.Errorf("%s got %d octets of %d, or wrong ones", h.name, len(h.got), len(h.peer.text))
		}
		if h.state != Closed || h.Err() != nil {
			w.t.Errorf("%s ended in %v, %v", h.name, h.state, h.Err())
		}
		if h.reset {
			continue // in LAST-ACK, when no ACK of the FIN came through
		}
		if h.freed != len(h.text) {
			w.t.Errorf("%s was told of %d acknowledged octets of %d", h.name, h.freed, len(h.text))
		}
		if n := h.Queued(); n != 0 {
			w.t.Errorf("%s has %d octets queued at the end", h.name, n)
		}
	}
	if n := w.pool.Live(); n != 0 {
		w.t.Errorf("%d packets leaked", n)
	}
}
