package neigh

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// An effect is what has to be done once the entry's lock is released.
type effect struct {
	send, drop, fail packet.Queue // to transmit, to drop for NEIGH_QUEUEFULL, unreachable
	mac              wire.MAC     // of send
	ask              bool
	askTo            wire.MAC
	askFrom          netip.Addr
	changed          bool // tell the watchers
	info             Info
}

func (e *Entry) do(f *effect) {
	if f.changed {
		e.table.notify(Event{Info: f.info})
	}
	f.drop.Drop(stat.NeighQueueFull)
	if !f.send.Empty() {
		e.transmitAll(f.send, f.mac)
	}
	for pkt := f.fail.Pop(); pkt != nil; pkt = f.fail.Pop() {
		if e.table.cfg.Unreachable == nil {
			pkt.Drop(stat.NeighFailed)
			continue
		}
		e.table.cfg.Unreachable(e.dev, pkt)
	}
	if f.ask {
		e.table.cfg.Solicit(e.dev, e.ip, f.askTo, f.askFrom)
	}
}

// transmitAll takes the queue by value, so that an effect can live on the stack.
func (e *Entry) transmitAll(q packet.Queue, mac wire.MAC) { e.transmit(&q, mac) }

// sendSlow sends to a neighbour that is not, or was not a moment ago, in a direct
// state.
func (e *Entry) sendSlow(q *packet.Queue) {
	var f effect
	e.mu.Lock()
	w := e.word.Load()
	if w&deadBit != 0 {
		e.mu.Unlock()
		e.resend(q)
		return
	}
	switch s := State(w >> stateShift); {
	case s == Stale:
		e.setState(Delay, &f)
		e.timer.ResetAfter(e.table.Params(e.dev).DelayProbe)
		fallthrough
	case s&valid != 0:
		f.mac = unpack(w)
		f.send.Append(q)
	default:
		e.wait(q, &f)
		if s != Incomplete {
			e.begin(&f)
		}
	}
	e.mu.Unlock()
	e.do(&f)
}

// resend sends by the entry that has taken e's place, or by e itself, put back
// into the table.
func (e *Entry) resend(q *packet.Queue) {
	n, err := e.table.enter(e.dev, e.ip, e)
	if err != nil {
		q.Drop(stat.NeighDead)
		return
	}
	n.Send(q)
}

// wait puts packets into the queue and takes the oldest out when they are too
// many. e.mu is held.
func (e *Entry) wait(q *packet.Queue, f *effect) {
	p := e.table.Params(e.dev)
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		e.bytes += pkt.Len()
		e.waiting.Push(pkt)
		for e.waiting.Len() > 1 && (e.bytes > p.QueueBytes || e.waiting.Len() > p.QueuePackets) {
			old := e.waiting.Pop()
			e.bytes -= old.Len()
			f.drop.Push(old)
		}
	}
}

// begin starts address resolution (RFC 4861 §7.2.2). e.mu is held.
func (e *Entry) begin(f *effect) {
	e.setState(Incomplete, f)
	e.probes = 0
	e.ask(f, wire.MAC{})
}

// ask sends one question and waits for the answer. e.mu is held.
func (e *Entry) ask(f *effect, to wire.MAC) {
	e.probes++
	f.ask, f.askTo = true, to
	if pkt := e.waiting.Front(); pkt != nil {
		f.askFrom = source(pkt)
	}
	e.timer.ResetAfter(e.table.Params(e.dev).Retrans)
}

// source returns the source address of an IP packet.
func source(pkt *packet.Packet) netip.Addr {
	h := pkt.Head()
	if ip, ok := wire.ParseIPv4(h); ok {
		return ip.Src()
	}
	if ip, ok := wire.ParseIPv6(h); ok {
		return ip.Src()
	}
	return netip.Addr{}
}

// setState changes the state and keeps address and flags. e.mu is held.
func (e *Entry) setState(s State, f *effect) {
	e.set(e.word.Load()&^(0xff<<stateShift)|uint64(s)<<stateShift, f)
}

// set changes the word. e.mu is held.
func (e *Entry) set(w uint64, f *effect) {
	if w == e.word.Load() {
		return
	}
	e.word.Store(w)
	e.updated = e.table.cfg.Clock.Now()
	f.changed = true
	f.info = e.info()
}

// release lets the waiting packets go. e.mu is held.
func (e *Entry) release(f *effect) {
	f.mac = unpack(e.word.Load())
	f.send.Append(&e.waiting)
	e.bytes = 0
}

// info returns the snapshot. e.mu is held.
func (e *Entry) info() Info {
	w := e.word.Load()
	return Info{
		Device: e.dev, IP: e.ip, MAC: unpack(w), State: State(w >> stateShift), Router: w&routerBit != 0,
		Static: w&staticBit != 0, Confirmed: e.confirmed, Updated: e.updated, Probes: e.probes, Queued: e.waiting.Len(),
	}
}
