package flowtable

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// A flow is a connection in a flowtable.
type flow struct {
	conn   *netfilter.Conn
	used   atomic.Int64 // clock.Time of the last packet, to the second
	passed atomic.Bool  // a packet has come since it was added
	ended  bool         // under table.mu
	halves [2]half      // by netfilter.Dir
}

// A half is one direction of a flow. All but path and the link of the index stays as
// it was made.
type half struct {
	next atomic.Pointer[half] // of the bucket; changes under table.mu
	hash uint64
	key  key

	// path is the way of its packets, nil while none is known.
	path atomic.Pointer[network.Path]
	flow *flow
	dir  netfilter.Dir

	change
}

// A key is what packets of a half have in common where they come in. Keys are compared
// with ==.
type key struct {
	// addr holds source and destination. Those of IPv4 share the first word.
	addr [4]uint64
	// rest holds the interface and the ports, tail the protocol and the IP version.
	rest, tail uint64
}

func ports(src, dst uint16) uint32 { return uint32(src)<<16 | uint32(dst) }

func (k *key) set(v network.Version, proto uint8, in int32, ports uint32) {
	k.rest = uint64(uint32(in))<<32 | uint64(ports)
	k.tail = uint64(v)<<8 | uint64(proto)
}

// keyOf returns the key of packets of a tuple that come in by an interface.
func keyOf(t *netfilter.Tuple, in int32) (k key) {
	if t.Version == network.V4 {
		k.addr[0] = uint64(binary.BigEndian.Uint32(t.Src[:]))<<32 | uint64(binary.BigEndian.Uint32(t.Dst[:]))
	} else {
		k.addr = [4]uint64{
			binary.BigEndian.Uint64(t.Src[:]), binary.BigEndian.Uint64(t.Src[8:]),
			binary.BigEndian.Uint64(t.Dst[:]), binary.BigEndian.Uint64(t.Dst[8:]),
		}
	}
	k.set(t.Version, t.Proto, in, ports(t.SrcPort, t.DstPort))
	return k
}

// A change is what is rewritten in packets of a half beside the hop limit.
type change struct {
	nat      bool
	src, dst [16]byte
	ports    uint32
	// before and after are the sums of the addresses and of the ports, for checksums.
	before, after           wire.PartialSum
	portsBefore, portsAfter wire.PartialSum
}

// changeOf returns what makes packets of one tuple such of another.
func changeOf(in, out *netfilter.Tuple) change {
	c := change{src: out.Src, dst: out.Dst, ports: ports(out.SrcPort, out.DstPort)}
	c.nat = in.Src != out.Src || in.Dst != out.Dst || in.SrcPort != out.SrcPort || in.DstPort != out.DstPort
	c.before = wire.Sum(in.Src[:], wire.Sum(in.Dst[:], 0))
	c.after = wire.Sum(out.Src[:], wire.Sum(out.Dst[:], 0))
	c.portsBefore = wire.PartialSum(0).Uint16(in.SrcPort).Uint16(in.DstPort)
	c.portsAfter = wire.PartialSum(0).Uint16(out.SrcPort).Uint16(out.DstPort)
	return c
}

// leaving returns what packets of a direction look like when they leave.
func leaving(c *netfilter.Conn, d netfilter.Dir) netfilter.Tuple {
	t := c.Tuples[1-d]
	t.Src, t.Dst = t.Dst, t.Src
	t.SrcPort, t.DstPort = t.DstPort, t.SrcPort
	return t
}

// newFlow returns the flow of a connection whose packets of each direction come in by
// the interfaces given.
func newFlow(c *netfilter.Conn, in [2]int32, now clock.Time) *flow {
	f := &flow{conn: c}
	f.used.Store(int64(now))
	for d := range f.halves {
		h := &f.halves[d]
		h.flow, h.dir = f, netfilter.Dir(d)
		h.key = keyOf(&c.Tuples[d], in[d])
		out := leaving(c, h.dir)
		h.change = changeOf(&c.Tuples[d], &out)
	}
	return f
}

// touch notes that a packet has passed.
func (f *flow) touch(now clock.Time) {
	if !f.passed.Load() {
		f.passed.Store(true)
	}
	if now-clock.Time(f.used.Load()) >= clock.Time(time.Second) {
		f.used.Store(int64(now))
	}
}
