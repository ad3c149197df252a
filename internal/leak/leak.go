// Package leak makes a test fail that leaves something behind: goroutines,
// packets, timers, sockets.
//
// Call it before the test makes what is to be checked, so that the test's own
// clean-up, which runs in reverse order, comes first:
//
//	leak.Check(t)
//	k := newKernel(t)
//	leak.Zero(t, "packets", k.Pool.Live) // before any t.Cleanup that frees packets
package leak

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// grace is how long something that is about to end may still take. It is long
// because it bounds only the time a failing test needs.
const grace = 5 * time.Second

// Check makes t fail if at its end goroutines run that did not run at the time
// of the call, and prints their stacks. They get a few seconds to end.
// Goroutines of the runtime and of package testing do not count.
//
// A test that uses it must not run in parallel to others, whose goroutines it
// would see.
func Check(t testing.TB) {
	t.Helper()
	check(t, grace)
}

func check(t testing.TB, grace time.Duration) {
	t.Helper()
	before := goroutines()
	t.Cleanup(func() {
		t.Helper()
		var left []string
		if poll(grace, func() bool { left = since(before); return len(left) == 0 }) {
			return
		}
		t.Errorf("%d goroutines left over after %v:\n\n%s", len(left), grace, strings.Join(left, "\n\n"))
	})
}

// Zero makes t fail if at its end n does not become 0 within a few seconds;
// name says what n counts. n must be safe to call from the test's goroutine.
func Zero(t testing.TB, name string, n func() int64) {
	t.Helper()
	zero(t, grace, name, n)
}

func zero(t testing.TB, grace time.Duration, name string, n func() int64) {
	t.Helper()
	t.Cleanup(func() {
		t.Helper()
		var left int64
		if !poll(grace, func() bool { left = n(); return left == 0 }) {
			t.Errorf("%s: %d left over after %v, want 0", name, left, grace)
		}
	})
}

// poll calls ok until it is true, and reports false after about d.
func poll(d time.Duration, ok func() bool) bool {
	const longest = 50 * time.Millisecond
	end := time.Now().Add(d)
	for pause := time.Millisecond; !ok(); pause = min(2*pause, longest) {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(pause)
	}
	return true
}

// since returns the stacks of the goroutines that are not in before and count.
func since(before map[string]string) []string {
	var left []string
	for id, stack := range goroutines() {
		if _, old := before[id]; !old && !exempt(stack) {
			left = append(left, stack)
		}
	}
	return left
}

// exempt reports whether a goroutine was started by the runtime, by package
// testing, or by a part of the standard library that keeps it for the life of
// the process.
func exempt(stack string) bool {
	_, creator, _ := strings.Cut(stack, "\ncreated by ")
	for _, pkg := range []string{"testing.", "os/signal.", "runtime.", "runtime/pprof.", "runtime/trace."} {
		if strings.HasPrefix(creator, pkg) {
			return true
		}
	}
	return false
}

// goroutines returns the stacks of all goroutines but the caller's by id.
func goroutines() map[string]string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := make(map[string]string)
	for i, stack := range strings.Split(strings.TrimSpace(string(buf)), "\n\n") {
		var id string
		if _, err := fmt.Sscanf(stack, "goroutine %s", &id); err == nil && i > 0 { // the first is the caller
			all[id] = stack
		}
	}
	return all
}
