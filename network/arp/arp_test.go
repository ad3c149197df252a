package arp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/klog"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/core/sysctl"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/wire"
)

// A host is a kernel with the module loaded and a device whose frames are written
// down.
type host struct {
	t     *testing.T
	clock *clock.Clock
	link  *link.Layer
	net   *network.Layer
	log   *klog.Log
	mods  *module.Registry
	ctl   *sysctl.Table
	dev   *link.Device
	sent  []string
	// unreachable counts ICMP errors.
	unreachable int
}

var (
	ourMAC  = wire.MAC{2, 0, 0, 0, 0, 1}
	peerMAC = wire.MAC{2, 0, 0, 0, 0, 2}
	evilMAC = wire.MAC{2, 0, 0, 0, 0, 0x66}
	ourIP   = netip.MustParseAddr("10.0.0.1")
	peerIP  = netip.MustParseAddr("10.0.0.2")
	zeroIP  = netip.IPv4Unspecified()
)

func newHost(t *testing.T, args ...string) *host {
	t.Helper()
	h := &host{t: t, clock: clock.NewVirtual()}
	h.link = link.New(link.Config{Pool: new(packet.Pool), Clock: h.clock, Walks: new(rcu.Period)})
	h.net = network.New(network.Config{Link: h.link, Stats: new(stat.Set)})
	h.log = klog.New(func() time.Duration { return time.Duration(h.clock.Now()) }, 0)
	h.must(h.net.AddFamily(network.V4, h))
	h.must(h.net.SetErrorSender(network.V4, h))
	var err error
	h.mods, err = module.New(module.Config{Log: h.log, Grace: h.link.Walks.Wait}, Module)
	h.check(err)
	h.check(h.mods.Provide(link.Symbol, h.link))
	h.check(h.mods.Provide(network.Symbol, h.net))
	h.ctl = new(sysctl.Table)
	h.check(h.mods.Provide("sysctl", h.ctl))
	h.check(h.mods.Load(context.Background(), "arp", args...))
	h.dev, err = h.link.Attach(link.Info{Name: "eth0", Type: link.Ether, Hardware: ourMAC}, h)
	h.check(err)
	h.clock.Advance(time.Minute)
	t.Cleanup(func() {
		h.check(h.mods.Shutdown(context.Background()))
		if live, timers := h.link.Pool.Live(), h.clock.Pending(); live != 0 || timers != 0 {
			t.Errorf("%d packets and %d timers left", live, timers)
		}
	})
	return h
}

// up is newHost with an address, announced already.
func up(t *testing.T, args ...string) *host {
	t.Helper()
	h := newHost(t, args...)
	h.check(h.dev.SetUp(true))
	h.addAddr(h.dev, "10.0.0.1/24")
	h.clock.Advance(time.Minute)
	h.sent = nil
	return h
}

func (h *host) must(_ func(), err error) { h.t.Helper(); h.check(err) }

func (h *host) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) addAddr(dev *link.Device, p string) {
	h.t.Helper()
	h.check(h.net.AddAddr(dev, network.Addr{Prefix: netip.MustParsePrefix(p)}))
}

// Transmit implements link.Driver.
func (h *host) Transmit(_ *link.Device, q *packet.Queue) {
	for p := q.Pop(); p != nil; p = q.Pop() {
		h.sent = append(h.sent, describe(p.Head()))
		p.Consume()
	}
}
func (h *host) Open(*link.Device) error { return nil }
func (h *host) Close(*link.Device)      {}

// The rest of a network.Family and a network.ErrorSender.
func (h *host) Output(_ *network.Send, q *packet.Queue) { q.Consume() }
func (h *host) SelectSource(netip.Addr, *link.Device) (netip.Addr, bool) {
	return ourIP, true
}
func (h *host) MinMTU() int { return 552 }
func (h *host) SendError(kind network.ErrorKind, _ uint8, _ int, _ uint32, _ *packet.Packet) {
	if kind == network.HostUnreachable {
		h.unreachable++
	}
}

// describe tells a frame in the words of tcpdump, with last octets for MACs.
func describe(frame []byte) string {
	e, _ := wire.ParseEthernet(frame)
	a, ok := wire.ParseARP(e.Payload())
	if !ok {
		return fmt.Sprintf("%x other", e.Dst()[5])
	}
	if a.Op() == wire.ARPRequest {
		return fmt.Sprintf("%x who-has %v tell %v (%x)", e.Dst()[5], a.TargetIP(), a.SenderIP(), a.SenderMAC()[5])
	}
	return fmt.Sprintf("%x reply %v is-at %x to %v (%x)", e.Dst()[5], a.SenderIP(), a.SenderMAC()[5], a.TargetIP(), a.TargetMAC()[5])
}

