// Package bare is what no network stack can beat: connections that are nothing
// but a pair of byte queues in one process.
package bare

import (
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/knitnet/knit/bench/system"
)

// Ceiling joins two queues of pooled segments, with one copy in at Write and one
// out at Read, a lock and a condition variable: the least that a stack must do.
// The zero value is ready to use.
type Ceiling struct{}

// Net implements system.System. Segments are as large as the link's MTU allows,
// or 64 KiB with offload.
func (Ceiling) Net(o system.Options) (*system.Net, error) {
	const headers = 40
	size := o.LinkMTU() - headers
	if o.Offload {
		size = 64 << 10
	}
	pool := newPool(size)
	return newNet(o, func() (a, z net.Conn) { return newPair(pool) })
}

// Pipe is net.Pipe: no queue at all, each Write waits for its Read. The zero
// value is ready to use.
type Pipe struct{}

// Net implements system.System.
func (Pipe) Net(o system.Options) (*system.Net, error) { return newNet(o, net.Pipe) }

func newNet(o system.Options, pair func() (a, z net.Conn)) (*system.Net, error) {
	if o.Topology != system.Link {
		return nil, system.Unsupportedf("there is only one link here")
	}
	h := &host{pair: pair}
	return &system.Net{A: h, Z: h, Close: func() {}}, nil
}

// A host joins those who dial with the one who listens, whatever the port.
type host struct {
	pair func() (a, z net.Conn)

	mu       sync.Mutex
	listener *listener
}

func (h *host) Addr() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

func (h *host) Dial(network string, _ netip.AddrPort) (net.Conn, error) {
	h.mu.Lock()
	l := h.listener
	h.mu.Unlock()
	if network != "tcp" || l == nil {
		return nil, syscall.ECONNREFUSED
	}
	a, z := h.pair()
	select {
	case l.queue <- z:
		return a, nil
	case <-l.done:
		return nil, syscall.ECONNREFUSED
	}
}

func (h *host) Listen(uint16) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listener = &listener{queue: make(chan net.Conn), done: make(chan struct{})}
	return h.listener, nil
}

func (h *host) ListenPacket(uint16) (net.PacketConn, error) {
	return nil, system.Unsupportedf("no datagrams")
}

type listener struct {
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }
