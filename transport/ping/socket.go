package ping

import (
	"net/netip"
	"sync"
	"syscall"

	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
	"github.com/knitnet/knit/wire"
)

// A socket implements transport.Datagram.
type socket struct {
	ping  *ping
	ident uint16
	owner string
	id    uint64

	ends  datagram.Ends
	queue datagram.Queue
	opts  datagram.Options

	close sync.Once
	undo  func()
}

// Open implements transport.DatagramProtocol: the port is the identifier, 0 a free
// one. A socket cannot be bound to a group or a broadcast address.
func (p *ping) Open(o transport.DatagramOptions, local netip.AddrPort, w transport.Waker) (transport.Datagram, error) {
	s := &socket{ping: p, owner: o.Owner, id: p.layer.NewID()}
	addr := local.Addr().Unmap()
	if addr.IsValid() && !addr.IsUnspecified() && !p.net.IsLocalTo(addr.WithZone(""), o.Index) {
		return nil, syscall.EADDRNOTAVAIL
	}
	o.Transparent = false // echo of others is nobody's business
	o.Proto = wire.ProtoICMP
	if addr.Is6() || !addr.IsValid() && o.Version == network.V6 {
		o.Proto = wire.ProtoICMPv6
	}
	if err := s.ends.Bind(p.net, &o, &s.opts.Identity, addr); err != nil {
		return nil, err
	}
	if !p.users.Get() {
		return nil, syscall.EPROTONOSUPPORT
	}
	v := s.ends.Version()
	b, release, err := p.idents[v].Bind(transport.Binding{
		Addr: s.ends.Local(), Port: local.Port(), Index: s.ends.Index(), ReuseAddr: o.ReuseAddr, ReusePort: o.ReusePort,
	})
	if err != nil {
		p.users.Put()
		return nil, err
	}
	s.ident = b.Port
	s.queue.Init(w, o.RecvBuffer)
	k := key{v, s.ident}
	s.undo = func() {
		p.remove(k, s)
		release()
		s.opts.Close()
		s.queue.Close()
		p.users.Put()
	}
	p.add(k, s)
	return s, nil
}

// Connect implements transport.Datagram; the port does not count.
func (s *socket) Connect(remote netip.AddrPort) error { return s.ends.Connect(remote.Addr()) }

// SetOption implements transport.Datagram.
func (s *socket) SetOption(o transport.Option, v int64) error { return s.opts.Set(&s.queue, o, v) }

// Option implements transport.Datagram.
func (s *socket) Option(o transport.Option) (int64, error) { return s.opts.Get(&s.queue, o) }

// Join implements transport.Datagram.
func (s *socket) Join(group netip.Addr, index int32, source netip.Addr) error {
	return s.opts.Join(s.ping.net, group, index, source)
}

// Leave implements transport.Datagram.
func (s *socket) Leave(group netip.Addr, index int32, source netip.Addr) error {
	return s.opts.Leave(group, index, source)
}

// LocalAddr implements transport.Datagram; the port is the identifier.
func (s *socket) LocalAddr() netip.AddrPort { return netip.AddrPortFrom(s.ends.Local(), s.ident) }

// RemoteAddr implements transport.Datagram.
func (s *socket) RemoteAddr() netip.AddrPort {
	if a := s.ends.Remote(); a.IsValid() {
		return netip.AddrPortFrom(a, 0)
	}
	return netip.AddrPort{}
}

// Close implements transport.Datagram.
func (s *socket) Close() { s.close.Do(s.undo) }
