package hosttest

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
)

// A Peer answers for the address Knit on a device: it notes what it receives, and
// speaks TCP to one connection, whose bytes must arrive in order.
type Peer struct {
	dev *link.Device
	mac wire.MAC // of the host's interface

	mu       sync.Mutex
	arrived  *sync.Cond
	Packets  []Packet // all IPv4 packets that came
	stream   []byte
	next     uint32 // expected sequence number
	sent     uint32 // next sequence number of our own
	src, dst [2]byte
}

// A Packet is what was received, and what its Meta said.
type Packet struct {
	packet.Meta
	Bytes []byte // from the IP header on
	Start int    // where the checksum starts in Bytes
	Frags int
}

// NewPeer answers on dev, whose host's interface has the address mac.
func NewPeer(t *testing.T, dev *link.Device, mac []byte) *Peer {
	t.Helper()
	p := &Peer{dev: dev, sent: 1000}
	copy(p.mac[:], mac)
	p.arrived = sync.NewCond(&p.mu)
	linktest.Handle(t, dev.Layer(), wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) {
		p.receive(pkt)
		pkt.Consume()
	})
	return p
}

func (p *Peer) receive(pkt *packet.Packet) {
	b := linktest.Bytes(pkt)
	p.mu.Lock()
	p.Packets = append(p.Packets, Packet{pkt.Meta, b, int(pkt.CsumStart) - pkt.Offset(), pkt.Frags()})
	var answer *packet.Packet
	if h, ok := wire.ParseIPv4(b); ok && h.Protocol() == wire.ProtoTCP {
		answer = p.tcp(h.Payload())
	}
	p.arrived.Broadcast()
	p.mu.Unlock()
	if answer != nil { // never with a lock held
		linktest.Send(p.dev, answer, p.mac)
	}
}

// tcp answers a segment: a SYN with a SYN, data with an ACK.
func (p *Peer) tcp(seg []byte) *packet.Packet {
	h, ok := wire.ParseTCP(seg)
	if !ok {
		return nil
	}
	const fin, syn, ack = 1, 2, 16
	data := h.Payload()
	switch {
	case h.Flags()&syn != 0:
		binary.BigEndian.PutUint16(p.src[:], h.DstPort())
		binary.BigEndian.PutUint16(p.dst[:], h.SrcPort())
		p.next = h.Seq() + 1
		answer := p.segment(syn|ack, nil)
		p.sent++
		return answer
	case h.Seq() != p.next || len(data) == 0 && h.Flags()&fin == 0:
		return nil
	}
	p.stream = append(p.stream, data...)
	p.next += uint32(len(data))
	if h.Flags()&fin != 0 {
		p.next++
	}
	return p.segment(ack, nil)
}

// segment returns a TCP segment to the host with CsumPartial. A SYN has the MSS.
func (p *Peer) segment(flags byte, data []byte) *packet.Packet {
	const mss = 4
	optLen := 0
	if flags&2 != 0 {
		optLen = mss
	}
	h := make([]byte, wire.TCPLen+optLen)
	copy(h[0:], p.src[:])
	copy(h[2:], p.dst[:])
	binary.BigEndian.PutUint32(h[4:], p.sent)
	binary.BigEndian.PutUint32(h[8:], p.next)
	h[12], h[13] = byte(len(h)/4)<<4, flags
	h[14], h[15] = 0xff, 0xff
	if optLen > 0 {
		copy(h[wire.TCPLen:], []byte{2, 4, 1460 >> 8, 1460 & 0xff})
	}
	return linktest.TCP4(p.dev.Layer().Pool, [4]byte(Knit()), [4]byte(Linux()), h, data)
}

// Send gives the connection data in one segment, to be cut to size bytes.
func (p *Peer) Send(data []byte, size int) {
	p.mu.Lock()
	pkt := p.segment(16, data)
	p.sent += uint32(len(data))
	p.mu.Unlock()
	if len(data) > size {
		pkt.GSO = packet.GSOTCP4
		pkt.GSOSize = uint16(size)
		pkt.GSOSegs = uint16((len(data) + size - 1) / size)
	}
	linktest.Send(p.dev, pkt, p.mac)
}

// Datagram sends a datagram to the host; alter may spoil it first.
func (p *Peer) Datagram(port int, payload []byte, alter func(*packet.Packet)) {
	pkt := linktest.UDP4Between(p.dev.Layer().Pool, [4]byte(Knit()), [4]byte(Linux()), 7, uint16(port), payload)
	if alter != nil {
		alter(pkt)
	}
	linktest.Send(p.dev, pkt, p.mac)
}

// Stream waits for n bytes of the connection and returns them.
func (p *Peer) Stream(n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.stream) < n {
		p.arrived.Wait()
	}
	return p.stream
}

// Received waits for a packet of the protocol that has passed ok and returns it.
func (p *Peer) Received(proto uint8, ok func(Packet) bool) Packet {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; ; i++ {
		for i == len(p.Packets) {
			p.arrived.Wait()
		}
		if pkt := p.Packets[i]; pkt.Bytes[9] == proto && ok(pkt) {
			return pkt
		}
	}
}

// Request sends until a packet of the protocol that has passed ok has been received,
// and returns it: the host drops what is sent while it notices a new carrier.
func (p *Peer) Request(send func(), proto uint8, ok func(Packet) bool) Packet {
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			send()
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return p.Received(proto, ok)
}
