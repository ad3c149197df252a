package server

import (
	"context"
	"fmt"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/clock"
	"github.com/knitnet/knit/wire"
)

func traceroute() Handler {
	return Handle(control.Traceroute(), func(ctx context.Context, e *Env, q control.TracerouteRequest, emit func(control.TracerouteReply) error) error {
		t, err := newTracer(ctx, e.Kernel, q)
		if err != nil {
			return err
		}
		defer t.method.close()
		if err := emit(control.TracerouteReply{Addr: t.to.dst.String(), Length: t.length}); err != nil {
			return err
		}
		return t.run(ctx, emit)
	})
}

// A hopProbe is one packet with a TTL, and what became of it.
type hopProbe struct {
	sent  clock.Time
	done  bool
	reply control.TracerouteReply
	final bool // who answered will not be passed
}

// A tracer is one run of traceroute.
type tracer struct {
	q      control.TracerouteRequest
	clock  *clock.Clock
	to     target
	length int // of packets, with the IP header
	method tracing

	probes []*hopProbe
	flying int // sent, not done
	last   int // number of probes that will be printed; shrinks when the end is found
}

// A tracing is a method of traceroute. Probes are numbered from 0.
type tracing interface {
	// send sends a probe with a TTL.
	send(n, ttl int) error
	// events delivers what comes back until ctx ends.
	events(ctx context.Context) <-chan traceEvent
	close()
}

// A traceEvent is an answer to a probe.
type traceEvent struct {
	icmpEvent
	probe int
	// arrived: the host itself answered.
	arrived bool
}

func newTracer(ctx context.Context, k *knit.Kernel, q control.TracerouteRequest) (*tracer, error) {
	dst, err := lookup(ctx, k, q.Host, q.Version)
	if err != nil {
		return nil, control.Errorf(2, "%s: %v\nCannot handle \"host\" cmdline arg `%s'", q.Host, err, q.Host)
	}
	if q.Queries < 1 || q.Squeries < 1 || q.Max < q.First || q.First < 1 || q.Max > 255 || q.Queries > 10 {
		return nil, control.Errorf(2, "first hop out of range")
	}
	source := q.Device
	if q.Source != "" {
		source = q.Source
	}
	t := &tracer{q: q, clock: k.Clock, last: (q.Max - q.First + 1) * q.Queries}
	if t.to, err = routeTo(k, dst, source); err != nil {
		return nil, control.Errorf(1, "%v", err)
	}
	t.size()
	if t.method, err = openTracing(k, t); err != nil {
		return nil, control.Errorf(1, "socket: %s", strerror(err))
	}
	return t, nil
}

// size chooses the length of packets: 40 bytes behind the IP header by default.
func (t *tracer) size() {
	header := wire.IPv4Len
	if t.to.dst.Is6() {
		header = wire.IPv6Len
	}
	least := header + wire.UDPLen
	if t.q.Method == "tcp" {
		least = header + tcpProbeLen
	}
	t.length = header + 40
	if t.q.Length > 0 {
		t.length = max(t.q.Length, least)
	}
	if t.q.Method == "tcp" {
		t.length = least
	}
}

// run keeps probes under way and prints them in order.
func (t *tracer) run(ctx context.Context, emit func(control.TracerouteReply) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	events := t.method.events(inner)
	a := newAlarm(t.clock)
	defer a.stop()
	for printed := 0; ; {
		for len(t.probes) < t.last && t.flying < t.q.Squeries {
			if err := t.send(); err != nil {
				return err
			}
		}
		for ; printed < min(len(t.probes), t.last) && t.probes[printed].done; printed++ {
			if err := emit(t.probes[printed].reply); err != nil {
				return err
			}
		}
		if printed == t.last {
			return nil
		}
		a.set(t.expire())
		select {
		case <-ctx.Done():
			return nil
		case <-a.c:
		case e := <-events:
			t.take(e)
		}
	}
}

func (t *tracer) hop(n int) int { return t.q.First + n/t.q.Queries }

func (t *tracer) send() error {
	n := len(t.probes)
	p := &hopProbe{sent: t.clock.Now()}
	p.reply.Hop = t.hop(n)
	t.probes = append(t.probes, p)
	t.flying++
	if err := t.method.send(n, p.reply.Hop); err != nil {
		return control.Errorf(1, "send: %s", strerror(err))
	}
	return nil
}

// expire gives up on probes that waited long enough, and returns when the next one
// will have.
func (t *tracer) expire() clock.Time {
	now, next := t.clock.Now(), clock.Never
	for _, p := range t.probes {
		if p.done {
			continue
		}
		if until := p.sent.Add(t.q.Wait); until > now {
			next = min(next, until)
			continue
		}
		p.done = true
		t.flying--
		next = now // look again
	}
	return next
}

func (t *tracer) take(e traceEvent) {
	if e.probe < 0 || e.probe >= len(t.probes) || t.probes[e.probe].done {
		return
	}
	p := t.probes[e.probe]
	p.done = true
	t.flying--
	p.reply.From, p.reply.RTT = e.from.String(), e.at.Sub(p.sent)
	p.reply.Note, p.final = note(e)
	if p.final {
		end := (e.probe/t.q.Queries + 1) * t.q.Queries
		t.last = min(t.last, end)
	}
}

// note says what an answer means, in traceroute's signs, and whether the way ends
// there.
func note(e traceEvent) (sign string, final bool) {
	switch {
	case e.arrived:
		return "", true
	case e.from.Is4() && e.typ == wire.ICMP4TimeExceeded, e.from.Is6() && e.typ == wire.ICMP6TimeExceeded:
		return "", false
	case e.from.Is4():
		return note4(e), true
	}
	return note6(e), true
}

func note4(e traceEvent) string {
	if e.typ != wire.ICMP4Unreachable {
		return fmt.Sprintf("!<%d-%d>", e.typ, e.code)
	}
	switch e.code {
	case wire.ICMP4PortUnreachable:
		return ""
	case wire.ICMP4NetUnreachable, wire.ICMP4NetUnknown:
		return "!N"
	case wire.ICMP4HostUnreachable, wire.ICMP4HostUnknown:
		return "!H"
	case wire.ICMP4ProtoUnreachable:
		return "!P"
	case wire.ICMP4FragNeeded:
		return fmt.Sprintf("!F-%d", e.info)
	case wire.ICMP4SourceRouteFailed:
		return "!S"
	case wire.ICMP4NetProhibited, wire.ICMP4HostProhibited, wire.ICMP4AdminProhibited:
		return "!X"
	case wire.ICMP4PrecedenceViolation:
		return "!V"
	case wire.ICMP4PrecedenceCutoff:
		return "!C"
	}
	return fmt.Sprintf("!<%d>", e.code)
}

func note6(e traceEvent) string {
	switch {
	case e.typ == wire.ICMP6PacketTooBig:
		return fmt.Sprintf("!F-%d", e.info)
	case e.typ == wire.ICMP6ParamProblem && e.code == wire.ICMP6BadNextHeader:
		return "!P"
	case e.typ != wire.ICMP6Unreachable:
		return fmt.Sprintf("!<%d-%d>", e.typ, e.code)
	}
	switch e.code {
	case wire.ICMP6PortUnreachable:
		return ""
	case wire.ICMP6NoRoute:
		return "!N"
	case wire.ICMP6AddrUnreachable:
		return "!H"
	case wire.ICMP6AdminProhibited:
		return "!X"
	case wire.ICMP6BeyondScope:
		return "!S"
	}
	return fmt.Sprintf("!<%d>", e.code)
}
