package ftp

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/helper"
	"github.com/knitnet/knit/wire"
)

const (
	// expectFor is how long a data connection is waited for.
	expectFor = 5 * time.Minute
	// maxLook is how much of a segment is looked at. Commands are short.
	maxLook = 2048
	// firstPort: servers must not be sent to the well-known ports of other hosts, nor
	// be let through to them (RFC 2577 §3).
	firstPort = 1024
)

// ftp is the helper in one kernel.
type ftp struct {
	track  netfilter.Tracker
	helper *netfilter.Helper
	hook   helper.Hook
	loose  atomic.Bool
}

// A said is an announcement that was made, to recognise its repetition.
type said struct {
	at   uint32 // sequence number
	text []byte // what a translation has made of it
	made bool
}

// A segment is a packet of a control connection.
type segment struct {
	pkt  *packet.Packet
	c    *netfilter.Conn
	info netfilter.Info
	seq  uint32
	done bool // it has announced something
}

// help implements netfilter.Helper.
func (f *ftp) help(pkt *packet.Packet, c *netfilter.Conn, info netfilter.Info) bool {
	l4, data, ok := helper.Payload(c.Tuples[netfilter.Original].Version, pkt, wire.ProtoTCP)
	if !ok {
		return true
	}
	h := pkt.Head()[l4:]
	g := segment{pkt: pkt, c: c, info: info, seq: binary.BigEndian.Uint32(h[4:])}
	ctl := controlOf(c)
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	s := &ctl.streams[info.Dir()]
	if h[13]&wire.TCPSyn != 0 {
		s.open(g.seq+1, c.Is(netfilter.Assured))
		return true
	}
	n := pkt.Len() - data
	if n == 0 {
		return true
	}
	var buf [maxLook]byte
	b := buf[:pkt.CopyOut(data, buf[:min(n, maxLook)])]
	r := s.read(g.seq, b)
	for line, at, ok := r.next(); ok; line, at, ok = r.next() {
		if !f.line(&g, s, line, at) {
			return false
		}
	}
	if n > maxLook {
		s.part = s.part[:0]
		return true
	}
	rest, at := r.rest()
	return len(rest) == 0 || f.rest(&g, s, at, rest)
}

func controlOf(c *netfilter.Conn) *control {
	p := &c.Extra().HelperData
	if v := p.Load(); v != nil {
		if ctl, ok := (*v).(*control); ok {
			return ctl
		}
	}
	var fresh any = new(control)
	p.CompareAndSwap(nil, &fresh)
	if ctl, ok := (*p.Load()).(*control); ok {
		return ctl
	}
	return fresh.(*control) // another helper's: this one has just been taken away
}

// rest deals with a line that goes on in another segment. If it has to be rewritten
// when it is complete, none of it may pass before: the sender will send all of it
// again.
func (f *ftp) rest(g *segment, s *stream, at uint32, b []byte) bool {
	if f.hook.Translates(g.c) && mayAnnounce(int(g.info.Dir()), b) {
		return false
	}
	s.keep(at, b)
	return true
}

// line looks at a complete line, which begins at an offset of the segment. False:
// the segment is to be dropped.
func (f *ftp) line(g *segment, s *stream, line []byte, at int) bool {
	d := g.info.Dir()
	say, ok := parse(int(d), line)
	if !ok || g.done {
		return true
	}
	addr := g.c.Tuples[d].SrcAddr()
	if !say.addr.IsValid() {
		say.addr = addr
	}
	if say.addr != addr && (!f.loose.Load() || say.addr.Is4() != addr.Is4()) || d == netfilter.Original && say.port < firstPort {
		return true
	}
	g.done = true
	return f.announce(g, s, &say, at)
}

func (f *ftp) announce(g *segment, s *stream, say *saying, at int) bool {
	d := g.info.Dir()
	where := g.seq + uint32(at)
	a := netfilter.Announcement{Pkt: g.pkt, Conn: g.c, Info: g.info, Off: at + say.off, Len: say.n, Append: say.append}
	if s.last.made && s.last.at == where {
		if s.last.text == nil {
			return true
		}
		a.Text = s.last.text
	}
	if a.Off < 0 && f.hook.Translates(g.c) {
		return false
	}
	a.Expect = f.expectation(g.c, d, say.addr, say.port)
	if !f.hook.Announce(f.track, &a) {
		return false
	}
	s.last = said{at: where, text: a.Text, made: true}
	return true
}

// expectation: the data connection goes to the address that was said. As seen by
// the other side that is another one if the control connection is translated.
func (f *ftp) expectation(c *netfilter.Conn, d netfilter.Dir, a netip.Addr, port uint16) *netfilter.Expectation {
	x := helper.Expectation(c, d)
	x.Timeout = expectFor
	x.Tuple.SetDst(a)
	x.Tuple.DstPort = port
	x.SavedAddr, x.SavedPort = x.Tuple.Dst, port
	return x
}
