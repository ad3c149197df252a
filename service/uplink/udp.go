package uplink

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/transport"
)

// A flow is an exchange of datagrams between one address inside and one outside.
// Datagrams from outside have a goroutine of the flow; those from inside are
// carried by a few workers that go where something is to be done.
type flow struct {
	u     *uplink
	in    transport.InterceptedDatagram
	out   net.Conn
	timer clock.Timer

	last    atomic.Int64 // clock.Time of the last datagram
	replied atomic.Bool
	state   atomic.Uint32
	closing sync.Once

	nextBusy *flow // in the busyList, which guards it
}

// States of a flow.
const (
	flowIdle  uint32 = iota
	flowBusy         // in the busyList or in the hands of a worker
	flowAgain        // the same, and something came after the worker looked
)

// datagramRequest opens a flow if the datagram goes outside. It is called on the
// packet path; opening a UDP socket of the host does not block.
func (u *uplink) datagramRequest(r transport.DatagramRequest) bool {
	to, ok := u.outside(r)
	if !ok {
		return false
	}
	if !u.flows.take() {
		u.warn.Warn("%v: more than %d flows", to, u.flows.max())
		r.Ignore()
		return true
	}
	if err := u.openFlow(r, to); err != nil {
		u.flows.put()
		u.answer(r, to, err)
	}
	return true
}

func (u *uplink) openFlow(r transport.DatagramRequest, to netip.AddrPort) error {
	out, err := u.dial(u.c.Context(), "udp", to)
	if err != nil {
		return err
	}
	f := &flow{u: u, out: out}
	f.state.Store(flowBusy) // nobody may look at f before it is complete
	if f.in, err = r.Accept(transport.DatagramOptions{}, f); err != nil {
		out.Close()
		return err
	}
	f.timer.Init(u.clock, f.expire)
	f.touch()
	if !u.addFlow(f) {
		f.close()
		return nil
	}
	u.busy.push(f)
	return nil
}

// addFlow makes f known and starts its timer and its goroutine: nobody can close it
// before, and leave a timer that runs. It reports false when the module is being
// unloaded.
func (u *uplink) addFlow(f *flow) bool {
	u.udp.Lock()
	defer u.udp.Unlock()
	if u.udp.closed {
		return false
	}
	u.udp.flows[f] = struct{}{}
	f.timer.ResetAfter(f.patience())
	return u.c.Go(func(context.Context) { f.down() })
}

// closeFlows ends all flows and lets no new ones begin.
func (u *uplink) closeFlows() {
	u.udp.Lock()
	u.udp.closed = true
	flows := u.udp.flows
	u.udp.flows = map[*flow]struct{}{}
	u.udp.Unlock()
	for f := range flows {
		f.close()
	}
	u.busy.close()
}

// close ends the flow.
func (f *flow) close() {
	f.closing.Do(func() {
		f.u.udp.Lock()
		delete(f.u.udp.flows, f)
		f.u.udp.Unlock()
		f.timer.Stop()
		f.in.Close()
		f.out.Close()
		f.u.flows.put()
	})
}

func (f *flow) touch() { f.last.Store(int64(f.u.clock.Now())) }

// patience is how long the flow may be idle.
func (f *flow) patience() time.Duration {
	if f.replied.Load() {
		return f.u.c.Duration("udp_timeout_stream")
	}
	return f.u.c.Duration("udp_timeout")
}

// expire is called when the flow may have been idle for long enough. The timer is
// not moved for each datagram.
func (f *flow) expire(now clock.Time) {
	end := clock.Time(f.last.Load()).Add(f.patience())
	if now < end {
		f.timer.Reset(end)
		return
	}
	f.close()
}

// Wake implements transport.Waker.
func (f *flow) Wake(transport.Ready) {
	for {
		switch {
		case f.state.CompareAndSwap(flowIdle, flowBusy):
			f.u.busy.push(f)
			return
		case f.state.CompareAndSwap(flowBusy, flowAgain), f.state.Load() == flowAgain:
			return
		}
	}
}

// datagramWorkers is how many goroutines carry datagrams from inside: one that
// waits for a slow socket of the host must not hold up all flows.
const datagramWorkers = 4

// carryDatagrams is a worker.
func (u *uplink) carryDatagrams(context.Context) {
	buf := make([]byte, bufferSize)
	for f := u.busy.pop(); f != nil; f = u.busy.pop() {
		f.up(buf)
	}
}

// turn is how many datagrams of a flow are carried before others get their turn.
const turn = 64

// up carries what waits in the flow's socket.
func (f *flow) up(buf []byte) {
	f.state.Store(flowBusy)
	var m transport.Message
	for range turn {
		n, err := f.in.RecvFrom(buf, &m)
		switch {
		case err == transport.ErrWouldBlock && f.state.CompareAndSwap(flowBusy, flowIdle):
			return
		case err == transport.ErrWouldBlock:
			f.state.Store(flowBusy)
			continue
		case err != nil: // the inside does not want to hear more, or the flow is closed
			f.close()
			return
		}
		f.touch()
		f.forward(buf[:n])
	}
	f.u.busy.push(f)
}

// forward sends one datagram outside. A socket of the host tells of an ICMP error
// in place of sending: then it is sent after all.
func (f *flow) forward(b []byte) {
	for range 2 {
		_, err := f.out.Write(b)
		if err == nil || !f.failed(err) {
			return
		}
	}
}

// down carries what the outside sends, until the flow is closed.
func (f *flow) down() {
	defer f.close()
	src := newSource(f.out, &f.u.buffers)
	var m transport.Message // to the peer
	for {
		buf, n, err := src.read()
		if err != nil {
			if !f.failed(err) {
				return
			}
			continue
		}
		f.replied.Store(true)
		f.touch()
		_, err = f.in.SendTo((*buf)[:n], &m)
		f.u.buffers.put(buf)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return // nobody inside listens any more
		}
	}
}

// failed passes an error of the host's socket on. It reports whether the socket is
// still good.
func (f *flow) failed(err error) bool {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		f.in.Unreachable(network.PortUnreachable)
	case errors.Is(err, syscall.EHOSTUNREACH):
		f.in.Unreachable(network.HostUnreachable)
	case errors.Is(err, syscall.ENETUNREACH):
		f.in.Unreachable(network.NetUnreachable)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		f.in.Unreachable(network.AdminProhibited)
	case errors.Is(err, syscall.EMSGSIZE), errors.Is(err, syscall.ENOBUFS):
	default:
		return false
	}
	return true
}
