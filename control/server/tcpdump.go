package server

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/knitnet/knit"
	"github.com/knitnet/knit/control"
	"github.com/knitnet/knit/link"
	"github.com/knitnet/knit/link/capture"
)

func tcpdump() Handler {
	return Handle(control.Tcpdump(), func(ctx context.Context, e *Env, q control.TcpdumpRequest, emit func(control.TcpdumpReply) error) error {
		if q.Nothing {
			return nil
		}
		devs, err := dumpDevices(e.Kernel, q.Device)
		if err != nil {
			return err
		}
		t := &tap{q: q, emit: emit, devs: devs, frames: make(chan []control.TcpdumpFrame), stop: make(chan struct{})}
		return t.run(ctx)
	})
}

// dumpDevices returns the devices that a command means.
func dumpDevices(k *knit.Kernel, name string) ([]*link.Device, error) {
	all := k.Link.Devices()
	switch {
	case name == "" && len(all) == 0, name == "any" && len(all) == 0:
		return nil, control.Errorf(1, "tcpdump: no suitable device found")
	case name == "any":
		return all, nil
	case name == "":
		for _, dev := range all {
			if dev.Up() && dev.Type() != link.Loopback {
				return []*link.Device{dev}, nil
			}
		}
		return all[:1], nil
	}
	dev, err := k.Link.Lookup(name)
	if err != nil {
		return nil, control.Errorf(1, "tcpdump: %s: No such device exists", name)
	}
	return []*link.Device{dev}, nil
}

// A tap passes on what a capture writes. The capture bounds what waits: while emit
// blocks, it drops and counts.
type tap struct {
	q      control.TcpdumpRequest
	emit   func(control.TcpdumpReply) error
	devs   []*link.Device
	frames chan []control.TcpdumpFrame // from Write to run
	stop   chan struct{}               // closed when nobody takes frames any more

	header  []byte                // of the capture's file, which each Write begins with
	filters []control.FrameFilter // by interface, if the capture does not filter
	passed  uint64                // what filters let through
}

func (t *tap) run(ctx context.Context) error {
	opt := capture.Options{Snaplen: t.q.Snaplen, Immediate: t.q.Immediate}
	switch t.q.Direction {
	case "in":
		opt.Direction = capture.In
	case "out":
		opt.Direction = capture.Out
	}
	if err := t.filter(&opt); err != nil {
		return err
	}
	if err := t.emit(t.listening()); err != nil {
		return err
	}
	c, err := capture.Start(t, opt, t.devs...)
	if err != nil {
		return control.Errorf(1, "tcpdump: %v", err)
	}
	sent, err := t.pass(ctx, c)
	if err != nil {
		return err
	}
	s := c.Stats()
	if t.filters != nil {
		s.Received = t.passed
	}
	return t.emit(control.TcpdumpReply{Statistics: &control.TcpdumpStatistics{Captured: sent, Received: s.Received, Dropped: s.Dropped}})
}

func (t *tap) listening() (r control.TcpdumpReply) {
	for _, dev := range t.devs {
		r.Listening = append(r.Listening, control.TcpdumpInterface{Name: dev.Name(), LinkType: capture.LinkTypeOf(dev)})
	}
	return r
}

// filter compiles the expression. A capture of one link type filters before it
// copies; else it does not know the type, and Write filters.
func (t *tap) filter(opt *capture.Options) error {
	same := true
	for _, dev := range t.devs {
		typ := capture.LinkTypeOf(dev)
		f, err := control.CompileFilter(t.q.Filter, typ)
		if err != nil {
			return err
		}
		t.filters = append(t.filters, f)
		same = same && typ == capture.LinkTypeOf(t.devs[0])
	}
	if same || t.q.Filter == "" {
		if t.q.Filter != "" {
			opt.Filter = t.filters[0]
		}
		t.filters = nil
	}
	return nil
}

// pass emits frames until there were enough of them, the context or the capture
// ends, and stops the capture.
func (t *tap) pass(ctx context.Context, c *capture.Capture) (sent uint64, err error) {
	end := ctx.Done()
	ended := make(chan struct{})
	halt := func() {
		go func() {
			defer close(ended)
			c.Stop()
		}()
		end = nil
	}
	for {
		select {
		case list := <-t.frames:
			if left := t.q.Count - sent; t.q.Count > 0 && uint64(len(list)) > left {
				list = list[:left]
			}
			if err = t.emit(control.TcpdumpReply{Frames: list}); err == nil {
				sent += uint64(len(list))
			}
			if err == nil && (t.q.Count == 0 || sent < t.q.Count) {
				continue
			}
			close(t.stop)
			if end != nil {
				halt()
			}
			<-ended
			return sent, err
		case <-end:
			halt()
		case <-ended:
			return sent, nil
		}
	}
}

// batch bounds the bytes of one reply.
const batch = 256 << 10

var errTapped = errors.New("enough packets")

// Write implements io.Writer for the capture, which writes whole records after a
// header.
func (t *tap) Write(b []byte) (int, error) {
	if t.header == nil {
		t.header = bytes.Clone(b)
		return len(b), nil
	}
	r, err := capture.NewReader(io.MultiReader(bytes.NewReader(t.header), bytes.NewReader(b)))
	if err != nil {
		return 0, err
	}
	var list []control.TcpdumpFrame
	for size := 0; ; {
		rec, err := r.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if err == nil && (t.filters == nil || t.filters[rec.Interface](rec.Data, rec.Length)) {
			list = append(list, control.TcpdumpFrame{
				Interface: rec.Interface, Time: rec.Time, Direction: rec.Direction, Length: rec.Length, Data: bytes.Clone(rec.Data),
			})
			size += len(rec.Data)
			t.passed++
		}
		if len(list) > 0 && (err != nil || size >= batch) {
			select {
			case t.frames <- list:
				list, size = nil, 0
			case <-t.stop:
				return 0, errTapped
			}
		}
		if err != nil {
			return len(b), nil
		}
	}
}
