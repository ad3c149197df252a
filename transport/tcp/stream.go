package tcp

import (
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/transport/tcp/internal/tcb"
	"github.com/knitnet/knit/wire"
)

// newConn returns a connection that is in no table and holds no lock.
func (t *tcp) newConn(k tuple) *conn {
	c := &conn{t: t, key: k, linger: -1, id: t.layer.NewID(), armed: clock.Never}
	c.send.Proto = wire.ProtoTCP
	c.snd.limit.Store(int64(t.settings.tcb.Load().SndBuf.Default))
	c.timer.Init(t.clock, c.expire)
	return c
}

// expire is called by the clock.
func (c *conn) expire(clock.Time) { c.kick(workTimer) }

// start returns what the machine needs to open. The path must be resolved. minISS is
// where the numbers of the connection in TIME-WAIT ended whose place this one takes:
// the new ones begin behind (RFC 9293 §3.6.1); 0: there was none.
func (c *conn) start(now clock.Time, minISS tcb.Seq) tcb.Start {
	c.pseudo = c.key.pseudoSum()
	c.mtu = c.send.Path.MTU()
	s := tcb.Start{
		ISS: c.t.secret.iss(&c.key, now), TSOffset: c.t.secret.timestampOffset(&c.key),
		MTU: c.mtu, Overhead: 40, MaxSegment: maxSegment, CC: c.t.newCC(""),
	}
	if c.key.version == network.V6 {
		s.Overhead = 60
	}
	if minISS != 0 && !s.ISS.After(minISS) {
		s.ISS = minISS + 128<<10
	}
	return s
}

// maxSegment is the payload of the largest segment we give to IP, to be cut by
// the device or by link: an IPv6 or IPv4 packet of 65535 bytes with full headers.
const maxSegment = 65535 - 60 - 60

// Connect implements transport.StreamProtocol.
func (t *tcp) Connect(o transport.StreamOptions, local, remote netip.AddrPort, w transport.Waker) (transport.Stream, error) {
	var err error
	for _, a := range []netip.Addr{local.Addr(), remote.Addr()} {
		if o.Index, err = transport.Scope(t.net, a, o.Index); err != nil {
			return nil, err
		}
	}
	src := usable(local.Addr())
	switch {
	case src.IsValid() && !t.net.IsLocalTo(src, o.Index) && !o.Transparent:
		return nil, bindError(syscall.EADDRNOTAVAIL)
	case remote.Addr().Is6() && remote.Addr().IsLinkLocalUnicast() && o.Index == 0: // on which link?
		return nil, syscall.EINVAL
	}
	p, err := t.net.Resolve(network.Flow{
		Dst: remote.Addr().WithZone(""), Src: src, Index: o.Index, Mark: o.Mark, UID: o.UID,
		TOS: o.TOS, Proto: wire.ProtoTCP, SrcPort: local.Port(), DstPort: remote.Port(),
	})
	switch {
	case err != nil:
		return nil, err
	case p.Type == route.Broadcast, p.Dst.IsMulticast(): // RFC 9293 §3.9.2.3
		return nil, syscall.ENETUNREACH
	case p.Dst.IsUnspecified(), !t.net.IsLocalTo(p.Src, p.Device.Index()) && p.Src != src && p.Src != p.Dst && !o.Transparent: // see network.Layer.Resolve
		return nil, syscall.EADDRNOTAVAIL
	}
	if !t.sockets.Get() {
		return nil, syscall.EPROTONOSUPPORT
	}
	k := newTuple(netip.AddrPortFrom(p.Src, local.Port()), netip.AddrPortFrom(p.Dst, remote.Port()), t.domainOf(p, o.Index))
	c := t.newConn(k)
	c.index, c.owner = o.Index, o.Owner
	c.identify(o.Socket())
	c.send.Path = p
	c.waker.Store(&wakerBox{w})
	c.mu.Lock()
	minISS, err := t.claim(c, &o)
	if err != nil {
		c.gone = true
		c.mu.Unlock()
		t.sockets.Put()
		return nil, err
	}
	now := t.clock.Now()
	t.mib.activeOpens.Inc()
	c.tcb.Connect(now, t.settings.tcb.Load(), c.start(now, minISS))
	c.applyOptions(now, &o)
	c.after(now)
	c.mu.Unlock()
	c.kick(0)
	return c, nil
}

