package network

// A Forwarder is a Family that can be a router.
type Forwarder interface {
	// Forwarding reports whether packets that come in by an interface are
	// forwarded (net.ipv4.conf.IF.forwarding).
	Forwarding(index int32) bool
}

// Forwarding reports whether this host is a router of version v for what comes in
// by an interface.
func (l *Layer) Forwarding(v Version, index int32) bool {
	f, ok := l.Family(v).(Forwarder)
	return ok && f.Forwarding(index)
}
