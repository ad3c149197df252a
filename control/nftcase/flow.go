package nftcase

import (
	"encoding/binary"
	"fmt"

	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/wire"
)

// A flow is a conversation of two: side 0 began it.
type flow struct {
	from site
	base *Packet
	// last is what side 1 saw last, nil as long as nothing came there.
	last *seen
	side [2]side
}

// A side is what one end of a TCP connection knows.
type side struct {
	seq, ack uint32 // the next sequence numbers it sends and expects
	sent     int    // packets that arrived at the other side
	synced   bool   // it has seen the other side's SYN
}

// Initial sequence numbers; any would do.
const (
	iss  = 1000
	iss2 = 500000
)

func (s *declare) run(r *runner, _ *Line) (res Result) {
	r.flows[s.name] = &flow{from: s.from, base: s.packet, side: [2]side{{seq: iss}, {seq: iss2}}}
	return res
}

func (s *flowing) run(r *runner, _ *Line) (res Result) {
	f := r.flows[s.name]
	if s.how == connect {
		f.connect(r, s, &res)
		return res
	}
	o, err := f.send(r, s.how, s.packet)
	if err != nil {
		res.problem("%v", err)
		return res
	}
	s.want.check(o, &res)
	res.done(o)
	return res
}

// connect sends what begins a conversation: a TCP handshake, or a packet and an
// answer. What is expected is of the first packet; the others have to pass if it does.
func (f *flow) connect(r *runner, s *flowing, res *Result) {
	steps := []manner{original, reply}
	if s.packet.l4 == "tcp" {
		steps = append(steps, original)
	}
	for i, how := range steps {
		p := s.packet
		if i > 0 {
			p = &Packet{l4: p.l4}
		}
		o, err := f.send(r, how, p)
		if err != nil {
			res.problem("%v", err)
			return
		}
		res.done(o)
		switch {
		case i == 0:
			s.want.check(o, res)
			if o.verdict != accept {
				return
			}
		case o.verdict != accept:
			res.problem("want packet %d of the beginning to pass, got %v", i+1, o)
			return
		}
	}
}

// send sends one packet of the flow, with the fields that a line adds.
func (f *flow) send(r *runner, how manner, add *Packet) (*outcome, error) {
	if how != original && f.last == nil {
		return nil, fmt.Errorf("no packet of the flow has arrived yet, so nobody answers")
	}
	p, from := f.base.clone(), f.from
	switch how {
	case reply:
		p, from = f.mirror(), f.last.at
	case icmpError:
		p, from = f.failure(add), f.last.at
	}
	p.add(add)
	dir := 0
	if how == reply {
		dir = 1
	}
	if p.l4 == "tcp" {
		f.number(p, dir)
	}
	o, err := r.inject(from, p)
	if err != nil {
		return nil, err
	}
	if o.verdict == accept && how != icmpError {
		f.arrived(dir, o)
	}
	return o, nil
}

// add adds what another description says.
func (p *Packet) add(q *Packet) {
	p.fields = append(p.fields, q.fields...)
	if q.payload != nil {
		p.payload = q.payload
	}
	if q.options != nil {
		p.options, p.said = q.options, q.said
	}
	if q.cut != 0 {
		p.cut = q.cut
	}
	if q.mark != nil {
		p.mark = q.mark
	}
}

// mirror is a packet of the other side: it answers to what it has seen.
func (f *flow) mirror() *Packet {
	p := &Packet{l4: f.base.l4}
	src, dst := ends(f.last.b)
	p.setAddr(true, dst.Addr())
	p.setAddr(false, src.Addr())
	switch p.l4 {
	case "icmp", "icmpv6":
		typ := byte(0) // echo reply
		if p.l4 == "icmpv6" {
			typ = 129
		}
		p.set(rule.HeaderByName(p.l4).Field("type"), []byte{typ})
		for _, name := range []string{"id", "sequence"} {
			field := rule.HeaderByName(p.l4).Field(name)
			if v := f.last.field(field); v != nil {
				p.set(field, v)
			}
		}
	default:
		if rule.HeaderByName(p.l4) != nil && rule.HeaderByName(p.l4).Field("sport") != nil {
			p.setPort(true, dst.Port())
			p.setPort(false, src.Port())
		}
	}
	return p
}

// maxQuote is how much of a packet an ICMP error quotes (RFC 1812 §4.3.2.3).
const maxQuote = 548

// failure is the ICMP error that the other side, or a router if its address is said,
// sends about the last packet.
func (f *flow) failure(add *Packet) *Packet {
	p := &Packet{l4: add.l4, payload: f.last.b[:min(len(f.last.b), maxQuote)]}
	src, dst := ends(f.last.b)
	p.setAddr(true, dst.Addr())
	p.setAddr(false, src.Addr())
	return p
}

// number gives a TCP segment the flags and the numbers that are due, but for those
// that the line has said.
func (f *flow) number(p *Packet, dir int) {
	me := &f.side[dir]
	field := func(name string) *rule.Field { return rule.HeaderByName("tcp").Field(name) }
	if !p.has("tcp", "flags") {
		p.set(field("flags"), []byte{f.dueFlags(p, dir)})
	}
	if !p.has("tcp", "sequence") {
		p.set(field("sequence"), binary.BigEndian.AppendUint32(nil, me.seq))
	}
	if p.get("tcp", "flags")[0]&wire.TCPAck != 0 && !p.has("tcp", "ackseq") {
		p.set(field("ackseq"), binary.BigEndian.AppendUint32(nil, me.ack))
	}
}

// dueFlags are the flags of the next segment: SYN first, then ACK, with PSH if it
// carries something.
func (f *flow) dueFlags(p *Packet, dir int) byte {
	me := &f.side[dir]
	switch {
	case me.sent == 0 && me.synced:
		return wire.TCPSyn | wire.TCPAck
	case me.sent == 0 && dir == 0:
		return wire.TCPSyn
	case len(p.payload) > 0:
		return wire.TCPAck | wire.TCPPsh
	}
	return wire.TCPAck
}

// arrived notes what the receiver of a packet knows now.
func (f *flow) arrived(dir int, o *outcome) {
	s := &o.out[0]
	if dir == 0 {
		f.last = s
	}
	me, peer := &f.side[dir], &f.side[1-dir]
	me.sent++
	proto, at := headers(s.b)
	if proto != wire.ProtoTCP || len(s.b) < at+wire.TCPLen {
		return
	}
	h := s.b[at:]
	n := uint32(max(len(h)-int(h[12]>>4)*4, 0))
	if h[13]&wire.TCPSyn != 0 {
		n++
		peer.synced = true
	}
	if h[13]&wire.TCPFin != 0 {
		n++
	}
	if _, from := headers(o.input); binary.BigEndian.Uint32(o.input[from+4:]) != me.seq {
		return // the line has said another number: it is not the one that is due
	}
	peer.ack = binary.BigEndian.Uint32(h[4:]) + n
	me.seq += n
}
