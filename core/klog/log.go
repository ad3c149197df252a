// Package klog is the kernel's log: a ring of messages, bounded in bytes, that
// dmesg reads and follows.
package klog

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultCapacity is the size of a ring that was given none: 256 KiB, as
	// Linux's default CONFIG_LOG_BUF_SHIFT of 18.
	DefaultCapacity = 1 << 18

	// maxText is the longest text of one entry in bytes; the rest is cut, so
	// that one message cannot push out all others.
	maxText = 1024

	// entryOverhead is what an entry costs besides its text, in bytes.
	entryOverhead = 64
)

// An Entry is one message.
type Entry struct {
	Seq      uint64        // position in the log, from 0, without gaps
	Time     time.Duration // since boot, by the kernel's clock
	Wall     time.Time     // when the kernel booted, plus Time
	Level    Level
	Facility Facility
	Module   string // who speaks; empty for the kernel itself
	Text     string // without the module's name and without a final newline
}

// cost is how much of the ring's capacity the entry takes.
func (e *Entry) cost() int { return entryOverhead + len(e.Module) + len(e.Text) }

// A Log is a ring of entries. Make it with New. All methods may be called
// concurrently, and none calls out while it holds the lock, so that any code
// may log.
type Log struct {
	clock    func() time.Duration
	boot     time.Time
	capacity int
	oopses   atomic.Int64

	mu      sync.Mutex
	entries []Entry // oldest first; entries[0].Seq == next - len(entries)
	bytes   int     // sum of the entries' costs
	next    uint64  // sequence number of the next entry
	lost    uint64  // entries that were pushed out
	cleared uint64  // first entry that a reader sees after Clear
	wake    chan struct{}
}

// New returns an empty log. clock tells the time since boot; nil means real
// time since this call. capacity bounds the text it keeps, in bytes; zero or
// less means DefaultCapacity.
func New(clock func() time.Duration, capacity int) *Log {
	now := time.Now()
	if clock == nil {
		clock = func() time.Duration { return time.Since(now) }
	}
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	return &Log{clock: clock, boot: now.Add(-clock()).Round(0), capacity: capacity}
}

// Boot returns the wall-clock time at which the kernel's clock stood at zero.
func (l *Log) Boot() time.Time { return l.boot }

// Printk adds a message of module; the empty module is the kernel itself.
// format and args are as in fmt.Sprintf. A nil Log drops it.
func (l *Log) Printk(level Level, module, format string, args ...any) {
	if l == nil {
		return
	}
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	l.add(Entry{Level: min(level, Debug), Facility: Kern, Module: module, Text: clip(text)})
}

// clip cuts a text to what an entry may hold.
func clip(text string) string {
	text = strings.TrimRight(text, "\n")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	return text
}

// add numbers, dates and stores e, and pushes out what no longer fits.
func (l *Log) add(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Seq = l.next
	e.Time = l.clock() // under the lock, so that time never runs backwards in the log
	e.Wall = l.boot.Add(e.Time)
	l.next++
	l.entries = append(l.entries, e)
	l.bytes += e.cost()
	for l.bytes > l.capacity && len(l.entries) > 1 {
		l.bytes -= l.entries[0].cost()
		l.entries[0] = Entry{} // let go of its text
		l.entries = l.entries[1:]
		l.lost++
	}
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// Module returns a Logger that speaks for the named module.
func (l *Log) Module(name string) *Logger { return &Logger{log: l, module: name} }
