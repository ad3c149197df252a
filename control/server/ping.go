package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/network"
	"github.com/knitnet/knit/network/route"
	"github.com/knitnet/knit/transport"
	"github.com/knitnet/knit/wire"
)

func ping() Handler {
	return Handle(control.Ping(), func(ctx context.Context, e *Env, q control.PingRequest, emit func(control.PingReply) error) error {
		p, err := newPinger(ctx, e.Kernel, q, emit)
		if err != nil {
			return err
		}
		defer p.close()
		return p.run(ctx)
	})
}

const (
	// linger is how long ping waits for the last replies if none has come yet.
	linger = 10 * time.Second
	// floodPause is the longest time between two requests of a flood.
	floodPause = 10 * time.Millisecond
	// maxPing bounds the payload to what an IP packet can be asked to hold, so
	// that the request is refused by the kernel and not by us.
	maxPing = 1 << 17
)

// A probe is a request under way.
type probe struct {
	sent     clock.Time
	answered bool
}

// A pinger is one run of ping.
type pinger struct {
	q     control.PingRequest
	emit  func(control.PingReply) error
	clock *clock.Clock
	sock  *icmpSocket
	to    target
	id    uint16
	buf   []byte

	// probes are the last requests by sequence number, which wraps.
	probes     map[uint16]*probe
	begin, end clock.Time
	stats      control.PingStats
	sum, sum2  float64 // of round trip times in ns, and their squares
	open       int     // requests without reply
}

func newPinger(ctx context.Context, k *knit.Kernel, q control.PingRequest, emit func(control.PingReply) error) (*pinger, error) {
	dst, err := lookup(ctx, k, q.Host, q.Version)
	if err != nil {
		return nil, control.Errorf(2, "ping: %s: %v", q.Host, err)
	}
	to, err := routeTo(k, dst, q.Source)
	if err != nil {
		return nil, control.Errorf(2, "ping: %v", err)
	}
	if to.path.Type == route.Broadcast && !q.Broadcast {
		return nil, control.Errorf(2, "ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules")
	}
	if q.Size < 0 || q.Size > maxPing || q.Count < 0 || q.Interval < 0 {
		return nil, control.Errorf(1, "ping: invalid argument: '%d': out of range: 0 <= value <= %d", q.Size, maxPing)
	}
	s, err := openICMP(k, dst, to.index, to.src)
	if err != nil {
		return nil, control.Errorf(2, "ping: socket: %s", strerror(err))
	}
	p := &pinger{
		q: q, emit: emit, clock: k.Clock, sock: s, to: to, id: uint16(rand.Uint32()), probes: map[uint16]*probe{},
		buf: make([]byte, wire.ICMPLen+q.Size),
	}
	p.fill(p.buf[wire.ICMPLen:])
	if err := p.options(); err != nil {
		s.Close()
		return nil, control.Errorf(2, "ping: setsockopt: %s", strerror(err))
	}
	return p, nil
}

// fill puts the pattern into a payload: counting bytes, as ping has them.
func (p *pinger) fill(b []byte) {
	for i := range b {
		if n := len(p.q.Pattern); n > 0 {
			b[i] = p.q.Pattern[i%n]
		} else {
			b[i] = byte(i)
		}
	}
}

func (p *pinger) options() error {
	discover := map[string]network.Fragment{
		"": network.FragmentWant, "want": network.FragmentWant, "do": network.FragmentDo, "dont": network.FragmentDont,
	}
	set := func(o transport.Option, v int) error { return p.sock.SetOption(o, int64(v)) }
	return errors.Join(
		set(transport.TTL, p.q.TTL), set(transport.MulticastTTL, p.q.TTL), set(transport.TOS, p.q.TOS),
		set(transport.MTUDiscover, int(discover[p.q.Discover])), set(transport.BroadcastOK, 1),
	)
}

func (p *pinger) close() { p.sock.Close() }

func (p *pinger) run(ctx context.Context) error {
	if err := p.emit(control.PingReply{Start: &control.PingStart{
		Addr: p.to.dst.String(), Source: p.to.src.String(), Device: p.to.device,
	}}); err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan icmpEvent, 64)
	go p.sock.receive(inner, events)
	p.begin = p.clock.Now()
	p.end = p.begin
	if err := p.loop(ctx, events); err != nil {
		return err
	}
	p.summarize()
	if err := p.emit(control.PingReply{Stats: &p.stats}); err != nil {
		return err
	}
	// ping(8): "If ping does not receive any reply packets at all it will exit with
	// code 1. If a packet count and deadline are both specified, and fewer than
	// count packets are received by the time the deadline has arrived, it will also
	// exit with code 1."
	if p.stats.Received == 0 || p.q.Deadline > 0 && p.q.Count > 0 && p.stats.Received < p.q.Count {
		return &control.Error{Status: 1}
	}
	return nil
}

// loop sends and receives until it is time to end.
func (p *pinger) loop(ctx context.Context, events <-chan icmpEvent) error {
	a := newAlarm(p.clock)
	defer a.stop()
	deadline := later(p.begin, p.q.Deadline)
	next := p.begin // when to send
	for {
		now := p.clock.Now()
		if now >= deadline || p.done() {
			return nil
		}
		if now >= next && p.more() {
			if err := p.send(now); err != nil {
				return err
			}
			if next = p.after(now); !p.more() {
				next = p.clock.Now().Add(p.wait())
			}
			if p.done() {
				return nil // the last one could not be sent
			}
		} else if now >= next {
			return nil // waited long enough
		}
		a.set(min(next, deadline))
		select {
		case <-ctx.Done():
			return nil
		case <-a.c:
		case e := <-events:
			if err := p.take(e); err != nil {
				return err
			}
			if p.more() && p.q.Flood && p.open == 0 {
				next = p.clock.Now()
			}
		}
	}
}

