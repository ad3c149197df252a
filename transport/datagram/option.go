package datagram

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
)

// Options are the settings of a datagram socket. Init makes them ready; they are
// safe for concurrent use.
type Options struct {
	ttl, tos          atomic.Int32
	groupTTL          atomic.Int32 // plus 1, so that 0 is the default
	discover          atomic.Int32 // a network.Fragment
	broadcast, noLoop atomic.Bool

	// Identity is what the layers below know of the socket; Open makes it ready.
	Identity transport.Identity

	mu     sync.Mutex
	joined []joined
	closed bool
}

type joined struct {
	group, source netip.Addr
	index         int32
	member        *network.Membership
}

// Set changes the option o; ENOPROTOOPT when it is none of these.
func (s *Options) Set(q *Queue, o transport.Option, v int64) error {
	switch o {
	case transport.TTL:
		return setByte(&s.ttl, v)
	case transport.TOS:
		return setByte(&s.tos, v)
	case transport.MulticastTTL:
		return s.setGroupTTL(v)
	case transport.MulticastLoop:
		s.noLoop.Store(v == 0)
	case transport.BroadcastOK:
		s.broadcast.Store(v != 0)
	case transport.MTUDiscover:
		if v < 0 || v > int64(network.FragmentProbe) {
			return syscall.EINVAL
		}
		s.discover.Store(int32(v))
	case transport.RecvBuffer:
		q.SetLimit(int(v))
	case transport.SendBuffer: // nothing waits to be sent
	default:
		return s.Identity.Set(o, v)
	}
	return nil
}

func setByte(to *atomic.Int32, v int64) error {
	if v < 0 || v > 255 {
		return syscall.EINVAL
	}
	to.Store(int32(v))
	return nil
}

// setGroupTTL sets the hop limit towards groups: 0 keeps packets inside this host,
// -1 is the default.
func (s *Options) setGroupTTL(v int64) error {
	if v < -1 || v > 255 {
		return syscall.EINVAL
	}
	s.groupTTL.Store(int32(v + 1))
	return nil
}

// Get returns the option o; ENOPROTOOPT when it is none of these.
func (s *Options) Get(q *Queue, o transport.Option) (int64, error) {
	switch o {
	case transport.TTL:
		return int64(s.ttl.Load()), nil
	case transport.TOS:
		return int64(s.tos.Load()), nil
	case transport.MulticastTTL:
		if v := s.groupTTL.Load(); v > 0 {
			return int64(v - 1), nil
		}
		return 1, nil // RFC 1112 §6.1, RFC 3493 §5.2
	case transport.MulticastLoop:
		return flag(!s.noLoop.Load()), nil
	case transport.BroadcastOK:
		return flag(s.broadcast.Load()), nil
	case transport.MTUDiscover:
		return int64(s.discover.Load()), nil
	case transport.RecvBuffer:
		return int64(q.Limit()), nil
	}
	return s.Identity.Get(o)
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// Broadcast reports whether sending to broadcast addresses is allowed.
func (s *Options) Broadcast() bool { return s.broadcast.Load() }

// TOS returns the type of service of what is sent.
func (s *Options) TOS() uint8 { return uint8(s.tos.Load()) }

// Fill sets what the options say of a packet to dst.
func (s *Options) Fill(send *network.Send, dst netip.Addr) {
	send.TTL, send.TOS = uint8(s.ttl.Load()), uint8(s.tos.Load())
	send.Fragment = network.Fragment(s.discover.Load())
	send.Socket = s.Identity.Load()
	send.Mark = send.Socket.Mark
	if dst.IsMulticast() {
		v := s.groupTTL.Load()
		send.TTL, send.NoHops = uint8(max(v-1, 0)), v == 1
		send.NoLoop = s.noLoop.Load()
	}
}

// TooBig reports whether an IP packet of n bytes along p is too big for a socket
// that does not fragment (MTUDiscover); the errno is EMSGSIZE.
func (s *Options) TooBig(n int, p *network.Path) bool {
	switch network.Fragment(s.discover.Load()) {
	case network.FragmentDo:
		return n > p.MTU()
	case network.FragmentProbe:
		return n > p.Device.MTU()
	}
	return false
}

// Join makes the socket a member of a group; EADDRINUSE when it is one already.
func (s *Options) Join(n *network.Layer, group netip.Addr, index int32, source netip.Addr) error {
	dev, err := groupDevice(n, group, index)
	if err != nil {
		return err
	}
	f := network.Filter{Exclude: true}
	if source.IsValid() {
		f = network.Filter{Sources: []netip.Addr{source}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return syscall.EBADF
	case s.find(group, dev.Index(), source) >= 0:
		return syscall.EADDRINUSE
	}
	m, err := n.Join(dev, group, f)
	if err != nil {
		return err
	}
	s.joined = append(s.joined, joined{group, source, dev.Index(), m})
	return nil
}

// groupDevice is the named interface, or the one a route to the group leaves by.
func groupDevice(n *network.Layer, group netip.Addr, index int32) (*link.Device, error) {
	if index == 0 {
		p, err := n.Resolve(network.Flow{Dst: group})
		if err != nil {
			return nil, syscall.ENODEV
		}
		return p.Device, nil
	}
	if dev := n.Link.Device(index); dev != nil {
		return dev, nil
	}
	return nil, syscall.ENODEV
}

func (s *Options) find(group netip.Addr, index int32, source netip.Addr) int {
	return slices.IndexFunc(s.joined, func(j joined) bool {
		return j.group == group && j.source == source && (index == 0 || j.index == index)
	})
}

// Leave ends a membership; EADDRNOTAVAIL when there is none.
func (s *Options) Leave(group netip.Addr, index int32, source netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(group, index, source)
	if i < 0 {
		return syscall.EADDRNOTAVAIL
	}
	s.joined[i].member.Leave()
	s.joined = slices.Delete(s.joined, i, i+1)
	return nil
}

// Wants reports whether the socket takes packets from src to a group that came by an
// interface. One that is no member takes what the host is a member of
// (IP_MULTICAST_ALL, as on Linux); a member for some sources takes theirs only.
func (s *Options) Wants(group netip.Addr, index int32, src netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	member := false
	for _, j := range s.joined {
		if j.group != group || j.index != index {
			continue
		}
		if !j.source.IsValid() || j.source == src {
			return true
		}
		member = true
	}
	return !member
}

// Close leaves all groups; none can be joined any more.
func (s *Options) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.joined {
		j.member.Leave()
	}
	s.joined, s.closed = nil, true
}
