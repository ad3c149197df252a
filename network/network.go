// Package network is layer 3: addresses, routes, the five netfilter hook points,
// and the contracts between IP versions (Family), transports above (Handler) and
// what sends and understands ICMP errors. It holds no protocol.
//
// In: a Family takes packets from link, runs Prerouting, looks the destination
// up, and either runs Input and gives the packet to the Handler of its protocol,
// or forwards it. Out: a transport resolves a Path and calls Send, which asks
// the Family for a header, runs Output and Postrouting, and transmits.
package network

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/core/hook"
	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/core/rcu"
	"github.com/knitnet/knit/core/stat"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network/neigh"
	"github.com/knitnet/knit/network/route"
)

// Symbol is the kernel symbol under which modules find the Layer.
const Symbol = "network"

// A Version is an IP version as an index into tables: V4 or V6.
type Version uint8

// IP versions.
const (
	V4 Version = iota
	V6
)

// String returns "IPv4" or "IPv6".
func (v Version) String() string {
	if v == V4 {
		return "IPv4"
	}
	return "IPv6"
}

// VersionOf returns the version of a. IPv4-mapped addresses count as V6; callers
// Unmap first.
func VersionOf(a netip.Addr) Version {
	if a.Is4() {
		return V4
	}
	return V6
}

// Hooks are the netfilter hook points of one IP version. Output comes when a packet's
// way is known: a hook there that changes its addresses or its mark sets Meta.Reroute if
// the packet is to go where it would now be sent.
type Hooks struct {
	Prerouting, Input, Forward, Output, Postrouting hook.Point
}

// ARPHooks are the netfilter hook points of ARP: what came in and is to be looked at,
// and what is to be sent. Packets begin with the ARP header.
type ARPHooks struct{ Input, Output hook.Point }

// A Handler is a transport protocol: it takes packets of one IP protocol number.
type Handler interface {
	// Input takes a batch, all of one protocol and one IP version, and owns it.
	// The transport header is at the start of the data and at Meta.L4, the IP
	// header at Meta.L3. The length is that of the IP packet, fragments are put
	// together, the transport header need not lie in the head yet.
	Input(q *packet.Queue)
	// Error tells of an ICMP error about a packet that this host seems to have sent:
	// anybody can forge one. Of a PacketTooBig the Handler calls Layer.LearnMTU when
	// it believes it.
	Error(e *Error)
}

// A Family is an IP version.
type Family interface {
	// Output puts an IP header in front of each packet, which begins with its
	// transport header, and sends them along s.Path. It owns q.
	Output(s *Send, q *packet.Queue)
	// SelectSource chooses the source address for dst, leaving by dev.
	SelectSource(dst netip.Addr, dev *link.Device) (netip.Addr, bool)
	// MinMTU is the smallest path MTU in bytes that is believed.
	MinMTU() int
}

// An AddrChecker has a say in new addresses: a Family may be one, and see
// SetAddrChecker.
type AddrChecker interface {
	// CheckAddr is called before a, which is complete, is added to dev. It may
	// change a's flags, or refuse it.
	CheckAddr(dev *link.Device, a *Addr) error
}

// An MTULimiter is a Family whose packets on a device may have to be smaller than
// the device's own MTU (RFC 4861 §6.3.4).
type MTULimiter interface {
	// LinkMTU returns the MTU in bytes on dev's link.
	LinkMTU(dev *link.Device) int
}

// A SourceChecker is a Family that tells whether a packet that comes by f.In may be
// from f.Src: EINVAL if no packet can be from there, EXDEV if its way back is another.
type SourceChecker interface {
	CheckSource(f Flow) error
}