func (h *host) want(frames ...string) {
	h.t.Helper()
	if !slices.Equal(h.sent, frames) {
		h.t.Errorf("at %v sent %q, want %q", time.Duration(h.clock.Now()), h.sent, frames)
	}
	h.sent = nil
}

// receive lets a frame to dst come in.
func (h *host) receive(dst wire.MAC, f wire.ARPFields) {
	p := h.link.Pool.Get()
	wire.PutEthernet(p.Extend(wire.EthernetLen), dst, f.SenderMAC, wire.EtherTypeARP)
	wire.PutARP(p.Extend(wire.ARPLen), f)
	var q packet.Queue
	q.Push(p)
	h.dev.Receive(&q)
}

func request(mac wire.MAC, from, target netip.Addr) wire.ARPFields {
	return wire.ARPRequestFor(target.As4(), mac, from.As4())
}

func reply(mac wire.MAC, from netip.Addr) wire.ARPFields {
	return wire.ARPFields{Op: wire.ARPReply, SenderMAC: mac, SenderIP: from.As4(), TargetMAC: ourMAC, TargetIP: ourIP.As4()}
}

// known returns the entry of an address as "STATE MAC".
func (h *host) known(ip netip.Addr) string {
	for _, i := range h.net.Neighbours(network.V4).List() {
		if i.IP == ip {
			return fmt.Sprintf("%v %x", i.State, i.MAC[5])
		}
	}
	return ""
}

func (h *host) send(ip netip.Addr) {
	h.t.Helper()
	e, err := h.net.Neighbours(network.V4).Lookup(h.dev, ip)
	h.check(err)
	p := h.link.Pool.Get()
	wire.PutIPv4(p.Extend(20), &wire.IPv4Fields{TotalLen: 20, Src: ourIP.As4(), Dst: ip.As4()})
	p.Proto = wire.EtherTypeIPv4
	var q packet.Queue
	q.Push(p)
	e.Send(&q)
}

// TestAnswers: a request for an address of the host is answered to its sender
// alone, and its sender learnt (RFC 826).
func TestAnswers(t *testing.T) {
	h := up(t)
	h.receive(wire.BroadcastMAC(), request(peerMAC, peerIP, ourIP))
	h.want("2 reply 10.0.0.1 is-at 1 to 10.0.0.2 (2)")
	if got := h.known(peerIP); got != "STALE 2" {
		t.Errorf("peer is %q, want STALE", got)
	}
	h.receive(wire.BroadcastMAC(), request(peerMAC, peerIP, netip.MustParseAddr("10.0.0.9")))
	h.want()
}

// TestAnswersForOtherDevice: addresses belong to the host (RFC 1122 §3.3.4.2, weak
// host; Linux's arp_ignore of 0).
func TestAnswersForOtherDevice(t *testing.T) {
	h := up(t)
	other, err := h.link.Attach(link.Info{Name: "eth1", Type: link.Ether, Hardware: evilMAC}, h)
	h.check(err)
	h.addAddr(other, "192.168.7.1/24")
	h.receive(wire.BroadcastMAC(), request(peerMAC, peerIP, netip.MustParseAddr("192.168.7.1")))
	h.want("2 reply 192.168.7.1 is-at 1 to 10.0.0.2 (2)")
}

// TestProbe: a probe is answered and teaches nothing (RFC 5227 §2.1.1, §2.4).
func TestProbe(t *testing.T) {
	h := up(t)
	h.receive(wire.BroadcastMAC(), wire.ARPProbeFor(ourIP.As4(), peerMAC))
	h.want("2 reply 10.0.0.1 is-at 1 to 0.0.0.0 (2)")
	if n := len(h.net.Neighbours(network.V4).List()); n != 0 {
		t.Errorf("%d neighbours learnt from a probe", n)
	}
	h.receive(wire.BroadcastMAC(), wire.ARPProbeFor(peerIP.As4(), peerMAC))
	h.want()
}

// TestResolves: a packet waits for the answer, is asked for from its own source
// address, and then goes out.
func TestResolves(t *testing.T) {
	h := up(t)
	h.addAddr(h.dev, "10.0.0.77/24")
	h.clock.Advance(time.Minute)
	h.sent = nil
	h.send(peerIP)
	h.want("ff who-has 10.0.0.2 tell 10.0.0.1 (1)")
	h.receive(ourMAC, reply(peerMAC, peerIP))
	h.want("2 other")
	if got := h.known(peerIP); got != "REACHABLE 2" {
		t.Errorf("peer is %q", got)
	}
}

