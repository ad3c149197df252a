package network

import (
	"fmt"

	"github.com/knitnet/knit/core/packet"
)

// An ICMPFunc takes one ICMP message, which it owns. The message is the data, all
// of it in the head or the fragments, and its checksum was checked; the IP header
// is at Meta.L3.
type ICMPFunc func(pkt *packet.Packet)

// HandleICMP gives ICMP messages of a type to f until undo is called: Neighbour
// Discovery and MLD are made of such messages. Types that the ICMP module itself
// answers, and errors, never come here.
func (l *Layer) HandleICMP(v Version, typ uint8, f ICMPFunc) (undo func(), err error) {
	if !l.icmp[v][typ].CompareAndSwap(nil, &f) {
		return nil, fmt.Errorf("ICMP for %v, type %d: taken", v, typ)
	}
	return func() { l.icmp[v][typ].Store(nil) }, nil
}

// ICMP returns who takes ICMP messages of a type, or nil. ICMP modules call it.
func (l *Layer) ICMP(v Version, typ uint8) ICMPFunc {
	if f := l.icmp[v][typ].Load(); f != nil {
		return *f
	}
	return nil
}

// An EchoHandler takes what comes back for the echo requests of this host: ping
// sockets are such.
type EchoHandler interface {
	// EchoReply takes one reply, as an ICMPFunc does.
	EchoReply(pkt *packet.Packet)
	// EchoError tells of an error about a request, which e.Payload begins with.
	EchoError(e *Error)
}

// SetEchoHandler gives echo replies of version v to h until undo is called.
func (l *Layer) SetEchoHandler(v Version, h EchoHandler) (undo func(), err error) {
	if !l.echo[v].CompareAndSwap(nil, &echoHandler{h}) {
		return nil, fmt.Errorf("echo replies of %v: taken", v)
	}
	return func() { l.echo[v].Store(nil) }, nil
}

// EchoHandler returns who takes echo replies of version v, or nil. ICMP modules
// call it.
func (l *Layer) EchoHandler(v Version) EchoHandler {
	if h := l.echo[v].Load(); h != nil {
		return h.EchoHandler
	}
	return nil
}
