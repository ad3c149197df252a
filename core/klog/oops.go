package klog

import (
	"runtime/debug"
	"slices"
	"strings"
)

// Oops reports a panic that was caught, with the stack that led to it; what says
// where, as "a hook". Call it from the deferred function that recovered reason.
func (g *Logger) Oops(what string, reason any) {
	if g.log == nil {
		return
	}
	g.log.oopses.Add(1)
	g.Err("BUG: panic in %s: %v\n%s", what, reason, stack())
}

// Oopses returns how many panics were reported since boot. A kernel with any is
// not to be trusted: the code that panicked may have left locks held.
func (l *Log) Oopses() int64 { return l.oopses.Load() }

// stack returns where a recovered panic came from, without the frames of the
// recovery, in few enough lines for the log.
func stack() string {
	const keep = 12
	lines := strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "panic(") }); i >= 0 {
		lines = lines[min(i+2, len(lines)):]
	}
	return strings.Join(lines[:min(keep, len(lines))], "\n")
}
