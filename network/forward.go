package network

import (
	"syscall"

	"github.com/knitnet/knit/core/packet"
)

// A Forwarder is a Family that can be a router.
type Forwarder interface {
	// Forwarding reports whether packets that come in by an interface are
	// forwarded (net.ipv4.conf.IF.forwarding).
	Forwarding(index int32) bool
	// ForwardPath returns the way on which a packet that begins with its IP header, as
	// it is at Hooks.Forward, is sent on. pkt stays the caller's. Errors are those of
	// Layer.Resolve.
	ForwardPath(pkt *packet.Packet) (*Path, error)
}

// Forwarding reports whether this host is a router of version v for what comes in
// by an interface.
func (l *Layer) Forwarding(v Version, index int32) bool {
	f, ok := l.Family(v).(Forwarder)
	return ok && f.Forwarding(index)
}

// ForwardPath is the Forwarder's, or EAFNOSUPPORT without one.
func (l *Layer) ForwardPath(v Version, pkt *packet.Packet) (*Path, error) {
	f, ok := l.Family(v).(Forwarder)
	if !ok {
		return nil, syscall.EAFNOSUPPORT
	}
	return f.ForwardPath(pkt)
}