// A Layer is a kernel's network layer. All methods are safe for concurrent use.
type Layer struct {
	// Hooks are the hook points by Version.
	Hooks [2]Hooks
	// ARP are those of ARP.
	ARP ARPHooks

	// FIB holds the routes and the rules. Change them through the layer's methods, so
	// that Paths become invalid.
	route.FIB

	// Multipath says how flows are spread, by Version.
	Multipath [2]Multipath

	// ReflectMark are net.ipv4.fwmark_reflect and net.ipv6.fwmark_reflect, by Version:
	// 1 if answers have the mark of what they answer; see ReplyMark.
	ReflectMark [2]atomic.Int64

	// Link, Pool, Clock and Walks are the kernel's own, for modules.
	Link  *link.Layer
	Pool  *packet.Pool
	Clock *clock.Clock
	Walks *rcu.Period
	// Stats is the table of statistics groups.
	Stats *stat.Set

	generation atomic.Uint64 // of routes, addresses and MTUs; see Path.Valid
	families   [2]atomic.Pointer[family]
	handlers   [2][256]atomic.Pointer[handler]
	errors     [2]atomic.Pointer[errorSender]
	answered   atomic.Pointer[func(answer, about *packet.Packet)]
	neighbours [2]atomic.Pointer[neigh.Table]
	checkers   [2]atomic.Pointer[addrChecker]
	icmp       [2][256]atomic.Pointer[ICMPFunc]
	loopback   atomic.Pointer[link.Device]
	request    func(alias string) error
	socket     packet.Slot[*Socket]
	ownSocket  Socket // see OwnSocket

	pmtu      pmtuTable
	sizes     sizeTable
	redirects redirectTable
	raw       rawTable

	addrs     addrTable
	groups    groupTable
	lifetimes lifetimes

	watch struct {
		sync.Mutex
		list []*watcher
	}
}

type (
	family      struct{ Family }
	handler     struct{ Handler }
	errorSender struct{ ErrorSender }
	addrChecker struct{ AddrChecker }
)

// Config is what a kernel gives its network layer.
type Config struct {
	Link  *link.Layer
	Stats *stat.Set
	// Request loads the module with an alias such as "net-pf-2". Nil means that
	// nothing can be loaded.
	Request func(alias string) error
	// Oops is told of hooks that panic; see hook.Point.
	Oops func(owner string, reason any)
}

// New returns a layer without families, addresses and routes.
func New(cfg Config) *Layer {
	l := &Layer{
		Link: cfg.Link, Pool: cfg.Link.Pool, Clock: cfg.Link.Clock, Walks: cfg.Link.Walks,
		Stats: cfg.Stats, request: cfg.Request, ownSocket: Socket{Wildcard: true, Orphan: true},
	}
	for i := range l.Hooks {
		h := &l.Hooks[i]
		for _, p := range []*hook.Point{&h.Prerouting, &h.Input, &h.Forward, &h.Output, &h.Postrouting} {
			p.Oops = cfg.Oops
		}
	}
	l.ARP.Input.Oops, l.ARP.Output.Oops = cfg.Oops, cfg.Oops
	if l.request == nil {
		l.request = func(alias string) error { return fmt.Errorf("%s: no modules here", alias) }
	}
	l.FIB.Init(route.Devices{Index: l.indexOf, Loopback: l.loopbackIndex})
	for v := range l.Multipath {
		l.Multipath[v].random = rand.Uint64()
	}
	l.sizes.seed = maphash.MakeSeed()
	var err error
	if l.socket, _, err = packet.NewSlot[*Socket](&l.Link.Slots, Symbol); err != nil {
		panic(err) // the layer is made before its users, and once
	}
	l.addrs.init()
	l.lifetimes.timer.Init(l.Clock, l.expire)
	l.Link.Watch(l.deviceChanged)
	return l
}

// AddFamily makes f the IP version v until undo is called.
func (l *Layer) AddFamily(v Version, f Family) (undo func(), err error) {
	if !l.families[v].CompareAndSwap(nil, &family{f}) {
		return nil, fmt.Errorf("%v: taken", v)
	}
	l.changed()
	return func() { l.families[v].Store(nil); l.forget(v) }, nil
}

// forget drops what was learnt about paths of version v.
func (l *Layer) forget(v Version) {
	l.pmtu.forgetIf(func(k pmtuKey, _ pmtu) bool { return VersionOf(k.dst) == v })
	l.redirects.forgetIf(func(k redirectKey, _ redirect) bool { return VersionOf(k.dst) == v })
	l.rearm()
	l.changed()
}