// more reports whether there are requests left to send. With a deadline, the count
// is of replies.
func (p *pinger) more() bool {
	if p.q.Count == 0 {
		return true
	}
	if p.q.Deadline > 0 {
		return p.stats.Received+p.stats.Errors < p.q.Count
	}
	return p.stats.Sent < p.q.Count
}

func (p *pinger) done() bool { return p.q.Count > 0 && p.stats.Received+p.stats.Errors >= p.q.Count }

// after is when the request behind one that was sent now is due.
func (p *pinger) after(now clock.Time) clock.Time {
	if p.q.Flood && p.q.Interval == 0 {
		return now.Add(floodPause)
	}
	return now.Add(max(p.q.Interval, time.Microsecond))
}

// wait is how long to wait for the last replies.
func (p *pinger) wait() time.Duration {
	switch {
	case p.q.Timeout > 0:
		return p.q.Timeout
	case p.stats.Received == 0:
		return linger
	}
	return max(2*p.stats.Max, p.q.Interval)
}

func (p *pinger) send(now clock.Time) error {
	seq := uint16(p.stats.Sent + 1)
	if old := p.probes[seq]; old != nil && !old.answered {
		p.open--
	}
	p.probes[seq] = &probe{sent: now}
	p.stats.Sent++
	p.open++
	p.end = now
	err := p.sock.echo(p.buf, p.id, seq, p.to.dst)
	if err == nil {
		if p.q.Flood {
			return p.emit(control.PingReply{Sent: &control.PingSent{Seq: int(seq)}})
		}
		return nil
	}
	p.probes[seq].answered = true
	p.open--
	e := &control.PingError{Seq: int(seq), Local: "sendmsg: " + strerror(err)}
	if errors.Is(err, syscall.EMSGSIZE) {
		p.stats.Errors++
		e.Local = fmt.Sprintf("local error: message too long, mtu=%d", min(p.mtu(), 65535))
	}
	return p.emit(control.PingReply{Error: e})
}

// mtu is what the path takes now: it may have been learnt after the start.
func (p *pinger) mtu() int {
	f := network.Flow{Dst: p.to.path.Dst, Src: p.to.path.Src, Index: p.to.index}
	if path, err := p.to.layer.Resolve(f); err == nil {
		return path.MTU()
	}
	return p.to.path.MTU()
}

// take looks at one message.
func (p *pinger) take(e icmpEvent) error {
	_, reply := p.sock.echoType()
	if e.id != p.id || e.typ != reply && !e.isError {
		return nil
	}
	x := p.probes[e.seq]
	if x == nil {
		return nil
	}
	if e.isError && e.dst != p.to.path.Dst {
		return nil
	}
	p.end = e.at
	p.stats.Pipe = max(p.stats.Pipe, int(uint16(p.stats.Sent)-e.seq)+1)
	if e.isError {
		p.stats.Errors++
		if !x.answered {
			x.answered = true
			p.open--
		}
		return p.emit(control.PingReply{Error: &control.PingError{
			Seq: int(e.seq), From: e.from.String(), Type: int(e.typ), Code: int(e.code), Info: e.info,
		}})
	}
	r := &control.PingEcho{
		Seq: int(e.seq), From: e.from.String(), Bytes: wire.ICMPLen + len(e.payload), TTL: int(e.ttl),
		RTT: e.at.Sub(x.sent), Wall: p.clock.Wall(), Duplicate: x.answered, Wrong: p.wrong(e.payload),
	}
	p.count(r)
	if !x.answered {
		x.answered = true
		p.open--
	}
	return p.emit(control.PingReply{Echo: r})
}

// wrong returns the offset of the first byte that came back changed.
func (p *pinger) wrong(b []byte) *int {
	want := p.buf[wire.ICMPLen:]
	for i := range min(len(b), len(want)) {
		if b[i] != want[i] {
			return &i
		}
	}
	return nil
}

func (p *pinger) count(r *control.PingEcho) {
	s := &p.stats
	if r.Wrong != nil {
		s.Wrong++
	}
	if r.Duplicate {
		s.Duplicates++
		return
	}
	if s.Received == 0 {
		s.Min, s.EWMA = r.RTT, r.RTT
	}
	s.Received++
	s.Min, s.Max = min(s.Min, r.RTT), max(s.Max, r.RTT)
	s.EWMA += (r.RTT - s.EWMA) / 8
	p.sum += float64(r.RTT)
	p.sum2 += float64(r.RTT) * float64(r.RTT)
}

func (p *pinger) summarize() {
	p.stats.Time = p.end.Sub(p.begin)
	n := float64(p.stats.Received)
	if n == 0 {
		return
	}
	avg := p.sum / n
	p.stats.Avg = time.Duration(avg)
	p.stats.Mdev = time.Duration(math.Sqrt(max(p.sum2/n-avg*avg, 0)))
}
