// Package helper is what the modules share that look into the packets of a
// connection because its protocol announces further ones, as FTP does: where the
// payload is, how an announcement becomes an expectation, and how the announced
// connection follows the translation of the one that announced it.
package helper

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// maxPorts is how many ports a helper may look at, as the modules of Linux have it.
const maxPorts = 8

// Ports reads the module's parameter ports. EINVAL: one is no port, or there are too
// many.
func Ports(c *module.Context) (ports []uint16, err error) {
	list := c.List("ports")
	if len(list) > maxPorts {
		return nil, fmt.Errorf("ports: %d of them, at most %d: %w", len(list), maxPorts, syscall.EINVAL)
	}
	for _, text := range list {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("ports: %q is no port: %w", text, syscall.EINVAL)
		}
		ports = append(ports, uint16(n))
	}
	return ports, nil
}

// Payload returns where the transport header and the payload of a packet begin. It
// fails for packets of another protocol and for headers that are not complete.
func Payload(v network.Version, pkt *packet.Packet, proto uint8) (l4, data int, ok bool) {
	h := pkt.Head()
	if v == network.V4 {
		l4, ok = int(h[0]&0xf)*4, h[9] == proto
	} else if ip, parsed := wire.ParseIPv6(h); parsed {
		var p uint8
		var first, found bool
		p, l4, first, found = ip.Upper()
		ok = found && first && p == proto
	}
	if !ok {
		return 0, 0, false
	}
	if proto == wire.ProtoUDP {
		return l4, l4 + wire.UDPLen, pkt.Ensure(l4 + wire.UDPLen)
	}
	if !pkt.Ensure(l4 + wire.TCPLen) {
		return 0, 0, false
	}
	data = l4 + int(pkt.Head()[l4+12]>>4)*4
	return l4, data, data >= l4+wire.TCPLen && data <= pkt.Len()
}

// A Hook is where a NAT module takes part in a helper. The zero value is ready.
type Hook struct {
	nat atomic.Pointer[func(*netfilter.Announcement) bool]
}

// SetNAT implements netfilter.Announcer.
func (h *Hook) SetNAT(f func(a *netfilter.Announcement) bool) (undo func(), err error) {
	if !h.nat.CompareAndSwap(nil, &f) {
		return nil, syscall.EBUSY
	}
	return func() { h.nat.CompareAndSwap(&f, nil) }, nil
}

// Translates reports whether announcements of c have to be translated, and can be.
func (h *Hook) Translates(c *netfilter.Conn) bool {
	return c.Status.Load()&(netfilter.SrcNAT|netfilter.DstNAT) != 0 && h.nat.Load() != nil
}

// Announce makes an announcement an expectation. False: its packet is to be
// dropped, because it cannot be translated. Without translation it passes in any
// case: that nothing will be expected does no harm to the connection itself.
func (h *Hook) Announce(t netfilter.Tracker, a *netfilter.Announcement) bool {
	if f := h.nat.Load(); f != nil && h.Translates(a.Conn) {
		return (*f)(a)
	}
	_ = t.Expect(a.Expect)
	return true
}

// Follow returns what an Expectation's Created does under translation: the
// connection goes the way of its master, from where the master's packets of that
// direction seem to come, to who has announced it.
func Follow(t netfilter.Translator) func(c *netfilter.Conn, x *netfilter.Expectation) {
	return func(c *netfilter.Conn, x *netfilter.Expectation) {
		var src, dst netfilter.NATRange
		from := x.Master.Tuples[1-x.Dir].DstAddr().AsSlice()
		src.SetAddrs(from, from)
		t.Setup(nil, c, netfilter.ManipSrc, &src)
		dst.SetAddrs(x.SavedAddr[:], x.SavedAddr[:])
		dst.SetPorts(x.SavedPort, x.SavedPort)
		t.Setup(nil, c, netfilter.ManipDst, &dst)
	}
}

// Forget takes back what connections with a helper expect under translation. A
// module that has translated for the helper calls it when nobody is inside of it
// any more.
func Forget(t netfilter.Tracker, name string) {
	table, ok := t.(netfilter.ConnTable)
	if !ok {
		return
	}
	var list []*netfilter.Expectation
	table.EachExpectation(func(x *netfilter.Expectation, _ time.Duration) bool {
		if h := x.Master.Helper.Load(); x.Created != nil && h != nil && h.Name == name {
			list = append(list, x)
		}
		return true
	})
	for _, x := range list {
		t.Unexpect(x)
	}
}

// Expectation returns what is expected of an announcement of master's side d: a
// connection from the other side, any port, to the address and port said there.
func Expectation(master *netfilter.Conn, d netfilter.Dir) *netfilter.Expectation {
	x := &netfilter.Expectation{Master: master, Dir: 1 - d}
	other := &master.Tuples[1-d]
	x.Tuple = netfilter.Tuple{Src: other.Src, Dst: other.Dst, Zone: other.Zone, Version: other.Version, Proto: other.Proto}
	n := 4
	if other.Version == network.V6 {
		n = 16
	}
	x.Mask = netfilter.Tuple{Version: other.Version, Proto: other.Proto, DstPort: 0xffff}
	for i := range n {
		x.Mask.Src[i], x.Mask.Dst[i] = 0xff, 0xff
	}
	return x
}
