package capture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/capture"
	"github.com/knitnet/knit/link/internal/linktest"
	"github.com/knitnet/knit/wire"
)

// null swallows what it is sent.
type null struct{}

func (null) Transmit(_ *link.Device, q *packet.Queue) { q.Consume() }
func (null) Open(*link.Device) error                  { return nil }
func (null) Close(*link.Device)                       {}

func device(t testing.TB, l *link.Layer, name string, typ link.Type) *link.Device {
	t.Helper()
	dev, err := l.Attach(link.Info{Name: name, Type: typ, Features: link.AllTx, MTU: 65535}, null{})
	if err != nil {
		t.Fatal(err)
	}
	linktest.Up(t, dev)
	return dev
}

func start(t testing.TB, w io.Writer, opt capture.Options, devs ...*link.Device) *capture.Capture {
	t.Helper()
	c, err := capture.Start(w, opt, devs...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func receive(dev *link.Device, pkt *packet.Packet) {
	var q packet.Queue
	q.Push(pkt)
	dev.Receive(&q)
}

// TestWhatPassesIsWritten: both directions of two devices, with the checksum that
// the packet has on a medium, and what the packet itself looks like unchanged.
func TestWhatPassesIsWritten(t *testing.T) {
	l := linktest.New(t)
	eth, tun := device(t, l, "eth0", link.Ether), device(t, l, "tun0", link.None)
	var file bytes.Buffer
	c := start(t, &file, capture.Options{}, eth, tun)
	linktest.Send(eth, linktest.UDP4(l.Pool, 1, 2, []byte("over ethernet")), wire.MAC{2, 0, 0, 0, 0, 1})
	pkt := linktest.UDP4(l.Pool, 3, 4, make([]byte, 1001))
	partial := binary.BigEndian.Uint16(pkt.Head()[26:])
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) {
		if pkt.Csum != packet.CsumPartial || binary.BigEndian.Uint16(pkt.Head()[26:]) != partial {
			t.Error("the capture changed the packet")
		}
		pkt.Consume()
	})
	receive(tun, pkt)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	linktest.Send(eth, linktest.UDP4(l.Pool, 1, 2, []byte("after the end")), wire.MAC{})
	recs, ifaces, err := read(file.Bytes())
	if err != io.EOF || len(recs) != 2 || len(ifaces) != 2 {
		t.Fatalf("%d records, interfaces %v, %v", len(recs), ifaces, err)
	}
	if ifaces[0] != (capture.Interface{Name: "eth0", Type: capture.LinkEthernet}) || ifaces[1] != (capture.Interface{Name: "tun0", Type: capture.LinkRaw}) {
		t.Errorf("interfaces %v", ifaces)
	}
	out, in := recs[0], recs[1]
	if out.Interface != 0 || out.Direction != capture.Out || out.Length != 14+28+13 || !linktest.ChecksumOK(out.Data[14:]) {
		t.Errorf("sent: %+v", out)
	}
	if in.Interface != 1 || in.Direction != capture.In || in.Length != 28+1001 || !linktest.ChecksumOK(in.Data) {
		t.Errorf("received: %+v", in)
	}
	if in.Time.Before(out.Time) {
		t.Error("time runs backwards")
	}
	if s := c.Stats(); c.Captured() != 2 || s != (capture.Stats{Seen: 2, Received: 2}) {
		t.Errorf("captured %d, stats %+v", c.Captured(), s)
	}
}

func TestSelection(t *testing.T) {
	l := linktest.New(t)
	linktest.Handle(t, l, wire.EtherTypeIPv4, func(_ *link.Device, pkt *packet.Packet) { pkt.Consume() })
	tun, lo := device(t, l, "tun0", link.None), device(t, l, "lo", link.Loopback)
	sizes := func(opt capture.Options, dev *link.Device) (got []int) {
		var file bytes.Buffer
		c := start(t, &file, opt, dev)
		linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, make([]byte, 72)), wire.MAC{})
		receive(dev, linktest.UDP4(l.Pool, 1, 2, make([]byte, 972)))
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		recs, _, _ := read(file.Bytes())
		for _, r := range recs {
			got = append(got, len(r.Data))
		}
		return got
	}
	long := func(data []byte, length int) bool {
		if len(data) < min(length, 512) || data[0] != 0x45 {
			t.Errorf("filter sees %d of %d bytes", len(data), length)
		}
		return length > 500
	}
	for _, c := range []struct {
		name string
		opt  capture.Options
		dev  *link.Device
		want []int
	}{
		{"all", capture.Options{}, tun, []int{100, 1000}},
		{"in", capture.Options{Direction: capture.In}, tun, []int{1000}},
		{"out", capture.Options{Direction: capture.Out}, tun, []int{100}},
		{"snaplen", capture.Options{Snaplen: 96}, tun, []int{96, 96}},
		{"a snaplen beyond all", capture.Options{Snaplen: 1 << 30}, tun, []int{100, 1000}},
		{"filter", capture.Options{Filter: long}, tun, []int{1000}},
		{"classic", capture.Options{Format: capture.PCAP}, tun, []int{100, 1000}},
		{"loopback shows packets once", capture.Options{}, lo, []int{1000}},
	} {
		got := sizes(c.opt, c.dev)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	}
}

