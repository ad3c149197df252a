package server

import (
	"context"
	"time"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/netfilter"
)

// events passes events on until the context ends. They come in the goroutines that
// carry packets, which must not wait for whoever reads: one that is too slow loses.
func (x *conntrackCall) events(ctx context.Context) error {
	defer x.t.Hold([2]bool{true, true})()
	events := make(chan control.ConntrackReply, monitorQueue)
	full := make(chan struct{}, 1)
	tell := func(r control.ConntrackReply) {
		select {
		case events <- r:
		default:
			select {
			case full <- struct{}{}:
			default:
			}
		}
	}
	defer x.watch(tell)()
	for {
		select {
		case r := <-events:
			if err := x.emit(r); err != nil {
				return err
			}
		case <-full:
			return control.Errorf(1, conntrackFailed+"No buffer space available")
		case <-ctx.Done():
			return nil
		}
	}
}

// watch calls tell for the events that are asked for.
func (x *conntrackCall) watch(tell func(control.ConntrackReply)) (undo func()) {
	wants := func(k netfilter.EventKind) bool { return x.q.Kinds == 0 || x.q.Kinds&k != 0 }
	if x.q.Expect {
		return x.t.WatchExpectations(func(e netfilter.ExpectEvent) {
			if wants(e.Kind) {
				v := expectation(e.Expect, int64(e.Expect.Timeout/time.Second))
				v.Event, v.At = e.Kind, x.clock.Wall().UnixNano()
				tell(control.ConntrackReply{Expect: v})
			}
		})
	}
	return x.t.Watch(func(e netfilter.Event) {
		if !wants(e.Kind) || !x.t.Told(e) {
			return
		}
		v := x.t.Snapshot(e.Conn)
		if v.Event, v.At = e.Kind, x.clock.Wall().UnixNano(); x.q.Filter.Match(&v) {
			tell(control.ConntrackReply{Conn: &v})
		}
	})
}
