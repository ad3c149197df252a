// Package transport is layer 4: ports, and the contracts between transport
// protocols below and sockets above. It holds no protocol.
//
// A protocol owns the buffers and the state of its sockets; its calls never
// block. Who wants to block waits for the Waker it gave to be told.
package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/network"
)

// Symbol is the kernel symbol under which modules find the Layer.
const Symbol = "transport"

// ErrWouldBlock is EAGAIN: try again when the Waker was told.
const ErrWouldBlock = syscall.EAGAIN

// Ready says what became possible.
type Ready uint8

// What a Waker is told.
const (
	Readable Ready = 1 << iota // data, end of stream, an error, or a connection to accept
	Writable                   // room in the send buffer, connected, or an error
)

// A Waker is told when a call that returned ErrWouldBlock is worth another try.
// Wake is called concurrently, must not block, and must not call back into the
// protocol.
type Waker interface{ Wake(r Ready) }

// Stream protocols (TCP).
type StreamProtocol interface {
	// Connect begins to open a connection. It returns at once; Writable is told
	// when it is open or failed (see Stream.Connected).
	Connect(o StreamOptions, local, remote netip.AddrPort, w Waker) (Stream, error)
	// Listen takes connections for a local address; an unspecified one means
	// all. Port 0 means a free one.
	Listen(o StreamOptions, local netip.AddrPort, w Waker) (StreamListener, error)
}

// StreamOptions are chosen before a connection begins. The zero value is usual.
type StreamOptions struct {
	// Index binds to an interface (SO_BINDTODEVICE).
	Index int32
	// V6Only: a listener on [::] does not take IPv4.
	V6Only bool
	// ReuseAddr and ReusePort are SO_REUSEADDR and SO_REUSEPORT. Listeners of
	// this package's callers usually set ReuseAddr, as Go's net does.
	ReuseAddr, ReusePort bool
	// Backlog bounds connections that wait for Accept; 0 means net.core.somaxconn.
	Backlog int
	// SendBuffer and RecvBuffer fix buffer sizes in bytes; 0 means autotuning.
	SendBuffer, RecvBuffer int
	// Congestion is the name of the congestion control; "" means the default.
	Congestion string
	// TTL and TOS of sent packets; 0 means the default.
	TTL, TOS uint8
	// Owner is SocketInfo.Owner, of accepted connections too.
	Owner string
	// Mark is what packets are marked with (SO_MARK): rules of routing and netfilter
	// see it. Accepted connections have the listener's, or with
	// net.ipv4.tcp_fwmark_accept that of the request.
	Mark uint32
	// UID and GID are the user and the group that the socket belongs to, as rules see
	// it. A kernel has no users of its own; 0 is its first, who owns whatever says
	// nothing else.
	UID, GID uint32
	// Transparent lets local addresses be others' (IP_TRANSPARENT): a listener may be
	// bound to such an address and be given connections by tproxy.
	Transparent bool
}

// Socket is what the layers below know of a socket with these options.
func (o *StreamOptions) Socket() network.Socket {
	return network.Socket{Mark: o.Mark, UID: o.UID, GID: o.GID, Transparent: o.Transparent}
}

// A Stream is one connection's transport half. Recv and Send may be called
// concurrently, each by one goroutine at a time; everything else by any.
type Stream interface {
	// SetWaker replaces the Waker, and tells the new one of what is ready.
	SetWaker(w Waker)
	// Connected returns nil when the connection is, or was, open, ErrWouldBlock
	// while it is being opened, or why it could not be.
	Connected() error
	// Recv copies received bytes into b. io.EOF after the peer's FIN.
	Recv(b []byte) (int, error)
	// RecvTo passes received bytes to f in order, without copying, until f
	// returns an error, there are no more, or max bytes (if positive) were passed.
	RecvTo(f func(b []byte) (int, error), max int64) (int64, error)
	// Send queues bytes and returns how many there was room for.
	Send(b []byte) (int, error)
	// SendBuffers is Send for the bytes of several buffers as if they were one.
	SendBuffers(v [][]byte) (int, error)
	// CloseRead ends waiting for more to read, CloseWrite sends a FIN after the
	// queued bytes (shutdown SHUT_RD and SHUT_WR).
	CloseRead() error
	CloseWrite() error
	// Close gives the connection up to the protocol, which ends it in order.
	Close()
	// Abort ends it with a reset.
	Abort()
	// SetOption changes one option; ENOPROTOOPT for unknown ones.
	SetOption(o Option, v int64) error
	Option(o Option) (int64, error)
	// SetCongestion changes the congestion control; "" means the default.
	SetCongestion(name string) error
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort
}

// An Option names a setting of a socket that has a number as value.
type Option int

