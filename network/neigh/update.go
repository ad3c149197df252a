package neigh

import (
	"net/netip"
	"time"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
)

// A RouterFlag is what a message says of whether its sender is a router.
type RouterFlag uint8

// Values of RouterFlag.
const (
	RouterUnknown RouterFlag = iota // says nothing
	RouterYes
	RouterNo
)

// An Update says what a received message means for its sender's entry. The usual
// ones are:
//
//	a Neighbour Advertisement     Solicited, Override and Router as its flags say
//	a Neighbour Solicitation, Redirect  Override, Create
//	a Router Advertisement        Override, Create, RouterYes
//	an ARP request for us         Override, Create
//	an ARP reply                  Solicited if it was sent to us alone, Override, Lock
type Update struct {
	// Solicited: it answers a question, so the neighbour is reachable both ways.
	Solicited bool
	// Override: it may replace another hardware address.
	Override bool
	// Create: a neighbour that is not known yet is taken up.
	Create bool
	// Router is what it says about being a router.
	Router RouterFlag
	// Lock makes Override void for so long after the last change: the first of
	// several answers wins (ARP's locktime).
	Lock time.Duration
}

// A Result says what an Update did.
type Result struct {
	// Entry is the neighbour's; nil if it is not known.
	Entry *Entry
	// Changed: it has another hardware address now.
	Changed bool
	// Conflict: it kept its address although the message had another one.
	Conflict bool
	// Demoted: it was a router and is none any more, which takes it off the list
	// of default routers (RFC 4861 §7.2.5).
	Demoted bool
}

// Update takes in what a message from neighbour ip on dev's link says; mac is the
// hardware address in it, zero if it has none. It follows RFC 4861 §7.2.5 and
// appendix C. Entries set by hand stay as they are.
func (t *Table) Update(dev *link.Device, ip netip.Addr, mac wire.MAC, u Update) (r Result) {
	e := t.find(dev, ip)
	if e == nil && u.Create && !mac.IsZero() {
		e, _ = t.Lookup(dev, ip)
	}
	if e == nil {
		return Result{}
	}
	r.Entry = e
	var f effect
	e.mu.Lock()
	e.update(mac, u, &r, &f)
	e.mu.Unlock()
	e.do(&f)
	return r
}

// update is Update with e.mu held.
func (e *Entry) update(mac wire.MAC, u Update, r *Result, f *effect) {
	w := e.word.Load()
	s := State(w >> stateShift)
	if s&fixed != 0 || w&deadBit != 0 {
		return
	}
	if s&valid == 0 {
		e.resolve(mac, u, r, f)
		return
	}
	differs := !mac.IsZero() && mac != unpack(w)
	if differs && (!u.Override || e.locked(u.Lock)) {
		// "If the state of the cache entry is REACHABLE, set it to STALE, but do
		// not update the entry in any other way."
		r.Conflict = true
		if s == Reachable && !u.Override {
			e.setState(Stale, f)
		}
		return
	}
	e.setRouter(u.Router, r, f)
	if differs {
		r.Changed = true
		e.set(e.word.Load()&^macBits|pack(mac), f)
	}
	switch {
	case u.Solicited:
		e.reach(f)
	case differs:
		e.setState(Stale, f)
	}
}

// resolve completes an entry without a hardware address. e.mu is held.
func (e *Entry) resolve(mac wire.MAC, u Update, r *Result, f *effect) {
	if mac.IsZero() {
		return
	}
	e.setRouter(u.Router, r, f)
	r.Changed = true
	e.probes = 0
	e.set(e.word.Load()&^(macBits|0xff<<stateShift)|pack(mac)|uint64(Stale)<<stateShift, f)
	if u.Solicited {
		e.reach(f)
	} else if !e.waiting.Empty() {
		// The waiting packets are its first use.
		e.setState(Delay, f)
		e.timer.ResetAfter(e.table.Params(e.dev).DelayProbe)
	}
	e.release(f)
}

// locked reports whether the entry changed less than lock ago.
func (e *Entry) locked(lock time.Duration) bool {
	return lock > 0 && e.table.cfg.Clock.Now() < e.updated.Add(lock)
}

func (e *Entry) setRouter(flag RouterFlag, r *Result, f *effect) {
	w := e.word.Load()
	switch {
	case flag == RouterYes:
		e.set(w|routerBit, f)
	case flag == RouterNo && w&routerBit != 0:
		r.Demoted = true
		e.set(w&^routerBit, f)
	}
}
