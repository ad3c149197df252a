package klog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ticking returns a log whose clock the test sets.
func ticking(capacity int) (*Log, *time.Duration) {
	now := new(time.Duration)
	return New(func() time.Duration { return *now }, capacity), now
}

func texts(entries []Entry) string {
	var s []string
	for _, e := range entries {
		s = append(s, e.Text)
	}
	return strings.Join(s, " ")
}

func TestFormat(t *testing.T) {
	wall := time.Date(2026, 3, 7, 9, 5, 1, 0, time.UTC)
	for _, c := range []struct {
		e    Entry
		want string
	}{
		{Entry{Text: "text"}, "[    0.000000] text"},
		{Entry{Time: 1234567890 * time.Nanosecond, Module: "hello", Text: "listening"}, "[    1.234567] hello: listening"},
		{Entry{Time: 123456 * time.Second, Text: "a\nb"}, "[123456.000000] a\n[123456.000000] b"},
		{Entry{Text: "tab\tbell\x07esc\x1b[31m del\x7f csi\u009b é"}, "[    0.000000] tab\tbell\\x07esc\\x1b[31m del\\x7f csi\\xc2\\x9b é"},
		{Entry{Text: "csi\x9b31m é"}, "[    0.000000] csi\\x9b31m é"},
	} {
		if got := c.e.String(); got != c.want {
			t.Errorf("String() = %q, want %q", got, c.want)
		}
	}
	if got, want := (Entry{Wall: wall, Text: "x"}).Human(), "[Sat Mar  7 09:05:01 2026] x"; got != want {
		t.Errorf("Human() = %q, want %q", got, want)
	}
}

func TestEntryTimes(t *testing.T) {
	l, now := ticking(0)
	*now = 3 * time.Second
	l.Printk(Notice, "m", "%d%%", 7)
	e := l.Since(0)[0]
	if e.Seq != 0 || e.Time != 3*time.Second || !e.Wall.Equal(l.Boot().Add(3*time.Second)) ||
		e.Level != Notice || e.Facility != Kern || e.Module != "m" || e.Text != "7%" {
		t.Fatalf("entry = %+v", e)
	}
}

// The ring never holds more than its capacity, and counts what it loses.
func TestRingIsBounded(t *testing.T) {
	const capacity = 10 * (entryOverhead + 2)
	l, _ := ticking(capacity)
	for i := range 100 {
		l.Printk(Info, "", "%02d", i)
		if l.bytes > capacity {
			t.Fatalf("ring holds %d bytes, capacity %d", l.bytes, capacity)
		}
	}
	if got, want := texts(l.Since(0)), "90 91 92 93 94 95 96 97 98 99"; got != want {
		t.Errorf("ring = %s, want %s", got, want)
	}
	if l.Lost() != 90 || l.Next() != 100 {
		t.Errorf("lost %d, next %d; want 90, 100", l.Lost(), l.Next())
	}
	if e := l.Since(95); e[0].Seq != 95 || len(e) != 5 {
		t.Errorf("Since(95) = %v", e)
	}
	if e := l.Since(100); e != nil {
		t.Errorf("Since(next) = %v, want nothing", e)
	}
}

// One message, however long, does not push out all others.
func TestLongTextIsCut(t *testing.T) {
	l, _ := ticking(0)
	l.Printk(Info, "", "%s", strings.Repeat("é", maxText))
	text := l.Since(0)[0].Text
	if len(text) > maxText || strings.Trim(text, "é") != "" {
		t.Fatalf("text of %d bytes kept, ends in %q", len(text), text[len(text)-4:])
	}
}

