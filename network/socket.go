package network

import (
	"net/netip"

	"github.com/knitnet/knit/core/packet"
)

// A Socket is what the layers below a socket may know of it: whose it is, and how its
// packets are to be treated. It is never changed, and shared: a protocol whose socket
// changes makes another one. The zero Socket is a plain one of the kernel's first user.
type Socket struct {
	// Mark is what its packets are marked with (SO_MARK).
	Mark uint32
	// UID and GID are the user and the group that it belongs to.
	UID, GID uint32
	// Transparent: it may speak for addresses that are not this host's (IP_TRANSPARENT).
	Transparent bool
	// Wildcard: it is bound to no address.
	Wildcard bool
	// Mini: the connection is not open yet, or over. As on Linux, rules learn of it no
	// more than whether it is transparent and, until it is open, whose it will be.
	Mini bool
	// Orphan: no program has it any more, so it has no user.
	Orphan bool
	// Keep is the protocol's own way to what the Socket tells of, for packets that are
	// assigned to it; nil where it finds that by the addresses.
	Keep any
}

// A SocketState is what a protocol has for packets with certain ends.
type SocketState uint8

// States of sockets. Each is also a wish of FindSocket; wishes are added up.
const (
	// Connected: it talks to the one peer.
	Connected SocketState = 1 << iota
	// Listening: it takes what comes from anybody.
	Listening
	// Opening: a listener has answered a request, and its connection is not open yet.
	Opening
	// Closing: the connection is over, and only late packets of it are waited for
	// (TIME-WAIT).
	Closing

	// NoSocket: there is none.
	NoSocket SocketState = 0
	// AnySocket is the wish for whatever a packet would be given to.
	AnySocket = Connected | Listening | Opening | Closing
)

// A SocketFinder is a Handler that tells which socket packets are for.
type SocketFinder interface {
	// FindSocket returns the socket that gets packets of version v from src to dst that
	// come in by an interface (0: any), of those in the states of want, and its state;
	// nil and NoSocket if there is none. It is called on the packet path: it does not
	// allocate and waits for nobody.
	FindSocket(v Version, src, dst netip.AddrPort, index int32, want SocketState) (*Socket, SocketState)
}

// FindSocket asks the Handler of an IP protocol, if it is a SocketFinder. It is for
// callers inside a walk: the protocol may be unloaded behind it.
func (l *Layer) FindSocket(v Version, proto uint8, src, dst netip.AddrPort, index int32, want SocketState) (*Socket, SocketState) {
	if f, ok := l.Handler(v, proto).(SocketFinder); ok {
		return f.FindSocket(v, src, dst, index, want)
	}
	return nil, NoSocket
}

// SocketOf returns the socket that pkt is from or was assigned to, or nil. Packets of
// this host have theirs from Send until they leave it.
func (l *Layer) SocketOf(pkt *packet.Packet) *Socket {
	s, _ := l.socket.Get(pkt)
	return s
}

// Assign gives pkt, which came in, to a socket, as if its addresses were that one's. It
// has to reach this host all the same: by a route of type local.
func (l *Layer) Assign(pkt *packet.Packet, s *Socket) { l.socket.Set(pkt, s) }

// own notes in a batch from whom it is, where somebody may ask.
func (l *Layer) own(s *Send, q *packet.Queue) {
	if s.Mark != 0 {
		for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
			pkt.Mark = s.Mark
		}
	}
	h := &l.Hooks[VersionOf(s.Path.Dst)]
	if s.Socket == nil || h.Output.Empty() && h.Postrouting.Empty() && l.Link.Egress.Empty() {
		return
	}
	for pkt := q.Front(); pkt != nil; pkt = pkt.Next() {
		l.socket.Set(pkt, s.Socket)
	}
}

// OwnSocket is whom most of what the kernel itself answers is from: a socket that no
// program has.
func (l *Layer) OwnSocket() *Socket { return &l.ownSocket }

// ReplyMark is the mark of what this host itself answers to a packet with a mark: the
// same if net.ipv4.fwmark_reflect (of IPv6 net.ipv6.fwmark_reflect) says so, else 0.
func (l *Layer) ReplyMark(v Version, mark uint32) uint32 {
	if mark != 0 && l.ReflectMark[v].Load() != 0 {
		return mark
	}
	return 0
}
