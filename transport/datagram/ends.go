package datagram

import (
	"cmp"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/transport"
)

// Ends are the addresses of a socket of one IP version without ports of IP's own:
// what it is bound and connected to, and the way to where it last sent. Bind makes
// them ready; they are safe for concurrent use.
type Ends struct {
	net     *network.Layer
	owner   *transport.Identity
	version network.Version
	proto   uint8
	addr    netip.Addr // bound address; zero: all
	index   int32
	peer    atomic.Pointer[peer]
	way     Way
}

// A peer is what Connect sets.
type peer struct {
	addr, src netip.Addr
	index     int32 // the link of a link-local peer, else 0
}

// Bind sets the local address, the interface and the protocol. The version is that of a
// valid local address, else o's. owner says how the socket's packets are marked, from now
// on. EADDRNOTAVAIL when the address is not this host's and the socket not transparent.
func (e *Ends) Bind(n *network.Layer, o *transport.DatagramOptions, owner *transport.Identity, local netip.Addr) error {
	local = local.Unmap()
	e.net, e.version, e.proto, e.owner = n, o.Version, o.Proto, owner
	id := o.Socket()
	id.Wildcard = !local.IsValid() || local.IsUnspecified()
	owner.Init(id)
	if local.IsValid() {
		e.version = network.VersionOf(local)
	}
	var err error
	if e.index, err = transport.LocalScope(n, local, o.Index); err != nil {
		return err
	}
	local = local.WithZone("")
	switch {
	case !local.IsValid(), local.IsUnspecified():
		return nil
	case !local.IsMulticast() && n.Own(local, e.index) == nil && local != limitedBroadcast() && !o.Transparent:
		return syscall.EADDRNOTAVAIL
	}
	e.addr = local
	return nil
}

func limitedBroadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// Version returns the IP version.
func (e *Ends) Version() network.Version { return e.version }

// Index returns the interface the socket is bound to, 0 for any.
func (e *Ends) Index() int32 { return e.index }

// Match reports whether a packet that came in by an interface is for the socket.
// Answers to what was sent to a group come from its members.
func (e *Ends) Match(src, dst netip.Addr, index int32) bool {
	if e.addr.IsValid() && e.addr != dst || !e.cameBy(e.index, index, dst) {
		return false
	}
	p := e.peer.Load()
	return p == nil || p.addr.IsMulticast() || p.addr == src && (p.src == dst || dst.IsMulticast()) &&
		e.cameBy(p.index, index, dst)
}

// cameBy reports whether a packet that came in by an interface did by the wanted
// one; 0 is any. What this host sends to a link-local address of its own comes by
// the loopback device and counts as come by the address's link.
func (e *Ends) cameBy(want, index int32, dst netip.Addr) bool {
	if want == 0 || e.net.Hears(want, index, false) {
		return true
	}
	return dst.Is6() && dst.IsLinkLocalUnicast() && e.net.IsInnerOf(index, want)
}

// MatchError reports whether an ICMP error is about what the socket sent to the
// peer it is connected to; others do not learn of errors (RFC 1122 §4.1.3.3).
func (e *Ends) MatchError(x *network.Error) bool {
	p := e.peer.Load()
	return p != nil && p.addr == x.Dst && (!e.addr.IsValid() || e.addr == x.Src)
}

// Connect sets the peer; a zero address dissolves the association.
func (e *Ends) Connect(to netip.Addr) error {
	if !to.IsValid() {
		e.peer.Store(nil)
		return nil
	}
	to = to.Unmap()
	p, err := e.resolve(to)
	if err != nil {
		return err
	}
	e.way.Set(e.destination(to), p)
	next := &peer{addr: p.Dst, src: p.Src}
	if to.Zone() != "" && p.Dst.IsLinkLocalUnicast() {
		next.index, _ = transport.Scope(e.net, to, e.index)
	}
	e.peer.Store(next)
	return nil
}

// Way returns the path to an address, or to the peer if it is zero. The last one is
// remembered.
func (e *Ends) Way(to netip.Addr) (*network.Path, error) {
	if !to.IsValid() {
		p := e.peer.Load()
		if p == nil {
			return nil, syscall.EDESTADDRREQ
		}
		to = transport.Zoned(e.net, p.addr, p.index)
	}
	to = to.Unmap()
	if p := e.way.To(e.destination(to)); p != nil {
		return p, nil
	}
	p, err := e.resolve(to)
	if err == nil {
		e.way.Set(e.destination(to), p)
	}
	return p, err
}

func (e *Ends) destination(to netip.Addr) Destination {
	return Destination{To: netip.AddrPortFrom(to, 0), Mark: e.owner.Load().Mark}
}

func (e *Ends) resolve(to netip.Addr) (*network.Path, error) {
	if network.VersionOf(to) != e.version {
		return nil, syscall.EAFNOSUPPORT
	}
	id := e.owner.Load()
	f := network.Flow{Dst: to.WithZone(""), Mark: id.Mark, UID: id.UID, Proto: e.proto}
	if to.IsUnspecified() { // this host, as on Linux
		f.Dst = netip.IPv6Loopback()
		if to.Is4() {
			f.Dst = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
	}
	var err error
	if f.Index, err = transport.Scope(e.net, to, e.index); err != nil {
		return nil, err
	}
	if r := e.net.Own(e.addr, e.index); e.addr.IsValid() && (id.Transparent && !e.addr.IsMulticast() || r != nil && r.Type == route.Local) {
		f.Src = e.addr
	}
	return e.net.Resolve(f)
}

// Local returns the bound address, or the one that packets to the peer come from.
func (e *Ends) Local() netip.Addr {
	if e.addr.IsValid() {
		return transport.Zoned(e.net, e.addr, e.index)
	}
	if p := e.peer.Load(); p != nil {
		return transport.Zoned(e.net, p.src, max(p.index, e.index))
	}
	if e.version == network.V4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// Remote returns the peer, or the zero Addr.
func (e *Ends) Remote() netip.Addr {
	if p := e.peer.Load(); p != nil {
		return transport.Zoned(e.net, p.addr, max(p.index, e.index))
	}
	return netip.Addr{}
}

// Describe fills m in for a received packet, whose IP header is at Meta.L3.
func (e *Ends) Describe(pkt *packet.Packet, m *transport.Message) {
	ip := pkt.At(pkt.L3)
	src, dst := Addrs(ip)
	*m = transport.Message{Index: cmp.Or(e.index, pkt.In)}
	if ip[0]>>4 == 4 {
		m.TTL, m.TOS = ip[8], ip[1]
	} else {
		m.TTL, m.TOS = ip[7], ip[0]<<4|ip[1]>>4
	}
	m.Src, m.Dst = netip.AddrPortFrom(transport.Zoned(e.net, src, m.Index), 0), netip.AddrPortFrom(dst, 0)
}

// Addrs reads source and destination of the IP header in front of ip.
func Addrs(ip []byte) (src, dst netip.Addr) {
	if ip[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	}
	return netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
}