// `dmesg -C` moves the reader's place; the entries stay for who follows.
func TestClear(t *testing.T) {
	l, _ := ticking(0)
	l.Printk(Info, "", "a")
	l.Clear()
	l.Printk(Info, "", "b")
	if got := texts(l.Entries()); got != "b" {
		t.Errorf("Entries after Clear = %q, want b", got)
	}
	if got := texts(l.Since(0)); got != "a b" {
		t.Errorf("Since(0) after Clear = %q, want a b", got)
	}
	if l.Cleared() != 1 {
		t.Errorf("Cleared = %d, want 1", l.Cleared())
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(nil, 0)
		l.Printk(Info, "", "before")
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		done := make(chan error, 1)
		go func() {
			done <- l.Follow(ctx, 0, func(e Entry) error {
				if e.Text == "one" {
					l.Printk(Debug, "", "from inside") // must not deadlock
				}
				got = append(got, e.Text)
				return nil
			})
		}()
		synctest.Wait()
		l.Printk(Info, "", "one")
		synctest.Wait()
		l.Printk(Info, "", "two")
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("Follow = %v, want context.Canceled", err)
		}
		if s := strings.Join(got, " "); s != "before one from inside two" {
			t.Fatalf("followed %q", s)
		}
	})
}

func TestFollowEndsWithError(t *testing.T) {
	l := New(nil, 0)
	l.Printk(Info, "", "x")
	stop := errors.New("stop")
	if err := l.Follow(t.Context(), 0, func(Entry) error { return stop }); err != stop {
		t.Fatalf("Follow = %v, want stop", err)
	}
}

// Sequence numbers have no gaps and times never run backwards, whoever logs.
func TestConcurrentPrintk(t *testing.T) {
	l := New(nil, 1<<20)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			g := l.Module(fmt.Sprint(i))
			for range 100 {
				g.Info("x")
			}
		})
	}
	wg.Wait()
	var last Entry
	for i, e := range l.Since(0) {
		if e.Seq != uint64(i) || e.Time < last.Time {
			t.Fatalf("entry %d: seq %d, time %v after %v", i, e.Seq, e.Time, last.Time)
		}
		last = e
	}
	if last.Seq != 799 {
		t.Fatalf("last seq %d, want 799", last.Seq)
	}
}

// A stranger may not push everything else out: 10 messages in 5 s, then a
// count of those that were held back.
func TestLimit(t *testing.T) {
	l, now := ticking(0)
	m := l.Module("ip4").Limit(0, 0)
	for i := range 25 {
		m.Warn("bad packet %d", i)
	}
	if n := len(l.Since(0)); n != 10 {
		t.Fatalf("%d messages passed, want 10", n)
	}
	*now = 5 * time.Second
	m.Info("bad packet again")
	if got, want := texts(l.Since(10)), "15 messages suppressed bad packet again"; got != want {
		t.Fatalf("after the interval: %q, want %q", got, want)
	}
}

func TestSlog(t *testing.T) {
	l := New(nil, 0)
	s := l.Module("dns").Slog()
	s.Error("query failed", "name", "a b", "try", 2)
	s.With("k", "v").WithGroup("g").Warn("w", "x", 1, slog.Group("h", "y", "="))
	s.Debug("100%")
	want := []struct {
		level Level
		text  string
	}{
		{Err, `query failed name="a b" try=2`},
		{Warning, `w k=v g.x=1 g.h.y="="`},
		{Debug, "100%"},
	}
	for i, e := range l.Since(0) {
		if e.Level != want[i].level || e.Text != want[i].text || e.Module != "dns" {
			t.Errorf("entry %d = %v %s %q, want %v", i, e.Level, e.Module, e.Text, want[i])
		}
	}
}

func TestLevels(t *testing.T) {
	for l := Emerg; l <= Debug; l++ {
		got, ok := ParseLevel(l.String())
		if !ok || got != l {
			t.Errorf("ParseLevel(%q) = %v, %v", l, got, ok)
		}
	}
	if _, ok := ParseLevel("loud"); ok {
		t.Error("ParseLevel takes anything")
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("text\nmore\x1b[0m")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range (Entry{Text: text}).String() {
			if isControl(r) {
				t.Fatalf("control character %U reaches the terminal", r)
			}
		}
	})
}
