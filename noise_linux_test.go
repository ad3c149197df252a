package knit_test

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/wire"
	"golang.org/x/sys/unix"
)

// A hostile is a writer at the other end of a tun's or a tap's descriptor.
type hostile struct {
	*noise
	dev  *link.Device
	fd   int
	vnet int
}

// attach makes a device over a socket pair, which like a TUN carries one packet for
// each read and write, and reads what the device sends until it is gone.
func (x *noisy) attach(kind, symbol string, vnet int) *hostile {
	x.t.Helper()
	f, ok := module.Find[link.AttachFunc](x.k.Modules, symbol)
	if !ok {
		x.t.Fatalf("no symbol %s", symbol)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		x.t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "socket")
	defer file.Close()
	dev, err := f(link.AttachConfig{Name: fmt.Sprint(kind, vnet), Files: []*os.File{file}, VNetHdrLen: vnet})
	if err != nil {
		x.t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		b := make([]byte, 1<<17)
		for {
			if n, err := unix.Read(fds[1], b); n <= 0 || err != nil {
				return
			}
		}
	}()
	x.t.Cleanup(func() {
		if err := x.k.Link.Delete(dev); err != nil {
			x.t.Error(err)
		}
		<-gone
		unix.Close(fds[1])
	})
	return &hostile{noise: x.start(dev), dev: dev, fd: fds[1], vnet: vnet}
}

// header returns a virtio-net header for a packet: mostly one that would be right for
// some packet, sometimes random.
func (h *hostile) header(b []byte, l3 int) []byte {
	v := wire.VNet{}
	switch h.IntN(4) {
	case 0: // nothing to say
	case 1:
		v.Flags = wire.VNetDataValid // so that checksums keep nothing out
	default:
		v = h.unfinished(b, l3)
	}
	if h.one(10) {
		v.CsumStart, v.CsumOffset = pickOf(h.noise, v.CsumStart, uint16(h.Uint32())), pickOf(h.noise, v.CsumOffset, uint16(h.Uint32()))
		v.Flags, v.GSOType = byte(h.Uint32()), pickOf(h.noise, v.GSOType, byte(h.Uint32()))
	}
	head := make([]byte, wire.VNetV1Len)
	wire.PutVNetV1(head, v)
	return head[:h.vnet]
}

// unfinished asks for a checksum, and perhaps for segmentation, where the headers of b
// would have it.
func (h *hostile) unfinished(b []byte, l3 int) wire.VNet {
	v := wire.VNet{
		Flags: wire.VNetNeedsCsum, HdrLen: uint16(h.IntN(200)), CsumStart: uint16(l3 + 20), CsumOffset: wire.TCPChecksumOffset,
		GSOSize: pickOf[uint16](h.noise, 0, 1, 7, 8, 100, 536, 1448, 0xffff),
		GSOType: pickOf[uint8](h.noise, 0, wire.VNetGSOTCPv4, wire.VNetGSOTCPv4|wire.VNetGSOECN),
	}
	if len(b) < wire.IPv6Len {
		return v
	}
	proto := b[9]
	if b[0]>>4 == 6 {
		proto, v.CsumStart = b[6], uint16(l3+40)
		if v.GSOType != 0 {
			v.GSOType = wire.VNetGSOTCPv6
		}
	} else {
		v.CsumStart = uint16(l3 + int(b[0]&15)*4)
	}
	if proto == wire.ProtoUDP {
		v.CsumOffset = wire.UDPChecksumOffset
		if v.GSOType != 0 {
			v.GSOType = wire.VNetGSOUDPL4
		}
	}
	return v
}

// write writes one packet or frame.
func (h *hostile) write() error {
	b, etherType := h.packet(h.dev.Type() == link.Ether)
	l3, f := 0, b
	if h.dev.Type() == link.Ether {
		f = h.frame(h.dev.MAC(), b, etherType)
		l3 = max(0, len(f)-len(b))
	}
	f = append(h.header(b, l3), f...)
	if h.one(50) {
		f = f[:h.IntN(len(f)+1)]
	}
	return unix.Send(h.fd, append(f, make([]byte, max(0, 1-len(f)))...), 0)
}

// finish writes a frame that is known again and waits until it has come: everything
// before it has, too.
func (h *hostile) finish(t *testing.T) {
	mark := []byte("everything has come")
	came := make(chan struct{})
	var once sync.Once
	defer h.dev.Tap(func(pkt *packet.Packet, outgoing bool) {
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		if !outgoing && bytes.HasSuffix(b, mark) {
			once.Do(func() { close(came) })
		}
	})()
	f := make([]byte, h.vnet)
	if h.dev.Type() == link.Ether {
		f = append(f, make([]byte, wire.EthernetLen)...)
	}
	f = append(append(f, 0x45, 0, 0, 0), mark...)
	if err := unix.Send(h.fd, f, 0); err != nil {
		t.Error(err)
		return
	}
	<-came
}

// TestNoiseOnDescriptors: whatever a host writes to a tun or a tap, with whatever
// virtio-net header, to several at once and across them, nothing panics and nothing is
// left.
func TestNoiseOnDescriptors(t *testing.T) {
	x := newNoisy(t)
	var all []*hostile
	for _, vnet := range []int{0, wire.VNetLen, wire.VNetV1Len} {
		all = append(all, x.attach("tun", link.TUNAttachSymbol, vnet), x.attach("tap", link.TAPAttachSymbol, vnet))
	}
	rounds := 10_000
	if testing.Short() {
		rounds = 1_000
	}
	var wg sync.WaitGroup
	for _, h := range all {
		wg.Go(func() {
			for i := range rounds {
				if err := h.write(); err != nil {
					t.Error(err)
					return
				}
				if h == all[0] && i%500 == 0 { // one alone may turn the clock
					x.clock.Advance(100 * time.Millisecond)
				}
			}
			h.finish(t)
		})
	}
	wg.Wait()
	for _, h := range all {
		if h.dev.Rx().Packets.Load() == 0 || h.dev.Rx().Errors.Load() == 0 || h.dev.Tx().Packets.Load() == 0 {
			t.Errorf("%s: %d received, %d of them damaged, %d sent: the test tests nothing", h.dev.Name(),
				h.dev.Rx().Packets.Load(), h.dev.Rx().Errors.Load(), h.dev.Tx().Packets.Load())
		}
	}
}
