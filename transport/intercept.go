package transport

import (
	"net/netip"

	"github.com/knitnet/knit/network"
)

// Interception is how a module speaks for addresses that are not this host's: it
// is asked about each connection and each exchange of datagrams that comes here by
// a route of type local (`ip route add local default dev lo`, as for Linux's
// TPROXY) and for which no socket waits, and decides later, at leisure.
//
// A question about an address of this host is asked after the sockets, one about
// any other address before them: a service that listens on all addresses means
// those of the host.

// A StreamInterceptor is a StreamProtocol that can be intercepted.
type StreamInterceptor interface {
	// Intercept asks f about connection requests until undo is called, which
	// forgets those that wait for an answer. f runs on the packet path and must
	// not block: it returns true if it takes the request, which it then has to
	// answer once, now or later, on any goroutine; with false the request goes
	// its usual way. At most max requests wait at a time; more are dropped, and
	// come again. EBUSY when somebody intercepts already.
	Intercept(max int, f func(StreamRequest) bool) (undo func(), err error)
}

// A Request is what both kinds of requests have. Its methods are safe for
// concurrent use; only the first answer counts.
type Request interface {
	// LocalAddr is what the peer calls, RemoteAddr the peer.
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort
	// Foreign reports whether LocalAddr is not an address of this host.
	Foreign() bool
	// Refuse answers that nobody listens: with a reset, or port unreachable.
	Refuse()
	// Fail answers with an ICMP error.
	Fail(kind network.ErrorKind)
	// Ignore forgets the request. A peer that wants to will ask again.
	Ignore()
}

// A StreamRequest is a SYN that was not answered yet. The peer repeats it while it
// waits, which is not asked about again.
type StreamRequest interface {
	Request
	// Accept answers with a SYN-ACK. Writable is told when the connection is open
	// or failed; see Stream.Connected. ECONNABORTED when the request is gone.
	Accept(w Waker) (Stream, error)
}

// A DatagramInterceptor is a DatagramProtocol that can be intercepted.
type DatagramInterceptor interface {
	// Intercept asks f about the first datagram of each exchange until undo is
	// called. f runs on the packet path, must not block, and returns true if it
	// answered the request: it can only do so before it returns. EBUSY when
	// somebody intercepts already.
	Intercept(f func(DatagramRequest) bool) (undo func(), err error)
}

// A DatagramRequest is a datagram that no socket waits for.
type DatagramRequest interface {
	Request
	// Accept makes a socket with the address that was called, connected to the
	// peer, in whose queue the datagram is.
	Accept(o DatagramOptions, w Waker) (InterceptedDatagram, error)
}

// An InterceptedDatagram is the socket of an accepted exchange.
type InterceptedDatagram interface {
	Datagram
	// Unreachable tells the peer by an ICMP error that what it sends arrives
	// nowhere.
	Unreachable(kind network.ErrorKind)
}