// gate is a writer that lets a Write end when it is opened, and tells of each.
type gate struct {
	began chan struct{}
	open  chan struct{}
	bytes.Buffer
}

func (g *gate) Write(b []byte) (int, error) {
	if g.Len() > 0 { // not the header, which Start writes
		g.began <- struct{}{}
		<-g.open
	}
	return g.Buffer.Write(b)
}

// TestSlowWriter: packets never wait for the writer; what does not fit is dropped
// and counted, in the file too.
func TestSlowWriter(t *testing.T) {
	l := linktest.New(t)
	dev := device(t, l, "tun0", link.None)
	g := &gate{began: make(chan struct{}, 10), open: make(chan struct{})}
	c := start(t, g, capture.Options{Immediate: true, Buffer: 1 << 10}, dev)
	send := func() { linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, make([]byte, 172)), wire.MAC{}) }
	send()
	<-g.began // the first one is being written, and stays so
	for range 10 {
		send()
	}
	// Each record takes 28+200+16 bytes: four fit into 1 KiB.
	if s := c.Stats(); s != (capture.Stats{Seen: 11, Received: 11, Dropped: 6}) || c.Captured() != 5 {
		t.Errorf("captured %d, stats %+v, want 5 and 11 received, 6 dropped", c.Captured(), s)
	}
	close(g.open)
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	recs, _, _ := read(g.Bytes())
	if len(recs) != 5 {
		t.Errorf("%d records, want 5", len(recs))
	}
	tail := binary.LittleEndian.AppendUint64([]byte{7, 0, 8, 0}, 6)
	if !bytes.Contains(g.Bytes(), tail) {
		t.Error("the file does not say how many were dropped")
	}
}

// TestStatistics: the block at the end of a file says per interface what was seen, what
// the filter let through, and from when to when.
func TestStatistics(t *testing.T) {
	l := linktest.New(t)
	one, two := device(t, l, "tun0", link.None), device(t, l, "tun1", link.None)
	var file bytes.Buffer
	before := l.Clock.Wall().UnixNano()
	c := start(t, &file, capture.Options{
		Direction: capture.Out, Filter: func(_ []byte, length int) bool { return length > 28 },
	}, one, two)
	linktest.Send(one, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{})
	linktest.Send(one, linktest.UDP4(l.Pool, 1, 2, []byte("x")), wire.MAC{})
	receive(one, linktest.UDP4(l.Pool, 1, 2, []byte("x")))
	linktest.Send(two, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{})
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	after := l.Clock.Wall().UnixNano()
	le := binary.LittleEndian
	stamp := func(b []byte) int64 { return int64(le.Uint32(b))<<32 | int64(le.Uint32(b[4:])) }
	b := file.Bytes()
	const size = 12 + 12 + 6*12 + 4
	for i, want := range [][4]uint64{{2, 1, 0, 1}, {1, 0, 0, 0}} {
		block := b[len(b)-(2-i)*size:][:size]
		if le.Uint32(block) != 5 || le.Uint32(block[8:]) != uint32(i) {
			t.Fatalf("no statistics of interface %d: % x", i, block)
		}
		begin, end := stamp(block[24:]), stamp(block[36:])
		if begin < before || end < begin || end > after || stamp(block[12:]) != end {
			t.Errorf("from %d to %d, want within %d and %d", begin, end, before, after)
		}
		for k, code := range []uint16{4, 6, 7, 8} {
			if o := block[44+12*k:]; le.Uint16(o) != code || le.Uint64(o[4:]) != want[k] {
				t.Errorf("interface %d: option %d is %d, want %d", i, le.Uint16(o), le.Uint64(o[4:]), want[k])
			}
		}
	}
}