// Options of sockets. Durations are in nanoseconds, switches 0 or 1.
const (
	NoDelay      Option = iota // TCP_NODELAY
	Cork                       // TCP_CORK
	KeepAlive                  // SO_KEEPALIVE
	KeepIdle                   // TCP_KEEPIDLE
	KeepInterval               // TCP_KEEPINTVL
	KeepCount                  // TCP_KEEPCNT
	UserTimeout                // TCP_USER_TIMEOUT
	Linger                     // SO_LINGER: seconds, -1 means off
	QuickAck                   // TCP_QUICKACK
	SendBuffer                 // SO_SNDBUF, bytes
	RecvBuffer                 // SO_RCVBUF, bytes
	TTL                        // IP_TTL, IPV6_UNICAST_HOPS
	TOS                        // IP_TOS, IPV6_TCLASS
	MaxSegment                 // TCP_MAXSEG, read only
	AtMark                     // SIOCATMARK, read only: the next octet is the last of urgent data
	SendQueue                  // SIOCOUTQ: bytes of a stream that are not acknowledged, read only
	MulticastTTL               // IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS; 0 stays in this host, -1 is the default
	MulticastLoop
	BroadcastOK // SO_BROADCAST
	MTUDiscover // IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: a network.Fragment
	Mark        // SO_MARK
	Transparent // IP_TRANSPARENT, IPV6_TRANSPARENT
)

// A StreamListener is a listening socket's transport half.
type StreamListener interface {
	// Accept returns the oldest open connection or ErrWouldBlock.
	Accept() (Stream, error)
	LocalAddr() netip.AddrPort
	// Close resets the connections nobody accepted.
	Close()
}

// DatagramProtocol is a protocol of messages (UDP, raw IP, ping).
type DatagramProtocol interface {
	// Open makes a socket bound to local; an unspecified address means all, port
	// 0 (for UDP) a free one.
	Open(o DatagramOptions, local netip.AddrPort, w Waker) (Datagram, error)
}

// DatagramOptions are chosen before a socket is bound. The zero value is usual.
type DatagramOptions struct {
	Index                int32
	V6Only               bool
	ReuseAddr, ReusePort bool
	SendBuffer           int
	RecvBuffer           int
	// Version is the IP version of a socket that is bound to no address.
	Version network.Version
	// Proto is the IP protocol number of a raw socket.
	Proto uint8
	// HeaderIncluded: raw packets are written with their IP header (IP_HDRINCL).
	HeaderIncluded bool
	// Owner is SocketInfo.Owner.
	Owner string
	// Mark, UID, GID and Transparent are those of StreamOptions.
	Mark        uint32
	UID, GID    uint32
	Transparent bool
}

// Socket is what the layers below know of a socket with these options.
func (o *DatagramOptions) Socket() network.Socket {
	return network.Socket{Mark: o.Mark, UID: o.UID, GID: o.GID, Transparent: o.Transparent}
}

// A Message describes a datagram beside its bytes.
type Message struct {
	// Src is the sender (of a received one), Dst the address it was sent to.
	Src, Dst netip.AddrPort
	Index    int32 // interface it came by
	TTL, TOS uint8
	// Segment is, for a batch that arrived as one (UDP GRO) or is to be sent as
	// several (UDP_SEGMENT), the size of each in bytes; 0: it is one.
	Segment int
	// Truncated: the datagram was longer than the buffer (MSG_TRUNC).
	Truncated bool
}

// A Datagram is a datagram socket's transport half. All calls are safe for
// concurrent use.
type Datagram interface {
	// RecvFrom copies the next datagram into b and fills m in. Pending errors
	// (ECONNREFUSED from ICMP) come first.
	RecvFrom(b []byte, m *Message) (int, error)
	// SendTo sends b to m.Dst, or to the connected peer if that is zero.
	SendTo(b []byte, m *Message) (int, error)
	// Connect sets the peer: others are not heard any more. A zero address
	// dissolves the association.
	Connect(remote netip.AddrPort) error
	SetOption(o Option, v int64) error
	Option(o Option) (int64, error)
	// Join and Leave change group membership on an interface (0: chosen by
	// route). A valid source makes it source specific.
	Join(group netip.Addr, index int32, source netip.Addr) error
	Leave(group netip.Addr, index int32, source netip.Addr) error
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort
	Close()
}