func TestUnreachable(t *testing.T) {
	h := up(t)
	h.send(peerIP)
	h.clock.Advance(4 * time.Second)
	if len(h.sent) != 3 || h.unreachable != 1 {
		t.Errorf("%d questions, %d ICMP errors; want 3 and 1", len(h.sent), h.unreachable)
	}
}

// TestLearnsOnlyWhatItNeeds: the merge of RFC 826 updates who is known, and nobody
// else is taken up.
func TestLearnsOnlyWhatItNeeds(t *testing.T) {
	h := up(t)
	h.receive(ourMAC, reply(peerMAC, peerIP))
	h.receive(wire.BroadcastMAC(), wire.ARPAnnouncementOf(peerIP.As4(), peerMAC))
	if got := h.known(peerIP); got != "" {
		t.Fatalf("an unsolicited message made a neighbour: %s", got)
	}
	h.receive(wire.BroadcastMAC(), request(peerMAC, peerIP, ourIP))
	h.receive(wire.BroadcastMAC(), wire.ARPAnnouncementOf(peerIP.As4(), evilMAC))
	if got := h.known(peerIP); got != "STALE 66" {
		t.Errorf("after an announcement the peer is %q", got)
	}
	h.receive(ourMAC, reply(peerMAC, peerIP)) // within a second: the first counts
	if got := h.known(peerIP); got != "STALE 66" {
		t.Errorf("a second answer at once made it %q", got)
	}
	h.clock.Advance(time.Second)
	h.receive(ourMAC, reply(peerMAC, peerIP))
	if got := h.known(peerIP); got != "REACHABLE 2" {
		t.Errorf("a later answer made it %q", got)
	}
}

// TestAnnounces: twice, two seconds apart, when an address comes and when the
// device goes up (RFC 5227 §2.3).
func TestAnnounces(t *testing.T) {
	h := newHost(t)
	const first = "ff who-has 10.0.0.1 tell 10.0.0.1 (1)"
	h.addAddr(h.dev, "10.0.0.1/24")
	h.want() // the device is down
	h.check(h.dev.SetUp(true))
	h.want(first)
	h.clock.Advance(2 * time.Second)
	h.want(first)
	h.clock.Advance(time.Minute)
	h.want()
	h.addAddr(h.dev, "10.0.0.8/24")
	h.want("ff who-has 10.0.0.8 tell 10.0.0.8 (1)")
	h.check(h.net.DelAddr(h.dev, netip.MustParsePrefix("10.0.0.8/24")))
	h.clock.Advance(time.Minute)
	h.want() // not any more

	h.check(h.mods.SetParam("arp", "announce", "n"))
	h.addAddr(h.dev, "10.0.0.9/24")
	h.want()
}

// TestConflict: a second user of our address is logged and answered with one
// announcement in ten seconds (RFC 5227 §2.4 (c)), and not believed.
func TestConflict(t *testing.T) {
	h := up(t)
	const defence = "ff who-has 10.0.0.1 tell 10.0.0.1 (1)"
	claim := request(evilMAC, ourIP, peerIP)
	h.receive(wire.BroadcastMAC(), claim)
	h.want(defence)
	h.receive(wire.BroadcastMAC(), claim)
	h.clock.Advance(9 * time.Second)
	h.receive(wire.BroadcastMAC(), claim)
	h.want()
	h.clock.Advance(time.Second)
	h.receive(wire.BroadcastMAC(), claim)
	h.want(defence)
	if got := h.known(ourIP); got != "" {
		t.Errorf("our own address is a neighbour: %s", got)
	}
	entries, _ := h.read()
	if !strings.Contains(entries, "IPv4 address conflict: 10.0.0.1 on eth0 is used by 02:00:00:00:00:66") {
		t.Errorf("log: %s", entries)
	}
	h.receive(wire.BroadcastMAC(), request(ourMAC, ourIP, peerIP)) // our own frame come back
	h.want()
}

// read returns the log as text.
func (h *host) read() (string, int) {
	var b strings.Builder
	n := 0
	for _, e := range h.log.Entries() {
		b.WriteString(e.Text + "\n")
		n++
	}
	return b.String(), n
}

// TestConflictFlood: who floods us with claims does not fill the log.
func TestConflictFlood(t *testing.T) {
	h := up(t)
	for range 1000 {
		h.receive(wire.BroadcastMAC(), request(evilMAC, ourIP, peerIP))
	}
	h.want("ff who-has 10.0.0.1 tell 10.0.0.1 (1)")
	if _, n := h.read(); n > 20 {
		t.Errorf("%d log entries for 1000 claims", n)
	}
}