// TestWriterFails: the capture ends by itself and leaves the devices.
func TestWriterFails(t *testing.T) {
	l := linktest.New(t)
	dev := device(t, l, "tun0", link.None)
	broken := errors.New("disk full")
	n := 0
	c := start(t, writerFunc(func(b []byte) (int, error) {
		if n++; n > 1 {
			return 0, broken
		}
		return len(b), nil
	}), capture.Options{Immediate: true}, dev)
	linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{})
	<-c.Done()
	linktest.Send(dev, linktest.UDP4(l.Pool, 1, 2, nil), wire.MAC{})
	for range 2 {
		if err := c.Stop(); !errors.Is(err, broken) {
			t.Errorf("Stop: %v, want %v", err, broken)
		}
	}
	if _, err := capture.Start(writerFunc(func([]byte) (int, error) { return 0, broken }), capture.Options{}, dev); !errors.Is(err, broken) {
		t.Errorf("Start: %v", err)
	}
	if _, err := capture.Start(io.Discard, capture.Options{}); err == nil {
		t.Error("Start without a device")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestConcurrently: many senders, captures that come and go; every file is whole.
func TestConcurrently(t *testing.T) {
	l := linktest.New(t)
	dev := device(t, l, "tun0", link.None)
	var senders, captures sync.WaitGroup
	stop := make(chan struct{})
	for s := range uint16(3) {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					linktest.Send(dev, linktest.UDP4(l.Pool, s, 2, make([]byte, i%900)), wire.MAC{})
				}
			}
		})
	}
	for range 2 {
		captures.Go(func() {
			for range 10 {
				var file bytes.Buffer
				c := start(t, &file, capture.Options{Immediate: true, Buffer: 1 << 16}, dev)
				for c.Captured() < 20 {
					linktest.Send(dev, linktest.UDP4(l.Pool, 9, 2, nil), wire.MAC{})
				}
				if err := c.Stop(); err != nil {
					t.Error(err)
				}
				recs, _, err := read(file.Bytes())
				if err != io.EOF || uint64(len(recs)) != c.Captured() {
					t.Errorf("%d records, captured %d: %v", len(recs), c.Captured(), err)
				}
				for _, r := range recs {
					if !linktest.ChecksumOK(r.Data) {
						t.Error("damaged record")
					}
				}
			}
		})
	}
	captures.Wait()
	close(stop)
	senders.Wait()
}

func TestDoesNotAllocate(t *testing.T) {
	l := linktest.New(t)
	dev := device(t, l, "tun0", link.None)
	c := start(t, io.Discard, capture.Options{
		Immediate: true, Filter: func(data []byte, _ int) bool { return data[0] == 0x45 },
	}, dev)
	defer c.Stop()
	var q packet.Queue
	payload := make([]byte, 1400)
	linktest.Allocs(t, func() {
		q.Push(linktest.UDP4(l.Pool, 1, 2, payload))
		dev.Transmit(&q)
	})
}

// TestTshark: the program that people will look with finds nothing to complain of.
func TestTshark(t *testing.T) {
	path, err := exec.LookPath("tshark")
	if err != nil {
		t.Skipf("no tshark on this machine: %v", err)
	}
	l := linktest.New(t)
	eth, tun := device(t, l, "eth0", link.Ether), device(t, l, "tun0", link.None)
	name := filepath.Join(t.TempDir(), "file.pcapng")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, f, capture.Options{}, eth, tun)
	r := rand.New(rand.NewPCG(5, 6))
	header := []byte{0x30, 0x39, 0, 99, 0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, 0x18, 0xff, 0xff, 0, 0, 0, 0}
	for range 20 {
		payload := make([]byte, r.IntN(3000))
		for _, dev := range []*link.Device{eth, tun} {
			linktest.Send(dev, linktest.UDP4(l.Pool, 40000, 40001, payload), wire.MAC{2})
			linktest.Send(dev, linktest.TCP4(l.Pool, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, header, payload), wire.MAC{2})
		}
	}
	if err := errors.Join(c.Stop(), f.Close()); err != nil {
		t.Fatal(err)
	}
	tshark := func(filter string) []byte {
		out, err := exec.Command(path, "-n", "-r", name, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
			"-o", "tcp.check_checksum:TRUE", "-Y", filter).Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := tshark("_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0"); len(out) != 0 {
		t.Errorf("tshark complains:\n%s", out)
	}
	if out := tshark("udp.checksum.status == 1 || tcp.checksum.status == 1"); bytes.Count(out, []byte("\n")) != 80 {
		t.Errorf("tshark finds %d good checksums, want 80", bytes.Count(out, []byte("\n")))
	}
}
