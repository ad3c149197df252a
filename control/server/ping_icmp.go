package server

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// An icmpEvent is an ICMP message that came in.
type icmpEvent struct {
	at        clock.Time
	from      netip.Addr
	ttl       uint8
	typ, code uint8
	isError   bool
	info      uint32 // MTU or pointer of an error
	// id, seq and payload are those of an echo, or of the echo request that an
	// error quotes; quoted is what an error quotes from the transport header on,
	// about a packet of protocol proto to dst.
	id, seq uint16
	payload []byte
	proto   uint8
	dst     netip.Addr
	quoted  []byte
}

// An icmpSocket sends and receives ICMP of one IP version past all protocols.
type icmpSocket struct {
	*socket.PacketConn
	clock *clock.Clock
	six   bool
}

func openICMP(k *knit.Kernel, dst netip.Addr, index int32, bind netip.Addr) (*icmpSocket, error) {
	network, local := "ip4:icmp", ""
	if dst.Is6() {
		network = "ip6:ipv6-icmp"
	}
	if bind.IsValid() {
		local = bind.String()
	}
	c, err := k.Sockets.ListenDatagram(network, local, transport.DatagramOptions{Index: index, RecvBuffer: 1 << 20})
	if err != nil {
		return nil, err
	}
	return &icmpSocket{c, k.Clock, dst.Is6()}, nil
}

// echoType is the type of a request, and that of a reply.
func (s *icmpSocket) echoType() (request, reply uint8) {
	if s.six {
		return wire.ICMP6Echo, wire.ICMP6EchoReply
	}
	return wire.ICMP4Echo, wire.ICMP4EchoReply
}

// echo makes b, whose payload is there already, an echo request and sends it.
func (s *icmpSocket) echo(b []byte, id, seq uint16, to netip.Addr) error {
	if s.six {
		wire.PutICMP6(b, wire.ICMP6Echo, 0, wire.ICMPEchoRest(id, seq)) // the kernel sums
	} else {
		wire.PutICMP4(b, wire.ICMP4Echo, 0, wire.ICMPEchoRest(id, seq))
		wire.FinishICMP4(b)
	}
	_, err := s.WriteToAddrPort(b, netip.AddrPortFrom(to, 0))
	return err
}

// receive passes messages to events until the socket is closed or ctx ends.
func (s *icmpSocket) receive(ctx context.Context, events chan<- icmpEvent) {
	buf := make([]byte, 1<<16)
	for {
		var m transport.Message
		n, err := s.ReadMessage(buf, &m)
		if err != nil {
			return
		}
		e := icmpEvent{at: s.clock.Now(), from: m.Src.Addr(), ttl: m.TTL}
		if !e.parse(append([]byte(nil), buf[:n]...), s.six) {
			continue
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return
		}
	}
}

// parse reads a message, from the IP header on if it is of version 4.
func (e *icmpEvent) parse(b []byte, six bool) bool {
	if six {
		return e.parse6(b)
	}
	ip, ok := wire.ParseIPv4(b)
	if !ok {
		return false
	}
	m, ok := wire.ParseICMP4(ip.Payload())
	if !ok || !m.ChecksumOK() {
		return false
	}
	e.typ, e.code = m.Type(), m.Code()
	if !m.IsError() {
		e.id, e.seq, e.payload = m.ID(), m.Seq(), m.Payload()
		return true
	}
	e.isError = true
	e.info = uint32(m.Pointer())
	if e.typ == wire.ICMP4Unreachable {
		e.info = uint32(m.MTU())
	}
	quoted, _ := m.Quoted()
	inner, ok := wire.ParseIPv4(quoted)
	if !ok || inner.FragOffset() != 0 {
		return false
	}
	e.quote(inner.Protocol(), wire.ProtoICMP, wire.ICMP4Echo, inner.Dst(), inner.Payload())
	return true
}

func (e *icmpEvent) parse6(b []byte) bool {
	m, ok := wire.ParseICMP6(b)
	if !ok {
		return false
	}
	e.typ, e.code = m.Type(), m.Code()
	if !m.IsError() {
		e.id, e.seq, e.payload = m.ID(), m.Seq(), m.Payload()
		return true
	}
	e.isError = true
	e.info = m.Pointer()
	quoted, _ := m.Quoted()
	inner, ok := wire.ParseIPv6(quoted)
	if !ok {
		return false
	}
	proto, off, first, ok := inner.Upper()
	if !ok || !first || off > len(quoted) {
		return false
	}
	e.quote(proto, wire.ProtoICMPv6, wire.ICMP6Echo, inner.Dst(), quoted[off:])
	return true
}

func (e *icmpEvent) quote(proto, icmp, echo uint8, dst netip.Addr, b []byte) {
	e.proto, e.dst, e.quoted = proto, dst, b
	if proto == icmp && len(b) >= wire.ICMPLen && b[0] == echo {
		e.id, e.seq = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	}
}

// An alarm tells a goroutine that waits in a select that a time has come. Its clock
// is the kernel's, so that it rings in virtual time too.
type alarm struct {
	c     chan struct{}
	timer clock.Timer
}

func newAlarm(c *clock.Clock) *alarm {
	a := &alarm{c: make(chan struct{}, 1)}
	a.timer.Init(c, func(clock.Time) {
		select {
		case a.c <- struct{}{}:
		default:
		}
	})
	return a
}

// set makes it ring once at a time; clock.Never silences it.
func (a *alarm) set(at clock.Time) {
	a.timer.Stop()
	select {
	case <-a.c:
	default:
	}
	if at != clock.Never {
		a.timer.Reset(at)
	}
}

func (a *alarm) stop() { a.timer.StopWait() }

// later is t after d, where no limit is later than everything.
func later(t clock.Time, d time.Duration) clock.Time {
	if d <= 0 || t > clock.Never-clock.Time(d) {
		return clock.Never
	}
	return t.Add(d)
}
