package tun_test

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/link/tun"
	"github.com/knitnet/knit/wire"
	"golang.org/x/sys/unix"
)

// attachSocket makes a device over a socket pair, which like a TUN carries one
// packet for each read and write, and needs no privilege. The test has the other end.
func attachSocket(t *testing.T, vnet int) (dev *link.Device, fd int) {
	t.Helper()
	return attachSocketOf(t, unix.SOCK_SEQPACKET, vnet)
}

func attachSocketOf(t *testing.T, kind, vnet int) (dev *link.Device, fd int) {
	t.Helper()
	dev, others := attachSockets(t, kind, vnet, 1)
	return dev, others[0]
}

// attachSockets makes a device of several queues.
func attachSockets(t *testing.T, kind, vnet, queues int) (dev *link.Device, others []int) {
	t.Helper()
	l := linktest.New(t)
	r := linktest.Load(t, l, tun.Module)
	attach := linktest.SymbolOf[link.AttachFunc](t, r, "tun", link.TUNAttachSymbol)
	var files []*os.File
	for range queues {
		fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fds[1]) })
		f := os.NewFile(uintptr(fds[0]), "socket")
		defer f.Close()
		files, others = append(files, f), append(others, fds[1])
	}
	dev, err := attach(link.AttachConfig{Name: "tun0", Files: files, VNetHdrLen: vnet})
	if err != nil {
		t.Fatal(err)
	}
	return dev, others
}

// counter counts the batches that the kernel is given.
type counter struct {
	batches []int
	all     chan struct{} // closed when want packets have come
	want    int
}

func (c *counter) Input(_ *link.Device, q *packet.Queue) {
	c.batches = append(c.batches, q.Len())
	c.want -= q.Len()
	q.Consume()
	if c.want == 0 {
		close(c.all)
	}
}

// TestBatches: what waits comes in batches of at most 64.
func TestBatches(t *testing.T) {
	dev, fd := attachSocket(t, 0)
	const n = 100
	pkt := linktest.UDP4(dev.Layer().Pool, 1, 2, nil)
	frame := linktest.Bytes(pkt)
	pkt.Consume()
	for range n {
		if _, err := unix.Write(fd, frame); err != nil {
			t.Fatal(err)
		}
	}
	c := &counter{all: make(chan struct{}), want: n}
	undo, err := dev.Layer().Handle(wire.EtherTypeIPv4, c)
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	linktest.Up(t, dev)
	<-c.all
	if len(c.batches) != 2 || c.batches[0] != 64 {
		t.Errorf("batches of %v, want 64 and 36", c.batches)
	}
}

// TestFullRing: when the other side does not read, packets are dropped for
// FULL_RING, and sending goes on afterwards.
func TestFullRing(t *testing.T) {
	dev, fd := attachSocket(t, wire.VNetLen)
	linktest.Up(t, dev)
	pool := dev.Layer().Pool
	send := func() { linktest.Send(dev, linktest.UDP4(pool, 1, 2, make([]byte, 1000)), wire.MAC{}) }
	sent := 0
	for pool.Drops.Load(stat.FullRing) == 0 {
		send()
		sent++
	}
	if tx := dev.Tx(); tx.Dropped.Load() != 1 || tx.Packets.Load() != uint64(sent-1) || tx.Bytes.Load() != uint64(sent-1)*1028 {
		t.Errorf("%d counted as dropped, %d of %d bytes as sent, want 1 and %d", tx.Dropped.Load(), tx.Packets.Load(), tx.Bytes.Load(), sent-1)
	}
	frame := make([]byte, 2000)
	for range sent - 1 {
		n, err := unix.Read(fd, frame)
		if err != nil || n != wire.VNetLen+28+1000 {
			t.Fatalf("read %d bytes, %v", n, err)
		}
	}
	send()
	if n, err := unix.Read(fd, frame); err != nil || n != wire.VNetLen+28+1000 || frame[0] != wire.VNetNeedsCsum {
		t.Errorf("after the ring was full: read %d bytes, %v", n, err)
	}
}

