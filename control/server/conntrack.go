package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
)

// conntrackFailed is how the tool begins when the kernel refuses something.
const conntrackFailed = "conntrack v1.4.7 (conntrack-tools): Operation failed: "

func conntrack() Handler {
	return Handle(control.Conntrack(), func(ctx context.Context, e *Env, q control.ConntrackRequest, emit func(control.ConntrackReply) error) error {
		// As on Linux, asking about connections loads what knows them.
		if err := e.Kernel.Modules.Request(ctx, netfilter.TrackerSymbol); err != nil {
			return control.Errorf(1, "conntrack: %v", err)
		}
		t, ok := module.Find[netfilter.ConnTable](e.Kernel.Modules, netfilter.TrackerSymbol)
		if !ok {
			return control.Errorf(1, conntrackFailed+"Protocol not supported")
		}
		x := conntrackCall{t: t, q: &q, emit: emit}
		switch q.Op {
		case "event":
			return x.events(ctx)
		case "create":
			return x.create()
		case "count":
			n := t.Count()
			if q.Expect {
				n = x.expectations(func(*netfilter.Expectation, int64) error { return nil })
			}
			return emit(control.ConntrackReply{Count: &n})
		case "stats":
			s := t.Stats()
			return emit(control.ConntrackReply{Stats: &s})
		case "flush":
			return x.flush(ctx)
		}
		return x.each(ctx)
	})
}

type conntrackCall struct {
	t    netfilter.ConnTable
	q    *control.ConntrackRequest
	emit func(control.ConntrackReply) error
}

// chosen returns the connections that the filter chooses: commands change the table
// while they walk it.
func (x *conntrackCall) chosen() (list []*netfilter.Conn) {
	filter := x.q.Filter
	if x.q.Op == "update" {
		filter.Mark = nil // it is the new one
	}
	x.t.Each(func(c *netfilter.Conn) bool {
		if v := x.t.Snapshot(c); filter.Match(&v) {
			list = append(list, c)
		}
		return true
	})
	return list
}

// each lists, deletes or updates.
func (x *conntrackCall) each(ctx context.Context) error {
	if x.q.Expect {
		return x.listExpectations()
	}
	list := x.chosen()
	if x.q.Op == "get" && len(list) == 0 {
		return control.Errorf(1, conntrackFailed+"such conntrack doesn't exist")
	}
	for _, c := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		v := x.t.Snapshot(c)
		switch x.q.Op {
		case "delete":
			if !x.t.Delete(c) {
				continue // it has ended by itself
			}
		case "update":
			x.update(c)
			v = x.t.Snapshot(c)
		}
		if err := x.emit(control.ConntrackReply{Conn: &v}); err != nil {
			return err
		}
	}
	return nil
}

func (x *conntrackCall) update(c *netfilter.Conn) {
	f := &x.q.Filter
	if f.Mark != nil {
		c.Mark.Store(c.Mark.Load()&^f.MarkMask ^ *f.Mark)
	}
	if f.Timeout != nil {
		x.t.SetTimeout(c, time.Duration(*f.Timeout)*time.Second)
	}
}

func (x *conntrackCall) create() error {
	v, ok := x.q.Filter.View()
	if !ok {
		return control.Errorf(1, conntrackFailed+"invalid parameters")
	}
	var errno syscall.Errno
	switch err := x.t.Insert(&v); {
	case errors.Is(err, syscall.EEXIST):
		return control.Errorf(1, conntrackFailed+"Such conntrack exists, try -U to update")
	case errors.As(err, &errno):
		text := errno.Error()
		return control.Errorf(1, "%s", conntrackFailed+strings.ToUpper(text[:1])+text[1:])
	case err != nil:
		return control.Errorf(1, conntrackFailed+"%v", err)
	}
	return x.emit(control.ConntrackReply{Conn: &v})
}

func (x *conntrackCall) flush(ctx context.Context) error {
	if x.q.Expect {
		x.expectations(func(e *netfilter.Expectation, _ int64) error { x.t.Unexpect(e); return nil })
		return nil
	}
	for _, c := range x.chosen() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		x.t.Delete(c)
	}
	return nil
}

// expectations calls f for each and returns how many there are.
func (x *conntrackCall) expectations(f func(e *netfilter.Expectation, seconds int64) error) (n int) {
	var list []*netfilter.Expectation
	x.t.EachExpectation(func(e *netfilter.Expectation, _ int64) bool { list = append(list, e); return true })
	for _, e := range list {
		if f(e, int64(e.Timeout/time.Second)) != nil {
			break
		}
		n++
	}
	return n
}

func (x *conntrackCall) listExpectations() (err error) {
	x.expectations(func(e *netfilter.Expectation, seconds int64) error {
		t, m, o := &e.Tuple, &e.Mask, &e.Master.Tuples[netfilter.Original]
		line := fmt.Sprintf("%d proto=%d src=%v dst=%v sport=%d dport=%d mask-src=%v mask-dst=%v sport=%d dport=%d "+
			"master-src=%v master-dst=%v sport=%d dport=%d class=0", seconds, t.Proto, t.SrcAddr(), t.DstAddr(), t.SrcPort, t.DstPort,
			m.SrcAddr(), m.DstAddr(), m.SrcPort, m.DstPort, o.SrcAddr(), o.DstAddr(), o.SrcPort, o.DstPort)
		if h := e.Master.Helper.Load(); h != nil {
			line += " helper=" + h.Name
		}
		err = x.emit(control.ConntrackReply{Expect: line})
		return err
	})
	return err
}

// events passes events on until the context ends. They come in the goroutines that
// carry packets, which must not wait for whoever reads: one that is too slow loses.
func (x *conntrackCall) events(ctx context.Context) error {
	defer x.t.Hold()()
	events := make(chan control.ConntrackReply, monitorQueue)
	full := make(chan struct{}, 1)
	undo := x.t.Watch(func(e netfilter.Event) {
		v := x.t.Snapshot(e.Conn)
		if x.q.Kinds != 0 && x.q.Kinds&e.Kind == 0 || !x.q.Filter.Match(&v) {
			return
		}
		select {
		case events <- control.ConntrackReply{Conn: &v, Event: eventName(e.Kind)}:
		default:
			select {
			case full <- struct{}{}:
			default:
			}
		}
	})
	defer undo()
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

func eventName(k netfilter.EventKind) string {
	switch {
	case k&(netfilter.EventNew|netfilter.EventRelated) != 0:
		return "NEW"
	case k&netfilter.EventDestroy != 0:
		return "DESTROY"
	}
	return "UPDATE"
}