// TestRequestFlood: strangers cannot make more than some entries; they are
// answered all the same, and a neighbour in use stays.
func TestRequestFlood(t *testing.T) {
	h := up(t)
	h.send(peerIP)
	h.receive(ourMAC, reply(peerMAC, peerIP))
	h.sent = nil
	for i := range 3000 {
		from := netip.AddrFrom4([4]byte{10, 0, byte(1 + i>>8), byte(i)})
		h.receive(wire.BroadcastMAC(), request(evilMAC, from, ourIP))
	}
	if n := len(h.net.Neighbours(network.V4).List()); n > learnBurst+1 {
		t.Errorf("%d neighbours after a flood, at most %d wanted", n, learnBurst+1)
	}
	if len(h.sent) != 3000 {
		t.Errorf("%d answers to 3000 requests", len(h.sent))
	}
	if got := h.known(peerIP); got != "REACHABLE 2" {
		t.Errorf("peer is %q", got)
	}
}

// TestNonsense: addresses nobody can have change nothing and are not answered.
func TestNonsense(t *testing.T) {
	h := up(t)
	loop, group := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("224.0.0.1")
	all := netip.MustParseAddr("255.255.255.255")
	for _, f := range []wire.ARPFields{
		request(peerMAC, peerIP, loop), request(peerMAC, loop, ourIP), request(peerMAC, group, ourIP),
		request(peerMAC, peerIP, group), request(peerMAC, all, ourIP), request(wire.MAC{}, peerIP, ourIP),
		request(wire.BroadcastMAC(), peerIP, ourIP), request(wire.MAC{1}, peerIP, ourIP),
		{Op: 3, SenderMAC: peerMAC, SenderIP: peerIP.As4(), TargetIP: ourIP.As4()},
		wire.ARPProbeFor(zeroIP.As4(), peerMAC),
	} {
		h.receive(wire.BroadcastMAC(), f)
		if len(h.sent) != 0 || h.known(peerIP) != "" {
			t.Errorf("%+v: sent %v, peer %q", f, h.sent, h.known(peerIP))
		}
	}
}

// TestDeviceGoesDown: neighbours are forgotten, and after a change of our hardware
// address the link is told.
func TestDeviceGoesDown(t *testing.T) {
	h := up(t)
	h.receive(wire.BroadcastMAC(), request(peerMAC, peerIP, ourIP))
	h.sent = nil
	h.check(h.dev.SetMAC(wire.MAC{2, 0, 0, 0, 0, 9}))
	h.want("ff who-has 10.0.0.1 tell 10.0.0.1 (9)")
	if got := h.known(peerIP); got != "" {
		t.Errorf("after a change of address the peer is %q", got)
	}
	h.receive(wire.BroadcastMAC(), request(peerMAC, peerIP, ourIP))
	h.check(h.dev.SetUp(false))
	if got := h.known(peerIP); got != "" {
		t.Errorf("on a device that is down the peer is %q", got)
	}
}

// TestUnload: entries that somebody holds are dead afterwards, and a second load
// works.
func TestUnload(t *testing.T) {
	h := up(t)
	h.send(peerIP)
	e, err := h.net.Neighbours(network.V4).Lookup(h.dev, peerIP)
	h.check(err)
	h.check(h.mods.Unload(context.Background(), "arp"))
	if h.net.Neighbours(network.V4) != nil || e.State() != neigh.None {
		t.Errorf("after unload: table %v, entry %v", h.net.Neighbours(network.V4), e.State())
	}
	h.sent = nil
	h.receive(wire.BroadcastMAC(), request(peerMAC, peerIP, ourIP))
	h.want()
	h.check(h.mods.Load(context.Background(), "arp"))
	h.want("ff who-has 10.0.0.1 tell 10.0.0.1 (1)")
}

// FuzzInput: no frame makes the module panic or leak, or claim one of our
// addresses.
func FuzzInput(f *testing.F) {
	var b [wire.ARPLen]byte
	for _, m := range []wire.ARPFields{request(peerMAC, peerIP, ourIP), reply(peerMAC, peerIP), wire.ARPAnnouncementOf(ourIP.As4(), evilMAC)} {
		wire.PutARP(b[:], m)
		f.Add(b[:], true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, broadcast bool) {
		h := up(t)
		h.send(peerIP)
		p := h.link.Pool.Get()
		dst := ourMAC
		if broadcast {
			dst = wire.BroadcastMAC()
		}
		wire.PutEthernet(p.Extend(wire.EthernetLen), dst, peerMAC, wire.EtherTypeARP)
		p.Append(raw)
		var q packet.Queue
		q.Push(p)
		h.dev.Receive(&q)
		if h.known(ourIP) != "" {
			t.Error("our own address became a neighbour")
		}
		h.clock.Advance(10 * time.Second)
	})
}
