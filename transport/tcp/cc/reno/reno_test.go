package reno

import (
	"context"
	"testing"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/transport/tcp/cc"
	"github.com/knitnet/knit/transport/tcp/cc/cctest"
)

// RFC 5681 §3.1, §3.2: slow start, congestion avoidance, halving.
func TestReno(t *testing.T) {
	w := cc.Window{Cwnd: 10_000, Ssthresh: cc.NoThreshold, MSS: 1000}
	r := New()
	r.Init(0, &w)
	r.OnAck(0, &w, cc.Ack{Bytes: 10_000, Limited: true})
	if w.Cwnd != 20_000 {
		t.Errorf("cwnd %d after a window in slow start, want 20000", w.Cwnd)
	}
	r.OnAck(0, &w, cc.Ack{Bytes: 10_000})
	if w.Cwnd != 20_000 {
		t.Errorf("cwnd %d: a window that is not used grows", w.Cwnd)
	}
	r.OnCongestion(0, &w, 20_000)
	if w.Cwnd != 10_000 || w.Ssthresh != 10_000 {
		t.Errorf("cwnd %d, ssthresh %d after congestion", w.Cwnd, w.Ssthresh)
	}
	for range 10 {
		r.OnAck(0, &w, cc.Ack{Bytes: 1000, Limited: true})
	}
	if w.Cwnd != 11_000 {
		t.Errorf("cwnd %d after a window in congestion avoidance, want 11000", w.Cwnd)
	}
	r.OnRTO(0, &w, 1000)
	if w.Ssthresh != 2000 || w.Cwnd != 11_000 {
		t.Errorf("ssthresh %d, cwnd %d after a timeout", w.Ssthresh, w.Cwnd)
	}
}

// What package cc asks of every congestion control.
func TestContract(t *testing.T) { cctest.Run(t, "reno", New) }

// The module registers the algorithm while it is loaded, and is found by the
// alias under which TCP asks for it.
func TestModule(t *testing.T) {
	var table cc.Table
	r, err := module.New(module.Config{}, Module)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Provide(cc.Symbol, &table); err != nil {
		t.Fatal(err)
	}
	if err := r.Request(context.Background(), "tcp-cc-reno"); err != nil {
		t.Fatal(err)
	}
	build, ok := table.Lookup("reno")
	if !ok || build().Name() != "reno" {
		t.Fatal("not registered")
	}
	if err := r.Unload(context.Background(), "tcp_reno"); err != nil {
		t.Fatal(err)
	}
	if _, ok := table.Lookup("reno"); ok {
		t.Error("still registered")
	}
}
