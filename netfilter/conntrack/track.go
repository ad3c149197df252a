package conntrack

import (
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// track finds or makes the connection of each packet that comes in or is sent. It
// is the hook at PREROUTING and OUTPUT.
func (t *tracker) track(v network.Version, q *packet.Queue) {
	var r run
	p := look{v: v, now: t.clock.Now()}
	passed := 0
	for p.pkt = q.Front(); p.pkt != nil && t.trackOne(&p, &r); p.pkt = p.pkt.Next() {
		passed += 1 + t.trackRun(&p, &r)
	}
	if p.pkt == nil {
		return
	}
	var out packet.Queue
	for range passed {
		out.Push(q.Pop())
	}
	q.Pop().Drop(stat.NetfilterDrop)
	for p.pkt = q.Pop(); p.pkt != nil; p.pkt = q.Pop() {
		if t.trackOne(&p, &r) {
			out.Push(p.pkt)
		} else {
			p.pkt.Drop(stat.NetfilterDrop)
		}
	}
	*q = out
}

// trackOne returns false when the packet is to be dropped: the table is full.
func (t *tracker) trackOne(p *look, r *run) bool {
	zone, seen := t.noted(p.pkt)
	if seen {
		return true // it was here before it came over the loopback device
	}
	if r.node != nil && r.again(p.pkt) {
		return t.trackAgain(p, r, zone)
	}
	var tuple netfilter.Tuple
	off, ok := tupleOf(p.v, p.pkt, &tuple)
	if !ok {
		t.invalid(p, &tuple, "headers cannot be read")
		return true
	}
	p.off = off
	if !t.sound(p, &tuple) {
		t.unsound(p, &tuple)
		return true
	}
	if untracked(&tuple) {
		p.pkt.Track = uint8(netfilter.Untracked)
		return true
	}
	if isICMPError(&tuple) {
		t.relate(p, &tuple, zone)
		return true
	}
	tuple.Zone = zone
	return t.resolve(p, r, &tuple)
}

// resolve finds the connection of a tuple or makes it, and lets its protocol look
// at the packet.
func (t *tracker) resolve(p *look, r *run, tuple *netfilter.Tuple) bool {
	for {
		n := r.node
		if n == nil || &n.e.Tuples[n.dir] != tuple && n.e.Tuples[n.dir] != *tuple || n.e.dead(p.now) {
			n = t.table.find(tuple, p.now)
			if n == nil {
				n = r.find(tuple)
			}
			if n == nil {
				return t.begin(p, r, tuple)
			}
			r.node = n
			r.remember(p)
		}
		p.dir = n.dir
		switch t.follow(p, n.e) {
		case fine:
			t.accept(p, n)
			return true
		case invalid:
			t.invalid(p, tuple, "invalid packet for the connection's state or window")
			return true
		case refused:
			t.accept(p, n)
			t.kill(n.e)
			return true
		case reopen:
			t.kill(n.e)
			r.node = nil
		}
	}
}

func (t *tracker) follow(p *look, e *entry) outcome {
	var o outcome
	if e.proto == udpProtocol {
		o = followUDP(t, e, p)
	} else {
		e.mu.Lock()
		o = e.follow(t, p)
		e.mu.Unlock()
	}
	if p.events != 0 {
		t.Note(&e.Conn, p.events)
		p.events = 0
	}
	return o
}

// accept makes the packet one of the connection.
func (t *tracker) accept(p *look, n *node) {
	info := netfilter.Established
	switch {
	case n.dir == netfilter.Reply:
		info = netfilter.EstablishedReply
		if n.e.set(netfilter.SeenReply) {
			t.Note(&n.e.Conn, netfilter.EventReply)
		}
	case n.e.Is(netfilter.SeenReply):
	case n.e.Is(netfilter.Expected):
		info = netfilter.Related
	default:
		info = netfilter.New
	}
	t.count(n.e, n.dir, p.pkt)
	t.set(p.pkt, n.e, info)
}

func (t *tracker) set(pkt *packet.Packet, e *entry, info netfilter.Info) {
	t.slot.Set(pkt, e)
	pkt.Track = uint8(info)
}

func (t *tracker) count(e *entry, d netfilter.Dir, pkt *packet.Packet) {
	if a := e.Acct; a != nil {
		a[d].Packets.Add(uint64(max(pkt.GSOSegs, 1)))
		a[d].Bytes.Add(uint64(pkt.Len()))
	}
}

// begin makes a connection, which stays out of the table until its first packet
// has passed all hooks.
func (t *tracker) begin(p *look, r *run, tuple *netfilter.Tuple) bool {
	reply, ok := invert(tuple)
	if !ok {
		t.invalid(p, tuple, "begins no connection")
		return true
	}
	if !t.room(tuple, p.now) {
		t.stats.drop.Inc()
		t.logFull(p.now)
		return false
	}
	e := newEntry(tuple, &reply, protocolOf(p.v, tuple.Proto))
	p.dir = netfilter.Original
	if !e.begin(t, p) || e.follow(t, p) != fine {
		t.invalid(p, tuple, "begins no connection")
		return true
	}
	p.events = 0 // of what is not in the table nobody hears
	info := netfilter.New
	if t.foreseen(e) {
		info = netfilter.Related
	}
	t.assign(e)
	t.prepare(e, p.now)
	t.count(e, netfilter.Original, p.pkt)
	t.set(p.pkt, e, info)
	r.note(e)
	return true
}

// confirm enters the connection of a new packet that has passed all other hooks.
// It is the last hook at INPUT and POSTROUTING.
func (t *tracker) confirm(q *packet.Queue) {
	if t.allSettled(q) {
		return
	}
	var out packet.Queue
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		if t.confirmOne(pkt) {
			out.Push(pkt)
			continue
		}
		t.stats.insertFailed.Inc()
		pkt.Drop(stat.NetfilterDrop)
	}
	*q = out
}