// TestFlowsKeepTheirQueue: all packets of a flow leave by one queue, and in order; many
// flows use all queues.
func TestFlowsKeepTheirQueue(t *testing.T) {
	const queues, flows, each = 4, 64, 3
	dev, fds := attachSockets(t, unix.SOCK_SEQPACKET, 0, queues)
	linktest.Up(t, dev)
	for i := range byte(each) {
		for port := range uint16(flows) {
			linktest.Send(dev, linktest.UDP4(dev.Layer().Pool, 1000+port, 2, []byte{i}), wire.MAC{})
		}
	}
	home := map[uint16]int{}
	next := map[uint16]byte{}
	for queue, fd := range fds {
		b := make([]byte, 100)
		for got := 0; ; got++ {
			n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
			if err != nil {
				if got == 0 {
					t.Errorf("queue %d is not used", queue)
				}
				break
			}
			port := uint16(b[20])<<8 | uint16(b[21])
			if was, ok := home[port]; n != 29 || ok && was != queue || b[28] != next[port] {
				t.Errorf("packet %d of port %d, the %d is due, by queue %d, before by %d", b[28], port, next[port], queue, was)
			}
			home[port] = queue
			next[port]++
		}
	}
	if len(home) != flows || dev.Tx().Packets.Load() != flows*each || dev.Tx().Dropped.Load() != 0 {
		t.Errorf("%d flows came, %d sent, %d dropped", len(home), dev.Tx().Packets.Load(), dev.Tx().Dropped.Load())
	}
}

// TestHostileWriter: random bytes with random headers end nowhere but in counters.
func TestHostileWriter(t *testing.T) {
	dev, fd := attachSocket(t, wire.VNetLen)
	linktest.Up(t, dev)
	r := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		frame := make([]byte, 1+r.IntN(400))
		for i := range frame {
			frame[i] = byte(r.Uint32())
		}
		if r.IntN(2) == 0 && len(frame) > wire.VNetLen {
			frame[0], frame[1], frame[wire.VNetLen] = 1, byte(r.IntN(6)), 0x45
		}
		if _, err := unix.Write(fd, frame); err != nil {
			t.Fatal(err)
		}
	}
	// A last good one shows that the reader lives.
	done := make(chan struct{})
	linktest.Handle(t, dev.Layer(), wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) {
		if string(linktest.Bytes(pkt)[28:]) == "the end" {
			close(done)
		}
		pkt.Consume()
	})
	pkt := linktest.UDP4(dev.Layer().Pool, 1, 2, []byte("the end"))
	frame := append(make([]byte, wire.VNetLen), linktest.Bytes(pkt)...)
	pkt.Consume()
	if _, err := unix.Write(fd, frame); err != nil {
		t.Fatal(err)
	}
	<-done
	if dev.Rx().Errors.Load() == 0 {
		t.Error("nothing counted as an error")
	}
}

// TestOtherEndCloses: the device loses its carrier, and its reader does not spin.
func TestOtherEndCloses(t *testing.T) {
	dev, fd := attachSocket(t, 0)
	linktest.Up(t, dev)
	lost := make(chan struct{})
	defer dev.Layer().Watch(func(e link.Event) {
		if e.Kind == link.Changed {
			close(lost)
		}
	})()
	unix.Shutdown(fd, unix.SHUT_RDWR)
	<-lost
	if dev.Flags()&link.LowerUp != 0 || dev.Rx().Errors.Load() != 0 {
		t.Errorf("flags %#x, %d errors", dev.Flags(), dev.Rx().Errors.Load())
	}
}

// TestEmptyDatagram: where a read of nothing is a frame of nothing it is an error of
// the frame and not the end of the device.
func TestEmptyDatagram(t *testing.T) {
	dev, fd := attachSocketOf(t, unix.SOCK_DGRAM, 0)
	came := make(chan struct{})
	linktest.Handle(t, dev.Layer(), wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) {
		pkt.Consume()
		close(came)
	})
	linktest.Up(t, dev)
	pkt := linktest.UDP4(dev.Layer().Pool, 1, 2, nil)
	frame := linktest.Bytes(pkt)
	pkt.Consume()
	for _, b := range [][]byte{nil, frame} {
		if err := unix.Send(fd, b, 0); err != nil {
			t.Fatal(err)
		}
	}
	<-came
	if dev.Flags()&link.LowerUp == 0 || dev.Rx().Errors.Load() != 1 {
		t.Errorf("flags %#x, %d errors, want a carrier and 1", dev.Flags(), dev.Rx().Errors.Load())
	}
}

func TestReceiveDoesNotAllocate(t *testing.T) {
	dev, fd := attachSocket(t, wire.VNetLen)
	linktest.Up(t, dev)
	came := make(chan struct{}, 1)
	linktest.Handle(t, dev.Layer(), wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) {
		pkt.Consume()
		came <- struct{}{}
	})
	for _, n := range []int{100, 1400} {
		pkt := linktest.UDP4(dev.Layer().Pool, 1, 2, make([]byte, n))
		frame := append(make([]byte, wire.VNetLen), linktest.Bytes(pkt)...)
		pkt.Consume()
		linktest.Allocs(t, func() {
			if _, err := unix.Write(fd, frame); err != nil {
				t.Error(err)
			}
			<-came
		})
	}
}
