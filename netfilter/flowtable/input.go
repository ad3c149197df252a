package flowtable

import (
	"encoding/binary"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A batch is a batch of received packets at work. Packets of one flow come in runs as
// a rule, and need one lookup.
type batch struct {
	table *table
	now   clock.Time
	in    int32
	// forwards says by IP version whether this host is a router for the batch; asked
	// says whether that is known.
	forwards, asked [2]bool

	key  key
	half *half // of key, nil if there is none
	path *network.Path
	// held is a half of which a packet has taken the slow way: the others behind it in
	// the batch must not overtake it. all: so have several, or one that may be of any
	// flow.
	held *half
	all  bool
}

// A frame is a packet whose headers have been found good.
type frame struct {
	v     network.Version
	l4    int   // where the transport header begins
	proto uint8 // TCP or UDP
	size  int   // of the packet, without padding of the link
	odd   bool  // it is none of those that are read here, but may be of a flow
}

// input is the Ingress hook: it sends on what is of a known flow. q keeps what is sent,
// run for run, because a queue of its own would be allocated; at the end it gets back
// what goes on through the other hooks.
func (t *table) input(q *packet.Queue) {
	first := q.Front()
	if first == nil || !t.watches(first.In) {
		return
	}
	b := batch{table: t, now: t.flows.net.Clock.Now(), in: first.In}
	var slow packet.Queue
	var last *network.Path
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if !b.take(pkt) {
			slow.Push(pkt)
			continue
		}
		if b.path != last {
			send(last, q)
			last = b.path
		}
		q.Push(pkt)
	}
	send(last, q)
	*q = slow
}

func send(path *network.Path, q *packet.Queue) {
	if !q.Empty() {
		path.Transmit(q)
		*q = packet.Queue{}
	}
}

// take makes a packet ready to be sent by b.path, or leaves it as it is and returns
// false.
func (b *batch) take(pkt *packet.Packet) bool {
	if b.all || pkt.Kind != packet.Host {
		return false
	}
	var f frame
	var k key
	switch pkt.Proto {
	case wire.EtherTypeIPv4:
		if !f.read4(pkt, &k, b.in) {
			b.all = f.odd
			return false
		}
	case wire.EtherTypeIPv6:
		if !f.read6(pkt, &k, b.in) {
			b.all = f.odd
			return false
		}
	default:
		return false
	}
	if b.half == nil || b.key != k {
		b.key = k
		if !b.lookUp() {
			return false
		}
	}
	return b.passes(pkt, &f)
}

// lookUp finds the flow of b.key.
func (b *batch) lookUp() bool {
	if b.half = b.table.index.find(&b.key); b.half == nil {
		return false
	}
	c := b.half.flow.conn
	if c.Status.Load()&(netfilter.Dying|netfilter.Offload) != netfilter.Offload {
		b.table.tearDown(b.half)
		b.half = nil
		return false
	}
	b.half.flow.touch(b.now)
	return true
}

// passes decides about a packet of b.half, and rewrites it if it can be sent.
func (b *batch) passes(pkt *packet.Packet, f *frame) bool {
	h := b.half
	head := pkt.Head()
	if f.proto == wire.ProtoTCP && head[f.l4+13]&(wire.TCPFin|wire.TCPSyn|wire.TCPRst) != 0 {
		b.table.tearDown(h) // connection tracking has to see how it ends
		b.half = nil
		return false
	}
	path := h.path.Load()
	if h == b.held || path == nil || !path.Valid() || !b.mayForward(f.v) || f.sent(pkt) > path.MTU() || f.alone(head) {
		b.all = b.held != nil && b.held != h
		b.held = h
		return false
	}
	pkt.TrimTo(f.size)
	h.rewrite(pkt, f)
	pkt.Out, b.path = path.Device.Index(), path
	if a := h.flow.conn.Acct; a != nil && b.table.cfg.Counter {
		a[h.dir].Packets.Add(uint64(max(pkt.GSOSegs, 1)))
		a[h.dir].Bytes.Add(uint64(f.size))
	}
	return true
}

