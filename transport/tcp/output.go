package tcp

import (
	"cmp"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
	"github.com/knitnet/knit/wire"
)

// output sends what the machine wants sent. c.mu is held, and stays held while
// the packets travel.
func (c *conn) output(now clock.Time) {
	q := &c.out
	for {
		seg, ok := c.tcb.Output(now)
		if !ok {
			break
		}
		c.countSent(&seg)
		pkt := c.t.net.Pool.Get()
		if seg.Len > 0 && !c.snd.attach(pkt, c.offset(seg.Seq), seg.Len) {
			pkt.Drop(stat.NoMem) // the retransmission timer brings it back
			continue
		}
		pushHeader(pkt, &seg, c.key.localPort, c.key.remotePort, c.pseudo, c.key.version)
		q.Push(pkt)
	}
	if q.Empty() {
		return
	}
	if c.path(now) {
		c.t.net.Send(&c.send, q)
		return
	}
	q.Drop(stat.IPOutNoRoutes)
}

// offset returns the place of a sequence number in the stream.
func (c *conn) offset(s tcb.Seq) uint64 {
	base := c.snd.base // only the holder of c.mu changes it
	return base + uint64(uint32(s)-uint32(c.tcb.FirstSeq())-uint32(base))
}

// path makes sure that c.send.Path is good. Without a route the segments are
// lost, and the machine learns of it as of an ICMP error.
func (c *conn) path(now clock.Time) bool {
	if p := c.send.Path; p != nil && p.Valid() {
		return true
	}
	p, err := c.t.net.Resolve(c.key.flow(c.outIndex(), c.send.TOS, c.send.Mark, c.send.Socket))
	if err != nil {
		c.send.Path = nil
		c.tcb.SoftError(errnoOf(err))
		return false
	}
	c.send.Path = p
	if c.mtu != p.MTU() {
		c.mtu = p.MTU()
		c.tcb.UpdateMTU(now, c.mtu)
	}
	return true
}

// outIndex is the interface the connection is bound to: by the application, or
// by the link its peer's address belongs to.
func (c *conn) outIndex() int32 {
	if c.index != 0 {
		return c.index
	}
	return c.key.index
}

func (c *conn) countSent(seg *tcb.Segment) {
	m := &c.t.mib
	n := uint64(1)
	if seg.Cut != 0 && seg.Len > int(seg.Cut) {
		n = uint64((seg.Len + int(seg.Cut) - 1) / int(seg.Cut))
	}
	m.outSegs.Add(n)
	if seg.Rexmit {
		m.retransSegs.Add(n)
	}
	if seg.Flags&tcb.RST != 0 {
		m.outRsts.Inc()
	}
}

// reset answers a segment that belongs to no connection (RFC 9293 §3.10.7.1).
// It does not end pkt. l is the listener that does not want it, nil if there is none: it
// is the one that answers then, as on Linux.
func (t *tcp) reset(pkt *packet.Packet, h wire.TCP, l *listener) {
	var in tcb.Segment
	peek := pkt.Clone()
	readSegment(peek, h, &in)
	peek.Consume()
	out, ok := tcb.ResetFor(&in)
	if !ok {
		return
	}
	k := t.tupleOf(pkt, h)
	m := manner{mark: t.net.ReplyMark(k.version, pkt.Mark)}
	switch {
	case l != nil:
		m.mark, m.socket = cmp.Or(m.mark, l.opts.Mark), l.own
	case k.version == network.V4:
		m.socket = t.net.OwnSocket() // of IPv6, Linux's resets are from none
	}
	p, err := t.way(&k, m)
	if err != nil {
		return
	}
	t.mib.outRsts.Inc()
	t.transmit(&k, p, m, &out)
}

// A manner is how segments are sent that no conn owns. The zero manner is the kernel's
// own: it has no mark, and is nobody's.
type manner struct {
	ttl, tos uint8 // 0: the default
	index    int32 // bound to an interface
	mark     uint32
	socket   *network.Socket
}

// way resolves the path to the peer of a tuple without a conn.
func (t *tcp) way(k *tuple, m manner) (*network.Path, error) {
	return t.net.Resolve(k.flow(cmp.Or(m.index, k.index), m.tos, m.mark, m.socket))
}

// flow is what the way of segments to the peer depends on.
func (k *tuple) flow(index int32, tos uint8, mark uint32, s *network.Socket) network.Flow {
	f := network.Flow{
		Dst: k.remoteAddr().Addr(), Src: k.localAddr().Addr(), Index: index, Mark: mark,
		TOS: tos, Proto: wire.ProtoTCP, SrcPort: k.localPort, DstPort: k.remotePort,
	}
	if s != nil {
		f.UID = s.UID
	}
	return f
}

// A single is a segment on its way that no conn owns. Strangers cause them, so they
// are used again.
type single struct {
	send network.Send
	q    packet.Queue
}

// transmit sends one segment without payload that no conn owns.
func (t *tcp) transmit(k *tuple, p *network.Path, m manner, seg *tcb.Segment) {
	s, _ := t.singles.Get().(*single)
	if s == nil {
		s = new(single)
	}
	s.send = network.Send{Path: p, Proto: wire.ProtoTCP, TTL: m.ttl, TOS: m.tos, Mark: m.mark, Socket: m.socket}
	pkt := t.net.Pool.Get()
	pushHeader(pkt, seg, k.localPort, k.remotePort, k.pseudoSum(), k.version)
	s.q.Push(pkt)
	t.mib.outSegs.Inc()
	t.net.Send(&s.send, &s.q)
	s.send = network.Send{}
	t.singles.Put(s)
}
