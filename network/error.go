package network

import (
	"net/netip"
	"syscall"

	"github.com/knitnet/knit/core/packet"
	"github.com/knitnet/knit/link"
)

// An ErrorKind is what an ICMP error says, the same for both IP versions.
type ErrorKind uint8

// Kinds of errors.
const (
	NetUnreachable   ErrorKind = iota
	HostUnreachable            // ICMPv6: address unreachable
	ProtoUnreachable           // ICMPv6: parameter problem, unrecognized next header
	PortUnreachable
	PacketTooBig // ICMPv4: fragmentation needed
	AdminProhibited
	TimeExceeded // TTL or hop limit
	ReassemblyTimeExceeded
	ParameterProblem
	SourceRouteFailed
	BeyondScope // ICMPv6: of the source address
)

// Errno returns what a socket gets to see, as Linux translates it.
func (k ErrorKind) Errno() syscall.Errno {
	switch k {
	case NetUnreachable:
		return syscall.ENETUNREACH
	case ProtoUnreachable:
		return syscall.ENOPROTOOPT
	case PortUnreachable:
		return syscall.ECONNREFUSED
	case PacketTooBig:
		return syscall.EMSGSIZE
	case AdminProhibited:
		return syscall.EACCES
	case ParameterProblem:
		return syscall.EPROTO
	case SourceRouteFailed:
		return syscall.EOPNOTSUPP
	}
	return syscall.EHOSTUNREACH
}

// Hard reports whether the error ends a UDP exchange or a connection attempt;
// the others are hints (RFC 1122 §4.2.3.9).
func (k ErrorKind) Hard() bool {
	return k == ProtoUnreachable || k == PortUnreachable || k == AdminProhibited
}

// An Error is an ICMP error about a packet this host sent.
type Error struct {
	Kind ErrorKind
	// From is who sent the error.
	From netip.Addr
	// Src and Dst are the addresses of the packet it is about: Src is ours.
	Src, Dst netip.Addr
	Proto    uint8
	// Index is the interface the error came in by.
	Index int32
	// MTU is the next hop's, in bytes, of PacketTooBig.
	MTU int
	// Type and Code are the ICMP ones, Pointer that of a parameter problem.
	Type, Code uint8
	Pointer    uint32
	// Payload is what the error quotes from the transport header on: 8 bytes at
	// least. It is only valid during the call.
	Payload []byte
}

// An ErrorSender answers packets that cannot be delivered; ICMP modules are
// such. SendError does not own pkt, whose IP header is at Meta.L3, and decides
// itself whether an answer is allowed (RFC 1122 §3.2.2, RFC 4443 §2.4). mtu is
// for PacketTooBig, pointer for ParameterProblem: an offset from the IP header.
type ErrorSender interface {
	SendError(kind ErrorKind, code uint8, mtu int, pointer uint32, pkt *packet.Packet)
}

// SetErrorSender makes s answer for version v until undo is called.
func (l *Layer) SetErrorSender(v Version, s ErrorSender) (undo func(), err error) {
	if !l.errors[v].CompareAndSwap(nil, &errorSender{s}) {
		return nil, syscall.EBUSY
	}
	return func() { l.errors[v].Store(nil) }, nil
}

// SendError tells the sender of pkt that it could not be delivered, if the ICMP
// module is loaded and the rules allow an answer. It does not end pkt.
func (l *Layer) SendError(v Version, kind ErrorKind, pkt *packet.Packet) {
	l.SendErrorDetail(v, kind, 0, 0, 0, pkt)
}

// SendErrorDetail is SendError with the MTU of a PacketTooBig, or the code and
// the pointer of a ParameterProblem.
func (l *Layer) SendErrorDetail(v Version, kind ErrorKind, code uint8, mtu int, pointer uint32, pkt *packet.Packet) {
	if s := l.errors[v].Load(); s != nil {
		completeQuote(pkt)
		s.SendError(kind, code, mtu, pointer, pkt)
	}
}

// Answer tells who follows connections that a packet, which is about to be sent, is
// this host's ICMP error about another one. It owns neither.
func (l *Layer) Answer(answer, about *packet.Packet) {
	if f := l.answered.Load(); f != nil {
		(*f)(answer, about)
	}
}

// OnAnswer makes f be told by Answer, on the packet path, until undo is called. EBUSY:
// somebody is told already.
func (l *Layer) OnAnswer(f func(answer, about *packet.Packet)) (undo func(), err error) {
	if !l.answered.CompareAndSwap(nil, &f) {
		return nil, syscall.EBUSY
	}
	return func() { l.answered.Store(nil) }, nil
}

// completeQuote puts the checksum into a packet whose sender left that to a device:
// an error quotes what was, or would have been, on the wire.
func completeQuote(pkt *packet.Packet) {
	if pkt.Csum != packet.CsumPartial || pkt.GSO != packet.GSONone {
		return
	}
	back := max(0, pkt.Offset()-int(pkt.CsumStart))
	pkt.Unpull(back)
	link.CompleteChecksum(pkt)
	pkt.Pull(back)
}

// Deliver gives an ICMP error to the transport it is about. ICMP modules call it.
func (l *Layer) Deliver(e *Error) {
	if h := l.Handler(VersionOf(e.Dst), e.Proto); h != nil {
		h.Error(e)
	} else if e.Kind == PacketTooBig {
		l.LearnMTU(e.Dst, e.Index, e.MTU)
	}
	l.rawError(e)
}
