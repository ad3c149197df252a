package tcp

import (
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
	"github.com/knitnet/knit/wire"
)

// SYN cookies: the SYN-ACK's sequence number remembers the handshake, so that a
// flood of SYNs costs no memory. It holds, from the top, a 24-bit keyed hash and 8
// bits of state: a minute counter (2), the MSS (3), and the peer's SACK (1). With
// timestamps the window scale travels in the low bits of the timestamp.
const (
	cookieLife = 2 // minutes that a cookie is believed, as in Linux
	// cookieWindow is how long after the last overflow cookies are believed.
	cookieWindow = 2 * time.Minute
	noScale      = 15
)

// cookieMSS are the segment sizes that a cookie can express.
var cookieMSS = [8]uint16{216, 536, 1220, 1300, 1400, 1440, 1460, 8960}

func mssIndex(mss uint16) uint32 {
	i := len(cookieMSS) - 1
	for i > 0 && cookieMSS[i] > mss {
		i--
	}
	return uint32(i)
}

// sendCookie answers a SYN without keeping anything. It owns pkt.
func (l *listener) sendCookie(pkt *packet.Packet, h wire.TCP, k *tuple) {
	var seg tcb.Segment
	readSegment(pkt, h, &seg)
	m := l.manner(pkt)
	pkt.Consume()
	p, err := l.t.way(k, m)
	if err != nil {
		return
	}
	cfg := l.t.settings.tcb.Load()
	overhead := 40
	if k.version == network.V6 {
		overhead = 60
	}
	mss := uint16(536)
	if seg.Has&tcb.HasMSS != 0 {
		mss = seg.MSS
	}
	minute := l.t.minute()
	bits := minute&3<<6 | mssIndex(mss)<<3
	if seg.Has&tcb.HasSACKPermitted != 0 && !cfg.NoSACK {
		bits |= 4
	}
	out := tcb.Segment{
		Seq: l.t.cookieSeq(k, seg.Seq, minute, bits), Ack: seg.Seq + 1, Flags: tcb.SYN | tcb.ACK,
		Window: uint16(min(cfg.RcvBuf.Default, 65535)),
	}
	out.Has, out.MSS = tcb.HasMSS, uint16(min(p.MTU()-overhead, 65535))
	if seg.Has&tcb.HasTimestamps != 0 && !cfg.NoTimestamps {
		out.Has |= tcb.HasTimestamps | seg.Has&tcb.HasSACKPermitted
		scale := uint32(noScale)
		if seg.Has&tcb.HasWScale != 0 && !cfg.NoWindowScale {
			scale = uint32(min(seg.WScale, 14))
			out.Has |= tcb.HasWScale
			out.WScale = cookieScale
		}
		out.TSEcr = seg.TSVal
		out.TSVal = endingIn(scale, l.t.timestamp(k))
	} else if bits&4 != 0 {
		out.Has |= tcb.HasSACKPermitted
	}
	l.t.mib.cookiesSent.Inc()
	l.t.transmit(k, p, m, &out)
}

// cookieScale is the window scale that SYN-ACKs with a cookie announce.
const cookieScale = 7

func (t *tcp) minute() uint32 { return uint32(time.Duration(t.clock.Now()) / time.Minute) }

// timestamp is the clock that connections use in TSVal: milliseconds.
func (t *tcp) timestamp(k *tuple) uint32 {
	return uint32(time.Duration(t.clock.Now())/time.Millisecond) + t.secret.timestampOffset(k)
}

// endingIn returns the latest timestamp up to now whose low 4 bits are scale. A
// later one would make the peer discard what is sent until then (RFC 7323 §5.3).
func endingIn(scale, now uint32) uint32 {
	ts := now&^15 | scale
	if scale > now&15 {
		ts -= 16
	}
	return ts
}

// cookieSeq returns a sequence number that holds 8 bits and authenticates them,
// the tuple, the peer's number and the minute, of which bits holds only the end:
// a cookie must not become good again when that repeats.
func (t *tcp) cookieSeq(k *tuple, peer tcb.Seq, minute, bits uint32) tcb.Seq {
	mac := uint32(t.secret.hash(forCookie, k, uint64(peer)<<32|uint64(minute&0xffffff)<<8|uint64(bits))) & 0xffffff
	return tcb.Seq(mac<<8 | bits)
}

// readCookie returns the bits of a cookie that is ours and not too old.
func (t *tcp) readCookie(k *tuple, iss, irs tcb.Seq) (bits uint32, ok bool) {
	bits = uint32(iss) & 0xff
	minute := t.minute()
	age := (minute - bits>>6) & 3
	return bits, age < cookieLife && t.cookieSeq(k, irs, minute-age, bits) == iss
}

// cookie takes the final ACK of a handshake that was answered with a cookie. It
// reports false, and leaves pkt alone, when it is none that we sent.
func (l *listener) cookie(pkt *packet.Packet, h wire.TCP, k *tuple) bool {
	last := l.overflow.Load()
	if last == 0 || time.Duration(int64(l.t.clock.Now())-last) > cookieWindow {
		return false
	}
	iss, irs := tcb.Seq(h.Ack()-1), tcb.Seq(h.Seq()-1)
	bits, ok := l.t.readCookie(k, iss, irs)
	if !ok {
		l.t.mib.cookiesFailed.Inc()
		return false
	}
	l.t.mib.cookiesRecv.Inc()
	if l.overflows() {
		pkt.Drop(stat.SocketBacklog)
		return true
	}
	c, now, err := l.newConn(pkt, k)
	if err != nil {
		return false
	}
	defer c.kick(0)
	defer c.mu.Unlock()
	if !l.adopt(c) { // a copy of this segment came first: no reset for that one
		c.gone = true
		pkt.Drop(stat.SocketBacklog)
		return true
	}
	var seg tcb.Segment
	readSegment(pkt, h, &seg)
	ck := tcb.Cookie{ISS: iss, IRS: irs, Window: seg.Window, OurWScale: cookieScale}
	ck.Has, ck.MSS = tcb.HasMSS, cookieMSS[bits>>3&7]
	if bits&4 != 0 {
		ck.Has |= tcb.HasSACKPermitted
	}
	if seg.Has&tcb.HasTimestamps != 0 {
		ck.Has |= tcb.HasTimestamps
		ck.TSVal, ck.TSEcr = seg.TSVal, seg.TSEcr
		if scale := (seg.TSEcr) & 15; scale != noScale {
			ck.Has |= tcb.HasWScale
			ck.WScale = uint8(scale)
		}
	}
	l.t.mib.passiveOpens.Inc()
	c.tcb.AcceptCookie(now, l.t.settings.tcb.Load(), c.start(now, 0), &ck)
	c.tcb.Input(now, &seg, pkt)
	c.applyOptions(now, &l.opts)
	c.after(now)
	return true
}