// alone reports whether the slow way has to see a packet that is otherwise as it
// should be: its hop limit ends here.
func (f *frame) alone(head []byte) bool {
	if f.v == network.V4 {
		return head[8] <= 1
	}
	return head[7] <= 1
}

func (b *batch) mayForward(v network.Version) bool {
	if !b.asked[v] {
		b.asked[v], b.forwards[v] = true, b.table.flows.net.Forwarding(v, b.in)
	}
	return b.forwards[v]
}

// read4 reads an IPv4 packet, and fails for those that need a closer look: options,
// fragments, what is no TCP and no UDP, what is damaged.
func (f *frame) read4(pkt *packet.Packet, k *key, in int32) bool {
	const l4 = wire.IPv4Len
	if !pkt.Ensure(l4 + wire.UDPLen) {
		return false
	}
	h, ok := wire.ParseIPv4(pkt.Head())
	if !ok {
		return false
	}
	b := pkt.Head()
	if b[0] != 4<<4|l4/4 || b[6]&0x3f|b[7] != 0 || !h.ChecksumOK() {
		f.odd = b[9] == wire.ProtoTCP || b[9] == wire.ProtoUDP
		return false
	}
	*f = frame{v: network.V4, l4: l4, proto: b[9], size: h.TotalLen()}
	if !f.sound(pkt) {
		f.odd = f.proto == wire.ProtoTCP || f.proto == wire.ProtoUDP
		return false
	}
	b = pkt.Head()
	k.addr = [4]uint64{binary.BigEndian.Uint64(b[12:])}
	k.set(network.V4, f.proto, in, binary.BigEndian.Uint32(b[l4:]))
	return true
}

// read6 reads an IPv6 packet without extension headers.
func (f *frame) read6(pkt *packet.Packet, k *key, in int32) bool {
	const l4 = wire.IPv6Len
	if !pkt.Ensure(l4 + wire.UDPLen) {
		return false
	}
	h, ok := wire.ParseIPv6(pkt.Head())
	if !ok {
		return false
	}
	*f = frame{v: network.V6, l4: l4, proto: h.NextHeader(), size: h.TotalLen()}
	if wire.IsIPv6Ext(f.proto) || !f.sound(pkt) {
		f.odd = f.proto != wire.ProtoICMPv6
		return false
	}
	b := (*[l4 + 4]byte)(pkt.Head())
	for i := range k.addr {
		k.addr[i] = binary.BigEndian.Uint64(b[8+8*i:])
	}
	k.set(network.V6, f.proto, in, binary.BigEndian.Uint32(b[l4:]))
	return true
}

// sound reports whether the transport header is such as connection tracking would
// take; its checksum nobody here looks at.
func (f *frame) sound(pkt *packet.Packet) bool {
	n := f.size - f.l4
	if f.size > pkt.Len() {
		return false
	}
	switch f.proto {
	case wire.ProtoTCP:
		return n >= wire.TCPLen && pkt.Ensure(f.l4+wire.TCPLen)
	case wire.ProtoUDP:
		if n < wire.UDPLen {
			return false
		}
		b := pkt.Head()[f.l4 : f.l4+wire.UDPLen]
		length := int(binary.BigEndian.Uint16(b[4:]))
		return length >= wire.UDPLen && length <= n
	}
	return false
}

// sent is the length of the packet, or of the longest segment that it will be cut
// into, in bytes.
func (f *frame) sent(pkt *packet.Packet) int {
	if pkt.GSO == packet.GSONone {
		return f.size
	}
	n := f.l4 + wire.UDPLen
	if f.proto == wire.ProtoTCP {
		n = f.l4 + int(pkt.Head()[f.l4+12]>>4)*4
	}
	return min(f.size, n+int(pkt.GSOSize))
}
