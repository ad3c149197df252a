package transport

// A Killer is a protocol whose sockets can be ended from outside, as `ss -K` and
// SOCK_DESTROY do. Protocols need not implement it.
type Killer interface {
	// Kill ends the socket with SocketInfo.ID id: the peer of a connection gets a
	// reset, the owner the error ECONNABORTED. It reports whether there was one.
	Kill(id uint64) bool
}

// Kill ends a socket of the loaded protocol k; false if the protocol has no such
// socket or cannot end them.
func (l *Layer) Kill(k Kind, id uint64) bool {
	if p := l.protocols[k].Load(); p != nil {
		if killer, ok := (*p).(Killer); ok {
			return killer.Kill(id)
		}
	}
	return false
}
