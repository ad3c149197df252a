package datagram

import (
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
	version network.Version
	addr    netip.Addr // bound address; zero: all
	index   int32
	peer    atomic.Pointer[peer]
	path    atomic.Pointer[network.Path]
}

// A peer is what Connect sets.
type peer struct{ addr, src netip.Addr }

// Bind sets the local address and the interface. The version is that of a valid
// local address, else o's. EADDRNOTAVAIL when the address is not this host's.
func (e *Ends) Bind(n *network.Layer, o *transport.DatagramOptions, local netip.Addr) error {
	local = local.Unmap()
	e.net, e.version, e.index = n, o.Version, o.Index
	if local.IsValid() {
		e.version = network.VersionOf(local)
	}
	if e.index == 0 && local.Zone() != "" {
		dev, err := n.Link.Lookup(local.Zone())
		if err != nil {
			return syscall.ENODEV
		}
		e.index = dev.Index()
	}
	local = local.WithZone("")
	switch {
	case !local.IsValid(), local.IsUnspecified():
		return nil
	case !local.IsMulticast() && n.Local.Lookup(local) == nil && local != limitedBroadcast():
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
	if e.addr.IsValid() && e.addr != dst || e.index != 0 && e.index != index {
		return false
	}
	p := e.peer.Load()
	return p == nil || p.addr.IsMulticast() || p.addr == src && (p.src == dst || dst.IsMulticast())
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
	p, err := e.resolve(to.Unmap())
	if err != nil {
		return err
	}
	e.path.Store(p)
	e.peer.Store(&peer{p.Dst, p.Src})
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
		to = p.addr
	}
	to = to.Unmap()
	if p := e.path.Load(); p != nil && p.Dst == to && p.Valid() {
		return p, nil
	}
	p, err := e.resolve(to)
	if err == nil {
		e.path.Store(p)
	}
	return p, err
}

func (e *Ends) resolve(to netip.Addr) (*network.Path, error) {
	if network.VersionOf(to) != e.version {
		return nil, syscall.EAFNOSUPPORT
	}
	f := network.Flow{Dst: to.WithZone(""), Index: e.index}
	if to.IsUnspecified() { // this host, as on Linux
		f.Dst = netip.IPv6Loopback()
		if to.Is4() {
			f.Dst = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
	}
	if to.Zone() != "" {
		dev, err := e.net.Link.Lookup(to.Zone())
		if err != nil {
			return nil, syscall.ENODEV
		}
		if f.Index != 0 && f.Index != dev.Index() {
			return nil, syscall.EINVAL
		}
		f.Index = dev.Index()
	}
	if r := e.net.Local.Lookup(e.addr); e.addr.IsValid() && r != nil && r.Type == route.Local {
		f.Src = e.addr
	}
	return e.net.Resolve(f)
}

// Local returns the bound address, or the one that packets to the peer come from.
func (e *Ends) Local() netip.Addr {
	if e.addr.IsValid() {
		return e.addr
	}
	if p := e.peer.Load(); p != nil {
		return p.src
	}
	if e.version == network.V4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// Remote returns the peer, or the zero Addr.
func (e *Ends) Remote() netip.Addr {
	if p := e.peer.Load(); p != nil {
		return p.addr
	}
	return netip.Addr{}
}

// Describe fills m in for a received packet, whose IP header is at Meta.L3.
func (e *Ends) Describe(pkt *packet.Packet, m *transport.Message) {
	ip := pkt.At(pkt.L3)
	src, dst := Addrs(ip)
	*m = transport.Message{Index: pkt.In}
	if ip[0]>>4 == 4 {
		m.TTL, m.TOS = ip[8], ip[1]
	} else {
		m.TTL, m.TOS = ip[7], ip[0]<<4|ip[1]>>4
	}
	if src.Is6() && src.IsLinkLocalUnicast() {
		if dev := e.net.Link.Device(pkt.In); dev != nil {
			src = src.WithZone(dev.Name())
		}
	}
	m.Src, m.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
}

// Addrs reads source and destination of the IP header in front of ip.
func Addrs(ip []byte) (src, dst netip.Addr) {
	if ip[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	}
	return netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
}
