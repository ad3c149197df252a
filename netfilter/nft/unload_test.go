package nft_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"testing"

	"github.com/knitnet/knit/core/module"
	"github.com/knitnet/knit/netfilter"
)

// TestAfterUnload: who still has the ruleset of a module that is unloaded gets an error
// and changes nothing, and who monitors is told to end.
func TestAfterUnload(t *testing.T) {
	k, rules := newKernel(t)
	ended := make(chan error)
	began := make(chan struct{})
	var once sync.Once
	go func() {
		ended <- rules.Monitor(context.Background(), &netfilter.NFTRequest{Text: "monitor"}, writerFunc(func([]byte) { once.Do(func() { close(began) }) }))
	}()
	for tried := false; !tried; { // until the monitor sees what happens
		loadRules(t, rules, "table ip t { }")
		select {
		case <-began:
			tried = true
		default:
		}
	}
	if err := k.Rmmod(context.Background(), "nf_tables"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, syscall.ENODEV) {
		t.Errorf("the monitor ends with %v", err)
	}
	err := rules.Run(context.Background(), &netfilter.NFTRequest{Text: "add table ip t { chain c { type filter hook input priority 0; ct state new; }; }"}, io.Discard)
	if !errors.Is(err, syscall.ENODEV) {
		t.Errorf("a command after the end: %v", err)
	}
	if loaded(k, "nf_conntrack") {
		t.Error("the command has loaded modules")
	}
	if err := rules.Monitor(context.Background(), &netfilter.NFTRequest{Text: "monitor"}, io.Discard); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("a monitor after the end: %v", err)
	}
}

type writerFunc func(b []byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

// TestRunAgainstRmmod: commands that load modules and the unloading of nf_tables do not
// wait for each other.
func TestRunAgainstRmmod(t *testing.T) {
	k, rules := newKernel(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	current := func() netfilter.Ruleset { mu.Lock(); defer mu.Unlock(); return rules }
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// Either of these may fail: the module may be on its way out.
			_ = current().Run(context.Background(), &netfilter.NFTRequest{Text: "table ip t { chain c { type filter hook input priority 0; ct state new; limit rate 5/second; log; }; }"}, io.Discard)
			_ = current().Run(context.Background(), &netfilter.NFTRequest{Text: "flush ruleset"}, io.Discard)
		}
	})
	for range 30 {
		if err := k.Rmmod(context.Background(), "nf_tables"); err != nil {
			t.Fatal(err)
		}
		if err := k.Modprobe(context.Background(), "nf_tables"); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		rules, _ = module.Find[netfilter.Ruleset](k.Modules, netfilter.RulesetSymbol)
		mu.Unlock()
	}
	close(stop)
	wg.Wait()
}
