package server

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/socket"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

// Ports that probes go to by default.
const (
	tracePort    = 33434
	traceUDPPort = 53
	traceTCPPort = 80
)

// tcpProbeLen is the length of a SYN with the option MSS.
const tcpProbeLen = wire.TCPLen + 4

// openTracing opens the sockets of the method that was asked for.
func openTracing(k *knit.Kernel, t *tracer) (tracing, error) {
	var bind netip.Addr
	if t.q.Source != "" {
		bind = t.to.src
	}
	icmp, err := openICMP(k, t.to.dst, t.to.index, bind)
	if err != nil {
		return nil, err
	}
	var m tracing
	switch t.q.Method {
	case "icmp":
		m, err = newTraceICMP(t, icmp)
	case "tcp":
		m, err = newTraceTCP(k, t, icmp)
	default:
		m, err = newTraceUDP(k, t, icmp)
	}
	if err != nil {
		icmp.Close()
		return nil, err
	}
	return m, nil
}

// setTrace sets the options that all probes have.
func setTrace(c *socket.PacketConn, q *control.TracerouteRequest) error {
	mode := network.FragmentDont
	if q.DontFragment {
		mode = network.FragmentDo
	}
	return errors.Join(c.SetOption(transport.TOS, int64(q.TOS)), c.SetOption(transport.MTUDiscover, int64(mode)))
}

// pump passes ICMP messages that about says belong to a probe.
func pump(ctx context.Context, s *icmpSocket, about func(icmpEvent) (probe int, arrived, ok bool)) chan traceEvent {
	in, out := make(chan icmpEvent, 16), make(chan traceEvent, 16)
	go s.receive(ctx, in)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-in:
				if n, arrived, ok := about(e); ok {
					pass(ctx, out, traceEvent{e, n, arrived})
				}
			}
		}
	}()
	return out
}

func pass(ctx context.Context, out chan<- traceEvent, e traceEvent) {
	select {
	case out <- e:
	case <-ctx.Done():
	}
}

// traceICMP probes with echo requests.
type traceICMP struct {
	*icmpSocket
	to    netip.Addr
	id    uint16
	first uint16 // sequence number
	buf   []byte
}

func newTraceICMP(t *tracer, s *icmpSocket) (*traceICMP, error) {
	header := wire.IPv4Len
	if s.six {
		header = wire.IPv6Len
	}
	first := uint16(1)
	if t.q.Port > 0 {
		first = uint16(t.q.Port)
	}
	m := &traceICMP{s, t.to.dst, uint16(rand.Uint32()), first, make([]byte, t.length-header)}
	return m, setTrace(s.PacketConn, &t.q)
}

func (m *traceICMP) send(n, ttl int) error {
	if err := m.SetOption(transport.TTL, int64(ttl)); err != nil {
		return err
	}
	return m.echo(m.buf, m.id, m.first+uint16(n), m.to)
}

func (m *traceICMP) events(ctx context.Context) <-chan traceEvent {
	_, reply := m.echoType()
	return pump(ctx, m.icmpSocket, func(e icmpEvent) (int, bool, bool) {
		return int(e.seq - m.first), !e.isError, e.id == m.id && (e.isError || e.typ == reply)
	})
}

func (m *traceICMP) close() { m.Close() }

// traceUDP probes with datagrams to ports that hopefully nobody listens on.
type traceUDP struct {
	icmp    *icmpSocket
	udp     *socket.PacketConn
	clock   *clock.Clock
	to      netip.Addr
	port    uint16
	fixed   bool // the port is the same for all; then probes have sockets of their own
	buf     []byte
	open    func() (*socket.PacketConn, error)
	mu      sync.Mutex
	sockets map[uint16]int // probe by source port
	conns   []*socket.PacketConn
}

