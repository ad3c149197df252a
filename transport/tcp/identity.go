package tcp

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/network"
)

// identify sets what the layers below know of the connection. c.mu is held, or nobody
// knows c yet.
func (c *conn) identify(s network.Socket) {
	c.identity.Init(s)
	c.signSends()
}

// takeAfter makes a connection for a request that came in pkt like the listener's others.
// With tcp_fwmark_accept "incoming connections to listening sockets that do not have a
// socket mark will set the mark of the accepting socket to the fwmark of the incoming SYN
// packet" (Linux's ip-sysctl).
func (c *conn) takeAfter(l *listener, pkt *packet.Packet) {
	c.state.Or(isPassive)
	c.send.TTL, c.send.TOS = l.opts.TTL, l.opts.TOS
	c.identity.Share(l.request)
	if mark := l.markFor(pkt); mark != l.request.Mark {
		c.identity.Edit(func(s *network.Socket) { s.Mark = mark })
	}
	c.signSends()
}

// opened makes a listener's connection one that counts. c.mu is held.
func (c *conn) opened(l *listener) {
	if c.identity.Load().Mark == l.accepted.Mark {
		c.identity.Share(l.accepted)
	} else {
		c.identity.Edit(func(s *network.Socket) { s.Mini = false })
	}
	c.send.Socket = c.identity.Load()
}

// disown notes that no program has the connection any more. c.mu is held.
func (c *conn) disown() {
	c.send.Socket = c.identity.Edit(func(s *network.Socket) { s.Orphan = true })
}

// signSends makes what the connection sends from now on show what it is.
func (c *conn) signSends() {
	s := c.identity.Load()
	c.send.Socket, c.send.Mark = s, s.Mark
	c.send.Path = nil // rules may look at the mark
}

// manner is how segments go out when c is no more.
func (c *conn) manner() manner {
	m := manner{ttl: c.send.TTL, tos: c.send.TOS, index: c.index, mark: c.send.Mark, socket: &c.t.over[0]}
	if c.send.Socket.Transparent {
		m.socket = &c.t.over[1]
	}
	return m
}

// overSockets are what the layers below know of connections in TIME-WAIT: plain and
// transparent ones.
func overSockets() [2]network.Socket {
	return [2]network.Socket{{Mini: true, Orphan: true}, {Mini: true, Orphan: true, Transparent: true}}
}

// identify sets what the layers below know of the listener and its connections.
func (l *listener) identify() {
	accepted := l.opts.Socket()
	own, request := accepted, accepted
	own.Keep, own.Wildcard = l, !l.local.Addr().IsValid() || l.local.Addr().IsUnspecified()
	request.Mini = true
	l.own, l.request, l.accepted = &own, &request, &accepted
}

// markFor is the mark of the connection that a request opens.
func (l *listener) markFor(pkt *packet.Packet) uint32 {
	if l.opts.Mark == 0 && l.t.settings.markAccept.Load() != 0 {
		return pkt.Mark
	}
	return l.opts.Mark
}

// manner is how the listener answers a request of which it keeps nothing: itself, as on
// Linux.
func (l *listener) manner(pkt *packet.Packet) manner {
	return manner{ttl: l.opts.TTL, tos: l.opts.TOS, index: l.opts.Index, mark: l.markFor(pkt), socket: l.own}
}

// FindSocket implements network.SocketFinder.
func (t *tcp) FindSocket(_ network.Version, src, dst netip.AddrPort, index int32, want network.SocketState) (*network.Socket, network.SocketState) {
	k := newTuple(dst, src, t.domain(src.Addr(), index))
	if want&(network.Connected|network.Opening) != 0 {
		if c := t.lookup(&k); c != nil {
			return wanted(c.identity.Load(), c.found(), want)
		}
	}
	if want&network.Closing != 0 {
		if w := t.conns.lookupWait(&k); w != nil {
			return w.manner.socket, network.Closing
		}
	}
	if want&network.Listening != 0 {
		if l := t.listeners.lookup(&k, index); l != nil {
			return l.own, network.Listening
		}
	}
	return nil, network.NoSocket
}

func wanted(s *network.Socket, state, want network.SocketState) (*network.Socket, network.SocketState) {
	if state&want == 0 {
		return nil, network.NoSocket
	}
	return s, state
}

// found is what c is for who finds it.
func (c *conn) found() network.SocketState {
	if s := c.state.Load(); s&(isPassive|isOpen) == isPassive {
		return network.Opening
	}
	return network.Connected
}

// assigned returns the listener that a hook has given a segment to, or nil.
func (t *tcp) assigned(pkt *packet.Packet) *listener {
	s := t.net.SocketOf(pkt)
	if s == nil {
		return nil
	}
	if l, ok := s.Keep.(*listener); ok && l.t == t {
		return l
	}
	return nil
}
