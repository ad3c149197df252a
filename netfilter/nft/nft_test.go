package nft

import (
	"testing"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/netfilter/rule"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/wire"
)

// newTest returns a machine in a kernel without modules.
func newTest(t testing.TB) *machine {
	c := clock.NewVirtual()
	l := link.New(link.Config{Pool: new(packet.Pool), Clock: c, Walks: new(rcu.Period)})
	m := newMachine(network.New(network.Config{Link: l, Stats: new(stat.Set)}))
	m.limiter, m.packetLog = lent[netfilter.Limiter](free{}), lent[netfilter.PacketLog](free{})
	t.Cleanup(func() {
		m.close()
		if n := l.Pool.Live(); n != 0 {
			t.Errorf("%d packets left", n)
		}
	})
	return m
}

// lent is a loan that no module has given.
func lent[T any](v T) loan[T] { return loan[T]{v, func() {}} }

// free stands for modules: there is always a token, and nobody reads the log.
type free struct{}

func (free) Take(*netfilter.Bucket, clock.Time, int64, int64) bool { return true }
func (free) Log(klog.Level, string)                                {}

// tcp4 returns a TCP segment over IPv4.
func tcp4(m *machine, src, dst [4]byte, sport, dport uint16) *packet.Packet {
	pkt := m.net.Pool.Get()
	b := pkt.Extend(wire.IPv4Len + wire.TCPLen)
	wire.PutIPv4(b, &wire.IPv4Fields{TotalLen: uint16(len(b)), TTL: 64, Protocol: wire.ProtoTCP, Src: src, Dst: dst})
	wire.PutTCP(b[wire.IPv4Len:], &wire.TCPFields{SrcPort: sport, DstPort: dport, Flags: wire.TCPSyn}, 0)
	return pkt
}

func u16(v uint16) *rule.Value {
	return &rule.Value{T: rule.InetServiceType, Data: []byte{byte(v >> 8), byte(v)}, N: 16}
}

func fieldOf(header, name string) *rule.Payload {
	return &rule.Payload{Field: rule.HeaderByName(header).Field(name)}
}

// passes reports whether a packet passes IPv4's Input hook.
func passes(m *machine, pkt *packet.Packet) bool {
	var q packet.Queue
	q.Push(pkt)
	m.net.Hooks[network.V4].Input.RunBatch(&q)
	n := q.Len()
	q.Consume()
	return n == 1
}

func inputTable(rules ...*rule.Rule) *rule.Table {
	return &rule.Table{Family: rule.IP, Name: "t", Chains: []*rule.Chain{{Name: "in", Hook: rule.Input, Rules: rules}}}
}

func TestDropPort(t *testing.T) {
	m := newTest(t)
	counter := &rule.Counter{}
	err := m.commit([]*rule.Table{inputTable(&rule.Rule{Stmts: []rule.Stmt{
		&rule.Match{Left: fieldOf("tcp", "dport"), Right: u16(80)}, counter, &rule.Verdict{Kind: rule.Drop},
	}})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if passes(m, tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1000, 80)) {
		t.Error("port 80 passes")
	}
	if !passes(m, tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1000, 81)) {
		t.Error("port 81 does not pass")
	}
	if s := m.statesOf(rule.IP, "t")[counter].(*counterState); s.packets.Load() != 1 || s.bytes.Load() != 40 {
		t.Errorf("counted %d packets, %d bytes; want 1 and 40", s.packets.Load(), s.bytes.Load())
	}
}

func TestNoAllocation(t *testing.T) {
	m := newTest(t)
	lit := &rule.SetLit{Key: rule.InetServiceType, Elems: []rule.Elem{{Key: u16(1)}, {Key: u16(2)}, {Key: &rule.Range{Lo: u16(100), Hi: u16(200)}}}}
	err := m.commit([]*rule.Table{inputTable(
		&rule.Rule{Stmts: []rule.Stmt{&rule.Match{Left: fieldOf("tcp", "dport"), Right: lit}, &rule.Verdict{Kind: rule.Drop}}},
		&rule.Rule{Stmts: []rule.Stmt{&rule.Match{Left: fieldOf("ip", "saddr"), Right: &rule.Value{T: rule.IPv4Type, N: 32, Data: []byte{1, 2, 3, 4}}}, &rule.Verdict{Kind: rule.Drop}}},
	)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	pkt := tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1000, 81)
	var q packet.Queue
	q.Push(pkt)
	if n := testing.AllocsPerRun(1000, func() { m.net.Hooks[network.V4].Input.RunBatch(&q) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	if q.Len() != 1 {
		t.Error("dropped")
	}
	q.Consume()
	if passes(m, tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1000, 150)) {
		t.Error("a port of the range passes")
	}
}

func BenchmarkInput(b *testing.B) {
	m := newTest(b)
	if err := m.commit([]*rule.Table{inputTable(&rule.Rule{Stmts: []rule.Stmt{
		&rule.Match{Left: fieldOf("tcp", "dport"), Right: u16(80)}, &rule.Verdict{Kind: rule.Drop},
	}})}, nil); err != nil {
		b.Fatal(err)
	}
	var q packet.Queue
	q.Push(tcp4(m, [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}, 1000, 81))
	for b.Loop() {
		m.net.Hooks[network.V4].Input.RunBatch(&q)
	}
	q.Consume()
}

// pass sends a packet through the hooks that a packet to this host comes to.
func pass(m *machine, b []byte) {
	pkt := m.net.Pool.Get()
	copy(pkt.Extend(len(b)), b)
	var q packet.Queue
	q.Push(pkt)
	m.net.Hooks[network.V4].Prerouting.RunBatch(&q)
	m.net.Hooks[network.V4].Input.RunBatch(&q)
	q.Consume()
}