func newTraceUDP(k *knit.Kernel, t *tracer, s *icmpSocket) (*traceUDP, error) {
	header := wire.IPv4Len
	if s.six {
		header = wire.IPv6Len
	}
	m := &traceUDP{
		icmp: s, clock: k.Clock, to: t.to.dst, port: tracePort, fixed: t.q.Method == "udp",
		buf: make([]byte, t.length-header-wire.UDPLen), sockets: map[uint16]int{},
	}
	for i := range m.buf {
		m.buf[i] = 0x40 + byte(i&0x3f)
	}
	if m.fixed {
		m.port = traceUDPPort
	}
	if t.q.Port > 0 {
		m.port = uint16(t.q.Port)
	}
	m.open = func() (*socket.PacketConn, error) {
		c, err := k.Sockets.ListenDatagram("udp", netip.AddrPortFrom(t.to.src, 0).String(), transport.DatagramOptions{Index: t.to.index})
		if err != nil {
			return nil, err
		}
		if err := setTrace(c, &t.q); err != nil {
			c.Close()
			return nil, err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.conns = append(m.conns, c)
		return c, nil
	}
	if m.fixed {
		return m, nil
	}
	var err error
	m.udp, err = m.open()
	return m, err
}

func portOf(c *socket.PacketConn) uint16 {
	a, _ := netip.ParseAddrPort(c.LocalAddr().String())
	return a.Port()
}

func (m *traceUDP) send(n, ttl int) (err error) {
	c, port := m.udp, m.port+uint16(n)
	if m.fixed {
		port = m.port
		if c, err = m.open(); err != nil {
			return err
		}
		m.mu.Lock()
		m.sockets[portOf(c)] = n
		m.mu.Unlock()
	}
	if err := c.SetOption(transport.TTL, int64(ttl)); err != nil {
		return err
	}
	_, err = c.WriteToAddrPort(m.buf, netip.AddrPortFrom(m.to, port))
	return err
}

func (m *traceUDP) events(ctx context.Context) <-chan traceEvent {
	out := pump(ctx, m.icmp, func(e icmpEvent) (int, bool, bool) {
		if !e.isError || e.proto != wire.ProtoUDP || len(e.quoted) < 4 || e.dst != m.to.WithZone("") {
			return 0, false, false
		}
		src, dst := binary.BigEndian.Uint16(e.quoted), binary.BigEndian.Uint16(e.quoted[2:])
		if !m.fixed {
			return int(dst - m.port), false, src == portOf(m.udp)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		n, ok := m.sockets[src]
		return n, false, ok && dst == m.port
	})
	return out
}

func (m *traceUDP) close() {
	m.icmp.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		c.Close()
	}
}

// traceTCP probes with SYNs. Their answers are for no connection, so that the kernel
// refuses what was accepted.
type traceTCP struct {
	icmp  *icmpSocket
	tcp   *socket.PacketConn
	clock *clock.Clock
	to    target
	port  uint16
	first uint16 // source port
	seq   uint32
}

func newTraceTCP(k *knit.Kernel, t *tracer, s *icmpSocket) (*traceTCP, error) {
	network := "ip4:tcp"
	if s.six {
		network = "ip6:tcp"
	}
	c, err := k.Sockets.ListenDatagram(network, t.to.src.String(), transport.DatagramOptions{Index: t.to.index})
	if err != nil {
		return nil, err
	}
	port := uint16(traceTCPPort)
	if t.q.Port > 0 {
		port = uint16(t.q.Port)
	}
	return &traceTCP{s, c, k.Clock, t.to, port, uint16(rand.UintN(1<<14) + 1<<15), rand.Uint32()}, setTrace(c, &t.q)
}

func (m *traceTCP) send(n, ttl int) error {
	var b [tcpProbeLen]byte
	wire.PutTCP(b[:], &wire.TCPFields{SrcPort: m.first + uint16(n), DstPort: m.port, Seq: m.seq, Flags: wire.TCPSyn, Window: 5840}, 4)
	copy(b[wire.TCPLen:], []byte{wire.TCPOptMSS, 4, 5, 180})
	h, _ := wire.ParseTCP(b[:])
	h.SetChecksum(wire.Sum(b[:], wire.Pseudo(m.to.src, m.to.path.Dst, wire.ProtoTCP, len(b))).Finish())
	if err := m.tcp.SetOption(transport.TTL, int64(ttl)); err != nil {
		return err
	}
	_, err := m.tcp.WriteToAddrPort(b[:], netip.AddrPortFrom(m.to.dst, 0))
	return err
}

func (m *traceTCP) events(ctx context.Context) <-chan traceEvent {
	out := pump(ctx, m.icmp, func(e icmpEvent) (int, bool, bool) {
		if !e.isError || e.proto != wire.ProtoTCP || len(e.quoted) < 8 || binary.BigEndian.Uint32(e.quoted[4:]) != m.seq {
			return 0, false, false
		}
		return int(binary.BigEndian.Uint16(e.quoted) - m.first), false, true
	})
	go m.answers(ctx, out)
	return out
}

// answers passes SYN-ACKs and RSTs.
func (m *traceTCP) answers(ctx context.Context, out chan<- traceEvent) {
	b := make([]byte, 1<<16)
	for {
		var x transport.Message
		n, err := m.tcp.ReadMessage(b, &x)
		if err != nil {
			return
		}
		seg := b[:n]
		if !m.icmp.six {
			ip, ok := wire.ParseIPv4(seg)
			if !ok {
				continue
			}
			seg = ip.Payload()
		}
		h, ok := wire.ParseTCP(seg)
		if !ok || x.Src.Addr().WithZone("") != m.to.path.Dst || h.SrcPort() != m.port || h.Ack() != m.seq+1 || h.Flags()&wire.TCPAck == 0 {
			continue
		}
		e := icmpEvent{at: m.clock.Now(), from: x.Src.Addr(), ttl: x.TTL}
		pass(ctx, out, traceEvent{e, int(h.DstPort() - m.first), true})
	}
}

func (m *traceTCP) close() {
	m.icmp.Close()
	m.tcp.Close()
}
