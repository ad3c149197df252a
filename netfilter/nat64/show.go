package nat64

import (
	"fmt"
	"io"
	"net/netip"

	"github.com/knitnet/knit/wire"
)

func protocolName(p uint8) string {
	switch p {
	case wire.ProtoTCP:
		return "tcp"
	case wire.ProtoUDP:
		return "udp"
	}
	return "icmp"
}

func at6(a [16]byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a), port)
}

func at4(a [4]byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(a), port)
}

// writeBindings writes /proc/net/nat64/bib: the Binding Information Bases, in no
// order.
func (x *translator) writeBindings(w io.Writer) error {
	fmt.Fprintf(w, "%-5s %-47s %-21s %s\n", "proto", "inside", "outside", "sessions")
	for _, b := range x.table.bindings() {
		_, err := fmt.Fprintf(w, "%-5s %-47v %-21v %d\n",
			protocolName(b.proto), at6(b.addr, b.port), at4(b.outside.addr, b.outside.port), b.sessions)
		if err != nil {
			return err
		}
	}
	return nil
}

// writeSessions writes /proc/net/nat64/sessions: the session tables, in no order,
// with the seconds that they have left.
func (x *translator) writeSessions(w io.Writer) (err error) {
	now := x.net.Clock.Now()
	fmt.Fprintf(w, "%-5s %-47s %-21s %-21s %7s %s\n", "proto", "inside", "outside", "peer", "expires", "state")
	x.table.each(func(s *session) bool {
		end, armed := s.timer.Deadline()
		left, state := 0, "-"
		if armed {
			left = int(end.Sub(now).Seconds())
		}
		if s.proto == wire.ProtoTCP {
			s.mu.Lock()
			state = s.state.String()
			s.mu.Unlock()
		}
		_, err = fmt.Fprintf(w, "%-5s %-47v %-21v %-21v %7d %s\n", protocolName(s.proto), at6(s.addr, s.port),
			at4(s.outside.addr, s.outside.port), at4(s.peer.addr, s.peer.port), left, state)
		return err == nil
	})
	return err
}