// domainOf is the index in the tuple of a connection along p that is bound to an
// interface, 0 for none.
func (t *tcp) domainOf(p *network.Path, index int32) int32 {
	if p.Dst.Is6() && p.Dst.IsLinkLocalUnicast() {
		return p.Device.Index()
	}
	return t.net.VRF(index)
}

// bindError is an error about the local address, which programs take with bind.
func bindError(errno syscall.Errno) error { return os.NewSyscallError("bind", errno) }

// usable returns a without the unspecified address, which means any.
func usable(a netip.Addr) netip.Addr {
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a.WithZone("")
}

// claim gives the connection its local port and puts it into the table.
func (t *tcp) claim(c *conn, o *transport.StreamOptions) (minISS tcb.Seq, err error) {
	if c.key.localPort == 0 {
		return t.choosePort(c)
	}
	_, release, err := t.ports.Bind(transport.Binding{
		Addr: c.key.localAddr().Addr(), Port: c.key.localPort, Index: o.Index, Domain: t.portDomain(o.Index), ReuseAddr: o.ReuseAddr, ReusePort: o.ReusePort,
	})
	if err != nil {
		return 0, bindError(syscall.EADDRINUSE)
	}
	minISS, ok := t.insert(c)
	if !ok {
		release()
		return 0, syscall.EADDRNOTAVAIL // as Linux says when the tuple is taken
	}
	c.release = release
	return minISS, nil
}

// SetWaker implements transport.Stream.
func (c *conn) SetWaker(w transport.Waker) {
	c.waker.Store(&wakerBox{w})
	w.Wake(transport.Readable | transport.Writable)
}

// Connected implements transport.Stream.
func (c *conn) Connected() error {
	switch s := c.state.Load(); {
	case s&isOpen != 0:
		return nil
	case s&isDead == 0:
		return transport.ErrWouldBlock
	}
	if e := syscall.Errno(c.errno.Load()); e != 0 {
		return e
	}
	return syscall.ECONNABORTED
}

// Recv implements transport.Stream.
func (c *conn) Recv(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.rcv.reader.Lock()
	n, err := c.rcv.read(b)
	c.rcv.reader.Unlock()
	c.consumed(n)
	return n, c.told(err)
}

// told notes that the reader learns what ended the connection. Reading goes on to
// fail with it, where Linux says it once and then that the stream has ended: nobody
// must take a part of a stream for all of it.
func (c *conn) told(err error) error {
	if err != nil && err != io.EOF && err != transport.ErrWouldBlock {
		c.state.Or(isTold)
	}
	return err
}

// RecvTo implements transport.Stream.
func (c *conn) RecvTo(f func([]byte) (int, error), max int64) (total int64, err error) {
	c.rcv.reader.Lock()
	pkt, err := c.rcv.next()
	c.told(err)
	for err == nil && pkt != nil && (max <= 0 || total < max) {
		b := pkt.Head()
		if len(b) == 0 {
			b = pkt.Frag(0)
		}
		if max > 0 && int64(len(b)) > max-total {
			b = b[:max-total]
		}
		var n int
		n, err = f(b)
		total += int64(n)
		c.rcv.advance(n)
		pkt = c.rcv.more()
	}
	c.rcv.reader.Unlock()
	c.consumed(int(total))
	return total, err
}

// consumed tells the machine of read bytes, once they are enough for it to
// matter: the window is opened by whole segments.
func (c *conn) consumed(n int) {
	if c.state.Load()&isOrphan != 0 {
		c.rcv.sweep()
	}
	if n > 0 && c.rcv.consumed.Add(int64(n)) >= consumeStep {
		c.kick(workRead)
	}
}

// consumeStep is how many bytes are read before the machine is told: less would
// not open the window (RFC 9293 §3.8.6.2.2 wants a segment or half the buffer),
// and a message and its answer need not pay for it.
const consumeStep = 1024

// Send implements transport.Stream.
func (c *conn) Send(b []byte) (int, error) {
	one := [1][]byte{b}
	return c.SendBuffers(one[:])
}

