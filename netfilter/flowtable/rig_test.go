package flowtable_test

import (
	"context"

	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/internal/leak"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/wire"
)

var ctx = context.Background()

// A rig is a router in virtual time with a device inside and one outside, whose other
// ends are the test:
//
//	10.0.0.0/24 lan 10.0.0.1 | 192.0.2.1 wan 192.0.2.0/24
//	  fd00::/64     fd00::1  | 2001:db8::1   2001:db8::/64
type rig struct {
	t testing.TB
	*knit.Kernel
	track  netfilter.Tracker
	silent atomic.Bool // what leaves is not kept
	sent   []sent
}

type conn = netfilter.Conn

// sent is a packet that has left the router.
type sent struct {
	dev  string
	data []byte
	meta packet.Meta
}

// A cable is the driver of one of the devices.
type cable struct {
	r   *rig
	dev *link.Device
}

func (c *cable) Transmit(dev *link.Device, q *packet.Queue) {
	if c.r.silent.Load() {
		q.Consume()
		return
	}
	for pkt := q.Pop(); pkt != nil; pkt = q.Pop() {
		b := make([]byte, pkt.Len())
		pkt.CopyOut(0, b)
		c.r.sent = append(c.r.sent, sent{dev.Name(), b, pkt.Meta})
		pkt.Consume()
	}
}
func (*cable) Open(*link.Device) error { return nil }
func (*cable) Close(*link.Device)      {}

func newRig(t testing.TB, rules string) *rig {
	t.Helper()
	k, err := knit.New(knit.Config{Modules: std.Modules(), Clock: clock.NewVirtual()})
	if err != nil {
		t.Fatal(err)
	}
	leak.Zero(t, "packets", k.Pool.Live)
	t.Cleanup(func() { k.Close() })
	r := &rig{t: t, Kernel: k}
	for _, m := range []string{"icmp4", "icmp6", "nf_tables", "nf_conntrack", "nf_nat"} {
		if err := k.Modprobe(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	r.track, _ = module.Find[netfilter.Tracker](k.Modules, netfilter.TrackerSymbol)
	r.attach("lan", "10.0.0.1/24 fd00::1/64")
	r.attach("wan", "192.0.2.1/24 2001:db8::1/64")
	r.attach("wan2", "198.51.100.1/24")
	for _, name := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		r.set(name, "1")
	}
	r.nft(rules)
	return r
}

func (r *rig) attach(name, addrs string) {
	r.t.Helper()
	c := &cable{r: r}
	dev, err := r.Link.Attach(link.Info{Name: name, Type: link.None, Features: link.AllTx}, c)
	if err != nil {
		r.t.Fatal(err)
	}
	c.dev = dev
	for _, a := range strings.Fields(addrs) {
		if err := r.AddAddr(name, netip.MustParsePrefix(a)); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) set(name, value string) {
	r.t.Helper()
	if err := r.Sysctl.Set(name, value); err != nil {
		r.t.Fatal(err)
	}
}

// nft runs commands and returns what they print.
func (r *rig) nft(text string) string {
	r.t.Helper()
	out, err := r.tryNFT(text)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *rig) tryNFT(text string) (string, error) {
	rs, _ := module.Find[netfilter.Ruleset](r.Modules, netfilter.RulesetSymbol)
	var out strings.Builder
	err := rs.Run(ctx, &netfilter.NFTRequest{Text: text, Name: "rules"}, &out)
	return out.String(), err
}

// A frame is what comes in: bytes and what a device tells of them.
type frame struct {
	data []byte
	gso  packet.GSOType
	size uint16
	csum packet.CsumState
}

// receive gives the router a batch by a device and returns what leaves meanwhile.
func (r *rig) receive(name string, frames ...frame) []sent {
	r.t.Helper()
	dev, err := r.Link.Lookup(name)
	if err != nil {
		r.t.Fatal(err)
	}
	var q packet.Queue
	for _, f := range frames {
		pkt := r.Pool.Get()
		pkt.Append(f.data)
		pkt.Proto = wire.EtherTypeIPv4
		if f.data[0]>>4 == 6 {
			pkt.Proto = wire.EtherTypeIPv6
		}
		pkt.GSO, pkt.GSOSize, pkt.Csum = f.gso, f.size, f.csum
		if f.csum == packet.CsumPartial {
			l4 := 20
			if f.data[0]>>4 == 6 {
				l4 = 40
			}
			pkt.CsumStart, pkt.CsumOffset = uint16(pkt.Offset()+l4), 16
		}
		q.Push(pkt)
	}
	before := len(r.sent)
	dev.Receive(&q)
	return r.sent[before:]
}

// pass receives one packet, which must be sent on, and returns it.
func (r *rig) pass(name string, data []byte) []byte {
	r.t.Helper()
	out := r.receive(name, frame{data: data})
	if len(out) != 1 {
		r.t.Fatalf("%d packets were sent, want 1; drops: %v", len(out), r.Pool.Drops.List())
	}
	return out[0].data
}

func (r *rig) advance(d time.Duration) { r.Clock.Advance(d) }

// conn returns the only connection.
func (r *rig) conn() *netfilter.Conn {
	r.t.Helper()
	var all []*netfilter.Conn
	r.track.Each(func(c *netfilter.Conn) bool { all = append(all, c); return true })
	if len(all) != 1 {
		r.t.Fatalf("%d connections, want 1", len(all))
	}
	return all[0]
}

// wantFast says whether the only connection must be in a flowtable.
func (r *rig) wantFast(want bool) {
	r.t.Helper()
	if got := r.conn().Is(netfilter.Offload); got != want {
		r.t.Fatalf("in the flowtable: %v, want %v", got, want)
	}
}

// read returns a file of /proc.
func (r *rig) read(path string) string {
	r.t.Helper()
	b, err := r.Proc.Read(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}
