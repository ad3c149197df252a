package udp

import (
	"cmp"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
	"github.com/knitnet/knit/wire"
)

// A socket implements transport.Datagram.
type socket struct {
	u     *udp
	addr  netip.Addr // bound address; zero: all of both versions
	port  uint16
	index int32
	// intercepted: addr need not be an address of this host, and no port is bound.
	intercepted bool
	v6only      bool
	reusePort   bool
	owner       string
	id          uint64

	queue datagram.Queue
	opts  datagram.Options
	peer  atomic.Pointer[peer]
	path  datagram.Way

	close  sync.Once
	unbind func()
}

// A peer is what Connect sets.
type peer struct {
	addr  netip.AddrPort // without a zone
	src   netip.Addr     // our address towards it
	index int32          // the link of a link-local one, else 0
}

// local reports whether a datagram to dst is for the association.
func (p *peer) local(dst netip.Addr) bool { return p.src == dst || dst.IsMulticast() }

// Open implements transport.DatagramProtocol.
func (u *udp) Open(o transport.DatagramOptions, local netip.AddrPort, w transport.Waker) (transport.Datagram, error) {
	addr := local.Addr().Unmap()
	index, err := transport.LocalScope(u.net, addr, o.Index)
	switch {
	case err != nil:
		return nil, err
	case !addr.IsValid(), addr == netip.IPv6Unspecified() && !o.V6Only:
		addr = netip.Addr{}
	case addr.IsUnspecified(), addr.IsMulticast(), o.Transparent:
	case u.net.Own(addr.WithZone(""), index) == nil && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return nil, syscall.EADDRNOTAVAIL
	}
	if !u.sockets.Get() {
		return nil, syscall.EPROTONOSUPPORT
	}
	addr = addr.WithZone("")
	b, release, err := u.ports.Bind(transport.Binding{
		Addr: addr, Port: local.Port(), Index: index, Domain: u.portDomain(index), ReuseAddr: o.ReuseAddr, ReusePort: o.ReusePort,
	})
	if err != nil {
		u.sockets.Put()
		return nil, err
	}
	s := &socket{
		u: u, addr: addr, port: b.Port, index: index, v6only: o.V6Only && addr.Is6(), reusePort: o.ReusePort, owner: o.Owner, id: u.layer.NewID(),
	}
	s.queue.Init(w, o.RecvBuffer)
	s.identify(o.Socket())
	s.unbind = func() {
		u.table.remove(s)
		release()
		s.opts.Close()
		s.queue.Close()
		u.sockets.Put()
	}
	u.table.add(s)
	return s, nil
}

// identify sets what the layers below know of the socket at first.
func (s *socket) identify(id network.Socket) {
	id.Keep, id.Wildcard = s, !s.addr.IsValid() || s.addr.IsUnspecified()
	s.opts.Identity.Init(id)
}

// portDomain is the Binding.Domain of who is bound to an interface, 0 for none.
func (u *udp) portDomain(index int32) int32 {
	if u.l3mdevAccept.Load() {
		return 0
	}
	return u.net.VRF(index)
}

// Connect implements transport.Datagram.
func (s *socket) Connect(remote netip.AddrPort) error {
	if !remote.Addr().IsValid() {
		s.connected(nil)
		return nil
	}
	to := datagram.Unmap(remote)
	p, err := s.resolve(to)
	if err != nil {
		return err
	}
	s.path.Set(s.destination(to), p)
	next := &peer{addr: netip.AddrPortFrom(p.Dst, to.Port()), src: p.Src}
	if p.Dst.IsLinkLocalUnicast() && p.Dst.Is6() {
		next.index, _ = transport.Scope(s.u.net, to.Addr(), s.index)
	}
	s.connected(next)
	return nil
}

// connected sets the peer, nil for none. A connected socket is bound to the address that
// it sends from, as on Linux.
func (s *socket) connected(p *peer) {
	s.peer.Store(p)
	s.opts.Identity.Edit(func(id *network.Socket) {
		id.Wildcard = p == nil && (!s.addr.IsValid() || s.addr.IsUnspecified())
	})
}

// destination is what the way to an address depends on.
func (s *socket) destination(to netip.AddrPort) datagram.Destination {
	if !s.u.net.FlowVaries(network.VersionOf(to.Addr())) {
		to = netip.AddrPortFrom(to.Addr(), 0)
	}
	return datagram.Destination{To: to, Mark: s.opts.Identity.Load().Mark, TOS: s.opts.TOS()}
}

