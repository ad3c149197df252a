package network

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
)

// A Fragment says what may happen to packets larger than the path MTU.
type Fragment uint8

// Path MTU discovery modes (IP_PMTUDISC_*).
const (
	// FragmentWant fragments here when the packet is larger than the path MTU;
	// IPv4 packets that fit have DF set.
	FragmentWant Fragment = iota
	// FragmentDont fragments and never sets DF.
	FragmentDont
	// FragmentDo always sets DF and never fragments here: larger packets are
	// dropped for PKT_TOO_BIG (senders look at Path.MTU first).
	FragmentDo
	// FragmentProbe is FragmentDo that ignores the path MTU, not the device's.
	FragmentProbe
)

// Send says how a batch is sent. The zero values of the options are the usual
// ones. A Send may be reused; Output does not keep it.
type Send struct {
	Path  *Path
	Proto uint8 // IP protocol number
	// TTL is the hop limit; 0 means the default, 64 (1 for multicast).
	TTL uint8
	// NoHops: the hop limit is really 0, so what is sent to a group stays in this
	// host (IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS of 0).
	NoHops bool
	// TOS is the type of service or traffic class.
	TOS       uint8
	Fragment  Fragment
	FlowLabel uint32 // IPv6
	// Options are IPv4 options, padded to 4 bytes; nil for none.
	Options []byte
	// NoLoop: members of the group on this host get no copy (IP_MULTICAST_LOOP
	// switched off).
	NoLoop bool
	// HeaderIncluded: packets have their IP header already (IP_HDRINCL).
	HeaderIncluded bool
	// Mark is what packets are marked with; Path is to be resolved for it.
	Mark uint32
	// Socket is whom they are from; nil for what the kernel itself answers.
	Socket *Socket
}

// Send sends a batch along s.Path and owns q. The packets begin with their
// transport header.
func (l *Layer) Send(s *Send, q *packet.Queue) {
	w := l.Walks.Enter()
	defer w.Exit()
	f := l.families[VersionOf(s.Path.Dst)].Load()
	if f == nil {
		q.Drop(stat.InvalidProto)
		return
	}
	s.note(q)
	l.own(s, q)
	f.Output(s, q)
}

// TakeRerouted takes the packets from q for which an Output hook wants another way. It
// is for Families.
func TakeRerouted(q *packet.Queue) (moved packet.Queue) {
	pkt := q.Front()
	for pkt != nil && !pkt.Reroute {
		pkt = pkt.Next()
	}
	if pkt == nil {
		return moved
	}
	in := *q
	*q = packet.Queue{}
	for pkt := in.Pop(); pkt != nil; pkt = in.Pop() {
		if !pkt.Reroute {
			q.Push(pkt)
			continue
		}
		pkt.Reroute = false
		moved.Push(pkt)
	}
	return moved
}

// Transmit gives a batch of finished IP packets to p's next hop and owns q. It
// is for Families, after their last hook.
func (p *Path) Transmit(q *packet.Queue) {
	if p.neigh != nil {
		p.neigh.Send(q)
		return
	}
	if p.Device.HeaderLen() > 0 {
		for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
			p.Device.PushHeader(pkt, p.mac)
		}
	}
	p.Device.Transmit(q)
}

// SourceFor returns the source address that would be used for dst, leaving by
// interface index (0: any).
func (l *Layer) SourceFor(dst netip.Addr, index int32) (netip.Addr, error) {
	p, err := l.Resolve(Flow{Dst: dst, Index: index})
	if err != nil {
		return netip.Addr{}, err
	}
	return p.Src, nil
}