func (t *tracker) confirmOne(pkt *packet.Packet) bool {
	e, ok := t.slot.Get(pkt)
	if !ok || e == nil {
		return true
	}
	switch status := e.Status.Load(); {
	case status&netfilter.Template != 0:
	case status&netfilter.Confirmed == 0:
		return netfilter.Info(pkt.Track).Dir() == netfilter.Reply || t.enter(pkt, e) // an answer begins nothing
	case e.events.Load() != 0:
		t.flushEvents(e)
	}
	return true
}

// allSettled reports whether confirmOne has nothing to do for any packet.
func (t *tracker) allSettled(q *packet.Queue) bool {
	var last *entry
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		if e, _ := t.slot.Get(pkt); e != last && e != nil {
			if !e.settled() {
				return false
			}
			last = e
		}
	}
	return true
}

func (e *entry) settled() bool {
	status := e.Status.Load()
	return status&netfilter.Template != 0 || status&netfilter.Confirmed != 0 && e.events.Load() == 0
}

// enter adds e to the table. When another packet has been quicker, both go on as
// one connection if their protocol allows; else the packet is lost, as Linux has it.
func (t *tracker) enter(pkt *packet.Packet, e *entry) bool {
	if e.Is(netfilter.Dying) {
		return true // it is over before it has begun
	}
	now := t.clock.Now()
	clash := t.table.insert(e, now)
	if clash == nil {
		t.entered(e)
		return true
	}
	if e.proto != udpProtocol || clash.dir != netfilter.Original || clash.e.Tuples != e.Tuples {
		return false
	}
	t.stats.clash.Inc()
	t.count(clash.e, netfilter.Original, pkt)
	t.set(pkt, clash.e, netfilter.New)
	return true
}

// entered counts and tells of e, which is in the table unless somebody has just ended it.
func (t *tracker) entered(e *entry) {
	if !e.Is(netfilter.Confirmed) {
		return
	}
	t.stats.insert.Inc()
	t.armGC()
	t.checkHelper(e)
	kind := netfilter.EventNew
	if e.Is(netfilter.Expected) {
		kind = netfilter.EventRelated
	}
	t.tell(kind|netfilter.EventKind(e.events.Swap(0)), e)
}

func isICMPError(t *netfilter.Tuple) bool {
	typ := uint8(t.DstPort >> 8)
	switch {
	case t.Proto == wire.ProtoICMP && t.Version == network.V4:
		return wire.IsICMP4Error(typ)
	case t.Proto == wire.ProtoICMPv6 && t.Version == network.V6:
		return typ < 128
	}
	return false
}

// relate gives an ICMP error the connection of the packet it is about (RFC 5508
// §4.2 asks for it of NATs).
func (t *tracker) relate(p *look, outer *netfilter.Tuple, zone uint16) {
	p.pkt.Ensure(min(p.pkt.Len(), maxQuote))
	b := p.pkt.Head()[p.off:]
	var inner netfilter.Tuple
	if len(b) < wire.ICMPLen || !quotedTuple(p.v, b[wire.ICMPLen:], &inner) {
		t.invalid(p, outer, "quotes nothing that can be read")
		return
	}
	back, ok := invert(&inner)
	back.Zone = zone
	n := (*node)(nil)
	if ok {
		n = t.table.find(&back, p.now)
	}
	// Who gets the error must be who has sent the quoted packet: nobody else is
	// entitled to errors about it.
	if n == nil || destination(p) != inner.Src {
		t.invalid(p, outer, "error about no connection of its receiver")
		t.stats.icmpError.Inc()
		return
	}
	// The quoted packet went the other way: the error belongs to the direction of the
	// answers to it.
	info := netfilter.Related
	if n.dir == netfilter.Reply {
		info = netfilter.RelatedReply
	}
	t.set(p.pkt, n.e, info)
}

// unsound counts a packet whose transport header cannot be believed.
func (t *tracker) unsound(p *look, tuple *netfilter.Tuple) {
	t.invalid(p, tuple, "bad length or checksum")
	t.stats.icmpError.Inc()
}

// destination returns where a packet goes, as tuples have it.
func destination(p *look) (a [16]byte) {
	if p.v == network.V4 {
		copy(a[:4], p.pkt.Head()[16:20])
		return a
	}
	return [16]byte(p.pkt.Head()[24:40])
}

// untracked reports whether a message is of neighbour discovery or of multicast
// listeners: those are no part of any connection, and rules must be able to tell
// them from what is invalid.
func untracked(t *netfilter.Tuple) bool {
	if t.Proto != wire.ProtoICMPv6 || t.Version != network.V6 {
		return false
	}
	switch t.DstPort >> 8 {
	case 130, 131, 132, 133, 134, 135, 136, 143:
		return true
	}
	return false
}

// maxQuote is how much of an ICMP error is looked at: the headers and the part of
// the quotation that names the connection.
const maxQuote = 256
