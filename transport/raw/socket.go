package raw

import (
	"net/netip"
	"sync"
	"syscall"

	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/datagram"
	"github.com/knitnet/knit/wire"
)

// A socket implements transport.Datagram and network.RawHandler.
type socket struct {
	raw      *raw
	proto    uint8
	included bool // we are given packets with their IP header
	owner    string
	id       uint64

	ends  datagram.Ends
	queue datagram.Queue
	opts  datagram.Options

	close sync.Once
	undo  func()
}

// Open implements transport.DatagramProtocol. A socket of protocol 255 is for
// sending packets with their header only (raw(7)).
func (r *raw) Open(o transport.DatagramOptions, local netip.AddrPort, w transport.Waker) (transport.Datagram, error) {
	if o.Proto == 0 {
		return nil, syscall.EPROTONOSUPPORT // any protocol is a matter of packet sockets
	}
	s := &socket{raw: r, proto: o.Proto, included: o.HeaderIncluded || o.Proto == wire.ProtoRaw, owner: o.Owner, id: r.layer.NewID()}
	if err := s.ends.Bind(r.net, &o, &s.opts.Identity, local.Addr()); err != nil {
		return nil, err
	}
	if !r.users.Get() {
		return nil, syscall.EPROTONOSUPPORT
	}
	s.queue.Init(w, o.RecvBuffer)
	undo := func() {}
	if s.proto != wire.ProtoRaw {
		undo = r.net.SetRaw(s.ends.Version(), s.proto, s)
	}
	r.add(s)
	s.undo = func() {
		undo()
		r.remove(s)
		s.opts.Close()
		s.queue.Close()
		r.users.Put()
	}
	return s, nil
}

// Connect implements transport.Datagram.
func (s *socket) Connect(remote netip.AddrPort) error { return s.ends.Connect(remote.Addr()) }

// SetOption implements transport.Datagram.
func (s *socket) SetOption(o transport.Option, v int64) error { return s.opts.Set(&s.queue, o, v) }

// Option implements transport.Datagram.
func (s *socket) Option(o transport.Option) (int64, error) { return s.opts.Get(&s.queue, o) }

// Join implements transport.Datagram.
func (s *socket) Join(group netip.Addr, index int32, source netip.Addr) error {
	return s.opts.Join(s.raw.net, group, index, source)
}

// Leave implements transport.Datagram.
func (s *socket) Leave(group netip.Addr, index int32, source netip.Addr) error {
	return s.opts.Leave(group, index, source)
}

// LocalAddr implements transport.Datagram; the port is the protocol.
func (s *socket) LocalAddr() netip.AddrPort {
	return netip.AddrPortFrom(s.ends.Local(), uint16(s.proto))
}

// RemoteAddr implements transport.Datagram.
func (s *socket) RemoteAddr() netip.AddrPort {
	if a := s.ends.Remote(); a.IsValid() {
		return netip.AddrPortFrom(a, 0)
	}
	return netip.AddrPort{}
}

// Close implements transport.Datagram.
func (s *socket) Close() { s.close.Do(s.undo) }
