package nftcase

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/netfilter"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/std"
	"github.com/knitnet/knit/wire"
)

// unheard are modules that a table's kernel does without: they speak of their own
// accord, or would find an answer to what a table lets nobody answer.
var unheard = []string{"arp", "ndp", "mld", "igmp", "tcp", "udp", "raw", "ping"}

// start makes the kernel of a case and loads the rules.
func (r *runner) start(t *Table, rules *netfilter.NFTRequest) (err error) {
	specs := slices.DeleteFunc(std.Modules(), func(s module.Spec) bool { return slices.Contains(unheard, s.Name) })
	if r.kernel, err = knit.New(knit.Config{Modules: specs, Clock: clock.NewVirtual()}); err != nil {
		return err
	}
	r.kernel.Modules.SetDefaultParams("nf_conntrack", smallTable)
	for _, m := range []string{"loopback", "ip4", "ip6", "icmp4", "icmp6", "nf_tables"} {
		if err := r.kernel.Modprobe(r.ctx, m); err != nil {
			return err
		}
	}
	if err := r.neighbours(); err != nil {
		return err
	}
	if err := r.network(t); err != nil {
		return err
	}
	if err := r.listen(); err != nil {
		return err
	}
	var ok bool
	if r.rules, ok = module.Find[netfilter.WatchedRuleset](r.kernel.Modules, netfilter.RulesetSymbol); !ok {
		return fmt.Errorf("the packet filter cannot be watched")
	}
	q := *rules
	q.Placed = func(x *rulePtr, file string, line int) { r.places[x] = Position{file, line} }
	if err := r.rules.Run(r.ctx, &q, io.Discard); err != nil {
		return &RulesError{err}
	}
	r.rules.Watch(r.event)
	if _, tracks := r.kernel.Modules.Loaded("nf_conntrack"); tracks {
		if err := r.set([]Sysctl{{"net.netfilter.nf_conntrack_max", usualConnections}}); err != nil {
			return err
		}
	}
	return r.set(t.Sysctls) // those of modules that the rules have loaded, too
}

// Connection tracking looks through its table for what is over once in a while, also
// when days pass in a moment: so it gets a small table, with the usual limit.
const (
	smallTable       = "hashsize=1024"
	usualConnections = "262144"
)

// A RulesError is what is wrong with the rules, in nft's words.
type RulesError struct{ Err error }

func (e *RulesError) Error() string { return e.Err.Error() }

// Unwrap returns what the packet filter said.
func (e *RulesError) Unwrap() error { return e.Err }

// maxNeighbours is how many hosts may be on the links of a case.
const maxNeighbours = 1 << 20

// neighbours gives the kernel tables of neighbours. Its devices ask for nobody, so all
// there are have an address at once.
func (r *runner) neighbours() error {
	for _, v := range []network.Version{network.V4, network.V6} {
		t := neigh.New(neigh.Config{
			Clock: r.kernel.Clock, Solicit: func(*link.Device, netip.Addr, wire.MAC, netip.Addr) {},
			Thresh1: maxNeighbours, Thresh2: maxNeighbours, Thresh3: maxNeighbours, Seed: 1,
		})
		r.tables = append(r.tables, t)
		if _, err := r.kernel.Network.SetNeighbours(v, t); err != nil {
			return err
		}
	}
	return nil
}

// network makes devices, addresses and routes.
func (r *runner) network(t *Table) error {
	for i, d := range t.Devices {
		dev, err := r.kernel.Link.Attach(link.Info{
			Name: d.Name, Kind: "case", Type: link.Ether, Flags: link.NoARP, MTU: d.MTU,
			Hardware: wire.MAC{2, 0, 0, 0, byte(i), 1},
		}, &exit{r, site(d.Name)})
		if err != nil {
			return fmt.Errorf("device %s: %w", d.Name, err)
		}
		r.devices[d.Name] = dev
		for _, p := range d.Prefixes {
			if err := r.kernel.Network.AddAddr(dev, network.Addr{Prefix: p, Flags: network.NoDAD}); err != nil {
				return fmt.Errorf("device %s: %v: %w", d.Name, p, err)
			}
		}
		if err := dev.SetUp(true); err != nil {
			return fmt.Errorf("device %s: %w", d.Name, err)
		}
	}
	settings := []Sysctl{
		{"net.ipv4.ip_forward", "1"}, {"net.ipv6.conf.all.forwarding", "1"},
		// The host's part of a conversation is that of the table alone.
		{"net.ipv4.icmp_echo_ignore_all", "1"}, {"net.ipv6.icmp.echo_ignore_all", "1"},
	}
	if err := r.set(settings); err != nil {
		return err
	}
	for _, x := range t.Routes {
		if err := r.route(x); err != nil {
			return fmt.Errorf("route %v: %w", x.Dst, err)
		}
	}
	return nil
}

func (r *runner) set(settings []Sysctl) error {
	for _, s := range settings {
		if err := r.kernel.Sysctl.Set(s.Name, s.Value); err != nil {
			return fmt.Errorf("sysctl %s=%s: %w", s.Name, s.Value, err)
		}
	}
	return nil
}

func (r *runner) route(x Route) error {
	hop := route.NextHop{Gateway: x.Via}
	if x.Device != "" {
		dev := r.devices[x.Device]
		if dev == nil {
			return fmt.Errorf("there is no device %s", x.Device)
		}
		hop.Index = dev.Index()
	} else {
		p, err := r.kernel.Network.Resolve(network.Flow{Dst: x.Via})
		if err != nil {
			return fmt.Errorf("via %v: %w", x.Via, err)
		}
		hop.Index = p.Device.Index()
	}
	return r.kernel.Network.AddRoute(route.Route{Dst: x.Dst, NextHops: []route.NextHop{hop}}, route.Append)
}

