package server

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/core/clock"
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
		if known := q.Expect && expectOps[q.Op] || !q.Expect && conntrackOps[q.Op]; !known {
			return control.Errorf(1, conntrackFailed+"Operation not supported")
		}
		x := conntrackCall{t: t, clock: e.Kernel.Network.Clock, q: &q, emit: emit}
		switch q.Op {
		case "event":
			return x.events(ctx)
		case "create", "add":
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

// conntrackOps and expectOps are what can be asked about connections and expectations.
var (
	conntrackOps = map[string]bool{
		"list": true, "get": true, "delete": true, "update": true, "create": true, "add": true, "event": true, "flush": true, "count": true, "stats": true,
	}
	expectOps = map[string]bool{"list": true, "event": true, "flush": true, "count": true}
)

type conntrackCall struct {
	t     netfilter.ConnTable
	clock *clock.Clock
	q     *control.ConntrackRequest
	emit  func(control.ConntrackReply) error
}

// chosen returns the connections that the filter chooses: commands change the table
// while they walk it.
func (x *conntrackCall) chosen() (list []*netfilter.Conn) {
	filter := x.q.Filter
	if x.q.Op == "update" {
		filter.Mark, filter.Status = nil, 0 // they are the new ones
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
		case "list":
			if x.q.Zero && c.Acct != nil {
				v.Acct = takeCounts(c.Acct)
			}
		}
		if err := x.emit(control.ConntrackReply{Conn: &v}); err != nil {
			return err
		}
	}
	return nil
}

// takeCounts sets counters to zero: what is counted meanwhile is in what it returns, or
// in what comes next.
func takeCounts(a *[2]netfilter.Acct) *netfilter.ConnAcct {
	took := new(netfilter.ConnAcct)
	for d := range a {
		took.Packets[d], took.Bytes[d] = a[d].Packets.Swap(0), a[d].Bytes.Swap(0)
	}
	return took
}

func (x *conntrackCall) update(c *netfilter.Conn) {
	f := &x.q.Filter
	kinds := netfilter.EventReply | netfilter.EventAssured | netfilter.EventProtoInfo | netfilter.EventMark
	if f.Mark != nil {
		c.Mark.Store(c.Mark.Load()&^f.MarkMask ^ *f.Mark)
	}
	if f.Timeout != nil {
		x.t.SetTimeout(c, time.Duration(*f.Timeout)*time.Second)
	}
	c.Status.Or(f.Status & (netfilter.SeenReply | netfilter.Assured | netfilter.Fixed))
	for i := range f.LabelAdd {
		if f.LabelAdd[i]|f.LabelDel[i] != 0 {
			c.Extra().Label[i].Or(f.LabelAdd[i])
			c.Extra().Label[i].And(^f.LabelDel[i])
			kinds |= netfilter.EventLabel
		}
	}
	x.t.Tell(netfilter.Event{Kind: kinds, Conn: c})
}

func (x *conntrackCall) create() error {
	v, ok := x.q.Filter.View()
	if !ok {
		return control.Errorf(1, conntrackFailed+"invalid parameters")
	}
	var errno syscall.Errno
	switch err := x.t.Insert(&v); {
	case errors.Is(err, syscall.EEXIST) && x.q.Op == "add":
		return nil
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
	type waiting struct {
		*netfilter.Expectation
		left time.Duration
	}
	var list []waiting
	x.t.EachExpectation(func(e *netfilter.Expectation, left time.Duration) bool {
		list = append(list, waiting{e, left})
		return true
	})
	for _, e := range list {
		if f(e.Expectation, int64(e.left/time.Second)) != nil {
			break
		}
		n++
	}
	return n
}

// expectation describes an expectation.
func expectation(e *netfilter.Expectation, seconds int64) *control.ConntrackExpect {
	x := &control.ConntrackExpect{Tuple: e.Tuple, Mask: e.Mask, Master: e.Master.Tuples[netfilter.Original], Timeout: seconds}
	if h := e.Master.Helper.Load(); h != nil {
		x.Helper = h.Name
	}
	return x
}

func (x *conntrackCall) listExpectations() (err error) {
	x.expectations(func(e *netfilter.Expectation, seconds int64) error {
		err = x.emit(control.ConntrackReply{Expect: expectation(e, seconds)})
		return err
	})
	return err
}