// resolve finds the way to an address from the one that the socket is bound to.
func (s *socket) resolve(to netip.AddrPort) (*network.Path, error) {
	dst := to.Addr()
	if dst.IsUnspecified() { // this host, as on Linux
		if dst.Is6() {
			dst = netip.IPv6Loopback()
		} else {
			dst = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
	}
	index, err := transport.Scope(s.u.net, dst, s.index)
	if err != nil {
		return nil, err
	}
	id := s.opts.Identity.Load()
	f := network.Flow{
		Dst: dst.WithZone(""), Index: index, Mark: id.Mark, UID: id.UID,
		TOS: s.opts.TOS(), Proto: wire.ProtoUDP, SrcPort: s.port, DstPort: to.Port(),
	}
	if s.addr.IsValid() && !s.addr.IsUnspecified() && !s.addr.IsMulticast() {
		if s.addr.Is4() != dst.Is4() {
			return nil, syscall.EAFNOSUPPORT
		}
		f.Src = s.addr
	} else if s.addr.IsValid() && s.addr.Is4() != dst.Is4() {
		return nil, syscall.EAFNOSUPPORT
	}
	return s.u.net.Resolve(f)
}

// RecvFrom implements transport.Datagram.
func (s *socket) RecvFrom(b []byte, m *transport.Message) (int, error) {
	pkt, err := s.queue.Take()
	if err != nil {
		return 0, err
	}
	var f flow
	v := addresses(pkt, &f)
	ports := pkt.At(pkt.L4)
	*m = transport.Message{Index: cmp.Or(s.index, pkt.In)}
	m.Src = netip.AddrPortFrom(transport.Zoned(s.u.net, f.src, m.Index), uint16(ports[0])<<8|uint16(ports[1]))
	m.Dst = netip.AddrPortFrom(f.dst, uint16(ports[2])<<8|uint16(ports[3])) // of a proxied one not the socket's
	ip := pkt.At(pkt.L3)
	if v == network.V4 {
		m.TTL, m.TOS = ip[8], ip[1]
	} else {
		m.TTL, m.TOS = ip[7], ip[0]<<4|ip[1]>>4
	}
	return s.queue.Read(pkt, b, m), nil
}

// SetOption implements transport.Datagram.
func (s *socket) SetOption(o transport.Option, v int64) error { return s.opts.Set(&s.queue, o, v) }

// Option implements transport.Datagram.
func (s *socket) Option(o transport.Option) (int64, error) { return s.opts.Get(&s.queue, o) }

// Join implements transport.Datagram.
func (s *socket) Join(group netip.Addr, index int32, source netip.Addr) error {
	return s.opts.Join(s.u.net, group, index, source)
}

// Leave implements transport.Datagram.
func (s *socket) Leave(group netip.Addr, index int32, source netip.Addr) error {
	return s.opts.Leave(group, index, source)
}

// LocalAddr implements transport.Datagram.
func (s *socket) LocalAddr() netip.AddrPort {
	a, index := s.addr, s.index
	if p := s.peer.Load(); p != nil {
		a, index = p.src, max(p.index, s.index)
	}
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(transport.Zoned(s.u.net, a, index), s.port)
}

// RemoteAddr implements transport.Datagram.
func (s *socket) RemoteAddr() netip.AddrPort {
	if p := s.peer.Load(); p != nil {
		return p.zoned(s)
	}
	return netip.AddrPort{}
}

// zoned returns the address with the zone of its link.
func (p *peer) zoned(s *socket) netip.AddrPort {
	return netip.AddrPortFrom(transport.Zoned(s.u.net, p.addr.Addr(), max(p.index, s.index)), p.addr.Port())
}

// Close implements transport.Datagram.
func (s *socket) Close() { s.close.Do(s.unbind) }

// Kill implements transport.Killer: the owner gets ECONNABORTED, and the association
// is dissolved, as Linux's udp_abort does. Nothing is sent.
func (u *udp) Kill(id uint64) bool {
	for _, s := range u.table.all() {
		if s.id == id {
			s.connected(nil)
			s.queue.Fail(syscall.ECONNABORTED)
			return true
		}
	}
	return false
}

// Sockets implements transport.Lister.
func (u *udp) Sockets() (out []transport.SocketInfo) {
	for _, s := range u.table.all() {
		i := transport.SocketInfo{
			Proto: "udp", Local: s.LocalAddr(), Remote: s.RemoteAddr(), State: "UNCONN", StateNumber: 7,
			RecvQ: s.queue.Len(), Index: s.index, Drops: s.queue.Drops(), ID: s.id, V6Only: s.v6only, Owner: s.owner,
			UID: s.opts.Identity.Load().UID, Mark: s.opts.Identity.Load().Mark,
		}
		if i.Remote.IsValid() {
			i.State, i.StateNumber = "ESTAB", 1
		}
		out = append(out, i)
	}
	return out
}
