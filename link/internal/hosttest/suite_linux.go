package hosttest

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
	"golang.org/x/sys/unix"
)

// patience bounds a wait of a test that fails.
const patience = 10 * time.Second

// Exchange tests a device against the host's own stack, in both directions: with
// datagrams, and with a TCP connection.
func Exchange(t *testing.T, p *Peer) {
	datagramsIn(t, p)
	datagramsOut(t, p)
	stream(t, p)
	if p.dev.Features()&link.USO != 0 {
		datagramBatchIn(t, p)
		datagramBatchOut(t, p)
	}
}

// datagramsIn: the host sends; what arrives has the host's bytes, and a checksum
// that is right or said to be unfinished.
func datagramsIn(t *testing.T, p *Peer) {
	t.Helper()
	c := Listen(t)
	for _, n := range []int{0, 1, 100, 284, 285, 1472} {
		want := pattern(n)
		send := func() { c.WriteTo(want, &net.UDPAddr{IP: Knit(), Port: 7}) }
		got := p.Request(send, wire.ProtoUDP, func(q Packet) bool { return len(q.Bytes) == 28+n })
		if !bytes.Equal(got.Bytes[28:], want) {
			t.Errorf("%d bytes arrived changed", n)
		}
		switch got.Csum {
		case packet.CsumPartial:
			if got.Start != 20 || got.CsumOffset != 6 {
				t.Errorf("unfinished checksum at %d+%d, want 20+6", got.Start, got.CsumOffset)
			}
		case packet.CsumNone:
			if !linktest.ChecksumOK(got.Bytes) {
				t.Errorf("%d bytes arrived with a wrong checksum", n)
			}
		}
	}
}

// datagramsOut: the host accepts what has an unfinished checksum, and still drops
// what has a wrong one.
func datagramsOut(t *testing.T, p *Peer) {
	t.Helper()
	c := Listen(t)
	port := c.LocalAddr().(*net.UDPAddr).Port
	p.Datagram(port, []byte("wrong"), func(pkt *packet.Packet) { pkt.Csum = packet.CsumNone })
	for _, n := range []int{1, 101, 1472} {
		want := pattern(n)
		p.Datagram(port, want, nil)
		expect(t, c, want)
	}
}

// expect reads one datagram.
func expect(t *testing.T, c *net.UDPConn, want []byte) {
	t.Helper()
	buf := make([]byte, 1<<16)
	c.SetReadDeadline(time.Now().Add(patience))
	n, _, err := c.ReadFrom(buf)
	Must(t, err)
	if !bytes.Equal(buf[:n], want) {
		t.Errorf("host received %d bytes %.20q, want %d", n, buf[:n], len(want))
	}
}

// datagramBatchIn: datagrams that the host sends at once arrive as one packet.
func datagramBatchIn(t *testing.T, p *Peer) {
	t.Helper()
	c := Listen(t)
	raw, err := c.SyscallConn()
	Must(t, err)
	Must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 1000)
	}))
	Must(t, err)
	want := pattern(2500)
	send := func() { c.WriteTo(want, &net.UDPAddr{IP: Knit(), Port: 7}) }
	got := p.Request(send, wire.ProtoUDP, func(q Packet) bool { return len(q.Bytes) == 28+len(want) })
	if got.GSO != packet.GSOUDP || got.GSOSize != 1000 || got.GSOSegs != 3 || !bytes.Equal(got.Bytes[28:], want) {
		t.Errorf("GSO %d, %d segments of %d, want UDP, 3 of 1000", got.GSO, got.GSOSegs, got.GSOSize)
	}
}

// datagramBatchOut: one packet becomes datagrams on the host (UDP_SEGMENT).
func datagramBatchOut(t *testing.T, p *Peer) {
	t.Helper()
	c := Listen(t)
	want := pattern(2500)
	p.Datagram(c.LocalAddr().(*net.UDPAddr).Port, want, func(pkt *packet.Packet) {
		pkt.GSO, pkt.GSOSize, pkt.GSOSegs = packet.GSOUDP, 1000, 3
	})
	for off := 0; off < len(want); off += 1000 {
		expect(t, c, want[off:min(off+1000, len(want))])
	}
}

// stream: a TCP connection of the host in both directions. With the offload the
// host sends segments larger than the MTU, whose parts add up, and takes ours.
func stream(t *testing.T, p *Peer) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: Linux()}, Timeout: patience}
	c, err := d.Dial("tcp4", net.JoinHostPort(Knit().String(), "80"))
	Must(t, err)
	defer c.Close()
	up := pattern(100_000)
	_, err = c.Write(up)
	Must(t, err)
	if !bytes.Equal(p.Stream(len(up)), up) {
		t.Error("the host's bytes arrived changed")
	}
	if p.dev.Features()&link.TSO4 == 0 {
		return
	}
	mtu := p.dev.MTU()
	big := p.Received(wire.ProtoTCP, func(q Packet) bool { return len(q.Bytes) > mtu })
	payload := len(big.Bytes) - 40
	if big.GSO != packet.GSOTCP4 || int(big.GSOSize) > mtu-40 || int(big.GSOSegs) != (payload+int(big.GSOSize)-1)/int(big.GSOSize) {
		t.Errorf("%d bytes of payload: GSO %d, %d segments of %d", payload, big.GSO, big.GSOSegs, big.GSOSize)
	}
	if big.Csum != packet.CsumPartial || big.Start != 20 || big.CsumOffset != 16 {
		t.Errorf("checksum state %d at %d+%d, want partial at 20+16", big.Csum, big.Start, big.CsumOffset)
	}
	down := pattern(40_000)
	p.Send(down, 1460)
	got := make([]byte, len(down))
	c.SetReadDeadline(time.Now().Add(patience))
	for n := 0; n < len(got); {
		k, err := c.Read(got[n:])
		Must(t, err)
		n += k
	}
	if !bytes.Equal(got, down) {
		t.Error("our bytes arrived at the host changed")
	}
}

// pattern returns n bytes that are not all alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}
