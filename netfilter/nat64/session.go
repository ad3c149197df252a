package nat64

import (
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/wire"
)

// maxStored is how many SYNs from outside may wait for one from inside: RFC 6146 §5.3
// wants a limit, because each holds a packet.
const maxStored = 32

func (s *session) isGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// touch gives a session the lifetime that a packet brings it, and a TCP session its
// next state. It reports false when the session has ended meanwhile.
func (s *session) touch(from side, flags uint8) bool {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return false
	}
	var let *packet.Packet
	switch t := &s.table.timeouts; s.proto {
	case wire.ProtoTCP:
		var l life
		if s.state, l = s.state.next(from, flags); s.state == established {
			let, s.stored = s.stored, nil
		}
		if d := t.of(l); d > 0 {
			s.timer.ResetAfter(d)
		}
	case wire.ProtoUDP:
		s.timer.ResetAfter(t.udp)
	default:
		s.timer.ResetAfter(t.icmp)
	}
	s.mu.Unlock()
	if let != nil { // its sender will send it again
		let.Consume()
		s.table.nstored.Add(-1)
		s.table.admit(s)
	}
	return true
}

// store keeps a SYN from outside that the filter does not let in: one from inside
// may be on its way, as with a simultaneous open (RFC 6146 §3.5.2.2). It owns pkt
// if it returns stored; only a session that nobody has used yet can store.
func (s *session) store(pkt *packet.Packet) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
		return stopped
	case s.state == v4Init && s.stored != nil: // sent again
		pkt.Consume()
		return stored
	case s.state != closed:
		return found // somebody has let it in meanwhile
	}
	if s.table.nstored.Add(1) > maxStored {
		s.table.nstored.Add(-1)
		s.timer.ResetAfter(0)
		return full
	}
	s.state, s.stored = v4Init, pkt
	s.timer.ResetAfter(tcpIncomingSyn)
	return stored
}

// waits reports whether s has stored a packet: only one from inside makes it a
// session.
func (s *session) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored != nil
}

// expire acts when the session's time is up. Of a TCP connection that is established
// one end is asked whether it lives, and it gets some more time then (RFC 6146
// §3.5.2.2).
func (s *session) expire(clock.Time) {
	s.mu.Lock()
	if s.gone || s.timer.Active() { // a packet came just now
		s.mu.Unlock()
		return
	}
	if s.state == established {
		s.state = trans
		s.timer.ResetAfter(s.table.timeouts.tcpTrans)
		s.mu.Unlock()
		s.table.probe(s)
		return
	}
	pkt := s.leave()
	s.mu.Unlock()
	s.table.remove(s)
	if pkt != nil {
		s.table.refused(pkt)
	}
}

// leave marks s as gone and returns the packet that it had stored; s.mu is held.
func (s *session) leave() *packet.Packet {
	pkt := s.stored
	s.gone, s.stored = true, nil
	if pkt != nil {
		s.table.nstored.Add(-1)
	}
	return pkt
}

// end ends s now.
func (s *session) end() {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	pkt := s.leave()
	s.mu.Unlock()
	s.timer.StopWait()
	s.table.remove(s)
	if pkt != nil {
		pkt.Drop(stat.ModuleUnload)
	}
}