// Family returns the IP version v, or nil when its module is not loaded.
func (l *Layer) Family(v Version) Family {
	if f := l.families[v].Load(); f != nil {
		return f.Family
	}
	return nil
}

// Handle gives packets of an IP protocol in version v to h until undo is called.
func (l *Layer) Handle(v Version, proto uint8, h Handler) (undo func(), err error) {
	if !l.handlers[v][proto].CompareAndSwap(nil, &handler{h}) {
		return nil, fmt.Errorf("%v protocol %d: taken", v, proto)
	}
	return func() { l.handlers[v][proto].Store(nil) }, nil
}

// Handler returns the handler of an IP protocol, or nil.
func (l *Layer) Handler(v Version, proto uint8) Handler {
	if h := l.handlers[v][proto].Load(); h != nil {
		return h.Handler
	}
	return nil
}

// SetNeighbours makes t the neighbour table of version v (ARP's or NDP's) until
// undo is called.
func (l *Layer) SetNeighbours(v Version, t *neigh.Table) (undo func(), err error) {
	if !l.neighbours[v].CompareAndSwap(nil, t) {
		return nil, fmt.Errorf("%v neighbour table: taken", v)
	}
	l.changed()
	return func() { l.neighbours[v].Store(nil); l.changed() }, nil
}

// Neighbours returns the neighbour table of version v, or nil.
func (l *Layer) Neighbours(v Version) *neigh.Table { return l.neighbours[v].Load() }

// SetAddrChecker lets c have a say in new addresses of version v beside the Family,
// until undo is called: who finds the neighbours knows whether one has an address.
func (l *Layer) SetAddrChecker(v Version, c AddrChecker) (undo func(), err error) {
	if !l.checkers[v].CompareAndSwap(nil, &addrChecker{c}) {
		return nil, fmt.Errorf("%v address checker: taken", v)
	}
	return func() { l.checkers[v].Store(nil) }, nil
}

// Loopback returns the loopback device when there is one and it is up.
func (l *Layer) Loopback() *link.Device { return l.loopback.Load() }

// Request asks for a module by alias, as Linux's request_module does.
func (l *Layer) Request(alias string) error { return l.request(alias) }

// Invalidate makes all Paths invalid, for modules whose settings they follow from.
func (l *Layer) Invalidate() { l.changed() }

// Generation is another number after every change of routes, addresses and MTUs.
// What was found out before counts as long as it is the same.
func (l *Layer) Generation() uint64 { return l.generation.Load() }

// changed makes all Paths invalid.
func (l *Layer) changed() { l.generation.Add(1) }

func (l *Layer) deviceChanged(e link.Event) {
	dev := e.Device
	if dev.Type() == link.Loopback {
		if dev.Up() {
			l.loopback.CompareAndSwap(nil, dev)
		} else {
			l.loopback.CompareAndSwap(dev, nil)
		}
	}
	if e.Kind == link.Added || e.Kind == link.Removed || e.Kind == link.Renamed {
		l.Bind()
	}
	if e.Kind == link.Added {
		l.learnVRFs()
	}
	switch e.Kind {
	case link.WentUp:
		l.deviceUp(dev)
	case link.WentDown:
		l.deviceDown(dev)
		l.redirects.forgetIf(func(k redirectKey, _ redirect) bool { return k.index == dev.Index() })
	case link.Removed:
		l.deviceRemoved(dev)
		l.learnVRFs()
	case link.MasterChanged:
		l.changeVRF(dev)
	case link.Renamed:
		l.relabel(dev)
	}
	l.changed()
}

// indexOf returns the index of a device, 0 if there is none of the name.
func (l *Layer) indexOf(name string) int32 {
	dev, err := l.Link.Lookup(name)
	if err != nil {
		return 0
	}
	return dev.Index()
}

// loopbackIndex returns the index of the loopback device, be it up or not.
func (l *Layer) loopbackIndex() int32 {
	for _, dev := range l.Link.Devices() {
		if dev.Type() == link.Loopback {
			return dev.Index()
		}
	}
	return 0
}
