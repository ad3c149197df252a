package leak

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeT stands for the test whose leaks are looked for.
type fakeT struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (t *fakeT) Helper()          {}
func (t *fakeT) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }
func (t *fakeT) Errorf(format string, args ...any) {
	t.errors = append(t.errors, fmt.Sprintf(format, args...))
}

// end does what happens at the end of a test, and returns its complaints.
func (t *fakeT) end() string {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
	return strings.Join(t.errors, "\n")
}

func waitForever(stop chan struct{}) { <-stop }

func TestCheckFindsGoroutine(t *testing.T) {
	Check(t) // this test itself leaves nothing
	stop := make(chan struct{})
	defer close(stop)
	go waitForever(stop) // was there before: not counted
	f := new(fakeT)
	check(f, 20*time.Millisecond)
	go waitForever(stop)
	got := f.end()
	if !strings.Contains(got, "1 goroutines left over") || !strings.Contains(got, "leak.waitForever(") {
		t.Errorf("complaint about a leaked goroutine: %q", got)
	}
}

func TestCheckWaitsForEnd(t *testing.T) {
	f := new(fakeT)
	Check(f)
	stop := make(chan struct{})
	go waitForever(stop)
	time.AfterFunc(20*time.Millisecond, func() { close(stop) })
	if got := f.end(); got != "" {
		t.Errorf("complaint about a goroutine that is about to end: %s", got)
	}
}

func TestCheckIgnoresStandardLibrary(t *testing.T) {
	f := new(fakeT)
	check(f, 20*time.Millisecond)
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt) // starts a goroutine that never ends
	defer signal.Stop(c)
	t.Run("sub", func(t *testing.T) {}) // and so does this, for a while
	if got := f.end(); got != "" {
		t.Errorf("complaint: %s", got)
	}
}

func TestCheckInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(fakeT)
		Check(f)
		stop := make(chan struct{})
		go waitForever(stop)
		got := f.end()
		close(stop)
		if !strings.Contains(got, "leak.waitForever(") {
			t.Errorf("complaint about a goroutine leaked in a bubble: %q", got)
		}
	})
}

func TestZero(t *testing.T) {
	f := new(fakeT)
	zero(f, 20*time.Millisecond, "packets", func() int64 { return 7 })
	if got := f.end(); !strings.Contains(got, "packets: 7 left over") {
		t.Errorf("complaint about 7 packets: %q", got)
	}
	f = new(fakeT)
	var n atomic.Int64
	n.Store(3)
	Zero(f, "packets", func() int64 { return n.Add(-1) })
	if got := f.end(); got != "" {
		t.Errorf("complaint about a count that becomes 0: %s", got)
	}
}
