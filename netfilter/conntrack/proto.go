package conntrack

import (
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// An outcome is what a protocol makes of a packet.
type outcome uint8

const (
	fine    outcome = iota
	invalid         // it does not belong to the connection
	reopen          // the connection is over, and the packet begins another one
	refused         // it ends a connection that never was
)

// A protocol knows the states of connections. Its functions are called by a switch
// and not through pointers, so that a look stays on the stack.
type protocol uint8

const (
	genericProtocol protocol = iota
	tcpProtocol
	udpProtocol
	icmpProtocol
	sctpProtocol
)

// begin looks at the first packet; false: it cannot begin a connection.
func (e *entry) begin(t *tracker, p *look) bool {
	switch e.proto {
	case tcpProtocol:
		return beginTCP(t, e, p)
	case udpProtocol:
		e.tcp.since = p.now
	case sctpProtocol:
		return beginSCTP(p)
	case icmpProtocol:
		return begins(&e.Tuples[netfilter.Original])
	}
	return true
}

// follow looks at each packet, the first one too. The entry is locked, but for UDP:
// what followUDP reads beside atomics stays as begin has set it.
func (e *entry) follow(t *tracker, p *look) outcome {
	switch e.proto {
	case tcpProtocol:
		return followTCP(t, e, p)
	case udpProtocol:
		return followUDP(t, e, p)
	case sctpProtocol:
		return followSCTP(t, e, p)
	case icmpProtocol:
		if p.v == network.V6 {
			e.renew(p.now, &t.timeouts.icmpv6)
		} else {
			e.renew(p.now, &t.timeouts.icmp)
		}
		return fine
	}
	e.followGeneric(t, p)
	return fine
}

// followGeneric is for protocols without states. GRE has timeouts of its own.
func (e *entry) followGeneric(t *tracker, p *look) {
	switch {
	case e.Tuples[netfilter.Original].Proto != protoGRE:
		e.renew(p.now, &t.timeouts.generic)
	case !e.Is(netfilter.SeenReply):
		e.renew(p.now, &t.timeouts.gre)
	default:
		e.renew(p.now, &t.timeouts.greStream)
		if e.set(netfilter.Assured) {
			p.events |= netfilter.EventAssured
		}
	}
}

// A look is a packet as protocols see it.
type look struct {
	pkt *packet.Packet
	v   network.Version
	off int // of the transport header
	dir netfilter.Dir
	now clock.Time
	// events are what protocols have to tell of. Watchers hear of it when the entry
	// is unlocked.
	events netfilter.EventKind
}

// protocolOf returns the protocol of a number.
func protocolOf(v network.Version, number uint8) protocol {
	switch {
	case number == wire.ProtoTCP:
		return tcpProtocol
	case number == wire.ProtoUDP || number == wire.ProtoUDPLite:
		return udpProtocol
	case number == wire.ProtoSCTP:
		return sctpProtocol
	case number == wire.ProtoICMP && v == network.V4, number == wire.ProtoICMPv6 && v == network.V6:
		return icmpProtocol
	}
	return genericProtocol
}

// Timeouts are the settings net.netfilter.nf_conntrack_*_timeout*, in nanoseconds.
type timeouts struct {
	generic, icmp, icmpv6, udp, udpStream atomic.Int64
	gre, greStream                        atomic.Int64
	tcp                                   [tcpStates]atomic.Int64
	tcpRetrans, tcpUnack                  atomic.Int64
	sctp                                  [assocStates]atomic.Int64
}

func (t *timeouts) init() {
	set := func(v *atomic.Int64, seconds int) { v.Store(int64(time.Duration(seconds) * time.Second)) }
	set(&t.generic, 600)
	set(&t.icmp, 30)
	set(&t.icmpv6, 30)
	set(&t.udp, 30)
	set(&t.udpStream, 120)
	for state, seconds := range [tcpStates]int{
		synSent: 120, synRecv: 60, established: 5 * 24 * 3600, finWait: 120, closeWait: 60,
		lastAck: 30, timeWait: 120, closed: 10, synSent2: 120,
	} {
		set(&t.tcp[state], seconds)
	}
	for state, seconds := range [assocStates]int{
		assocClosed: 10, cookieWait: 3, cookieEchoed: 3, assocEstablished: 210,
		shutdownSent: 3, shutdownRecd: 3, shutdownAckSent: 3, heartbeatSent: 30,
	} {
		set(&t.sctp[state], seconds)
	}
	set(&t.gre, 30)
	set(&t.greStream, 180)
	set(&t.tcpRetrans, 300)
	set(&t.tcpUnack, 300)
}

// renew lets e live for d from now on, unless its timeout is fixed or a flowtable has
// it.
func (e *entry) renew(now clock.Time, d *atomic.Int64) {
	old := e.Deadline.Load() // before the status: Offload and Reclaim may come in between
	next := int64(now.Add(time.Duration(d.Load())))
	if next != old && e.Status.Load()&(netfilter.Fixed|netfilter.Offload) == 0 {
		e.Deadline.CompareAndSwap(old, next)
	}
}

// streamAfter is how old an exchange of datagrams must be to count as a stream: a
// question and its answer are none.
const streamAfter = 2 * time.Second

func followUDP(t *tracker, e *entry, p *look) outcome {
	if !e.Is(netfilter.SeenReply) || p.now < e.tcp.since.Add(streamAfter) {
		e.renew(p.now, &t.timeouts.udp)
		return fine
	}
	e.renew(p.now, &t.timeouts.udpStream)
	if e.set(netfilter.Assured) {
		p.events |= netfilter.EventAssured
	}
	return fine
}