// SendBuffers implements transport.Stream. What does not go out at once leaves in
// full segments: while more follows, the machine holds a last small one back.
func (c *conn) SendBuffers(v [][]byte) (n int, err error) {
	s := &c.snd
	s.writer.Lock()
	defer s.writer.Unlock()
	left := 0
	for _, b := range v {
		left += len(b)
	}
	for _, b := range v {
		for len(b) > 0 {
			if st := c.state.Load(); st&(isDead|isShut) != 0 {
				return n, c.sendErr()
			}
			room := s.roomFor(left)
			if room == 0 {
				return n, c.noRoom(n)
			}
			m := s.fill(c.t.net.Pool, b[:min(len(b), room)])
			n, left, b = n+m, left-m, b[m:]
			s.more.Store(m < room)
			if m == room || len(v) == 1 || s.fresh.Load() >= largeBlock {
				c.kick(workWrite)
			}
		}
	}
	return n, nil
}

// noRoom ends a SendBuffers that took n bytes before the buffer was full.
func (c *conn) noRoom(n int) error {
	if c.snd.more.Load() {
		c.snd.more.Store(false)
		c.kick(workWrite)
	}
	if n > 0 {
		return nil
	}
	return c.waitForRoom()
}

// waitForRoom asks to be woken when there is room; if some appeared meanwhile it
// wakes at once.
func (c *conn) waitForRoom() error {
	c.state.Or(wantRoom)
	if c.snd.room() >= c.snd.limit.Load()/3 || c.state.Load()&isDead != 0 {
		c.state.And(^wantRoom)
		c.wake(transport.Writable)
	}
	return transport.ErrWouldBlock
}

// sendErr returns why nothing can be sent: what ended the connection, if neither
// reader nor writer was told yet, and EPIPE from then on.
func (c *conn) sendErr() error {
	if e := syscall.Errno(c.errno.Load()); e != 0 && c.state.Or(isTold)&(isShut|isTold) == 0 {
		return e
	}
	return syscall.EPIPE
}

// CloseRead implements transport.Stream.
func (c *conn) CloseRead() error {
	if s := c.state.Load(); s&isOpen == 0 || s&isDead != 0 {
		return syscall.ENOTCONN
	}
	if c.rcv.finish(io.EOF) {
		c.wake(transport.Readable)
	}
	return nil
}

// CloseWrite implements transport.Stream.
func (c *conn) CloseWrite() error {
	if s := c.state.Load(); s&isOpen == 0 || s&isDead != 0 {
		return syscall.ENOTCONN
	}
	c.endSend(isShut)
	c.with(func(clock.Time) {
		c.takeQueued()
		c.tcb.Shutdown()
	})
	c.wake(transport.Writable)
	return nil
}

// endSend makes a Send fail, as the conditions say, and waits for one that runs:
// what it took goes out in front of the FIN. It returns the conditions of before.
func (c *conn) endSend(conditions uint32) (was uint32) {
	was = c.state.Or(conditions)
	c.snd.writer.Lock()
	c.snd.more.Store(false)
	c.snd.writer.Unlock()
	return was
}

// Close implements transport.Stream.
func (c *conn) Close() {
	if c.endSend(isOrphan|isShut)&isOrphan != 0 {
		return
	}
	c.with(func(now clock.Time) {
		if c.gone {
			return
		}
		c.takeConsumed(now)
		c.takeQueued()
		if c.linger == 0 {
			c.tcb.Abort()
			return
		}
		c.tcb.Close(now)
		if c.linger > 0 {
			c.tcb.AbortAfter(now, time.Duration(c.linger)*time.Second)
		}
	})
	c.with(func(clock.Time) { c.disown() }) // what went out so far was the program's
	c.orphan()
}

// Abort implements transport.Stream.
func (c *conn) Abort() {
	if c.state.Or(isOrphan|isShut)&isOrphan != 0 {
		return
	}
	c.with(func(clock.Time) {
		if !c.gone {
			c.tcb.Abort()
		}
	})
	c.orphan()
}

// orphan drops what only the application wanted.
func (c *conn) orphan() {
	c.wake(transport.Readable | transport.Writable)
	c.waker.Store(nil)
	c.rcv.close()
	c.t.sockets.Put()
}

// LocalAddr implements transport.Stream.
func (c *conn) LocalAddr() netip.AddrPort { return c.scoped(c.key.localAddr()) }

// RemoteAddr implements transport.Stream.
func (c *conn) RemoteAddr() netip.AddrPort { return c.scoped(c.key.remoteAddr()) }

// scoped adds the zone of a link-local address (RFC 4007 §6).
func (c *conn) scoped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(transport.Zoned(c.t.net, a.Addr(), c.key.index), a.Port())
}