// A SocketInfo is a row of ss and of /proc/net/tcp, udp and raw.
type SocketInfo struct {
	Proto         string // "tcp", "udp", "raw", "icmp"
	Local, Remote netip.AddrPort
	State         string // ss's word: "ESTAB", "LISTEN", "UNCONN"
	StateNumber   uint8  // TCP_ESTABLISHED = 1 ...
	RecvQ, SendQ  int    // bytes; of a listener: waiting connections and the limit
	Index         int32  // interface it is bound to
	Timer         string // "on", "keepalive", "timewait", "persist", "" for none
	TimerExpires  int64  // nanoseconds from now
	Retransmits   int
	Drops         uint64
	ID            uint64 // stands for the inode number; Layer.NewID
	V6Only        bool   // IPV6_V6ONLY, of a socket of IPv6
	Owner         string // module that opened it; "": the program around the kernel
	UID, Mark     uint32
	// TCP holds what ss -i shows; nil for listeners and in TIME-WAIT.
	TCP *TCPInfo
}

// TCPInfo is the state of a TCP connection, as tcp_info has it. Times are in
// nanoseconds, sizes in bytes, windows in segments where Linux counts so.
type TCPInfo struct {
	Congestion                                         string
	Options                                            []string // "ts", "sack", "wscale"
	SndWScale, RcvWScale                               uint8
	RTO, ATO, RTT, RTTVar, MinRTT                      int64
	MSS, PMTU, RcvMSS, AdvMSS                          int
	Cwnd, Ssthresh                                     int
	BytesSent, BytesRetrans, BytesAcked, BytesReceived uint64
	SegsOut, SegsIn, DataSegsOut, DataSegsIn           uint64
	Delivered, Lost, Retrans, RetransTotal, Sacked     uint64
	Unacked, NotSent, RcvSpace, RcvSsthresh, SndWnd    int
	LastSend, LastRecv, LastAck, BusyTime              int64
}

// A Lister lists a protocol's sockets. Protocols that implement it show in ss.
type Lister interface {
	Sockets() []SocketInfo
}

// A Layer is the table of transport protocols. It is safe for concurrent use.
type Layer struct {
	// Ephemeral is the range of ports that are chosen for sockets.
	Ephemeral PortRange

	network   *network.Layer
	protocols [protocolKinds]atomic.Pointer[any]
	nextID    atomic.Uint64
}

// A Kind names a protocol that sockets can be made of.
type Kind int

// Kinds of protocols.
const (
	TCP Kind = iota
	UDP
	Raw
	Ping
	protocolKinds
)

// aliases are what modules are asked for by, as Linux's net-pf-PF-proto-P-type-T.
var aliases = [protocolKinds]string{
	TCP: "net-pf-2-proto-6-type-1", UDP: "net-pf-2-proto-17-type-2",
	Raw: "net-pf-2-proto-255-type-3", Ping: "net-pf-2-proto-1-type-2",
}

// New returns a layer without protocols.
func New(n *network.Layer) *Layer { return &Layer{network: n} }

// Network returns the layer below.
func (l *Layer) Network() *network.Layer { return l.network }

// NewID returns a SocketInfo.ID that no other socket of the kernel has or had.
func (l *Layer) NewID() uint64 { return l.nextID.Add(1) }

// Add makes p, a StreamProtocol or a DatagramProtocol, reachable as k until undo
// is called.
func (l *Layer) Add(k Kind, p any) (undo func(), err error) {
	if !l.protocols[k].CompareAndSwap(nil, &p) {
		return nil, fmt.Errorf("transport %s: taken", aliases[k])
	}
	return func() { l.protocols[k].Store(nil) }, nil
}

// lookup returns the protocol k, asking for its module once if it is not there.
func (l *Layer) lookup(k Kind) (any, error) {
	if p := l.protocols[k].Load(); p != nil {
		return *p, nil
	}
	switch err := l.network.Request(aliases[k]); {
	case errors.Is(err, module.ErrShutdown):
		return nil, net.ErrClosed
	case err == nil:
		if p := l.protocols[k].Load(); p != nil {
			return *p, nil
		}
	}
	return nil, syscall.EPROTONOSUPPORT
}

// Stream returns the protocol k; EPROTONOSUPPORT if it is not loaded and cannot be,
// net.ErrClosed once the kernel is closed.
func (l *Layer) Stream(k Kind) (StreamProtocol, error) {
	p, err := l.lookup(k)
	if err != nil {
		return nil, err
	}
	return p.(StreamProtocol), nil
}

// Datagram returns the protocol k; errors are those of Stream.
func (l *Layer) Datagram(k Kind) (DatagramProtocol, error) {
	p, err := l.lookup(k)
	if err != nil {
		return nil, err
	}
	return p.(DatagramProtocol), nil
}

// Sockets lists the sockets of the loaded protocol k.
func (l *Layer) Sockets(k Kind) []SocketInfo {
	if p := l.protocols[k].Load(); p != nil {
		if s, ok := (*p).(Lister); ok {
			return s.Sockets()
		}
	}
	return nil
}