// listen watches what comes to the host, and ends it there: nobody but the table
// answers.
func (r *runner) listen() error {
	r.kernel.Link.Ingress.Add(hook.Entry{Owner: "case", Priority: hook.Last, Batch: r.enter})
	for _, v := range []network.Version{network.V4, network.V6} {
		r.kernel.Network.Hooks[v].Input.Add(hook.Entry{Owner: "case", Priority: hook.Last, Batch: r.arrive})
		for proto := range 256 {
			if r.kernel.Network.Handler(v, uint8(proto)) != nil {
				continue
			}
			if _, err := r.kernel.Network.Handle(v, uint8(proto), swallow{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// enter notes frames that have passed a device's ingress and carry neither IP version:
// they go no further.
func (r *runner) enter(q *packet.Queue) {
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		if pkt.Proto != wire.EtherTypeIPv4 && pkt.Proto != wire.EtherTypeIPv6 {
			r.note(pkt, 0, local)
		}
	}
}

// arrive notes packets that have passed the last hook on their way to the host.
func (r *runner) arrive(q *packet.Queue) {
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		r.note(pkt, 0, local)
	}
}

func (r *runner) note(pkt *packet.Packet, skip int, at site) {
	b := make([]byte, max(pkt.Len()-skip, 0))
	pkt.CopyOut(skip, b)
	r.seen = append(r.seen, seen{b, at, pkt.Mark})
}

// A swallow is a protocol of which nobody says anything.
type swallow struct{}

func (swallow) Input(q *packet.Queue) { q.Consume() }

func (swallow) Error(*network.Error) {}

// An exit is the driver of a device: what is sent ends here.
type exit struct {
	r  *runner
	at site
}

// Transmit implements link.Driver.
func (e *exit) Transmit(_ *link.Device, q *packet.Queue) {
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		e.r.note(pkt, wire.EthernetLen, e.at)
	}
	q.Consume()
}

// Open implements link.Driver.
func (e *exit) Open(*link.Device) error { return nil }

// Close implements link.Driver.
func (e *exit) Close(*link.Device) {}

// inject lets a packet enter at a site.
func (r *runner) inject(from site, p *Packet) (*outcome, error) {
	b, etherType, err := p.encode()
	if err != nil {
		return nil, err
	}
	if from == local {
		return r.emit(b, p.markValue())
	}
	dev := r.devices[string(from)]
	frame := p.frame(b, etherType, destinationMAC(b, dev.MAC()), wire.MAC{2, 0, 0, 0, dev.MAC()[4], 2})
	return r.receive(dev, frame, b, p.markValue()), nil
}

// receive lets a frame come in; b is what it carries.
func (r *runner) receive(dev *link.Device, frame, b []byte, mark uint32) *outcome {
	return r.watch(b, func() {
		pkt := r.kernel.Pool.Get()
		pkt.Append(frame)
		pkt.Mark = mark
		var q packet.Queue
		q.Push(pkt)
		dev.Receive(&q)
	})
}

// emit sends a packet that the host has made.
func (r *runner) emit(b []byte, mark uint32) (*outcome, error) {
	src, dst := ends(b)
	if !dst.Addr().IsValid() {
		return nil, fmt.Errorf("the host sends no such packet: it has no addresses")
	}
	flow := network.Flow{Dst: dst.Addr(), Mark: mark}
	if r.kernel.Network.IsLocal(src.Addr()) {
		flow.Src = src.Addr()
	}
	path, err := r.kernel.Network.Resolve(flow)
	if err != nil {
		return &outcome{verdict: drop, reason: "the host has no way there: " + err.Error()}, nil
	}
	return r.watch(b, func() {
		pkt := r.kernel.Pool.Get()
		pkt.Append(b)
		pkt.Mark = mark
		var q packet.Queue
		q.Push(pkt)
		r.kernel.Network.Send(&network.Send{Path: path, Proto: wire.ProtoRaw, HeaderIncluded: true}, &q)
	}), nil
}

// destinationMAC is the hardware address that a packet is sent to on its link.
func destinationMAC(b []byte, host wire.MAC) wire.MAC {
	_, dst := ends(b)
	switch a := dst.Addr(); {
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return wire.MAC{255, 255, 255, 255, 255, 255}
	case a.Is4() && a.IsMulticast():
		x := a.As4()
		return wire.MAC{1, 0, 0x5e, x[1] & 0x7f, x[2], x[3]} // RFC 1112 §6.4
	case a.Is6() && a.IsMulticast():
		x := a.As16()
		return wire.MAC{0x33, 0x33, x[12], x[13], x[14], x[15]} // RFC 2464 §7
	}
	return host
}

// close ends the kernel of a case, which must have nothing left.
func (r *runner) close() error {
	if r.kernel == nil {
		return nil
	}
	err := r.kernel.Close()
	for _, t := range r.tables {
		t.Close()
	}
	if n := r.kernel.Pool.Live(); n != 0 && err == nil {
		err = fmt.Errorf("%d packets are left", n)
	}
	return err
}

// nft runs a command on the rules.
func (r *runner) nft(text string) error {
	return r.rules.Run(context.WithoutCancel(r.ctx), &netfilter.NFTRequest{Text: text}, io.Discard)
}
